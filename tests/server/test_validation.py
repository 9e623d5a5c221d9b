"""The validation: what cannot be planted in a running replica at will. The rest is in tests/e2e/test_admin.py."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampling.catalog import Catalog
from sampling.policies import Policy
from sampling.records import Boost, Change, Key, SamplingPolicy, Stored, encode_record
from sampling.slices import at_once
from sampling.strategies_file_reader import read
from sampling.strategy import OperationStrategy, SamplingStrategy
from server import validation as validation_module
from server.validation import Validation
from server.validation_policies import expired, never_winning
from server.validation_report import Finding, Report
from storage.errors import RevisionUnknown, StoreUnavailable
from storage.figures import Figures
from storage.history import Differences, Flaws, LoggedChange, Revision, Wanted
from storage.interface import Copy, Load, Point
from tests.sampling.generate import NAMES, NOW, policies
from tests.server.following import Replica, base_of, commit, following, put, service
from tests.server.memory_copies import MemoryCopies
from tests.server.memory_store import MemoryStore
from tests.waiting import until

RATE = SamplingStrategy("probabilistic", 0.5)
HALF = (OperationStrategy("GET /", 0.5),)


class LoggedMemoryStore(MemoryStore):
    """With the log that a validation asks for."""

    def __init__(self, store_id: str | None = None) -> None:
        super().__init__(store_id)
        self.age = timedelta(0)
        """How long ago every commit was."""
        self.commit_at_next_load: list[float] = []
        """For each of the next loads a rate that somebody commits as soon as the load has begun."""

        self.slow_log = False
        """To look through the whole log takes too long."""

    async def revision(self, number: int) -> Revision:
        self._check()
        if number >= len(self.revisions):
            raise RevisionUnknown(number)
        return Revision(number, self.revisions[number][0], datetime.now(UTC) - self.age, "t", "")

    @asynccontextmanager
    async def load(self) -> AsyncIterator[Load]:
        async with super().load() as load:
            if self.commit_at_next_load:
                await commit(self, service("a", self.commit_at_next_load.pop()))
                await self.served_by_all()
            yield load

    async def served_by_all(self) -> None:
        """Is replaced by what waits until the replica has followed."""

    @asynccontextmanager
    async def state_at(self, revision: int) -> AsyncIterator[Load]:
        twin = self.fork(revision)
        async with MemoryStore.load(twin) as load:
            yield load

    async def flaws(self, limit: int) -> Flaws:
        if self.slow_log:
            raise StoreUnavailable("no answer in time")
        return Flaws([], [])

    async def logged(self, wanted: Wanted, limit: int) -> Sequence[LoggedChange]:
        raise NotImplementedError

    async def differences(self, before: int, after: int | None) -> Differences:
        raise NotImplementedError

    async def figures(self) -> Figures:
        raise NotImplementedError


@asynccontextmanager
async def validated(
    store: LoggedMemoryStore, *copies: MemoryCopies
) -> AsyncIterator[tuple[Replica, Validation, list[MemoryCopies]]]:
    async with following(store) as replica:
        await until(lambda: replica.answers.ready)
        validation = Validation(
            follower=replica.follower,
            served=replica.served,
            store=store,
            copies={f"copy {number}": place for number, place in enumerate(copies)},
            strategies_file=None,
        )
        yield replica, validation, list(copies)


def kinds(findings: Sequence[Finding]) -> list[str]:
    return [finding.kind for finding in findings]


async def valid(validation: Validation) -> Report:
    report = await validation.run()
    assert report.valid, report
    return report


@pytest.fixture
async def store() -> LoggedMemoryStore:
    store = LoggedMemoryStore()
    await commit(store, service("a", 0.5))
    return store


async def test_before_anything_is_loaded_nothing_is_valid(store: LoggedMemoryStore) -> None:
    store.failure = StoreUnavailable("gone")
    async with following(store) as replica:
        await until(lambda: replica.follower.problem == "gone")
        validation = Validation(follower=replica.follower, served=replica.served, store=store, copies={}, strategies_file=None)
        report = await validation.run()
    assert (report.valid, report.revision, kinds(report.problems)) == (False, None, ["nothing-served"])


async def test_a_log_that_is_too_long_to_be_looked_through_is_a_warning(store: LoggedMemoryStore) -> None:
    store.slow_log = True
    async with validated(store) as (_, validation, _):
        report = await valid(validation)
    assert kinds(report.warnings) == ["log-not-compared"]


async def test_a_commit_in_between_is_read_again_and_no_problem(store: LoggedMemoryStore) -> None:
    async with validated(store, MemoryCopies()) as (replica, validation, [copies]):

        async def served_by_all() -> None:
            await replica.served.reached(store._head().point, 5)
            copies.copy = await base_of(store)

        store.served_by_all = served_by_all  # type: ignore[method-assign]
        store.commit_at_next_load = [0.25]
        report = await valid(validation)
        assert report.revision == 2
        assert report.warnings == []


async def test_commits_that_never_stop_leave_it_undecided_and_the_tables_compared(store: LoggedMemoryStore) -> None:
    async with validated(store) as (replica, validation, _):

        async def served_by_all() -> None:
            await replica.served.reached(store._head().point, 5)

        store.served_by_all = served_by_all  # type: ignore[method-assign]
        store.commit_at_next_load = [0.5] * 1000
        report = await valid(validation)
        assert kinds(report.warnings) == ["not-compared"]
        key = Key("service", "a")
        row = store.revisions[1][1][key]
        store.revisions[-1][1][key] = Stored(1, row.commit_id, row.body)
        assert "checksum" not in kinds((await validation.run()).problems)


async def test_what_is_served_and_does_not_follow_is_a_problem(
    store: LoggedMemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(validation_module, "REACH_SECONDS", 0.02)
    async with validated(store) as (replica, validation, _):
        store.checksum_error = 1
        await commit(store, service("a", 0.25))
        await until(lambda: replica.follower.mismatches > 0)
        report = await validation.run()
        assert {"store-not-followed", "served-behind", "checksum"} <= set(kinds(report.problems))


async def test_a_store_that_is_away_is_a_problem_and_the_copies_are_compared_with_what_is_served(
    store: LoggedMemoryStore,
) -> None:
    good, bad = MemoryCopies(await base_of(store)), MemoryCopies(await base_of(store))
    async with validated(store, good, bad) as (replica, validation, _):
        store.fail(StoreUnavailable("gone"))
        await until(lambda: replica.follower.problem == "gone")
        report = await validation.run()
        assert (kinds(report.problems), report.revision) == (["store-not-followed"], 1)
        assert bad.copy is not None
        bad.copy = msgspec.structs.replace(bad.copy, changes=[])
        assert kinds((await validation.run()).problems) == ["store-not-followed", "copy-differs"]


async def test_another_store_in_place_of_the_followed_one_is_a_problem(store: LoggedMemoryStore) -> None:
    async with validated(store) as (replica, validation, _):
        store.be_replaced_by(LoggedMemoryStore())
        await until(lambda: replica.follower.store.foreign is not None)
        [problem] = (await validation.run()).problems
        assert problem.kind == "another-store"
        assert store.store_id in problem.message


async def test_a_copy_may_be_missing_unreachable_or_a_little_behind(store: LoggedMemoryStore) -> None:
    behind, away, missing = MemoryCopies(await base_of(store)), MemoryCopies(), MemoryCopies()
    away.failure = StoreUnavailable("away")
    await commit(store, service("a", 0.25))
    async with validated(store, behind, away, missing) as (_, validation, _):
        report = await valid(validation)
        assert kinds(report.warnings) == ["copy-behind", "copy-unavailable", "copy-missing"]
        store.age = timedelta(minutes=2)
        assert kinds((await validation.run()).problems) == ["copy-behind"]


async def test_a_copy_of_a_lost_history_or_another_store_is_a_problem_until_that_one_was_accepted(
    store: LoggedMemoryStore,
) -> None:
    await commit(store, service("a", 0.25))
    base = await base_of(store)
    lost = MemoryCopies(msgspec.structs.replace(base, point=Point(store.store_id, 1, "f" * 16)))
    other = MemoryCopies(await base_of(MemoryStore()))
    assert other.copy is not None
    async with validated(store, lost, other) as (replica, validation, _):
        report = await validation.run()
        assert kinds(report.problems) == ["copy-of-lost-history", "copy-of-another-store"]
        lost.copy, store.accepted = base, (other.copy.point.store_id,)
        await until(lambda: replica.served.accepted == store.accepted)
        report = await valid(validation)
        assert kinds(report.warnings) == ["copy-behind"]


async def test_a_copy_that_was_written_after_a_commit_in_between_is_compared_at_its_revision(
    store: LoggedMemoryStore,
) -> None:
    class Overtaking(MemoryCopies):
        async def read(self) -> Copy | None:
            if self.copy is None:
                point = await commit(store, service("a", 0.25))
                await replica.served.reached(point, 5)
                self.copy = await base_of(store)
            return await super().read()

    async with validated(store, Overtaking()) as (replica, validation, _):
        report = await valid(validation)
        assert (report.revision, report.warnings) == (2, [])


async def test_a_clock_that_is_off_is_a_warning(store: LoggedMemoryStore) -> None:
    store.clock_ahead = 90
    async with validated(store) as (replica, validation, _):
        await until(lambda: replica.follower.store.clock_offset > 80)
        [warning] = (await valid(validation)).warnings
        assert warning.kind == "clock-offset"
        assert "ahead" in warning.message


async def test_the_file_s_warnings_and_covered_entries_are_told_bounded_and_counted(store: LoggedMemoryStore) -> None:
    names = [f"s{number}" for number in range(150)]
    entries = ",".join(f'{{"service":"{name}","type":"probabilistic","param":7}}' for name in names)
    await commit(store, *(service(name, 0.5) for name in names))
    async with validated(store) as (replica, validation, _):
        replica.served.replace_file(read(f'{{"service_strategies":[{entries}]}}'.encode()))
        report = await valid(validation)
        told = {warning.kind: warning for warning in report.warnings}
        assert set(told) == {"strategies-file", "covered-file-entry"}
        assert (told["strategies-file"].count, len(told["strategies-file"].places)) == (150, 100)
        assert told["strategies-file"].places[3].path.startswith("service_strategies[3]")
        assert (told["covered-file-entry"].count, len(told["covered-file-entry"].records)) == (150, 100)


def catalog_of(given: dict[str, SamplingPolicy], *boosts: Change) -> Catalog:
    catalog = Catalog(instant=NOW.timestamp())
    catalog.apply([Change(Key("policy", name), Stored(1, "0" * 16, encode_record(policy))) for name, policy in given.items()])
    catalog.apply(boosts)
    return catalog


def names_in(findings: list[Finding]) -> set[str]:
    return {record.name for finding in findings for record in finding.records}


def test_a_policy_below_another_of_its_pattern_never_wins() -> None:
    given = {
        "above": SamplingPolicy("batch-*", 2, RATE),
        "below": SamplingPolicy("batch-*", 1, RATE),
        "adds operations": SamplingPolicy("batch-*", 1, RATE, HALF),
        "operations alone": SamplingPolicy("batch-*", 0, None, HALF),
        "disabled": SamplingPolicy("batch-*", 0, RATE, enabled=False),
        "elsewhere": SamplingPolicy("batch-?", 0, RATE),
    }
    findings = at_once(never_winning(catalog_of(given)))
    assert names_in(findings) == {"below"}
    assert "'above'" in findings[0].records[0].message


def test_below_a_policy_for_everything_no_other_wins() -> None:
    given = {
        "everything": SamplingPolicy("*", 5, RATE),
        "below": SamplingPolicy("a*", 4, RATE),
        "above": SamplingPolicy("a*", 6, RATE),
        "the same": SamplingPolicy("?", 5, RATE),
        "default": SamplingPolicy("*", 0, RATE),
    }
    assert names_in(at_once(never_winning(catalog_of(given)))) == {"below"}


def test_a_policy_that_reaches_out_of_the_other_s_window_may_win() -> None:
    window = (NOW - timedelta(hours=1), NOW + timedelta(hours=1))
    given = {
        "above": SamplingPolicy("a*", 5, RATE, None, *window),
        "within": SamplingPolicy("a*", 4, RATE, None, NOW, window[1]),
        "reaches out": SamplingPolicy("a*", 4, RATE, None, NOW, window[1] + timedelta(seconds=1)),
        "always": SamplingPolicy("a*", 3, RATE),
        "never again": SamplingPolicy("a*", 2, RATE, ends_at=NOW),
    }
    assert names_in(at_once(never_winning(catalog_of(given)))) == {"within"}


def never_wins(given: dict[str, SamplingPolicy]) -> set[str]:
    """The rule, slowly."""
    found = [Policy(name, policy) for name, policy in given.items() if policy.enabled and policy.sampling_strategy]
    return {
        low.name
        for low in found
        for high in found
        if high.rank < low.rank
        and high.pattern.text in ("*", low.pattern.text)
        and high.starts <= low.starts
        and low.ends <= high.ends
        and low.rules.operation_strategies is None
        and low.ends > NOW.timestamp()
    }


@given(st.dictionaries(st.sampled_from("abcdefgh"), policies(), max_size=8))
def test_what_never_wins_is_found_and_makes_no_difference(given: dict[str, SamplingPolicy]) -> None:
    catalog = catalog_of(given)
    never = names_in(at_once(never_winning(catalog)))
    assert never == never_wins(given)
    without = catalog_of({name: policy for name, policy in given.items() if name not in never})
    for hours in (-2, -1, 0, 1, 2, 3):
        for some in (catalog, without):
            some.advance((NOW + timedelta(hours=hours)).timestamp())
        assert [catalog.resolve(name) for name in NAMES] == [without.resolve(name) for name in NAMES]


def test_windows_that_are_over_are_told() -> None:
    past, future = NOW - timedelta(hours=1), NOW + timedelta(hours=1)
    given = {
        "over": SamplingPolicy("a*", 0, RATE, ends_at=past),
        "ends now": SamplingPolicy("b*", 0, RATE, ends_at=NOW),
        "goes on": SamplingPolicy("c*", 0, RATE, ends_at=future),
        "scheduled": SamplingPolicy("d*", 0, RATE, starts_at=future),
        "disabled": SamplingPolicy("e*", 0, RATE, ends_at=past, enabled=False),
    }
    boosts = [
        Change(put(Key("boost", name), Boost(ends, RATE)).key, Stored(1, "0" * 16, encode_record(Boost(ends, RATE))))
        for name, ends in (("ended", past), ("active", future))
    ]
    policies_over, boosts_over = at_once(expired(catalog_of(given, *boosts)))
    assert (policies_over.kind, names_in([policies_over])) == ("expired-policy", {"over", "ends now"})
    assert (boosts_over.kind, names_in([boosts_over])) == ("expired-boost", {"ended"})
