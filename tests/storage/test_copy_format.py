"""The bytes of a copy."""

import struct
import zlib
from collections.abc import Generator
from hashlib import blake2b, sha1
from itertools import islice
from typing import Any, TypeVar

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sampling.records import KINDS, Change, Key, Stored
from storage import copy_format
from storage.checksum import checksum_of
from storage.copy_format import HEADER_BYTES, decode, encode, read_header
from storage.errors import CopyInvalid
from storage.interface import Copy, CopyHeader, Point
from tests.storage.copies_contract import LARGE, SOME, STORE_ID, copy_of, service

Result = TypeVar("Result")

names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=50)
hexadecimal = st.text("0123456789abcdef", min_size=16, max_size=16)
changes = st.builds(
    Change,
    st.builds(Key, st.sampled_from(KINDS), names),
    st.builds(Stored, st.integers(1, 2**63 - 1), hexadecimal, st.binary(max_size=300)),
)


def finish(work: Generator[None, None, Result]) -> Result:
    return finish_and_count(work)[0]


def finish_and_count(work: Generator[None, None, Result]) -> tuple[Result, int]:
    """The result and the number of steps it took."""
    steps = 0
    while True:
        try:
            next(work)
        except StopIteration as end:
            result: Result = end.value
            return result, steps
        steps += 1


def seal(body: bytes, *, revision: int = 7, checksum: int = 0, records: int = 0, digest: bytes | None = None) -> bytes:
    """A copy around these bytes, made from the description of the format alone."""
    size = HEADER_BYTES + len(body) + 16
    front = (
        f"tracing-config-copy 0001 {STORE_ID} {revision:020d} {revision:016x} {checksum:016x} "
        f"{1_000_000_000:020d} {records:010d} {size:012d}"
    ).encode()
    data = front + b" " + sha1(front).hexdigest().encode() + b"\n" + body
    return data + (digest or blake2b(data, digest_size=16).digest())


def chunk(rows: Any) -> bytes:
    packed = msgspec.msgpack.encode(rows)
    return struct.pack(">I", len(packed)) + packed


ROWS = [(change.key.kind, change.key.name, *msgspec.structs.astuple(change.record)) for change in SOME if change.record]


def sealed_rows(*chunks: Any) -> bytes:
    return seal(zlib.compress(b"".join(map(chunk, chunks))), checksum=checksum_of(SOME), records=len(SOME))


@given(st.lists(changes, max_size=200), st.integers(0, 2**63 - 1), hexadecimal, st.integers(0, 2**51))
@example([service("x" * 1024, 1, b"y" * 2_000_000)], 1, "0" * 16, 0)
def test_a_copy_survives_the_round_trip(changes: list[Change], revision: int, commit_id: str, microseconds: int) -> None:
    copy = Copy(Point(STORE_ID, revision, commit_id), checksum_of(changes), microseconds / 1e6, changes)
    assert finish(decode(finish(encode(copy)))) == copy


def test_deleted_records_are_no_part_of_a_copy() -> None:
    data = finish(encode(copy_of([*SOME, Change(Key("service", "gone"), None)])))
    assert finish(decode(data)) == copy_of(SOME)


def test_the_format_is_as_described() -> None:
    assert finish(decode(sealed_rows(ROWS[:2], ROWS[2:]))) == copy_of(SOME)


def test_the_front_of_a_copy_tells_what_it_is() -> None:
    data = finish(encode(copy_of()))
    assert read_header(data[:HEADER_BYTES]) == CopyHeader(
        point=copy_of().point, checksum=copy_of().checksum, checked_at=1000.0, records=3, size=len(data)
    )


def test_no_flipped_bit_goes_unseen() -> None:
    data = finish(encode(copy_of()))
    for index in range(len(data)):
        for bit in range(8):
            flipped = bytearray(data)
            flipped[index] ^= 1 << bit
            with pytest.raises(CopyInvalid):
                finish(decode(flipped))


def test_no_flipped_bit_of_the_header_goes_unseen_by_who_reads_only_that() -> None:
    header = finish(encode(copy_of()))[:HEADER_BYTES]
    for index in range(HEADER_BYTES):
        for bit in range(8):
            flipped = bytearray(header)
            flipped[index] ^= 1 << bit
            with pytest.raises(CopyInvalid):
                read_header(flipped)


def test_no_cut_goes_unseen() -> None:
    data = finish(encode(copy_of()))
    for length in range(HEADER_BYTES):
        with pytest.raises(CopyInvalid):
            finish(decode(data[:length]))
    for length in range(HEADER_BYTES, len(data)):
        with pytest.raises(CopyInvalid, match=f"{length} bytes instead of {len(data)}"):
            finish(decode(data[:length]))


