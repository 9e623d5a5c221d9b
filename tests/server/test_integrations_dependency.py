"""What health, metrics and the log tell of another server."""

from collections.abc import Mapping
from typing import Any

from structlog.testing import capture_logs

from server.integrations.dependency import Dependency
from server.integrations.http_client import Unusable


class Other:
    """Answers as it is told to."""

    def __init__(self) -> None:
        self.problem: Unusable | None = None

    async def check(self) -> Mapping[str, Any]:
        if self.problem is not None:
            raise self.problem
        return {"version": "7"}


async def test_each_change_of_state_is_logged_once_and_health_tells_the_last() -> None:
    other = Other()
    dependency = Dependency("other", "TRACING_CONFIG_OTHER_URL", "http://other", other.check)
    assert dependency.report() == {"status": "DOWN", "details": {"url": "http://other", "problem": "it has not been asked yet"}}
    with capture_logs() as lines:
        for problem in (None, None, Unusable("it is ill"), Unusable("it is very ill", "call a doctor"), None):
            other.problem = problem
            await dependency.look()
    assert [(line["log_level"], line.get("reason"), line.get("cure")) for line in lines] == [
        ("info", None, None),
        ("warning", "it is ill", "see whether it is up, and TRACING_CONFIG_OTHER_URL right"),
        ("info", None, None),
    ]
    assert dependency.up
    assert dependency.failures == 2
    details = dependency.report()["details"]
    assert details["version"] == "7"
    assert details["latencyMilliseconds"] >= 0


async def test_a_dependency_that_is_down_tells_why_and_the_cure() -> None:
    other = Other()
    other.problem = Unusable("it is ill", "call a doctor")
    dependency = Dependency("other", "TRACING_CONFIG_OTHER_URL", "http://other", other.check)
    await dependency.look()
    assert (dependency.up, dependency.cure) == (False, "call a doctor")
    assert dependency.report()["details"]["problem"] == "it is ill"


async def test_what_a_dependency_said_of_itself_is_not_told_while_it_is_away() -> None:
    other = Other()
    dependency = Dependency("other", "TRACING_CONFIG_OTHER_URL", "http://other", other.check, always={"kind": "toy"})
    await dependency.look()
    other.problem = Unusable("it is ill")
    await dependency.look()
    details = dependency.report()["details"]
    assert details["kind"] == "toy"
    assert "version" not in details
