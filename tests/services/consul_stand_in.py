"""A Consul agent of the tests: what the real one checks and answers, on top of `StandIn`."""

import json
import re
from typing import Any, ClassVar
from urllib.parse import parse_qs, unquote, urlsplit

from tests.services.http_stand_in import Reply, Request, StandIn


class ConsulStandIn(StandIn):
    """Keeps services until it is told to forget them; their checks do not run out. It takes one token, or none."""

    kind: ClassVar[str] = "consul"

    def __init__(self, token: str | None = None) -> None:
        super().__init__(self._serve)
        self._token = token
        self.instances: dict[str, dict[str, Any]] = {}
        """What was registered, by service id."""

    @property
    def address(self) -> str:
        """What the setting is given."""
        return self.url

    def forget(self) -> None:
        """As a restart of an agent in memory does."""
        self.instances.clear()

    def _serve(self, request: Request) -> Reply:
        if request.headers.get("x-consul-token") != self._token:
            return Reply(403, b"Permission denied", "text/plain")
        url = urlsplit(request.path)
        parts = [unquote(part) for part in url.path.split("/")[1:]]
        match (request.method, *parts):
            case ("PUT", "v1", "agent", "service", "register"):
                return self._register(json.loads(request.body))
            case ("PUT", "v1", "agent", "check", "pass", check):
                known = any(one["Check"]["CheckID"] == check for one in self.instances.values())
                return Reply(200) if known else Reply(404, f'Unknown check ID "{check}".'.encode(), "text/plain")
            case ("PUT", "v1", "agent", "service", "deregister", service):
                known = self.instances.pop(service, None) is not None
                return Reply(200) if known else Reply(404, f'Unknown service ID "{service}".'.encode(), "text/plain")
            case ("GET", "v1", "agent", "services"):
                assert parse_qs(url.query) == {"filter": ['Service == "tracing-config"']}
                return Reply(200, json.dumps(self.instances).encode())
        return Reply(404, b"Invalid URL path: not a recognized HTTP API endpoint", "text/plain")

    def _register(self, given: dict[str, Any]) -> Reply:
        if not given.get("Name"):
            return Reply(400, b"Missing service name", "text/plain")
        for key, value in given["Meta"].items():
            if not re.fullmatch(r"[A-Za-z0-9_-]{1,128}", key) or len(value) > 512:
                return Reply(400, b"Invalid Service Meta", "text/plain")
        check = given["Check"]
        if not re.fullmatch(r"\d+s", check["TTL"]) or check["DeregisterCriticalServiceAfter"] != "1m":
            return Reply(400, b"Invalid check", "text/plain")
        self.instances[given["ID"]] = given
        return Reply(200)
