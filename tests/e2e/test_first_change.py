"""The first sitting: start on SQLite, poll, change, restart."""

import os
import stat
from pathlib import Path

import httpx
import pytest

from tests.e2e.replica import Replica, strategies
from tests.waiting import eventually


def test_a_fresh_server_answers_the_default_and_the_next_poll_shows_a_change(tmp_path: Path) -> None:
    any_port = dict.fromkeys(("GRPC_PORTS", "HTTP_PORTS", "SIDECAR_PORT", "METRICS_PORT"), "0")
    with Replica(tmp_path, **{f"TRACING_CONFIG_{name}": port for name, port in any_port.items()}) as replica:
        assert replica.rate("checkout") == 0.001
        response = replica.put_rate("checkout", 0.5)
        assert response.status_code == 200
        assert response.headers["ETag"].startswith('"1-')
        assert replica.rate("checkout") == 0.5
        assert replica.rate("other") == 0.001


@pytest.mark.parametrize("path", ["/", "/sampling", "/api/sampling", "/api/sampling/sampling"])
def test_the_paths_that_people_have_today_answer(tmp_path: Path, path: str) -> None:
    with Replica(tmp_path) as replica:
        response = httpx.get(f"{replica.http_url}{path}?service=a")
        assert response.json() == {"strategyType": "PROBABILISTIC", "probabilisticSampling": {"samplingRate": 0.001}}


def test_a_change_that_was_answered_200_survives_a_kill(tmp_path: Path) -> None:
    replica = Replica(tmp_path)
    for round_number in range(3):
        with replica:
            assert round_number == 0 or replica.rate("checkout") == round_number / 8
            assert replica.put_rate("checkout", (round_number + 1) / 8).status_code == 200
            replica.kill()
    with replica:
        assert replica.rate("checkout") == 3 / 8


def test_the_first_start_makes_an_admin_token_that_only_the_user_can_read(tmp_path: Path) -> None:
    replica = Replica(tmp_path)
    replica.environment["TRACING_CONFIG_ADMIN_TOKEN"] = ""
    with replica:
        file = tmp_path / "admin-token"
        token = file.read_text().strip()
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        url = f"{replica.sidecar_url}/api/v1/config/services"
        assert httpx.get(url).status_code == 401
        assert httpx.get(url, headers={"Authorization": f"Bearer {token}"}).status_code == 200
        assert all(token not in str(event) for event in replica.events)
    with replica:
        assert file.read_text().strip() == token


def test_metrics_count_every_poll_once(tmp_path: Path) -> None:
    with Replica(tmp_path) as replica:
        for _ in range(3):
            replica.poll_grpc("a")
        for _ in range(2):
            replica.poll_http("a")
        metrics = replica.metrics()
        assert metrics['tracing_config_polls_total{outcome="answered",protocol="grpc"}'] == 3
        assert metrics['tracing_config_polls_total{outcome="answered",protocol="http"}'] == 2
        assert metrics["tracing_config_revision"] == 0
        assert metrics["db_up"] == 1
        assert "redis_up" not in metrics
        assert metrics["process_resident_memory_bytes"] > 0
        same = httpx.get(f"{replica.sidecar_url}/actuator/prometheus").text
        assert "tracing_config_polls_total" in same


def test_health_is_what_the_operations_guide_expects(tmp_path: Path) -> None:
    with Replica(tmp_path) as replica:
        report = replica.health()
        assert report["status"] == "UP"
        assert report["components"]["db"]["status"] == "UP"
        assert report["components"]["db"]["details"] == {"database": "SQLite", "validationQuery": "isValid()"}
        assert "redis" not in report["components"]
        assert set(report["components"]["diskSpace"]["details"]) == {"total", "free", "threshold", "exists"}
        for path in ("", "/liveness", "/readiness"):
            assert httpx.get(f"{replica.sidecar_url}/actuator/health{path}").json()["status"] == "UP"


def test_a_stop_is_orderly_and_quick(tmp_path: Path) -> None:
    with Replica(tmp_path) as replica:
        assert replica.stop() == 0


def test_readiness_goes_down_before_polls_do(tmp_path: Path) -> None:
    with Replica(tmp_path, TRACING_CONFIG_DRAIN_SECONDS="60") as replica:
        os.kill(replica.pid, 15)
        replica.wait_for_event(lambda event: event["message"] == "stopping")
        assert httpx.get(f"{replica.sidecar_url}/actuator/health/readiness").status_code == 503
        assert httpx.get(f"{replica.sidecar_url}/actuator/health/liveness").status_code == 200
        assert replica.rate("a") == 0.001
        os.kill(replica.pid, 15)  # The second signal does not wait for the drain.
        with pytest.raises(AssertionError, match="the server ended"):
            replica.wait_for_event(lambda event: event["message"] == "stopped")


async def test_a_strategies_file_is_a_layer_that_follows_its_edits(tmp_path: Path) -> None:
    file = tmp_path / "strategies.json"
    file.write_text(strategies(0.25, checkout=0.5))
    with Replica(tmp_path / "data", TRACING_CONFIG_STRATEGIES_FILE=str(file)) as replica:
        assert (replica.rate("checkout"), replica.rate("other")) == (0.5, 0.25)
        covered = replica.put_rate("checkout", 0.75).json()
        assert covered["coversFileEntry"] is True
        assert replica.rate("checkout") == 0.75
        uncovered = replica.api("DELETE", "/services/checkout").json()
        assert uncovered["uncoversFileEntry"] is True
        assert replica.rate("checkout") == 0.5

        file.write_text(strategies(0.125, checkout=0.625))
        await eventually(lambda: replica.rate("checkout") == 0.625)
        assert replica.rate("other") == 0.125

        file.write_text("{ this is no JSON")
        await eventually(lambda: replica.health()["components"]["strategiesFile"]["status"] == "DOWN")
        assert replica.health()["status"] == "UP"
        assert replica.rate("checkout") == 0.625
