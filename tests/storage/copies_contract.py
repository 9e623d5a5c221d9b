"""What every place that keeps a copy must do; its own test file subclasses this and says what the place is."""

import asyncio
import itertools
import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import pytest

from sampling.records import Change, Key, Stored
from storage.checksum import checksum_of
from storage.errors import CopyInvalid, StoreUnavailable
from storage.interface import Copies, Copy, Point

STORE_ID = "0123456789abcdef0123456789abcdef"
OTHER_STORE_ID = "fedcba9876543210fedcba9876543210"


def service(name: str, revision: int = 1, body: bytes = b"{}") -> Change:
    return Change(Key("service", name), Stored(revision, f"{revision:016x}", body))


SOME = [
    service("user-management", 3, b'{"samplingStrategy":{"type":"probabilistic","param":0.5}}'),
    Change(Key("policy", "default"), Stored(1, "00000000000000aa", b'{"servicePattern":"*","enabled":false}')),
    Change(Key("boost", "счёт/注文 +%"), Stored(2, "00000000000000bb", b"\x00\xff not looked into")),
]

LARGE = [service(f"service-{i}", i + 1, random.Random(i).randbytes(1000)) for i in range(700)]
"""Over half a megabyte that zlib cannot make smaller: several pieces in every place."""


def copy_of(
    changes: Sequence[Change] = SOME, *, revision: int = 7, checked_at: float = 1000.0, store_id: str = STORE_ID
) -> Copy:
    return Copy(Point(store_id, revision, f"{revision:016x}"), checksum_of(changes), checked_at, changes)


class Place(ABC):
    """One place, seen from several replicas and from behind."""

    @abstractmethod
    def copies(self) -> Copies:
        """The place as one more replica sees it."""

    @abstractmethod
    async def bytes_there(self) -> bytes: ...

    @abstractmethod
    async def put(self, data: bytes) -> None:
        """Put anything there, as somebody would who knows no better."""


def _flipped(data: bytes, index: int) -> bytes:
    return data[:index] + bytes([data[index] ^ 0x40]) + data[index + 1 :]


GARBAGE: dict[str, Callable[[bytes], bytes]] = {
    "one byte": lambda good: b"x",
    "text": lambda good: b"hello\r\n" * 100,
    "zeros": lambda good: bytes(100_000),
    "random bytes": lambda good: random.Random(1).randbytes(100_000),
    "a cut header": lambda good: good[:100],
    "a header alone": lambda good: good[:199],
    "a lost last byte": lambda good: good[:-1],
    "an appended byte": lambda good: good + b"\0",
    "two copies": lambda good: good + good,
    "a later time in the header": lambda good: good.replace(b" 00000000001000000000 ", b" 90000000001000000000 "),
    "another store's id in the header": lambda good: good.replace(STORE_ID.encode(), OTHER_STORE_ID.encode()),
    "a later format": lambda good: good.replace(b"-copy 0001 ", b"-copy 0002 "),
    "a damaged body": lambda good: _flipped(good, 300),
    "a damaged digest": lambda good: _flipped(good, len(good) - 1),
}


