"""The bytes of a copy, the same in Redis and in the snapshot file.

============  =========================================================================================================
header line   one line of ASCII, each field of fixed width: it can be read without the rest, and compared as text
body          zlib over chunks of records; a chunk is its length (4 bytes, big endian) and so many bytes of msgpack:
              a list of (kind, name, revision, commit id, canonical JSON)
digest        blake2b, 16 bytes, over all before it
============  =========================================================================================================
"""

import re
import zlib
from collections.abc import Collection, Generator, Iterator, Sequence
from hashlib import blake2b, sha1

import msgspec

from sampling.records import Change, Key, Kind, Stored
from storage.checksum import MASK, record_hash
from storage.errors import CopyInvalid
from storage.interface import Copy, CopyHeader, Point

FORMAT = 1
"""Stands in the Redis key and the file's name too, so that two versions of this program do not fight over one copy."""

MAX_BODY_BYTES = 2**31
"""Of the body before compression."""

_HEADER = re.compile(
    rb"(tracing-config-copy %04d ([0-9a-f]{32}) (\d{20}) ([0-9a-f]{16}) ([0-9a-f]{16}) (\d{20}) (\d{10}) (\d{12}))"
    rb" ([0-9a-f]{40})\n" % FORMAT
)
"""Store id, revision, commit id, checksum, ``checked_at`` in microseconds, records, size; then the SHA-1 of all that,
which a Lua script in Redis can compute: a damaged ``checked_at`` must not pass for a later one."""

HEADER_BYTES = 199
_DIGEST_BYTES = 16
_LENGTH_BYTES = 4

SHARED = 10_000
"""How many different records are remembered while a copy is read, for sharing."""

_MAX_CHUNK_BYTES = 2**26
_CHUNK_RECORDS = 64
_CHUNK_BYTES = 8 * 1024
"""A chunk ends with the record that reaches either. Small, because packing or unpacking one is done in one step."""

_ZLIB_STEP_BYTES = 16 * 1024
_DIGEST_STEP_BYTES = 128 * 1024
_ZLIB_LEVEL = 1
"""Level 6 was seen to take twice the time for copies a tenth smaller."""

_Row = tuple[Kind, str, int, str, bytes]
_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(list[_Row]).decode


def read_header(data: bytes | bytearray) -> CopyHeader:
    """The header at the front of ``data``, whatever follows it.

    Raises:
        CopyInvalid: it is no header, a damaged one, or one of another format.
    """
    found = _HEADER.match(data)
    if found is None:
        raise CopyInvalid(f"this is no copy of format {FORMAT}")
    front, store_id, revision, commit_id, checksum, checked_at, records, size, seal = found.groups()
    if _seal(front) != seal:
        raise CopyInvalid("the copy's header is damaged")
    return CopyHeader(
        point=Point(store_id.decode(), int(revision), commit_id.decode()),
        checksum=int(checksum, 16),
        checked_at=int(checked_at) / 1e6,
        records=int(records),
        size=int(size),
    )


def is_behind(there: CopyHeader | None, copy: Copy, accepted: Collection[str] = (), *, again: bool = False) -> bool:
    """Whether ``copy`` should replace what is there: nothing, or older news of the same store or of an accepted one.

    The very point is replaced only ``again``.
    """
    if there is None:
        return True
    if there.point == copy.point:
        return again
    known = there.point.store_id == copy.point.store_id or there.point.store_id in accepted
    return known and there.checked_at < copy.checked_at


def encode(copy: Copy) -> Generator[None, None, bytearray]:
    """The bytes of a copy, in steps for ``paced``.

    Raises:
        CopyInvalid: the configuration is too large for a copy.
        ValueError: a field of the point does not have the width that the header gives it.
    """
    data = bytearray(HEADER_BYTES)
    compressor = zlib.compressobj(_ZLIB_LEVEL)
    records = body_bytes = 0
    for rows in _rows_in_chunks(copy.changes):
        packed = _pack(rows)
        chunk = len(packed).to_bytes(_LENGTH_BYTES, "big") + packed
        for start in range(0, len(chunk), _ZLIB_STEP_BYTES):
            data += compressor.compress(chunk[start : start + _ZLIB_STEP_BYTES])
            yield
        records += len(rows)
        body_bytes += len(chunk)
        if len(packed) > _MAX_CHUNK_BYTES or body_bytes > MAX_BODY_BYTES:
            raise CopyInvalid(f"the configuration is too large for a copy, which holds {MAX_BODY_BYTES} bytes")
    data += compressor.flush()
    data[:HEADER_BYTES] = _header_line(copy, records, len(data) + _DIGEST_BYTES)
    data += yield from _digest(data, len(data))
    return data


