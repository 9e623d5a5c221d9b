"""A place for a copy in memory."""

from collections.abc import Collection

from storage.copy_format import is_behind
from storage.errors import StoreError, StoreUnavailable
from storage.interface import Copy, CopyHeader


class MemoryCopies:
    """A place for a copy that counts how often it is written."""

    def __init__(self, copy: Copy | None = None) -> None:
        self.copy = copy
        self.failure: StoreError | None = None
        self.writes = 0

    async def header(self) -> CopyHeader | None:
        if self.failure is not None:
            raise self.failure
        copy = self.copy
        if copy is None:
            return None
        return CopyHeader(copy.point, copy.checksum, copy.checked_at, len(copy.changes), 0)

    async def read(self) -> Copy | None:
        await self.header()
        return self.copy

    async def write(self, copy: Copy, *, accepted: Collection[str] = (), again: bool = False) -> bool:
        if isinstance(self.failure, StoreUnavailable):
            raise self.failure
        if self.failure is None and not is_behind(await self.header(), copy, accepted, again=again):
            return False
        self.copy, self.failure = copy, None
        self.writes += 1
        return True