class CopiesContract:
    async def test_where_nothing_was_written_there_is_no_copy(self, place: Place) -> None:
        assert await place.copies().header() is None
        assert await place.copies().read() is None

    @pytest.mark.parametrize("changes", [SOME, LARGE, []], ids=["some records", "large", "no records"])
    async def test_what_one_replica_writes_another_reads(self, place: Place, changes: list[Change]) -> None:
        copy = copy_of(changes, checked_at=1_790_000_000.123456)
        assert await place.copies().write(copy) is True
        assert await place.copies().read() == copy
        header = await place.copies().header()
        assert header is not None
        assert (header.point, header.checksum, header.checked_at) == (copy.point, copy.checksum, copy.checked_at)
        assert (header.records, header.size) == (len(changes), len(await place.bytes_there()))

    async def test_a_later_copy_of_the_same_store_replaces_an_earlier_one(self, place: Place) -> None:
        await place.copies().write(copy_of(LARGE, revision=7, checked_at=1000.0))
        later = copy_of(revision=8, checked_at=1000.000001)
        assert await place.copies().write(later) is True
        assert await place.copies().read() == later

    async def test_a_lower_revision_that_was_checked_later_replaces_a_higher_one(self, place: Place) -> None:
        await place.copies().write(copy_of(revision=9, checked_at=1000.0))
        went_back = copy_of(revision=4, checked_at=1001.0)
        assert await place.copies().write(went_back) is True
        assert await place.copies().read() == went_back

    @pytest.mark.parametrize("checked_at", [999.999999, 1000.0])
    async def test_a_higher_revision_that_was_not_checked_later_loses(self, place: Place, checked_at: float) -> None:
        there = copy_of(revision=7, checked_at=1000.0)
        await place.copies().write(there)
        assert await place.copies().write(copy_of(LARGE, revision=8, checked_at=checked_at)) is False
        assert await place.copies().read() == there

    async def test_the_point_that_is_there_is_not_written_again(self, place: Place) -> None:
        there = copy_of(checked_at=1000.0)
        await place.copies().write(there)
        assert await place.copies().write(copy_of(checked_at=2000.0)) is False
        assert await place.copies().read() == there

    @pytest.mark.parametrize("checked_at", [1.0, 1000.0, 1e9])
    async def test_the_copy_of_another_store_stays(self, place: Place, checked_at: float) -> None:
        there = copy_of(checked_at=1000.0)
        await place.copies().write(there)
        other = copy_of(store_id=OTHER_STORE_ID, revision=100, checked_at=checked_at)
        assert await place.copies().write(other) is False
        assert await place.copies().read() == there

    @pytest.mark.parametrize("checked_at", [999.0, 1000.0, 1001.0])
    async def test_the_point_that_is_there_is_written_again_where_that_is_asked_for(
        self, place: Place, checked_at: float
    ) -> None:
        await place.copies().write(copy_of(checked_at=1000.0))
        again = copy_of(checked_at=checked_at)
        assert await place.copies().write(again, again=True) is True
        header = await place.copies().header()
        assert header is not None
        assert header.checked_at == checked_at

    async def test_a_newer_copy_stays_also_where_the_point_would_be_written_again(self, place: Place) -> None:
        there = copy_of(revision=8, checked_at=1000.0)
        await place.copies().write(there)
        assert await place.copies().write(copy_of(revision=7, checked_at=999.0), again=True) is False
        assert await place.copies().write(copy_of(store_id=OTHER_STORE_ID, checked_at=2000.0), again=True) is False
        assert await place.copies().read() == there

    async def test_a_damaged_copy_is_written_again_under_the_same_header_and_read(self, place: Place) -> None:
        there, replica = copy_of(checked_at=1000.0), place.copies()
        await replica.write(there)
        await place.put(_flipped(await place.bytes_there(), 300))
        with pytest.raises(CopyInvalid):
            await replica.read()
        assert await replica.write(there, again=True) is True
        assert await replica.read() == there

    async def test_the_copy_of_an_accepted_store_is_replaced_by_a_later_one_and_does_not_come_back(self, place: Place) -> None:
        old = copy_of(checked_at=1000.0)
        await place.copies().write(old)
        accepted = ["0" * 32, STORE_ID]
        earlier = copy_of(LARGE, store_id=OTHER_STORE_ID, revision=1, checked_at=999.0)
        assert await place.copies().write(earlier, accepted=accepted) is False
        assert await place.copies().read() == old
        new = copy_of(LARGE, store_id=OTHER_STORE_ID, revision=1, checked_at=1001.0)
        assert await place.copies().write(new, accepted=["0" * 32]) is False
        assert await place.copies().write(new, accepted=accepted) is True
        assert await place.copies().read() == new
        assert await place.copies().write(copy_of(revision=9, checked_at=2000.0)) is False
        assert await place.copies().read() == new

    @pytest.mark.parametrize("shape", GARBAGE)
    async def test_garbage_is_never_a_copy_and_is_replaced(self, place: Place, shape: str) -> None:
        there = copy_of(checked_at=1000.0)
        await place.copies().write(there)
        good = await place.bytes_there()
        garbage = GARBAGE[shape](good)
        assert garbage != good
        await place.put(garbage)
        replica = place.copies()
        with pytest.raises(CopyInvalid):
            await replica.read()
        with pytest.raises(CopyInvalid):
            await replica.header()
        assert await replica.write(copy_of(checked_at=1001.0)) is True
        assert await place.copies().read() == copy_of(checked_at=1001.0)

    async def test_emptiness_is_replaced(self, place: Place) -> None:
        await place.put(b"")
        assert await place.copies().write(copy_of()) is True
        assert await place.copies().read() == copy_of()

    async def test_of_racing_writers_the_latest_wins(self, place: Place) -> None:
        for turn in range(20):
            contenders = [copy_of(LARGE[:300], revision=n, checked_at=float(n)) for n in range(turn * 4 + 1, turn * 4 + 5)]
            in_some_order = random.Random(turn).sample(contenders, len(contenders))
            await asyncio.gather(*(place.copies().write(copy) for copy in in_some_order))
            assert await place.copies().read() == contenders[-1]

    async def test_a_copy_that_is_replaced_while_it_is_read_is_read_whole(self, place: Place) -> None:
        await place.copies().write(copy_of(LARGE, revision=1, checked_at=1.0))
        seen: set[int] = set()

        async def write() -> None:
            for n in itertools.count(2):
                changes = [*LARGE[:400], *([service("one more", n)] * (n % 2))]
                assert await place.copies().write(copy_of(changes, revision=n, checked_at=float(n)))
                if len(seen) >= 5:
                    return

        writer, reader = asyncio.create_task(write()), place.copies()
        async with asyncio.timeout(30):
            while not writer.done():
                try:
                    copy = await reader.read()
                except StoreUnavailable:  # It was replaced at each attempt, which only the speed of the writer decides.
                    continue
                assert copy is not None
                assert checksum_of(copy.changes) == copy.checksum
                seen.add(copy.point.revision)
        await writer

    async def test_others_have_their_turn_while_a_copy_is_written_and_read(self, place: Place) -> None:
        changes = [service(f"service-{i}", i + 1) for i in range(20_000)]
        turns = 0

        async def take_turns() -> None:
            nonlocal turns
            while True:
                await asyncio.sleep(0)
                turns += 1

        others = asyncio.create_task(take_turns())
        await place.copies().write(copy_of(changes))
        turns_of_writing, turns = turns, 0
        await place.copies().read()
        others.cancel()
        assert turns_of_writing >= 10
        assert turns >= 10
