"""Accepts TLS connections on a socket: handshakes with the certificate of the moment, and tells of those that fail."""

import asyncio
import socket
import ssl
import time
from collections.abc import Callable

import structlog
from prometheus_client import Counter

from server.certificates import Certificate

HANDSHAKE_SECONDS, CROWDED_SECONDS = 10.0, 2.0
"""How long a client may take for its handshake; and how long while more than half of the possible ones are under way."""

GRACE_SECONDS = 2.0
"""How long a stop waits for handshakes."""

MAX_HANDSHAKES = 1000
"""Under way at once on one socket; more wait to be accepted."""

LOG_SECONDS = 60.0
"""So often the same client is told of for the same reason, and that connections cannot be accepted."""

MAX_LOGGED = 100
"""Lines in that time; the counter has all."""

_log = structlog.get_logger(__name__)

_REASONS = {
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "the client sent no certificate",
    "HTTP_REQUEST": "the client does not speak TLS",
    "WRONG_VERSION_NUMBER": "the client does not speak TLS",
    "UNSUPPORTED_PROTOCOL": "the client offers no TLS 1.2 or later",
    "NO_SHARED_CIPHER": "the client offers no cipher that is safe",
}


class Refusals:
    """Counts handshakes that failed, and logs them: a line for each client and reason once a minute."""

    def __init__(self, counter: Counter) -> None:
        self._counter = counter
        self._logged: set[tuple[str, str]] = set()
        self._since = 0.0

    def tell(self, certificate: Certificate, remote: str, error: ssl.SSLError) -> None:
        self._counter.labels(certificate.use).inc()
        reason = _reason_of(error, certificate)
        if time.monotonic() - self._since >= LOG_SECONDS:
            self._logged.clear()
            self._since = time.monotonic()
        if len(self._logged) < MAX_LOGGED and (remote, reason) not in self._logged:
            self._logged.add((remote, reason))
            _log.warning("a TLS connection was refused", use=certificate.use, remote_addr=remote, reason=reason)


def _reason_of(error: ssl.SSLError, certificate: Certificate) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        setting = certificate.files.setting
        code = getattr(error, "verify_code", None)
        if code is None:  # Raised by ourselves.
            return str(error.args[0])
        if code == 10:
            return "the client's certificate has expired"
        if code in (18, 19, 20, 21):
            return f"the client's certificate is not signed by an authority in {setting}_CLIENT_CA"
        return f"the client's certificate cannot be used: {error.verify_message}"
    reason = error.reason or "unknown"
    if "ALERT" in reason:
        return f"the client refused our certificate: {reason.replace('_', ' ').lower()}"
    return _REASONS.get(reason, reason.replace("_", " ").lower())


class TlsListener:
    """Owns a listening socket from ``start`` on. Each connection gets its protocol once its handshake is done."""

    def __init__(
        self,
        listener: socket.socket,
        certificate: Certificate,
        protocol: Callable[[], asyncio.BaseProtocol],
        refusals: Refusals,
    ) -> None:
        self._listener, self._certificate = listener, certificate
        self._protocol, self._refusals = protocol, refusals
        self._handshakes: set[asyncio.Task[None]] = set()
        self._free = asyncio.Semaphore(MAX_HANDSHAKES)
        self._accepting: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Accept connections from now on."""
        self._accepting = asyncio.create_task(self._accept())

    async def close(self) -> None:
        """Refuse connections from now on; handshakes that are under way have a moment to end."""
        if self._accepting is not None:
            self._accepting.cancel()
            await asyncio.wait((self._accepting,))
            self._accepting = None
        self._listener.close()
        if self._handshakes:
            _, late = await asyncio.wait(self._handshakes, timeout=GRACE_SECONDS)
            for handshake in late:
                handshake.cancel()

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        told = -LOG_SECONDS
        while True:
            await self._free.acquire()
            try:
                connection, address = await loop.sock_accept(self._listener)
            except OSError as error:  # No descriptors are left, or the client has gone already.
                self._free.release()
                if time.monotonic() - told >= LOG_SECONDS:
                    told = time.monotonic()
                    _log.warning("a connection could not be accepted", use=self._certificate.use, reason=error.strerror)
                await asyncio.sleep(0.1)
                continue
            handshake = asyncio.create_task(self._handshake(connection, str(address[0])))
            self._handshakes.add(handshake)
            handshake.add_done_callback(self._handshakes.discard)

    async def _handshake(self, connection: socket.socket, remote: str) -> None:
        context = self._certificate.context
        seconds = CROWDED_SECONDS if len(self._handshakes) > MAX_HANDSHAKES // 2 else HANDSHAKE_SECONDS
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                self._protocol, connection, ssl=context, ssl_handshake_timeout=seconds
            )
        except ssl.SSLError as error:
            self._refusals.tell(self._certificate, remote, error)
        except OSError:  # It went away, or took too long: anybody's port scan does so.
            pass
        finally:
            self._free.release()
