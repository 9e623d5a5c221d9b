"""A real OpenSearch node, alone, from the project `opensearch` of the tests."""

import http.client
import json
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from tests.services.java import JavaServer


class OpenSearchServer(JavaServer):
    """Its plain core: documents, searches, templates, aliases and data streams; no security, no lifecycle policies."""

    name: ClassVar[str] = "opensearch"
    project: ClassVar[str] = "opensearch"
    main: ClassVar[str] = "node.SingleNode"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def options(self) -> Sequence[str]:
        return ("-Xms256m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", f"-Djava.io.tmpdir={self.folder}")

    def arguments(self) -> Sequence[str]:
        return (str(self.port), str(self.folder / "node"))

    def is_ready(self) -> bool:
        """Accepting connections is not enough: after a restart it finds its indices again a moment later."""
        try:
            return super().is_ready() and self.ask("GET", "/_cluster/health")["status"] != "red"
        except RuntimeError:
            return False

    def ask(self, method: str, path: str, body: Mapping[str, Any] | bytes | None = None) -> Any:
        """Send one request and return the JSON that it is answered with; bytes are sent as lines of JSON.

        Raises RuntimeError, with the answer, where it is refused.
        """
        sent = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        kind = {} if body is None else {"Content-Type": "application/x-ndjson" if sent is body else "application/json"}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, sent, kind)
            response = connection.getresponse()
            answer = response.read().decode()
        finally:
            connection.close()
        if response.status >= 300:
            raise RuntimeError(f"{method} {path} was answered {response.status}: {answer[:1000]}")
        return json.loads(answer)
