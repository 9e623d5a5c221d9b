"""The snapshot: the last known good configuration, in a file of this replica."""

import asyncio
import fcntl
import os
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path

from storage.copy_format import FORMAT, HEADER_BYTES, decode, encode, is_behind, read_header
from storage.errors import CopyInvalid, StoreUnavailable
from storage.interface import Copy, CopyHeader, Point
from storage.pacing import paced

KEPT_LOST = 5
"""How many abandoned snapshots stay for somebody to look at."""


class SnapshotFile:
    """The copy in ``folder`` for the database with this address; another database finds another file."""

    def __init__(self, folder: Path, address: str) -> None:
        self._folder = folder
        self._database = blake2b(address.encode(), digest_size=4).hexdigest()
        self.path = folder / f"snapshot-{FORMAT}-{self._database}.bin"
        self._unreadable: CopyHeader | None = None
        """A copy whose header looked right and whose body was not."""

    async def header(self) -> CopyHeader | None:
        found = await asyncio.to_thread(self._read, whole=False)
        return found[0] if found else None

    async def read(self) -> Copy | None:
        found = await asyncio.to_thread(self._read, whole=True)
        if found is None:
            return None
        header, data = found
        try:
            return await paced(decode(data))
        except CopyInvalid:
            self._unreadable = header
            raise

    async def write(self, copy: Copy, *, accepted: Collection[str] = (), again: bool = False) -> bool:
        def behind() -> bool:
            try:
                found = self._read(whole=False)
            except CopyInvalid:
                return True
            return is_behind(found[0] if found else None, copy, accepted, again=again)

        if not await asyncio.to_thread(behind):
            return False
        data = await paced(encode(copy))
        return await asyncio.to_thread(self._replace, data, behind)

    async def rename_lost(self, point: Point) -> Path | None:
        """Set the snapshot aside, since ``point`` was abandoned. None where there was no snapshot."""
        return await asyncio.to_thread(self._rename_lost, point)

    # What follows runs in a thread: it waits for the disk, which releases the interpreter lock.

    def _read(self, *, whole: bool) -> tuple[CopyHeader, bytes] | None:
        """The header and, where the whole is asked for, all bytes. None where there is no snapshot."""
        with self._translated("read"):
            try:
                with self.path.open("rb") as file:
                    header, size = read_header(file.read(HEADER_BYTES)), os.fstat(file.fileno()).st_size
                    if header.size != size or header == self._unreadable:
                        raise CopyInvalid(f"the snapshot {self.path} is damaged")
                    file.seek(0)
                    return header, file.read(size) if whole else b""
            except FileNotFoundError:
                return None

    def _replace(self, data: bytearray, behind: Callable[[], bool]) -> bool:
        with self._translated("written"), self._locked_folder():
            if not behind():
                return False
            new = self._folder / "snapshot.tmp"
            new.unlink(missing_ok=True)  # Of a writer that was killed: it does not hold the lock.
            try:
                with open(new, "xb", opener=_private) as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                new.replace(self.path)
            except OSError:
                new.unlink(missing_ok=True)
                raise
            self._unreadable = None  # The new header may be the same.
            self._sync_folder()
        return True

    def _rename_lost(self, point: Point) -> Path | None:
        lost = self._folder / f"lost-{point.revision}-{point.commit_id}-{self._database}.bin"
        with self._translated("renamed"), self._locked_folder():
            try:
                self.path.replace(lost)
            except FileNotFoundError:
                return None
            all_lost = self._folder.glob(f"lost-*-{self._database}.bin")
            for old in sorted(all_lost, key=lambda path: path.stat().st_mtime_ns)[:-KEPT_LOST]:
                old.unlink()
            self._sync_folder()
        return lost

    @contextmanager
    def _locked_folder(self) -> Iterator[None]:
        """One writer at a time, also among processes: during a rolling restart two may share a folder."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / "snapshot.lock").open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _sync_folder(self) -> None:
        folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    @contextmanager
    def _translated(self, done: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StoreUnavailable(f"the snapshot {self.path} cannot be {done}: {error.strerror}") from error


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, mode=0o600)
