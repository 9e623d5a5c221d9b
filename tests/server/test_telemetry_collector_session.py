"""Whatever answers where spans are sent to: it is bounded, and what is no collector is not taken for one."""

from collections.abc import Iterator

import pytest
from requests import RequestException

from server.telemetry.collector_session import CollectorSession
from tests.services.http_stand_in import MEBIBYTE, Fault, Reply, StandIn


@pytest.fixture
def stand_in() -> Iterator[StandIn]:
    with StandIn(lambda request: Reply(200, b"<html>", "text/html" if request.path == "/page" else "application/json")) as it:
        yield it


def test_a_collector_is_asked_again_over_the_same_connection(stand_in: StandIn) -> None:
    with CollectorSession() as session:
        assert session.post(stand_in.url, b"spans", timeout=5).status_code == 200
        stand_in.stop()  # Connections that are open end with the next request on them.
        with pytest.raises(RequestException, match="aborted"):
            session.post(stand_in.url, b"spans", timeout=5)


@pytest.mark.parametrize("fault", ["redirect", "no-http"])
def test_what_is_no_collector_is_an_error(stand_in: StandIn, fault: Fault) -> None:
    stand_in.fault = fault
    with CollectorSession() as session, pytest.raises(RequestException):
        session.post(stand_in.url, b"spans", timeout=5, allow_redirects=False)


def test_a_web_page_is_no_answer_of_a_collector(stand_in: StandIn) -> None:
    with CollectorSession() as session, pytest.raises(RequestException, match="web page"):
        session.post(f"{stand_in.url}/page", b"spans", timeout=5)


def test_an_answer_without_end_is_not_read(stand_in: StandIn) -> None:
    stand_in.fault = "huge"
    with CollectorSession() as session:
        assert session.post(stand_in.url, b"spans", timeout=5).status_code == 200
    assert stand_in.sent <= 64 * len(MEBIBYTE)


def test_no_proxy_of_the_environment_is_asked(stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with CollectorSession() as session:
        assert session.post(stand_in.url, b"spans", timeout=5).status_code == 200
