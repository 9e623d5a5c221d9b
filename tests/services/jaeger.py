"""A real Jaeger, where the environment names its program."""

import json
import os
import signal
import socket
from pathlib import Path
from typing import Any, ClassVar

import httpx
import pytest

from tests.services.account import Account
from tests.services.local_server import LocalServer, free_port

VARIABLE = "JAEGER_BIN"
"""Names the program ``jaeger``, version 2."""


class JaegerServer(LocalServer):
    """A Jaeger that takes spans over OTLP and Zipkin, and keeps them in memory. ``port`` is that of OTLP over HTTP."""

    name: ClassVar[str] = "jaeger"
    stop_signal: ClassVar[signal.Signals] = signal.SIGKILL  # In order it takes ten seconds, and has nothing to keep.

    def __init__(self) -> None:
        program = os.environ.get(VARIABLE)
        if not program:
            pytest.skip(f"not run: {VARIABLE} names no Jaeger")
        self._program = str(Path(program).absolute())
        super().__init__(Account.own())
        self.query_port, self.zipkin_port = free_port(), free_port()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def query_url(self) -> str:
        return f"http://127.0.0.1:{self.query_port}"

    @property
    def zipkin_url(self) -> str:
        return f"http://127.0.0.1:{self.zipkin_port}"

    def command(self) -> list[str]:
        def at(port: int) -> dict[str, str]:
            return {"endpoint": f"127.0.0.1:{port}"}

        configuration = {
            "extensions": {
                "jaeger_storage": {"backends": {"traces": {"memory": {"max_traces": 1000}}}},
                "jaeger_query": {"storage": {"traces": "traces"}, "http": at(self.query_port), "grpc": at(free_port())},
            },
            "receivers": {"otlp": {"protocols": {"http": at(self.port)}}, "zipkin": at(self.zipkin_port)},
            "exporters": {"jaeger_storage_exporter": {"trace_storage": "traces"}},
            "service": {
                "extensions": ["jaeger_storage", "jaeger_query"],
                "pipelines": {"traces": {"receivers": ["otlp", "zipkin"], "exporters": ["jaeger_storage_exporter"]}},
                "telemetry": {"metrics": {"level": "none"}},
            },
        }
        file = self.folder / "jaeger.json"
        file.write_text(json.dumps(configuration))
        return [self._program, "--config", str(file)]

    def is_ready(self) -> bool:
        def accepts(port: int) -> bool:
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", port)) == 0

        return all(map(accepts, (self.port, self.query_port, self.zipkin_port)))

    def spans(self, trace_id: str) -> list[dict[str, Any]]:
        """Those that it has of a trace, each with the name of its service as ``service``."""
        response = httpx.get(f"{self.query_url}/api/traces/{trace_id}", timeout=5)
        if response.status_code != 200:
            return []
        (trace,) = response.json()["data"]
        return [{**span, "service": trace["processes"][span["processID"]]["serviceName"]} for span in trace["spans"]]
