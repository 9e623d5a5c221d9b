"""The one door to the other servers of a tracing platform: every request through it is bounded in time and size."""

import asyncio
import base64
import os
import socket
import ssl
from collections.abc import Collection, Mapping
from contextlib import suppress
from functools import cache
from typing import Any, NamedTuple
from urllib.parse import quote, unquote, urlsplit

import aiohttp
import msgspec
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.connector import AddrInfoType

from server.daemon_call import daemon_call

SECONDS = 2.0
"""What a request may take in all: looking the name up, connecting, and the last byte of the answer."""

LIMIT = 64 * 1024
"""Bytes of an answer. To decode as many takes up to some milliseconds, in which no poll is answered."""

RECEIVED_BYTES = 16 * 1024
"""What the kernel keeps of what another server sends: no more is taken apart at a time, while polls wait. Thousands of empty
answers that came in at once were seen to hold the loop for a second."""

KEPT_SECONDS = 1.0
"""For how long a connection is used again: in one look, and never in the next. One that was idle for longer may be gone, closed
at the other end or forgotten by a router between, and a request on it would fail where nothing is wrong."""

SHOWN_CHARACTERS = 200
"""Of an answer that is told to people."""

_NO_ROUTE = "say in TRACING_CONFIG_REGISTRY_ADDRESS how others reach this server; with TRACING_CONFIG_HOST=:: it takes IPv6 too"


class Unusable(Exception):
    """Another server does not answer, or answers what it should not. The text is for people, and holds no secret.

    Args:
        cure: what to do about it; where it is empty, to look whether the server is up and the setting right.
    """

    def __init__(self, problem: str, cure: str = "") -> None:
        super().__init__(problem)
        self.cure = cure


class Answer(NamedTuple):
    """What came back."""

    status: int
    body: bytes


