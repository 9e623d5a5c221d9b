"""The bytes of a backup: a gzip file of JSON lines, which any tool can read should this program be gone.

============  =========================================================================================================
manifest      the first line, an object, see ``storage.backup.Manifest``
rows          one array a line, in the order of ``storage.backup.TABLES``; the manifest says how many each table has
digest        ``{"sha256": "..."}``, a gzip member of its own with fixed bytes: the SHA-256 of all bytes before it
============  =========================================================================================================
"""

import os
import stat
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import msgspec

from storage.backup import TABLES, Dump, Manifest, Row, Table, schema
from storage.errors import BackupInvalid
from storage.rows import CHUNK_ROWS

FORMAT = "tracing-config-backup/1"

_ZLIB_LEVEL = 6
_GZIP = 31
"""For zlib: with the header and the trailer of gzip."""

_STEP_BYTES = 256 * 1024
_MAX_LINE_BYTES = 256 * 1024 * 1024
"""A change has two records, and a record has some mebibytes at most."""

_encode = msgspec.json.Encoder().encode
_decode_manifest = msgspec.json.Decoder(Manifest).decode
_decode_rows = {table: msgspec.json.Decoder(table.row).decode for table in TABLES}


class _Format(msgspec.Struct):
    """What the manifest of every format has."""

    format: str


async def write_backup(
    file: BinaryIO, dump: Dump, *, store: str, program: str, written: Callable[[Table, Sequence[Row]], object]
) -> Manifest:
    """Write everything to an empty file, and return what it says of itself.

    ``store`` is the product, ``program`` the version that makes it; ``written`` is called with the rows as they are written.
    Raises what the dump raises, and OSError.
    """
    head = dump.head
    manifest = Manifest(
        format=FORMAT,
        schema=schema(),
        program=program,
        store=store,
        created_at=datetime.fromtimestamp(head.clock, UTC),
        store_id=head.point.store_id,
        revision=head.point.revision,
        commit_id=head.point.commit_id,
        checksum=f"{head.checksum:016x}",
        rows=dict(dump.rows),
    )
    digest = sha256()
    compressor = zlib.compressobj(_ZLIB_LEVEL, zlib.DEFLATED, _GZIP)

    def put(data: bytes) -> None:
        digest.update(data)
        file.write(data)

    put(compressor.compress(_encode(manifest) + b"\n"))
    async for table, rows in dump:
        put(compressor.compress(b"\n".join([*map(_encode, rows), b""])))
        written(table, rows)
    put(compressor.flush())
    file.write(digest_member(digest.hexdigest()))
    return manifest


class BackupFile:
    """A ``storage.backup.Backup`` in a file whose digest was found to be right."""

    def __init__(self, file: BinaryIO, end: int) -> None:
        """``end``: where the digest begins."""
        self._file, self._end = file, end
        self.manifest = _manifest(next(self._lines()))

    def __iter__(self) -> Iterator[tuple[Table, Sequence[Row]]]:
        lines = self._lines()
        next(lines)
        try:
            for table in TABLES:
                decode, missing = _decode_rows[table], self.manifest.rows[table.name]
                while missing:
                    rows = [decode(line) for line in islice(lines, min(missing, CHUNK_ROWS))]
                    if not rows:
                        raise BackupInvalid(f"the backup lacks {missing} rows of {table.name}")
                    missing -= len(rows)
                    yield table, rows
        except msgspec.DecodeError as error:
            raise BackupInvalid(f"the backup has a row that cannot be read: {error}") from error
        if next(lines, None) is not None:
            raise BackupInvalid("the backup has more rows than it says")

    def _lines(self) -> Iterator[bytes]:
        """Every line before the digest. Raises BackupInvalid."""
        waiting = bytearray()
        for piece in _inflated(self._file, self._end):
            ended, newline, rest = piece.rpartition(b"\n")
            if newline:
                yield from bytes(waiting + ended).split(b"\n")
                waiting.clear()
            waiting += rest
            if len(waiting) > _MAX_LINE_BYTES:
                raise BackupInvalid(f"the backup has a line of more than {_MAX_LINE_BYTES} bytes")
        if waiting:
            raise BackupInvalid("the backup ends within a line")


@contextmanager
def open_backup(path: Path) -> Iterator[BackupFile]:
    """A backup that is whole, down to the last bit, and that this program can read.

    Raises:
        BackupInvalid: it is not; what is to be done about it is told.
        OSError: the file cannot be read.
    """
    if stat.S_ISFIFO(path.stat().st_mode):  # Opening it may wait for ever.
        raise BackupInvalid(f"{path}: this is a pipe, and a backup is read more than once: save it in a file first")
    with path.open("rb") as file:
        end = os.fstat(file.fileno()).st_size - len(digest_member(sha256().hexdigest()))
        if not file.read(2) == b"\x1f\x8b":
            raise BackupInvalid(f"{path}: this is no backup of tracing-config")
        digest = sha256()
        file.seek(0)
        for start in range(0, end, _STEP_BYTES):
            digest.update(file.read(min(_STEP_BYTES, end - start)))
        if file.read() != digest_member(digest.hexdigest()):
            raise BackupInvalid(f"{path}: this is no backup of tracing-config, or it is damaged or cut; take another one")
        try:
            yield BackupFile(file, end)
        except BackupInvalid as error:
            raise BackupInvalid(f"{path}: {error}") from error


def _manifest(line: bytes) -> Manifest:
    try:
        found = msgspec.json.decode(line, type=_Format).format
        if found != FORMAT:
            raise BackupInvalid(f"its format is {found!r}, and this program reads {FORMAT!r}: take the version that made it")
        manifest = _decode_manifest(line)
    except msgspec.DecodeError as error:
        raise BackupInvalid(f"its manifest cannot be read: {error}") from error
    if manifest.schema > schema():
        raise BackupInvalid(
            f"it has schema {manifest.schema}, made by version {manifest.program}, and this program knows {schema()}: "
            "take that version or a newer one"
        )
    if list(manifest.rows) != [table.name for table in TABLES]:
        raise BackupInvalid(f"it has the tables {', '.join(manifest.rows)}, which are not those of schema {manifest.schema}")
    return manifest


def digest_member(digest: str) -> bytes:
    """A line with the digest as a gzip member that is stored, not compressed: there is one way to write it."""
    line = b'{"sha256":"%s"}\n' % digest.encode()
    length = len(line)
    stored = b"\x01" + length.to_bytes(2, "little") + (0xFFFF ^ length).to_bytes(2, "little") + line
    checks = zlib.crc32(line).to_bytes(4, "little") + length.to_bytes(4, "little")
    return b"\x1f\x8b\x08\0\0\0\0\0\0\xff" + stored + checks


def _inflated(file: BinaryIO, end: int) -> Iterator[bytes]:
    """The decompressed bytes before ``end`` in pieces of bounded size, whatever was compressed into them."""
    decompressor = zlib.decompressobj(_GZIP)
    position = 0
    try:
        while not decompressor.eof:
            compressed = decompressor.unconsumed_tail
            if not compressed:
                file.seek(position)  # Each time: a reading that was left off stands elsewhere.
                compressed = file.read(min(_STEP_BYTES, end - position))
                position += len(compressed)
            piece = decompressor.decompress(compressed, _STEP_BYTES)
            if not piece and not compressed:
                raise BackupInvalid("it ends too early")
            yield piece
    except (zlib.error, OSError) as error:
        raise BackupInvalid(f"it cannot be read any further: {error}") from error
    if decompressor.unused_data or position != end:
        raise BackupInvalid("something stands between its rows and its digest")
