"""Every port of the process, taken before anything else: one that is in use stops the start."""

import socket
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from server.listeners import CannotListen, open_listener
from server.setting_reader import SettingError
from server.settings import PREFIX, Settings


class Ports:
    """The bound sockets by what is served there. Those that no server took over are closed at the end.

    Raises:
        SettingError: on entering, for a port that cannot be had; names its setting.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stack = ExitStack()
        self.grpc: list[socket.socket] = []
        self.http: list[socket.socket] = []
        self.sidecar: list[socket.socket] = []
        self.metrics: list[socket.socket] = []

    def __enter__(self) -> Self:
        settings = self._settings
        with ExitStack() as opened:
            for name, sockets, ports in (
                ("GRPC_PORTS", self.grpc, settings.grpc_ports),
                ("HTTP_PORTS", self.http, settings.http_ports),
                ("SIDECAR_PORT", self.sidecar, (settings.sidecar_port,)),
                ("METRICS_PORT", self.metrics, (settings.metrics_port,)),
            ):
                for port in ports:
                    try:
                        sockets.append(opened.enter_context(open_listener(settings.host, port)))
                    except CannotListen as error:
                        raise SettingError(f"{PREFIX}{name}: {error}; choose another port, or 0 for a free one") from None
            self._stack = opened.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stack.close()

    def numbers(self) -> dict[str, list[int]]:
        """The port numbers, for the log."""
        named = {"grpc": self.grpc, "http": self.http, "sidecar": self.sidecar, "metrics": self.metrics}
        return {f"{name}_ports": [one.getsockname()[1] for one in sockets] for name, sockets in named.items()}
