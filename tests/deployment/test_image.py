"""The image works: what its steps leave behind serves, as a user that may write nearly nothing, without the source."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Timer

import grpc
import httpx
import pytest

from sampling.pb.jaeger.api_v2.sampling_pb2 import SamplingStrategyParameters
from tests.deployment.image_build import Image
from tests.e2e.replica import PLAIN, poll
from tests.services.local_server import free_port

TOKEN = "0123456789abcdef-of-the-image"
START_SECONDS = 30.0
PORTS = ("GRPC_PORTS", "HTTP_PORTS", "SIDECAR_PORT", "METRICS_PORT")


@pytest.fixture(scope="module")
def image() -> Iterator[Image]:
    """Built once, from the package index and what .dockerignore lets through."""
    image = Image()
    try:
        image.build()
        yield image
    finally:
        image.remove()


class Container:
    """The image's process, on free ports; its first `ready` line has been read."""

    def __init__(self, image: Image, **settings: str) -> None:
        self.image = image
        self.ports = {name: str(free_port()) for name in PORTS}
        self.settings = {**{f"TRACING_CONFIG_{name}": port for name, port in self.ports.items()}, **settings}
        self.process = image.run(*image.process["ENTRYPOINT"], *image.process["CMD"], **self.settings)
        self.messages: list[str] = []
        deadline = Timer(START_SECONDS, self.process.kill)
        deadline.start()
        self._read_until("ready")
        deadline.cancel()

    def _read_until(self, wanted: str) -> None:
        assert self.process.stdout is not None
        lines = []
        for line in self.process.stdout:
            lines.append(line)
            if line.startswith("{"):
                self.messages.append(json.loads(line)["message"])
                if self.messages[-1] == wanted:
                    return
        raise AssertionError(f"it ended before it was {wanted}:\n{''.join(lines)}")

    @property
    def sidecar_url(self) -> str:
        return f"http://127.0.0.1:{self.ports['SIDECAR_PORT']}"

    def health(self) -> dict[str, str]:
        """Of the two stores."""
        components = httpx.get(f"{self.sidecar_url}/actuator/health", **PLAIN).json()["components"]
        return {name: components[name]["status"] for name in ("db", "redis")}

    def rate_by_grpc(self, service: str) -> float:
        with grpc.insecure_channel(f"127.0.0.1:{self.ports['GRPC_PORTS']}") as channel:
            return poll(channel)(SamplingStrategyParameters(serviceName=service), timeout=5).probabilisticSampling.samplingRate

    def rate_by_http(self, service: str) -> float:
        answer = httpx.get(f"http://127.0.0.1:{self.ports['HTTP_PORTS']}/sampling", params={"service": service}, **PLAIN)
        rate: float = answer.json()["probabilisticSampling"]["samplingRate"]
        return rate

    def put_rate(self, service: str, rate: float, token: str) -> httpx.Response:
        return httpx.put(
            f"{self.sidecar_url}/api/v1/config/services/{service}",
            headers={"Authorization": f"Bearer {token}"},
            json={"samplingStrategy": {"type": "probabilistic", "param": rate}},
            **PLAIN,
        )

    def command(self, *words: str, code: int = 0, **variables: str) -> str:
        """A program beside the server, as with `docker exec`."""
        return self.image.output(*words, code=code, **self.settings, **variables)

    def stop(self) -> int:
        self.process.terminate()
        self._read_until("stopped")
        return self.process.wait(timeout=30)


@contextmanager
def running(image: Image, **settings: str) -> Iterator[Container]:
    container = Container(image, **settings)
    try:
        yield container
    finally:
        container.process.kill()
        container.process.wait()
        assert container.process.stdout is not None
        container.process.stdout.close()


