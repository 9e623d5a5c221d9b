"""A real Zipkin server, in a process of its own."""

from collections.abc import Sequence
from typing import Any, ClassVar

import httpx

from tests.services.java import JavaServer


class ZipkinServer(JavaServer):
    """A Zipkin that keeps traces in memory."""

    name: ClassVar[str] = "zipkin"
    project: ClassVar[str] = "zipkin"
    main: ClassVar[str] = "org.springframework.boot.loader.launch.JarLauncher"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def options(self) -> Sequence[str]:
        settings = {"QUERY_PORT": self.port, "STORAGE_TYPE": "mem", "SELF_TRACING_ENABLED": "false"}
        small = ("-Xmx192m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
        return [*small, *(f"-D{name}={value}" for name, value in settings.items())]

    def spans(self, trace_id: str) -> list[dict[str, Any]]:
        """Those that it has of a trace."""
        response = httpx.get(f"{self.url}/api/v2/trace/{trace_id}", timeout=5)
        found: list[dict[str, Any]] = response.json() if response.status_code == 200 else []
        return found
