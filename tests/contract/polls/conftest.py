"""The poll servers, one after the other."""

from collections.abc import AsyncIterator

import pytest

from tests.contract.polls.servers import EXEMPT, SERVERS, Construct, Polls, running


@pytest.fixture(params=SERVERS)
def construct(request: pytest.FixtureRequest) -> Construct:
    """Each kind of poll server, for tests that start and stop one themselves."""
    return SERVERS[request.param]


@pytest.fixture
async def polls(construct: Construct) -> AsyncIterator[Polls]:
    """A running server of each kind, which answers from an empty catalog."""
    async with running(construct) as polls:
        yield polls


@pytest.fixture(params=[name for name in SERVERS if name not in EXEMPT])
async def polyglot(request: pytest.FixtureRequest) -> AsyncIterator[Polls]:
    """A running server of each kind that is exempt from nothing."""
    async with running(SERVERS[request.param]) as polls:
        yield polls