def test_it_serves_and_keeps_a_change_with_nothing_but_its_own_variables(image: Image) -> None:
    with running(image) as container:
        assert container.rate_by_grpc("checkout") == container.rate_by_http("checkout") == 0.001
        token = (image.root / "app/data/admin-token").read_text().strip()
        answer = container.put_rate("checkout", 0.5, token)
        assert (answer.status_code, answer.json()["revision"]) == (200, 1)
        assert container.rate_by_grpc("checkout") == container.rate_by_http("checkout") == 0.5
        assert container.command(*image.process["HEALTHCHECK"]) == "UP\n"
        assert container.stop() == 0
        assert container.messages[-2:] == ["stopping", "stopped"]
        assert "does not answer" in container.command(*image.process["HEALTHCHECK"], code=1)
    with running(image) as container:
        assert container.rate_by_http("checkout") == 0.5


async def test_it_serves_with_postgresql_redis_and_the_other_poll_server(
    image: Image, postgres_url: str, valkey_url: str
) -> None:
    with running(
        image,
        TRACING_CONFIG_DATABASE_URL=postgres_url,
        TRACING_CONFIG_REDIS_URL=valkey_url,
        TRACING_CONFIG_ADMIN_TOKEN=TOKEN,
        TRACING_CONFIG_POLL_SERVER="grpcio",
    ) as container:
        assert container.put_rate("checkout", 0.25, TOKEN).status_code == 200
        assert container.rate_by_grpc("checkout") == container.rate_by_http("checkout") == 0.25
        assert container.health() == {"db": "UP", "redis": "UP"}
        assert "all is well" in container.command("tracing-config", "doctor")
        shown = container.command(
            "tracing-config", "explain", "checkout", TRACING_CONFIG_URL=container.sidecar_url, TRACING_CONFIG_TOKEN=TOKEN
        )
        assert "0.25" in shown
        file = str(image.root / "app/data/of-the-test.jsonl.gz")
        container.command("tracing-config", "backup", "--output", file)
        container.command("tracing-config", "backup", "verify", file)
        at = f"localhost:{container.ports['GRPC_PORTS']}"
        assert "0.25" in container.command("tracing-config", "poll", "checkout", "--at", at)


def test_help_shows_every_command_and_the_library_of_uploads_is_there(image: Image) -> None:
    shown = image.output("tracing-config", "--help")
    assert all(f"\n  {name} " in shown for name in ("serve", "health", "apply", "poll", "token"))
    assert image.output("tracing-config", "--version").strip() == "0.1.0"
    assert image.output("python", "-c", "import boto3; print(boto3.session.Session().get_available_services()[:1])")


def test_its_user_may_write_the_data_and_the_logs_and_nothing_else(image: Image) -> None:
    found = image.output("find", str(image.root), "-writable", "-not", "-type", "l", "-not", "-path", "*/app/data/*")
    assert set(found.splitlines()) == {str(image.root / "app/data"), str(image.root / "app/logs")}
    assert [path.name for path in (image.root / "app/certs").iterdir()] == []
    assert (image.root / "etc/passwd").read_text().split(":")[2] == str(image.account.user)


def test_the_program_comes_from_its_wheel_and_nothing_of_the_source_is_left(image: Image) -> None:
    places = image.output(
        "python", "-c", "import server, storage, sampling; print(server.__file__, storage.__file__, sampling.__file__)"
    )
    assert all(place.startswith(str(image.root / "app/venv")) for place in places.split())
    assert {path.name for path in image.root.iterdir()} == {"app", "etc", "usr"}
    assert {path.name for path in (image.root / "app").iterdir()} == {"certs", "data", "logs", "venv"}


def test_no_module_is_compiled_at_the_start(image: Image) -> None:
    program = """
import importlib.util, os, sys
import server.app, server.cli.serve, server.cli.health
for name, module in sorted(sys.modules.items()):
    origin = getattr(getattr(module, "__spec__", None), "origin", None) or ""
    if origin.endswith(".py") and not os.path.exists(importlib.util.cache_from_source(origin)):
        print(name)
"""
    assert image.output("python", "-c", program) == ""


def test_a_bad_setting_ends_it_with_one_line(image: Image) -> None:
    said = image.output(*image.process["ENTRYPOINT"], "serve", code=1, TRACING_CONFIG_DRAIN_SECONDS="soon")
    assert said.startswith("tracing-config: TRACING_CONFIG_DRAIN_SECONDS")
    assert said.count("\n") == 1