def decode(data: bytes | bytearray) -> Generator[None, None, Copy]:
    """The copy that these bytes hold, in steps for ``paced``. The bodies of its records are not looked into.

    Raises:
        CopyInvalid: the bytes are damaged, cut, too many, too large, or of another format.
    """
    header = read_header(data)
    if len(data) != header.size:
        raise CopyInvalid(f"the copy has {len(data)} bytes instead of {header.size}")
    body_end = header.size - _DIGEST_BYTES
    if (yield from _digest(data, body_end)) != data[body_end:]:
        raise CopyInvalid("the copy is damaged: its digest is wrong")
    changes: list[Change] = []
    shared: dict[Stored, Stored] = {}  # Equal records of one commit are one object.
    checksum = 0
    try:
        for chunk in _chunks_in(memoryview(data)[HEADER_BYTES:body_end]):
            for kind, name, revision, commit_id, body in _unpack(chunk) if chunk else ():
                key = Key(kind, name)
                stored = Stored(revision, commit_id, body)
                changes.append(Change(key, shared.setdefault(stored, stored)))
                checksum += record_hash(key, revision)
            if len(shared) > SHARED:
                shared = {}
            yield
    except (zlib.error, msgspec.DecodeError) as error:
        raise CopyInvalid(f"the copy's body cannot be read: {error}") from error
    if len(changes) != header.records or checksum & MASK != header.checksum:
        raise CopyInvalid("the copy's records are not those that its header tells of")
    return Copy(header.point, header.checksum, header.checked_at, changes)


def _header_line(copy: Copy, records: int, size: int) -> bytes:
    point = copy.point
    front = (
        f"tracing-config-copy {FORMAT:04d} {point.store_id} {point.revision:020d} {point.commit_id} "
        f"{copy.checksum:016x} {round(copy.checked_at * 1e6):020d} {records:010d} {size:012d}"
    ).encode()
    line = front + b" " + _seal(front) + b"\n"
    if not _HEADER.fullmatch(line):
        raise ValueError(f"not a point that a copy can carry: {front.decode()}")
    return line


def _seal(front: bytes) -> bytes:
    return sha1(front, usedforsecurity=False).hexdigest().encode()


def _digest(data: bytes | bytearray, end: int) -> Generator[None, None, bytes]:
    """The digest of the bytes before ``end``."""
    digest = blake2b(digest_size=_DIGEST_BYTES)
    for start in range(0, end, _DIGEST_STEP_BYTES):
        with memoryview(data) as view:
            digest.update(view[start : min(start + _DIGEST_STEP_BYTES, end)])
        yield
    return digest.digest()


def _rows_in_chunks(changes: Sequence[Change]) -> Iterator[list[_Row]]:
    rows: list[_Row] = []
    body_bytes = 0
    for change in changes:
        key, record = change.key, change.record
        if record is None:
            continue
        rows.append((key.kind, key.name, record.revision, record.commit_id, record.body))
        body_bytes += len(record.body)
        if len(rows) == _CHUNK_RECORDS or body_bytes >= _CHUNK_BYTES:
            yield rows
            rows, body_bytes = [], 0
    if rows:
        yield rows


def _chunks_in(body: memoryview) -> Iterator[bytearray | None]:
    """The chunks of a compressed body; None after a step that completed none."""
    waiting = bytearray()
    body_bytes = 0
    for piece in _inflated(body):
        waiting += piece
        body_bytes += len(piece)
        if body_bytes > MAX_BODY_BYTES:
            raise CopyInvalid(f"the copy's body has more than {MAX_BODY_BYTES} bytes")
        while len(waiting) >= _LENGTH_BYTES:
            length = int.from_bytes(waiting[:_LENGTH_BYTES], "big")
            if not 0 < length <= _MAX_CHUNK_BYTES:
                raise CopyInvalid(f"the copy says that a chunk has {length} bytes")
            end = _LENGTH_BYTES + length
            if len(waiting) < end:
                break
            yield waiting[_LENGTH_BYTES:end]
            del waiting[:end]
        yield None
    if waiting:
        raise CopyInvalid("the copy ends within a chunk")


def _inflated(body: memoryview) -> Iterator[bytes]:
    """The decompressed body in pieces of bounded size, whatever was compressed into it."""
    decompressor = zlib.decompressobj()
    start = 0
    while not decompressor.eof:
        compressed: bytes | memoryview = decompressor.unconsumed_tail
        if not compressed:
            compressed = body[start : start + _ZLIB_STEP_BYTES]
            start += len(compressed)
        piece = decompressor.decompress(compressed, _ZLIB_STEP_BYTES)
        if not piece and not compressed:
            raise CopyInvalid("the copy's body ends too early")
        yield piece
    if decompressor.unused_data or start != len(body):
        raise CopyInvalid("something follows the copy's body")
