"""``tracing-config health``: whether the server beside it turns, for the container that both run in."""

import http.client
import os
import ssl
import sys

from server.cli.failures import WrongUsage
from server.cli.trust import show_certificate
from server.setting_reader import SettingError
from server.settings import PREFIX, Settings, read_settings

PATH = "/actuator/health/liveness"
SECONDS = 4.0
"""Less than the time limit of the image's HEALTHCHECK, so that the reason is told."""

MAX_BYTES = 1024 * 1024
"""Of an answer that are read."""

USED = ("HOST", "GRPC_PORTS", "HTTP_PORTS", "SIDECAR_PORT", "METRICS_PORT")
"""The ports are checked together. A secret that cannot be read at this moment says nothing about the server."""

ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}


def check_health() -> int:
    """Ask the server of this machine, at the port of its settings; the exit code of the process."""
    try:
        settings = read_settings({PREFIX + name: os.environ.get(PREFIX + name, "") for name in USED})
    except SettingError as error:
        return _failed(str(error))
    if settings.sidecar_port == 0:
        return _failed(f"{PREFIX}SIDECAR_PORT: is 0, which takes a free port that nobody else knows; give it a number")
    try:
        status, _ = ask(settings, PATH)
    except NoAnswer as error:
        return _failed(str(error))
    if status != 200:
        return _failed(f"{place(settings)} answers {status} to {PATH}")
    print("UP")
    return 0


class NoAnswer(Exception):
    """Is raised where no server answers, with the reason."""


def place(settings: Settings) -> str:
    """Where the sidecar of this machine's server is, for people."""
    return f"port {settings.sidecar_port} of {host_of(settings)}"


def host_of(settings: Settings) -> str:
    """An address at which the ports of this machine's server are reached."""
    return ANY_ADDRESS.get(settings.host, settings.host)


def ask(settings: Settings, path: str) -> tuple[int, bytes]:
    """Ask the sidecar of this machine's server; the status and the body. It blocks. Raises NoAnswer."""
    try:
        connection = _connection(host_of(settings), settings.sidecar_port)
    except WrongUsage as error:
        raise NoAnswer(str(error)) from None
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read(MAX_BYTES)
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "strerror", None) or error
        raise NoAnswer(f"{place(settings)} does not answer: {reason}") from None
    finally:
        connection.close()


def _connection(host: str, port: int) -> http.client.HTTPConnection:
    """With a certificate the sidecar speaks https. It names what clients call it, which this machine's address is not.

    Raises:
        WrongUsage: the client's certificate, for a sidecar that asks for one, cannot be used.
    """
    if not os.environ.get(f"{PREFIX}SIDECAR_TLS_CERT", "").strip():
        return http.client.HTTPConnection(host, port, timeout=SECONDS)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    show_certificate(context)
    return http.client.HTTPSConnection(host, port, timeout=SECONDS, context=context)


def _failed(reason: str) -> int:
    print(f"tracing-config: {reason}", file=sys.stderr)
    return 1
