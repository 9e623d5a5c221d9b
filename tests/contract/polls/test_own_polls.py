"""Every poll server can be polled by its own process, past the end of TLS where there is one."""

import pytest

from sampling.strategy import OperationStrategy, SamplingStrategy
from server.polls.own_poll import POLLS, OwnPollFailed
from tests.contract.polls.servers import SECONDS, Construct, Polls, running

PROTOCOLS = sorted(POLLS)


async def own_poll(polls: Polls, protocol: str, service: str) -> float:
    return await POLLS[protocol](polls.server.own_addresses()[protocol], service)


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_poll_by_its_own_name_is_answered_and_neither_counted_nor_remembered(polls: Polls, protocol: str) -> None:
    for _ in range(3):
        assert 0 < await own_poll(polls, protocol, polls.answers.own_name) < SECONDS
    assert not any(polls.answers.polls().values())
    assert polls.answers.names() == []


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_poll_by_any_other_name_is_as_everybody_s(polls: Polls, protocol: str) -> None:
    """So it comes in where clients do."""
    await own_poll(polls, protocol, "shop")
    assert {key for key, count in polls.answers.polls().items() if count} == {(protocol, "answered")}
    assert polls.answers.names() == ["shop"]


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_long_answer_is_taken(polls: Polls, protocol: str) -> None:
    """Longer than what a client of HTTP/2 is sent before it asks for more."""
    polls.configure("shop", SamplingStrategy("probabilistic", 0.5), *(OperationStrategy(f"{n:01000}", 0.5) for n in range(100)))
    await own_poll(polls, protocol, "shop")


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_refusal_is_no_answer(construct: Construct, protocol: str) -> None:
    async with running(construct, loaded=False) as polls:
        with pytest.raises(OwnPollFailed):
            await own_poll(polls, protocol, polls.answers.own_name)
