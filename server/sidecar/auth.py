"""Who a request comes from, by its bearer token."""

import asyncio
import hmac
import math
import os
import secrets
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog
from aiohttp import web
from prometheus_client import Counter

from server.setting_reader import SettingError
from server.setting_values import admin_token, jwt_secrets, read_secret_file
from server.settings import PREFIX, Settings
from server.sidecar.client_address import client_address
from server.sidecar.errors import Problem
from server.sidecar.identity import ADMIN, Identity
from server.sidecar.refusal import Reason, Refusal
from server.sidecar.request_names import route_of
from server.sidecar.tokens import TokenEntry, Tokens, read_token_file, token_digest
from server.watched_file import WatchedFile

if TYPE_CHECKING:
    from server.sidecar.json_web_tokens import JsonWebTokens

MAX_TOKEN_CHARACTERS = 8000
"""A longer token is refused unread. (The HTTP library refuses a header of more than 8,190 bytes by itself.)"""

LOOK_SECONDS = 1.0
"""So long after a change a file may still be used as it was."""

_log = structlog.get_logger(__name__)


class Authentication:
    """Knows the bearer of a token: of the admin token, of one in the token file, of a JWT."""

    def __init__(self, settings: Settings, admin_token: str, failures: Counter) -> None:
        self._settings, self._failures = settings, failures
        self._admin_digest = token_digest(admin_token)
        self.tokens = Tokens()
        self.json_web_tokens: JsonWebTokens | None = None
        """None where no secret is set."""
        self._files = self._watched_files()
        self._next_look = 0.0
        self._looking: asyncio.Task[None] | None = None

    def load(self) -> None:
        """Read the files for the first time.

        Raises:
            SettingError: one of them cannot be used.
        """
        if self._settings.jwt_secrets:
            self._use_secrets(self._settings.jwt_secrets)
        for file in self._files:
            try:
                file.load()
            except ValueError as error:
                raise SettingError(f"{file.setting}: {error}") from None

    async def identify(self, request: web.Request) -> Identity:
        """Who a request comes from.

        Raises:
            Problem: 401.
        """
        await self._reload()
        return self._known(request)

    def _known(self, request: web.Request) -> Identity:
        try:
            given = request.headers.getall("Authorization", ())
            if len(given) > 1:
                raise Refusal("no-token", "more than one Authorization header")
            return self.bearer(given[0] if given else "")
        except Refusal as refusal:
            self._refused("authentication failed", request, refusal.reason, str(refusal))
            detail = f"{refusal}; send the header `Authorization: Bearer <token>`"
            raise Problem(401, "unauthorized", detail, headers={"WWW-Authenticate": "Bearer"}) from None

    def recognize(self, request: web.Request) -> Identity | None:
        """Who a request comes from, where that may be anybody: None for nobody who is known.

        A token that is not taken fails nothing, but is told and counted as everywhere, or it could be guessed here unseen. No
        file is waited for: tokens are known as they were at the last look, and the next one begins now.
        """
        if "Authorization" not in request.headers:
            return None
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._reload())
        try:
            return self._known(request)
        except Problem:
            return None

    def bearer(self, header: str) -> Identity:
        """Whose token an ``Authorization`` header carries.

        Raises:
            Refusal: nobody's, or one that is not valid now.
        """
        scheme, _, token = header.partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token:
            raise Refusal("no-token", "no bearer token")
        if len(token) > MAX_TOKEN_CHARACTERS:
            raise Refusal("too-long", f"the token has more than {MAX_TOKEN_CHARACTERS} characters")
        digest = token_digest(token)
        found = self.tokens.bearer(digest)
        if hmac.compare_digest(digest, self._admin_digest):
            return Identity(ADMIN, "admin")
        if found is not None:
            return found
        if self.json_web_tokens is not None and token.count(".") == 2:
            return self.json_web_tokens.bearer(token)
        raise Refusal("unknown-token", "the token is not known")

    def forbidden(self, request: web.Request, identity: Identity, reason: str) -> Problem:
        """What a known bearer may not do: told in the log, to be raised by the caller."""
        self._refused("forbidden", request, "forbidden", reason, name=identity.name)
        return Problem(403, "forbidden", reason)

    def _refused(self, event: str, request: web.Request, label: Reason, reason: str, **fields: str) -> None:
        self._failures.labels(label).inc()
        _log.warning(
            event,
            reason=reason,
            method=request.method,
            route=route_of(request),  # Not the path: a search for addresses would find what a client put there.
            remote_addr=client_address(request, self._settings.trusted_proxies),
            **fields,
        )

    async def _reload(self) -> None:
        """At most once a second, and one at a time: a file system that hangs holds up one request."""
        if not self._files or time.monotonic() < self._next_look:
            return
        self._next_look = math.inf
        try:
            await asyncio.to_thread(self._reload_files)
        finally:
            self._next_look = time.monotonic() + LOOK_SECONDS

    def _reload_files(self) -> None:
        for file in self._files:
            file.reload()

    def _watched_files(self) -> Sequence[WatchedFile[Any]]:
        settings, files = self._settings, list[WatchedFile[Any]]()
        if settings.admin_token is None:
            file = admin_token_file(settings.data_dir)
            files.append(WatchedFile(str(file), file, _read_admin_token, self._use_admin_token))
        elif (source := settings.sources.get("admin_token")) and source.file:
            files.append(WatchedFile(source.variable, source.file, _read_admin_token, self._use_admin_token))
        if settings.tokens_file is not None:
            files.append(WatchedFile(f"{PREFIX}TOKENS_FILE", settings.tokens_file, read_token_file, self._use_tokens))
        if (source := settings.sources.get("jwt_secrets")) and source.file:
            files.append(WatchedFile(source.variable, source.file, _read_jwt_secrets, self._use_secrets))
        return files

    def _use_admin_token(self, token: str) -> None:
        self._admin_digest = token_digest(token)

    def _use_tokens(self, entries: Sequence[TokenEntry]) -> None:
        self.tokens = Tokens(entries)

    def _use_secrets(self, secrets: Sequence[str]) -> None:
        from server.sidecar.json_web_tokens import JsonWebTokens  # noqa: PLC0415 - 18 MB that only those with secrets pay

        self.json_web_tokens = JsonWebTokens(secrets, self._settings.jwt_issuer, self._settings.jwt_audience)


def _read_admin_token(path: Path) -> str:
    return admin_token(read_secret_file(path))


def _read_jwt_secrets(path: Path) -> tuple[str, ...]:
    return jwt_secrets(read_secret_file(path))


def admin_token_file(data_dir: Path) -> Path:
    """Where the admin token is, if no setting gives it."""
    return data_dir / "admin-token"


def admin_token_in(data_dir: Path) -> tuple[str, bool]:
    """The token in ``<data dir>/admin-token`` (mode 0600), made there at the first start; the flag says whether now.

    Raises:
        OSError: the file can be neither read nor made.
    """
    path = admin_token_file(data_dir)
    try:
        token = path.read_text().strip()
        if token:
            return token, False
        path.unlink()
    except FileNotFoundError:
        pass
    token = secrets.token_hex(32)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(token + "\n")
    return token, True
