"""The command line's side of the configuration API."""

import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple
from urllib.parse import quote, urlsplit

import typer

from server.cli.credential import credential_for, is_loopback
from server.cli.failures import Failed, WrongUsage, problem_text
from server.cli.output import tell
from server.cli.trust import verification

if TYPE_CHECKING:
    import httpx

DEFAULT_URL = "http://localhost:8093"
CONNECT_SECONDS = 5.0
SECONDS = 30.0
"""Without a byte from the server."""

Url = Annotated[
    str,
    typer.Option("--url", envvar="TRACING_CONFIG_URL", help="Where the server's API is.", rich_help_panel="Connection"),
]


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
        self.url = checked_url(url).rstrip("/")
        self._credential = credential_for(self.url, os.environ)

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
        if self._credential.token:
            headers["Authorization"] = f"Bearer {self._credential.token}"
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
            text += f"\n{self._credential.origin}"
        return text


def checked_url(url: str) -> str:
    """The address of an API, without white space around it.

    Raises:
        WrongUsage: it can be none; naming the option and the cure.
    """
    url = url.strip()
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
    return url


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
