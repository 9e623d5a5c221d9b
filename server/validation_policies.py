"""Looks for records that do nothing: policies that can never win, windows that are over, file entries that are covered."""

from bisect import bisect_left, bisect_right
from collections.abc import Generator

from sampling.catalog import Catalog
from sampling.policies import Policy, seconds
from sampling.records import DEFAULT_KEY, DEFAULT_POLICY, Boost, Key, SamplingPolicy, ServiceConfiguration, decode_record
from server.validation_report import Finding, Listed

_CATCH_ALL = "*"


class _Windows:
    """The windows of winning policies, none of which lies within another: so they start and end in the same order."""

    def __init__(self) -> None:
        self._starts: list[float] = []
        self._ends: list[float] = []
        self._names: list[str] = []

    def covering(self, policy: Policy) -> str | None:
        """The name of a policy whose window this one's lies within."""
        index = bisect_right(self._starts, policy.starts) - 1
        return self._names[index] if index >= 0 and self._ends[index] >= policy.ends else None

    def add(self, policy: Policy) -> None:
        """Add one that none here covers."""
        start, end = bisect_left(self._starts, policy.starts), bisect_right(self._ends, policy.ends)
        self._starts[start:end] = [policy.starts]
        self._ends[start:end] = [policy.ends]
        self._names[start:end] = [policy.name]


def never_winning(catalog: Catalog) -> Generator[None, None, list[Finding]]:
    """Policies of a strategy and nothing else, always within the window and pattern of one that ranks higher.

    Only what is certain: the other pattern is the same text or ``*``. One that adds operation rules is left out, and so is
    one that is over.
    """
    never = Listed("policy-never-wins", "policies have no effect: another one always wins; change a priority, or delete them")
    policies = []
    for name, stored in catalog.records("policy").items():
        key = Key("policy", name)
        if name != DEFAULT_POLICY and key not in catalog.problems:
            record = decode_record(SamplingPolicy, stored.body)
            if record.enabled and record.sampling_strategy is not None:
                policies.append(Policy(name, record))
        yield
    policies.sort(key=lambda policy: policy.rank)
    winning: dict[str, _Windows] = {_CATCH_ALL: _Windows()}
    for policy in policies:
        of_pattern = winning.setdefault(policy.pattern.text, _Windows())
        above = winning[_CATCH_ALL].covering(policy) or of_pattern.covering(policy)
        if above is None:
            of_pattern.add(policy)
        elif policy.rules.operation_strategies is None and policy.ends > catalog.instant:
            never.add(Key("policy", policy.name), f"{above!r} always wins")
        yield
    return never.findings()


def expired(catalog: Catalog) -> Generator[None, None, list[Finding]]:
    """Enabled policies and boosts whose window is over."""
    policies = Listed("expired-policy", "the windows of policies are over; delete them, or give them another endsAt")
    boosts = Listed("expired-boost", "boosts have ended; delete them when nobody needs to read about them any more")
    for name, stored in catalog.records("policy").items():
        key = Key("policy", name)
        if key not in catalog.problems:
            policy = decode_record(SamplingPolicy, stored.body)
            if policy.enabled and policy.ends_at is not None and seconds(policy.ends_at, 0) <= catalog.instant:
                policies.add(key, f"ended at {policy.ends_at.isoformat()}")
        yield
    for name, stored in catalog.records("boost").items():
        key = Key("boost", name)
        if key not in catalog.problems:
            ends_at = decode_record(Boost, stored.body).ends_at
            if seconds(ends_at, 0) <= catalog.instant:
                boosts.add(key, f"ended at {ends_at.isoformat()}")
        yield
    return policies.findings() + boosts.findings()


def covered_entries(catalog: Catalog) -> Generator[None, None, list[Finding]]:
    """Records that stand above an entry of the strategies file."""
    covered = Listed(
        "covered-file-entry", "records stand above entries of the strategies file, so changing these entries changes nothing"
    )
    services = catalog.records("service")
    for index, name in enumerate(catalog.file.services):
        stored, key = services.get(name), Key("service", name)
        if stored is not None and key not in catalog.problems and decode_record(ServiceConfiguration, stored.body).enabled:
            covered.add(key)
        if index % 20 == 0:
            yield
    default = catalog.records("policy").get(DEFAULT_POLICY)
    key = DEFAULT_KEY
    if catalog.file.default is not None and default is not None and key not in catalog.problems:
        record = decode_record(SamplingPolicy, default.body)
        if record.enabled and record.sampling_strategy is not None:
            covered.add(key)
    return covered.findings()
