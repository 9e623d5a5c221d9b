"""A server process as an operator starts it, and the clients that talk to it."""

import json
import os
import signal
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from queue import Empty, Queue
from typing import Any, Self

import grpc
import httpx

from sampling.pb.jaeger.api_v2.sampling_pb2 import SamplingStrategyParameters, SamplingStrategyResponse
from tests.services.local_server import free_port

ROOT = Path(__file__).parents[2]
TOKEN = "0123456789abcdef-test-token"
WAIT_SECONDS = 20.0

PLAIN: dict[str, Any] = {"verify": False}
"""For requests that are not encrypted: reading the trusted certificates takes longer than the request, each time."""


class Replica:
    """``python -m server`` in a process of its own, on free ports, with its log lines as they come.

    Ports stay the same over a restart, as in production, and are nobody else's meanwhile.
    """

    def __init__(self, data_dir: Path, **settings: str) -> None:
        self.data_dir = data_dir
        self.trust = PLAIN
        self.program = ROOT
        """The folder that its packages are in: another one for another version."""
        self.environment = {
            "TRACING_CONFIG_GRPC_PORTS": str(free_port()),
            "TRACING_CONFIG_HTTP_PORTS": str(free_port()),
            "TRACING_CONFIG_SIDECAR_PORT": str(free_port()),
            "TRACING_CONFIG_METRICS_PORT": str(free_port()),
            "TRACING_CONFIG_DATA_DIR": str(data_dir),
            "TRACING_CONFIG_ADMIN_TOKEN": TOKEN,
            **settings,
        }
        self.events: list[dict[str, Any]] = []
        self._lines: Queue[str | None] = Queue()
        self._process: subprocess.Popen[str] | None = None
        self._reader = threading.Thread()

    def trusted(self, context: ssl.SSLContext) -> Self:
        """What its clients over TLS trust and show from now on."""
        self.trust = {"verify": context}
        return self

    def start(self, *, ready: bool = True) -> Self:
        """Start it and wait for the line that says it is ready (or, else, that it is open)."""
        self._lines = Queue()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "server"],
            cwd=self.program,
            env={**os.environ, **self.environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, args=(self._process, self._lines))
        self._reader.start()
        try:
            event = self.wait_for_event(lambda event: event["message"] == "ready" or (not ready and "grpc_ports" in event))
        except BaseException:
            self.kill()
            raise
        for name in ("grpc_ports", "http_ports"):
            self.environment[f"TRACING_CONFIG_{name.upper()}"] = ",".join(map(str, event[name]))
        for name in ("sidecar", "metrics"):
            self.environment[f"TRACING_CONFIG_{name.upper()}_PORT"] = str(event[f"{name}_ports"][0])
        return self

    @staticmethod
    def _read(process: subprocess.Popen[str], lines: "Queue[str | None]") -> None:
        assert process.stdout is not None
        with process.stdout:
            for line in process.stdout:
                lines.put(line)
        lines.put(None)

    def wait_for_event(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The next log line that is wanted. Fails when the process ends or says nothing for WAIT_SECONDS."""
        while True:
            try:
                line = self._lines.get(timeout=WAIT_SECONDS)
            except Empty:
                raise AssertionError(f"the log did not tell it: {self.events}") from None
            if line is None:
                raise AssertionError(f"the server ended: {self.events}")
            if not line.startswith("{"):
                raise AssertionError(f"the server said, not in its log: {line}")
            event: dict[str, Any] = json.loads(line)
            self.events.append(event)
            if "message" in event and wanted(event):
                return event

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        """SIGKILL: no goodbye."""
        if self._process is not None:
            self._process.kill()
            self._ended()

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        if self._process is None:
            return 0
        self._process.send_signal(signal.SIGTERM)
        return self._ended()

    def _ended(self) -> int:
        assert self._process is not None
        code = self._process.wait(WAIT_SECONDS)
        self._process = None
        self._reader.join()
        return code

    def __enter__(self) -> Self:
        return self if self._process is not None else self.start()

    def __exit__(self, *_: object) -> None:
        self.kill()

    @property
    def grpc_address(self) -> str:
        return f"127.0.0.1:{self.environment['TRACING_CONFIG_GRPC_PORTS'].split(',')[0]}"

    @property
    def http_url(self) -> str:
        return f"{self._scheme('POLL')}://127.0.0.1:{self.environment['TRACING_CONFIG_HTTP_PORTS'].split(',')[0]}"

    @property
    def sidecar_url(self) -> str:
        return f"{self._scheme('SIDECAR')}://127.0.0.1:{self.environment['TRACING_CONFIG_SIDECAR_PORT']}"

    @property
    def metrics_url(self) -> str:
        return f"{self._scheme('SIDECAR')}://127.0.0.1:{self.environment['TRACING_CONFIG_METRICS_PORT']}"

    def _scheme(self, kind: str) -> str:
        return "https" if f"TRACING_CONFIG_{kind}_TLS_CERT" in self.environment else "http"

    def poll_http(self, service: str) -> dict[str, Any]:
        """The answer that an SDK gets over HTTP."""
        response = httpx.get(f"{self.http_url}/sampling", params={"service": service}, timeout=5, **self.trust)
        response.raise_for_status()
        answer: dict[str, Any] = response.json()
        return answer

    def poll_grpc(self, service: str) -> SamplingStrategyResponse:
        """The answer that an SDK gets over gRPC."""
        with grpc.insecure_channel(self.grpc_address) as channel:
            return poll(channel)(SamplingStrategyParameters(serviceName=service), timeout=5)

    def rate(self, service: str) -> float:
        """The probability of a service, the same over both protocols (a change may come between two polls, not twice)."""
        for _ in range(2):
            rate = self.poll_grpc(service).probabilisticSampling.samplingRate
            if self.poll_http(service)["probabilisticSampling"]["samplingRate"] == rate:
                return rate
        raise AssertionError("gRPC and HTTP answer differently")

    def api(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        """A request to the configuration API, as admin."""
        headers = {"Authorization": f"Bearer {TOKEN}", **arguments.pop("headers", {})}
        url = f"{self.sidecar_url}/api/v1/config{path}"
        return httpx.request(method, url, headers=headers, timeout=15, **self.trust, **arguments)

    def put_rate(self, service: str, rate: float, **arguments: Any) -> httpx.Response:
        body = {"samplingStrategy": {"type": "probabilistic", "param": rate}}
        return self.api("PUT", f"/services/{service}", json=body, **arguments)

    def health(self) -> dict[str, Any]:
        report: dict[str, Any] = httpx.get(f"{self.sidecar_url}/actuator/health", timeout=5, **self.trust).json()
        return report

    def metrics(self) -> dict[str, float]:
        """Every sample by its name with labels."""
        text = httpx.get(f"{self.metrics_url}/metrics", timeout=5, **self.trust).text
        samples = (line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
        return {name: float(value) for name, value in samples}


Poll = Callable[..., SamplingStrategyResponse]


def poll(channel: grpc.Channel) -> Poll:
    """The method that clients call."""
    method: Poll = channel.unary_unary(
        "/jaeger.api_v2.SamplingManager/GetSamplingStrategy",
        request_serializer=SamplingStrategyParameters.SerializeToString,
        response_deserializer=SamplingStrategyResponse.FromString,
    )
    return method


def strategies(default: float | None = None, **services: float) -> str:
    """A strategies file in Jaeger's format with these probabilities."""
    document: Mapping[str, Any] = {
        "service_strategies": [{"service": name, "type": "probabilistic", "param": rate} for name, rate in services.items()],
        **({} if default is None else {"default_strategy": {"type": "probabilistic", "param": default}}),
    }
    return json.dumps(document)
