"""A Eureka of the tests: what the real one checks and answers, on top of `StandIn`."""

import json
from typing import Any, ClassVar
from urllib.parse import unquote

from tests.services.http_stand_in import Reply, Request, StandIn

NOT_FOUND = Reply(404, b'{"status": 404, "error": "Not Found"}')


class EurekaStandIn(StandIn):
    """Keeps instances of any application until it is told to forget them; leases do not run out."""

    kind: ClassVar[str] = "eureka"

    def __init__(self) -> None:
        super().__init__(self._serve)
        self.instances: dict[str, dict[str, Any]] = {}
        """What was registered, by instance id."""

    @property
    def address(self) -> str:
        """What the setting is given."""
        return f"{self.url}/eureka"

    def forget(self) -> None:
        """As a restart does."""
        self.instances.clear()

    def _serve(self, request: Request) -> Reply:
        parts = [unquote(part) for part in request.path.split("/")[1:]]
        if request.headers.get("accept") != "application/json":
            return Reply(200, b"<applications/>", "application/xml")
        match parts:
            case ["eureka", "vips", _] if request.method == "GET":
                return Reply(200, b'{"applications": {"versions__delta": "-1", "apps__hashcode": "", "application": []}}')
            case ["eureka", "apps", application] if request.method == "POST":
                return self._register(application, request)
            case ["eureka", "apps", "TRACING-CONFIG", instance] if instance in self.instances:
                if request.method == "DELETE":
                    del self.instances[instance]
                elif request.method == "GET":
                    return Reply(200, json.dumps({"instance": self.instances[instance]}).encode())
                return Reply(200)
        return NOT_FOUND

    def _register(self, application: str, request: Request) -> Reply:
        if request.headers.get("content-type") != "application/json":
            return Reply(415)
        given = json.loads(request.body)["instance"]
        for name in ("instanceId", "hostName", "ipAddr", "app", "dataCenterInfo"):
            if not given.get(name):
                return Reply(400, f"Missing {name}".encode())
        if given["app"] != application:
            return Reply(400, f"Mismatched appName, expecting {application} but was {given['app']}".encode())
        if given["dataCenterInfo"].get("name") != "MyOwn":
            return Reply(400, b"Missing dataCenterInfo Name")
        if not all(isinstance(value, str) for value in given["metadata"].values()):
            return Reply(400, b"metadata are strings")
        before = self.instances.get(given["instanceId"])
        if before is None or int(before["lastDirtyTimestamp"]) <= int(given["lastDirtyTimestamp"]):
            self.instances[given["instanceId"]] = given
        return Reply(204)
