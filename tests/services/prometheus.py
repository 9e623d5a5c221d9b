"""A real Prometheus, which scrapes what a test names: Debian's package `prometheus`, with `promtool` beside it."""

import http.client
import json
import shutil
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from tests.services.account import Account
from tests.services.local_server import LocalServer

SCRAPE_SECONDS = 1


class PrometheusServer(LocalServer):
    """Scrapes the targets (`host:port`) as the job `tracing-config`, and evaluates the rules, once a second each."""

    name: ClassVar[str] = "prometheus"
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM

    def __init__(self, targets: Sequence[str], rules: Path) -> None:
        super().__init__(Account.own())
        binary = shutil.which("prometheus")
        if binary is None:
            raise RuntimeError("no Prometheus to test with: install Debian's package `prometheus`")
        self._binary = binary
        document = {
            "global": {"scrape_interval": f"{SCRAPE_SECONDS}s", "evaluation_interval": "1s"},
            "rule_files": [str(rules)],
            "scrape_configs": [{"job_name": "tracing-config", "static_configs": [{"targets": list(targets)}]}],
        }
        # JSON is YAML.
        (self.folder / "prometheus.yml").write_text(json.dumps(document))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def command(self) -> list[str]:
        return [
            self._binary,
            f"--config.file={self.folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={self.folder / 'series'}",
            f"--web.listen-address=127.0.0.1:{self.port}",
            "--log.level=warn",
        ]

    def is_ready(self) -> bool:
        try:
            return self._ask("/-/ready") == 200
        except OSError:
            return False

    def _ask(self, path: str) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", path)
            return connection.getresponse().status
        finally:
            connection.close()
