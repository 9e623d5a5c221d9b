"""Whether Redis answers, and that the log is told once."""

import pytest
from structlog.testing import capture_logs

from server import redis_probe as redis_probe_module
from server.redis_probe import RedisProbe
from storage.errors import StoreError, StoreUnavailable


@pytest.fixture(autouse=True)
def _without_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_probe_module, "DOUBT_SECONDS", 0.0)


class OneVersion:
    """Tells its version, or fails; ``times`` limits how often."""

    def __init__(self) -> None:
        self.failure: StoreError | None = None
        self.times = 1000

    async def version(self) -> str:
        if self.failure is not None and self.times > 0:
            self.times -= 1
            raise self.failure
        return "9.1.2"


async def test_redis_is_up_while_it_tells_its_version_and_each_change_is_one_line() -> None:
    redis = OneVersion()
    probe = RedisProbe(redis)
    assert not probe.up
    with capture_logs() as logs:
        await probe.ask()
        assert (probe.up, probe.version) == (True, "9.1.2")
        for reason in ("connection lost", "connection refused"):
            redis.failure = StoreUnavailable(reason)
            await probe.ask()
            assert (probe.up, probe.version, probe.problem) == (False, None, reason)
        redis.failure = None
        await probe.ask()
        await probe.ask()
    told = [(line["log_level"], line.get("reason")) for line in logs]
    assert told == [("info", None), ("warning", "connection lost"), ("info", None)]


async def test_one_question_without_an_answer_is_no_outage() -> None:
    redis = OneVersion()
    probe = RedisProbe(redis)
    await probe.ask()
    redis.failure, redis.times = StoreUnavailable("slow"), 1
    with capture_logs() as logs:
        await probe.ask()
    assert (probe.up, probe.version, logs) == (True, "9.1.2", [])


async def test_a_redis_that_was_never_there_is_told() -> None:
    redis = OneVersion()
    redis.failure = StoreUnavailable("away")
    with capture_logs() as logs:
        await RedisProbe(redis).ask()
    assert [line["reason"] for line in logs] == ["away"]
