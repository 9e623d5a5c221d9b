"""The command line's side of the configuration API."""

import os
import ssl
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple
from urllib.parse import quote, urlsplit

import typer

from server.cli.failures import Failed, WrongUsage, problem_text
from server.cli.output import tell

if TYPE_CHECKING:
    import httpx

DEFAULT_URL = "http://localhost:8093"
LOOPBACK = ("localhost", "127.0.0.1", "::1")
CONNECT_SECONDS = 5.0
SECONDS = 30.0
"""Without a byte from the server."""

Url = Annotated[
    str,
    typer.Option("--url", envvar="TRACING_CONFIG_URL", help="Where the server's API is.", rich_help_panel="Connection"),
]


class Token(NamedTuple):
    """A token, empty where there is none, and what a person should know of its origin."""

    text: str
    origin: str


class Answer(NamedTuple):
    """What the server answered to a request that did not fail."""

    status: int
    etag: str | None
    json: Any

    @property
    def soon(self) -> bool:
        """Whether a write is durable but not served yet by the replica that took it."""
        return self.status == 202


class Server:
    """A server, and the token for it.

    It comes from ``TRACING_CONFIG_TOKEN``, from the file that ``TRACING_CONFIG_TOKEN_FILE`` names or, for the server that a
    newcomer starts, from its data folder; never from an argument, which every user of the machine can see.
    """

    def __init__(self, url: str) -> None:
        check_url(url)
        self.url = url.rstrip("/")
        self._token = token_for(self.url, os.environ)

    def ask(self, method: str, path: str, *, allow: Collection[int] = (), seconds: float = SECONDS, **request: Any) -> Any:
        """The JSON that the server answers; as ``answer``."""
        return self.answer(method, path, allow=allow, seconds=seconds, **request).json

    def answer(
        self, method: str, path: str, *, allow: Collection[int] = (), seconds: float = SECONDS, **request: Any
    ) -> Answer:
        """What the server answers.

        ``path`` is one of the API's below ``/api/v1``, or of the actuator; ``request`` has ``params``, ``json`` or
        ``content``, and ``headers``, as httpx takes them; parameters that are None are left out.

        Raises:
            Failed: the server cannot be reached, or answers a failure whose status is not in ``allow``.
        """
        with self._answer(method, path, allow, seconds, request) as response:
            response.read()
            return Answer(response.status_code, response.headers.get("ETag"), response.json())

    def lines(self, method: str, path: str, *, seconds: float, **request: Any) -> Iterator[str]:
        """The lines that the server answers, as they come; the rest as ``answer``."""
        with self._answer(method, path, (), seconds, request) as response:
            yield from response.iter_lines()

    @contextmanager
    def _answer(
        self, method: str, path: str, allow: Collection[int], seconds: float, request: dict[str, Any]
    ) -> Iterator["httpx.Response"]:
        import httpx  # noqa: PLC0415 - a third of the start of every command, and not every one asks

        writes = method != "GET" and not request.get("params", {}).get("dryRun")
        doubt = "whether it was changed nevertheless, `tracing-config history` tells"
        timeout = httpx.Timeout(seconds, connect=CONNECT_SECONDS)
        url = self.url + (path if path.startswith("/actuator") else f"/api/v1{path}")
        parameters = {name: _parameter(value) for name, value in request.pop("params", {}).items() if value is not None}
        headers = {"User-Agent": "tracing-config", **request.pop("headers", {})}
        if self._token.text:
            headers["Authorization"] = f"Bearer {self._token.text}"
        try:
            with httpx.Client(timeout=timeout, verify=verification(url), trust_env=not is_loopback(url)) as client:
                prepared = _prepared(client, method, url, params=parameters, headers=headers, **request)
                response = client.send(prepared, stream=True)
                try:
                    if not (200 <= response.status_code < 300 or response.status_code in allow):
                        response.read()
                        raise Failed(self._problem(response))
                    yield response
                finally:
                    response.close()
        except httpx.TimeoutException:
            raise Failed(f"{self.url} did not answer within {seconds:g} s{f'; {doubt}' if writes else ''}") from None
        except KeyboardInterrupt:
            if writes:
                tell(f"interrupted; {doubt}")
            raise
        except httpx.HTTPError as error:
            if writes and not isinstance(error, httpx.ConnectError):
                raise Failed(f"{self.url} did not answer: {error}; {doubt}") from None
            cure = "start a server, or name one with --url or TRACING_CONFIG_URL"
            raise Failed(f"{self.url} cannot be reached: {error}; {cure}") from None
        except ValueError as error:
            raise Failed(f"{self.url} does not answer as this API does: {error}; is the address right?") from None

    def _problem(self, response: "httpx.Response") -> str:
        try:
            text = problem_text(response.json())
        except (ValueError, KeyError, TypeError, AttributeError):
            said = f"{response.status_code} {response.reason_phrase}".strip()
            return f"{self.url} answered {said}, which is none of this API's answers; is the address right?"
        if retry := response.headers.get("Retry-After"):
            text += f"\ntry again in {retry} s"
        if response.status_code == 401:
            text += f"\n{self._token.origin}"
        return text


