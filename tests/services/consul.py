"""A real agent of Consul, where `CONSUL_BIN` names one."""

import os
import signal
from typing import ClassVar

import httpx
import pytest

from tests.services.account import Account
from tests.services.local_server import LocalServer, free_port

BINARY_VARIABLE = "CONSUL_BIN"


class ConsulAgent(LocalServer):
    """A Consul of one agent that forgets everything when it ends. Without a binary the test that asks is not run."""

    name: ClassVar[str] = "consul"
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM

    def __init__(self) -> None:
        binary = os.environ.get(BINARY_VARIABLE)
        if not binary:
            pytest.skip(f"not run: {BINARY_VARIABLE} names no Consul")
        self._binary = binary
        super().__init__(Account.own())
        self._inner = {name: free_port() for name in ("server", "serf-lan", "serf-wan")}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def command(self) -> list[str]:
        here = ["-bind", "127.0.0.1", "-client", "127.0.0.1", "-http-port", str(self.port)]
        others = [word for name, port in self._inner.items() for word in (f"-{name}-port", str(port))]
        closed = [word for name in ("dns", "grpc", "grpc-tls") for word in (f"-{name}-port", "-1")]
        return [self._binary, "agent", "-dev", "-log-level", "warn", *here, *others, *closed]

    def is_ready(self) -> bool:
        try:
            leader = httpx.get(f"{self.url}/v1/status/leader", timeout=1, verify=False)
        except httpx.TransportError:
            return False
        return leader.status_code == 200 and leader.json() != ""
