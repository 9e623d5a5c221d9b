"""Who may use the configuration API: whoever shows the admin token."""

import hashlib
import hmac
import os
import secrets
from collections.abc import Awaitable, Callable
from pathlib import Path

import structlog
from aiohttp import web

from server.sidecar.errors import Problem

ACTOR = web.RequestKey("actor", str)
"""The name that changes of this request are written under."""

_log = structlog.get_logger()


class Authentication:
    """Checks the bearer token of requests to the API; health and metrics need none."""

    def __init__(self, admin_token: str) -> None:
        self._digest = _digest(admin_token)

    @web.middleware
    async def middleware(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        # By the route that was found and not by the path as it was spelt: no spelling leads around it.
        resource = request.match_info.route.resource
        if resource is not None and resource.canonical.startswith("/api/"):
            scheme, _, token = request.headers.get("Authorization", "").partition(" ")
            if scheme.lower() != "bearer" or not hmac.compare_digest(_digest(token.strip()), self._digest):
                reason = "no bearer token" if not token else "the token is not known"
                _log.warning("authentication failed", reason=reason, remote=request.remote, path=request.path)
                raise Problem(
                    401,
                    "unauthorized",
                    f"{reason}; send the header `Authorization: Bearer <admin token>`",
                    headers={"WWW-Authenticate": "Bearer"},
                )
            request[ACTOR] = "admin"
        return await handler(request)


def _digest(token: str) -> bytes:
    """Equal lengths for a comparison in constant time."""
    return hashlib.sha256(token.encode(errors="surrogateescape")).digest()


def admin_token_in(data_dir: Path) -> tuple[str, bool]:
    """The token in ``<data dir>/admin-token`` (mode 0600), made there at the first start; the flag says whether now.

    Raises:
        OSError: the file can be neither read nor made.
    """
    path = data_dir / "admin-token"
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