def check_url(url: str) -> None:
    """Refuse what is not the address of an API.

    Raises:
        WrongUsage: naming the option and the cure.
    """
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and not parts.query and not parts.fragment
        _ = parts.port
    except ValueError:
        raise WrongUsage(f"--url, TRACING_CONFIG_URL: {url!r} is no URL; give one like {DEFAULT_URL}") from None
    if "@" in parts.netloc:
        raise WrongUsage("--url, TRACING_CONFIG_URL: must not hold a user or password; put a token in TRACING_CONFIG_TOKEN")
    if not usable:
        raise WrongUsage(f"--url, TRACING_CONFIG_URL: {url!r} must be like {DEFAULT_URL}")


def path_of(kind: str, name: str | None = None, *, polled: bool = False) -> str:
    """The path of a record, or of all of a kind: ``service``, ``policy``, ``boost`` or ``default``.

    ``polled``: any name that a client can poll will do, that is any bytes; a record's name is text.

    Raises:
        WrongUsage: for a name that cannot be in a path.
    """
    below = {"service": "services", "policy": "policies", "boost": "boosts", "default": "default"}[kind]
    if name is None:
        return f"/config/{below}"
    if name in ("", ".", ".."):
        raise WrongUsage(f"a {kind} called {name!r} cannot be asked for by its path")
    try:
        return f"/config/{below}/{quote(name, safe='', errors='surrogateescape' if polled else 'strict')}"
    except UnicodeEncodeError:
        raise WrongUsage(f"the name of a {kind} must be valid UTF-8 text, and {name!r} is not") from None


def is_loopback(url: str) -> bool:
    """Whether a URL is of this machine: no proxy that the environment names is asked then."""
    return urlsplit(url).hostname in LOOPBACK


def verification(url: str) -> ssl.SSLContext:
    """How certificates are verified: by the system's authorities, or those that ``SSL_CERT_FILE`` names.

    They are not read where nothing is encrypted, which would take longer than the request.
    """
    return ssl.create_default_context() if url.startswith("https:") else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def token_for(url: str, environment: Mapping[str, str]) -> Token:
    """The token for a server.

    Only the server that is there without any setting gets what lies in the data folder: another port of this machine may be
    the end of a tunnel.

    Raises:
        Failed: ``TRACING_CONFIG_TOKEN_FILE`` names a file that cannot be read, or the token can be none.
    """
    if token := environment.get("TRACING_CONFIG_TOKEN", "").strip():
        return _checked(Token(token, "the token is from TRACING_CONFIG_TOKEN; set it to one that this server knows"))
    if file := environment.get("TRACING_CONFIG_TOKEN_FILE", "").strip():
        try:
            origin = f"the token is from {file}, of TRACING_CONFIG_TOKEN_FILE; name one with a token that this server knows"
            return _checked(Token(Path(file).read_text().strip(), origin))
        except (OSError, UnicodeDecodeError) as error:
            raise Failed(f"TRACING_CONFIG_TOKEN_FILE: {_unreadable(file, error)}") from None
    none = "set TRACING_CONFIG_TOKEN, or TRACING_CONFIG_TOKEN_FILE to a file that holds a token"
    parts = urlsplit(url)
    if (parts.scheme, parts.port) != ("http", 8093) or not is_loopback(url):
        return Token("", none)
    path = Path(environment.get("TRACING_CONFIG_DATA_DIR", "").strip() or "var") / "admin-token"
    try:
        return _checked(Token(path.read_text().strip(), f"the token is from {path}; for another one {none}"))
    except (OSError, UnicodeDecodeError) as error:
        return Token("", f"{none} ({_unreadable(path, error)})")


def _checked(token: Token) -> Token:
    """Refused here, because a header that cannot be sent is quoted in the error."""
    if not token.text or any(not "!" <= character <= "~" for character in token.text):
        raise Failed(f"{token.origin}, and is empty or has characters that no token has")
    return token


def _unreadable(path: str | Path, error: OSError | UnicodeDecodeError) -> str:
    return f"{path} cannot be read: {error.strerror if isinstance(error, OSError) else 'it is no text'}"


def _prepared(client: "httpx.Client", method: str, url: str, **request: Any) -> "httpx.Request":
    import httpx  # noqa: PLC0415

    try:
        return client.build_request(method, url, **request)
    except UnicodeEncodeError:
        raise WrongUsage("an argument is not valid UTF-8 text, or an ETag not ASCII") from None
    except httpx.InvalidURL as error:
        raise WrongUsage(f"--url, TRACING_CONFIG_URL: {error}") from None


def _parameter(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