class HttpClient:
    """Requests to one server. It follows no redirect, takes no cookie and no compressed body, and uses no proxy.

    A name server that hangs holds up nobody else.
    """

    def __init__(self, url: str, *, headers: Mapping[str, str] | None = None) -> None:
        """``url``: http or https, perhaps with user and password; these are sent as basic authentication."""
        parts = urlsplit(url)
        place = parts.netloc.rpartition("@")[2]
        self.url = f"{parts.scheme}://{place}{parts.path.rstrip('/')}"
        """Without user and password, and without a slash at its end."""
        self._headers = {"Accept-Encoding": "identity", "User-Agent": "tracing-config", **(headers or {})}
        if parts.username is not None:
            given = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            self._headers["Authorization"] = "Basic " + base64.b64encode(given.encode()).decode()
        self._trust = _trust() if parts.scheme == "https" else False
        self._session: aiohttp.ClientSession | None = None
        self._names = _Resolver()

    async def close(self) -> None:
        """End its connections; the next request opens new ones."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def local_address(self, family: socket.AddressFamily = socket.AF_UNSPEC) -> str:
        """The address of this machine from which the server is reached, as the routes are now. Sends nothing to it.

        Args:
            family: of the address; AF_UNSPEC for any.

        Raises:
            Unusable: its name cannot be looked up, or no route leads there.
        """
        parts = urlsplit(self.url)
        try:
            async with asyncio.timeout(SECONDS):
                found = await self._names.resolve(parts.hostname or "", parts.port or 80, family)
        except TimeoutError:
            raise Unusable(f"{self.url}: its name was not looked up within {SECONDS:g} s") from None
        except (OSError, ValueError):
            raise Unusable(f"{self.url} cannot be used: its name is not known") from None
        for place in found:
            with suppress(OSError), socket.socket(place["family"], socket.SOCK_DGRAM) as probe:
                probe.connect((place["host"], place["port"]))
                return str(probe.getsockname()[0]).partition("%")[0]
        kind = "IPv4 " if family == socket.AF_INET else ""
        raise Unusable(f"{self.url} cannot be used: no {kind}route leads there", _NO_ROUTE)

    async def request(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        media_type: str = "application/json",
        accepted: Collection[int] = (200,),
        seconds: float = SECONDS,
        limit: int = LIMIT,
    ) -> Answer:
        """Send one request; ``path`` begins with a slash and is encoded, or is empty.

        Raises:
            Unusable: no answer in time, a redirect, another status than those ``accepted``, or more bytes than the limit.
        """
        headers = {} if body is None else {"Content-Type": media_type}
        try:
            async with (
                asyncio.timeout(seconds),
                self._opened().request(method, self.url + path, data=body, headers=headers, allow_redirects=False) as response,
            ):
                answer = Answer(response.status, await self._read(response, limit))
                location = response.headers.get("Location")
        except TimeoutError:
            raise Unusable(f"{self.url} did not answer within {seconds:g} s") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise Unusable(f"{self.url} cannot be used: {_reason(error)}") from None
        if answer.status in accepted:
            return answer
        if 300 <= answer.status < 400:
            where = shown(_without_secrets(location or "nowhere"))
            raise Unusable(f"{self.url} redirects to {where}", "redirects are not followed: name the address behind it")
        raise Unusable(*_refusal(self.url, answer))

    async def _read(self, response: aiohttp.ClientResponse, limit: int) -> bytes:
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise ValueError("it compresses its answer, which nobody asked for")
        body = bytearray()
        async for chunk in response.content.iter_any():
            body += chunk
            if len(body) > limit:
                response.close()
                raise ValueError(f"it answers more than {limit} bytes")
        return bytes(body)

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(
                resolver=self._names,
                limit=4,
                ssl=self._trust,
                use_dns_cache=False,
                keepalive_timeout=KEPT_SECONDS,
                socket_factory=_socket,
            )
            self._session = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                headers=self._headers,
                timeout=aiohttp.ClientTimeout(total=None),
            )
        return self._session


@cache
def _trust() -> ssl.SSLContext:
    """The authorities of this machine. Made before polls are answered: to read them takes some 20 ms."""
    return ssl.create_default_context()


def _socket(address: AddrInfoType) -> socket.socket:
    family, kind, protocol, _, _ = address
    opened = socket.socket(family, kind, protocol)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVED_BYTES)
    return opened


class _Resolver(AbstractResolver):
    """Looks the one name of a client up, once at a time: who asks meanwhile gets the same answer."""

    def __init__(self) -> None:
        self._looking: asyncio.Task[list[ResolveResult] | Exception] | None = None

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC) -> list[ResolveResult]:
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(daemon_call(_look_up, host))
        found = await asyncio.shield(self._looking)
        if isinstance(found, Exception):
            raise found
        wanted = [place for place in found if family in (socket.AF_UNSPEC, place["family"])]
        return [ResolveResult({**place, "port": port}) for place in wanted]

    async def close(self) -> None:
        pass


def _look_up(host: str) -> list[ResolveResult] | Exception:
    """An exception is returned: nobody may be waiting for it any more."""
    try:
        return [
            ResolveResult(hostname=host, host=str(place[0]), port=0, family=kind, proto=protocol, flags=socket.AI_NUMERICHOST)
            for kind, _, protocol, _, place in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        ]
    except (OSError, ValueError) as error:
        return error


def _reason(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "its name is not known"
    if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientConnectorSSLError):
        return f"TLS failed: {shown(str(error.__cause__ or error))}"
    if isinstance(error, aiohttp.ClientConnectorError):
        return os.strerror(error.errno).lower() if error.errno else "it cannot be connected to"
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "it closes the connection without an answer"
    if isinstance(error, aiohttp.ClientResponseError):
        return f"it speaks no HTTP: {shown(error.message)}"
    return shown(str(error)) or type(error).__name__


def _refusal(url: str, answer: Answer) -> tuple[str, str]:
    said = shown(answer.body[: 4 * SHOWN_CHARACTERS].decode(errors="replace"))
    problem = f"{url} answers {answer.status}" + (f": {said}" if said else "")
    if answer.status in (401, 403):
        return problem, "give the user and password, or the token, that it takes"
    return problem, ""


def shown(text: str) -> str:
    """On one line, of bounded length, without what a terminal would obey."""
    line = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return line if len(line) <= SHOWN_CHARACTERS else f"{line[: SHOWN_CHARACTERS - 3]}..."


def _without_secrets(url: str) -> str:
    before, at, after = url.partition("@")
    return f"{before.partition('//')[0]}//{after}" if at else url


def segment(name: str) -> str:
    """A name as one segment of a path."""
    return quote(name, safe="")


def json_object(answer: Answer, what: str) -> dict[str, Any]:
    """The JSON object in a body.

    Raises:
        Unusable: there is none; ``what`` says which server it was to come from.
    """
    try:
        members = msgspec.json.decode(answer.body, type=dict[str, Any])
    except (ValueError, RecursionError):
        raise Unusable(f"this is no {what}: it answers something else than a JSON object") from None
    return members
