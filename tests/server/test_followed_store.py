"""The clock of the followed store, as far as a question and its answer can tell it."""

import pytest
from msgspec.structs import replace

from sampling.strategies_file import NO_FILE
from server import followed_store as followed_store_module
from server.answers import Answers
from server.followed_store import FollowedStore
from server.served import Served
from storage.interface import Head
from tests.server.memory_store import MemoryStore


class StoppedClock(MemoryStore):
    async def head(self, served: int | None = None) -> Head:
        return replace(await super().head(served), clock=1000.0)


@pytest.mark.parametrize(
    ("asked", "answered", "offset"),
    [(1000.0, 1000.0, 0), (990.0, 1010.0, 0), (1000.0, 1010.0, 0), (990.0, 1000.0, 0), (1002.0, 1010.0, -2), (990.0, 995.0, 5)],
)
async def test_a_slow_answer_of_the_store_is_no_difference_of_the_clocks(
    monkeypatch: pytest.MonkeyPatch, asked: float, answered: float, offset: float
) -> None:
    ours = iter((asked, answered))
    followed = FollowedStore(StoppedClock(), Served(Answers(), NO_FILE))
    monkeypatch.setattr(followed_store_module, "time", lambda: next(ours))
    await followed.head()
    assert followed.clock_offset == offset