@given(st.binary(min_size=1, max_size=1000))
def test_nothing_can_be_appended(tail: bytes) -> None:
    with pytest.raises(CopyInvalid):
        finish(decode(finish(encode(copy_of())) + tail))


@given(st.binary())
def test_garbage_is_no_copy(garbage: bytes) -> None:
    with pytest.raises(CopyInvalid):
        finish(decode(garbage))


@given(st.binary(max_size=2000))
def test_garbage_in_a_sealed_copy_is_no_copy(garbage: bytes) -> None:
    for body in (garbage, zlib.compress(garbage), zlib.compress(struct.pack(">I", len(garbage)) + garbage)):
        with pytest.raises(CopyInvalid):
            finish(decode(seal(body, checksum=1, records=1)))


GOOD_BODY = zlib.compress(chunk(ROWS))


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(sealed_rows(ROWS[:2]), id="a missing record"),
        pytest.param(sealed_rows(ROWS, ROWS[:1]), id="a record too many"),
        pytest.param(sealed_rows([*ROWS[:2], ("boost", "another name", *ROWS[2][2:])]), id="another record"),
        pytest.param(sealed_rows([("kind", *ROWS[0][1:]), *ROWS[1:]]), id="an unknown kind"),
        pytest.param(sealed_rows([(*ROWS[0][:4], "text"), *ROWS[1:]]), id="a text for bytes"),
        pytest.param(sealed_rows([ROWS[0][:4], *ROWS[1:]]), id="a short row"),
        pytest.param(sealed_rows({"no": "list"}), id="no list"),
        pytest.param(seal(GOOD_BODY, checksum=1, records=3), id="another checksum"),
        pytest.param(seal(GOOD_BODY, checksum=checksum_of(SOME), records=4), id="another count"),
        pytest.param(seal(GOOD_BODY[:-1], checksum=checksum_of(SOME), records=3), id="a cut zlib stream"),
        pytest.param(seal(GOOD_BODY + b"x", checksum=checksum_of(SOME), records=3), id="bytes after the zlib stream"),
        pytest.param(seal(b"", checksum=0, records=0), id="no zlib stream"),
        pytest.param(seal(zlib.compress(chunk(ROWS) + b"\0\0\0\1"), checksum=checksum_of(SOME), records=3), id="half a chunk"),
        pytest.param(seal(GOOD_BODY, checksum=checksum_of(SOME), records=3, digest=bytes(16)), id="another digest"),
    ],
)
def test_a_sealed_copy_must_hold_what_its_header_says(data: bytes) -> None:
    with pytest.raises(CopyInvalid):
        finish(decode(data))


@pytest.mark.parametrize("front", [b"", b"\xff\xff\xff\xff"], ids=["empty chunks", "one huge chunk"])
def test_a_bomb_is_refused_before_it_is_decompressed(front: bytes) -> None:
    bomb = seal(zlib.compress(front + bytes(50_000_000)))
    first_steps = islice(decode(bomb), 5)
    with pytest.raises(CopyInvalid):
        list(first_steps)


def test_a_body_beyond_the_limit_is_neither_read_nor_written(monkeypatch: pytest.MonkeyPatch) -> None:
    data = finish(encode(copy_of(LARGE)))
    monkeypatch.setattr(copy_format, "MAX_BODY_BYTES", 500_000)
    with pytest.raises(CopyInvalid, match="more than 500000 bytes"):
        finish(decode(data))
    with pytest.raises(CopyInvalid, match="too large"):
        finish(encode(copy_of(LARGE)))


@pytest.mark.parametrize(
    "copy",
    [
        Copy(Point("short", 1, "0" * 16), 0, 1.0, []),
        Copy(Point(STORE_ID, 1, "0" * 15), 0, 1.0, []),
        Copy(Point(STORE_ID, -1, "0" * 16), 0, 1.0, []),
        Copy(Point(STORE_ID, 1, "0" * 16), 2**64, 1.0, []),
        Copy(Point(STORE_ID, 1, "0" * 16), 0, -1.0, []),
        Copy(Point(STORE_ID, 1, "0" * 16), 0, float("nan"), []),
    ],
)
def test_a_point_that_does_not_fit_the_header_is_refused(copy: Copy) -> None:
    with pytest.raises(ValueError, match=r"point|NaN"):
        finish(encode(copy))


def test_the_work_can_be_interrupted_often_however_the_records_are() -> None:
    for changes in ([service(f"service-{i}") for i in range(64 * 100)], [service("one", 1, b"ab" * 500_000)]):
        data, steps = finish_and_count(encode(copy_of(changes)))
        assert steps >= 60
        assert finish_and_count(decode(data))[1] >= 60
