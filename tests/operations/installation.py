"""Two replicas on one PostgreSQL and one Redis, with all that they work with, and the shell of whoever looks after them."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Self

import httpx

from tests.e2e.certificates import Authority
from tests.e2e.replica import TOKEN, Replica, strategies
from tests.operations.guide import ROOT, blocks
from tests.services.consul_stand_in import ConsulStandIn
from tests.services.elasticsearch_stand_in import ElasticsearchStandIn
from tests.services.moto import MotoServer
from tests.services.postgres import PostgresServer
from tests.services.prometheus import PrometheusServer
from tests.services.target_stand_ins import JaegerStandIn, ZipkinStandIn
from tests.services.valkey import ValkeyServer

JWT_SECRET = "tests-tests-tests-tests-tests-tests"
RULES = ROOT / "deploy" / "prometheus" / "alerts.yaml"
COMMAND_SECONDS = 60
DAY = 86_400


class Installation:
    """A replica as it is by itself, one with TLS on its poll ports. `run` is the shell."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        """Where commands are typed: it looks like this repository, and may be written to."""
        self.logs = folder / "logs"
        self.postgres = PostgresServer()
        self.postgres.settings["shared_preload_libraries"] = "pg_stat_statements"
        self.valkey = ValkeyServer()
        self.moto = MotoServer()
        self.elasticsearch = ElasticsearchStandIn(["jaeger-span-2020-01-01"])
        self.registry = ConsulStandIn()
        self.jaeger, self.zipkin = JaegerStandIn(), ZipkinStandIn()
        self.certificate = Authority(folder / "authority").server(folder / "certs")
        self.variables: dict[str, str] = {}
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with self._stack:
            for server in (self.postgres, self.valkey, self.moto, self.elasticsearch, self.registry, self.jaeger, self.zipkin):
                self._stack.enter_context(server)
            self._make_databases()
            self._fill_folder()
            plain = self._stack.enter_context(self._replica("one"))
            tls = {
                "TRACING_CONFIG_POLL_TLS_CERT": str(self.certificate.cert),
                "TRACING_CONFIG_POLL_TLS_KEY": str(self.certificate.key),
            }
            self.replicas = (plain, self._stack.enter_context(self._replica("two", **tls)))
            targets = [replica.metrics_url.removeprefix("http://") for replica in self.replicas]
            self.prometheus = self._stack.enter_context(PrometheusServer(targets, RULES))
            self.variables = self._variables()
            self._make_some_traffic()
            self._stack = self._stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def run(self, command: str, **variables: str) -> str:
        """What a command prints that is typed after the first block of the guide. It has to end with 0."""
        self._leave_an_old_log()
        script = f"{blocks()[0].text}{command}"
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=self.folder,
            env={**self.variables, **variables},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )
        assert done.returncode == 0, f"{command}\nended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def _replica(self, name: str, **settings: str) -> Replica:
        return Replica(
            self.folder / "data" / name,
            TRACING_CONFIG_DATABASE_URL=self._database("tracing_config_db"),
            TRACING_CONFIG_REDIS_URL=self.valkey.url(),
            TRACING_CONFIG_STRATEGIES_FILE=str(self.folder / "config" / "sampling_strategies.json"),
            TRACING_CONFIG_JWT_SECRETS=JWT_SECRET,
            TRACING_CONFIG_JAEGER_URL=self.jaeger.url,
            TRACING_CONFIG_ZIPKIN_URL=self.zipkin.url,
            TRACING_CONFIG_ELASTICSEARCH_URL=self.elasticsearch.url,
            TRACING_CONFIG_REGISTRY="consul",
            TRACING_CONFIG_REGISTRY_URL=self.registry.url,
            TRACING_CONFIG_LOG_DIR=str(self.logs / name),
            **settings,
        )

    def _database(self, name: str) -> str:
        return f"postgresql://tracing_user@127.0.0.1:{self.postgres.port}/{name}"

    def _make_databases(self) -> None:
        """As the guide says, by who may; the second one is what a backup is restored into."""
        for database, statement in (
            ("postgres", "CREATE ROLE tracing_user LOGIN"),
            ("postgres", "CREATE DATABASE tracing_config_db OWNER tracing_user"),
            ("postgres", "CREATE DATABASE restored OWNER tracing_user"),
            ("tracing_config_db", "CREATE EXTENSION pg_stat_statements"),
        ):
            command = [str(self.postgres.binaries / "psql"), "-q", self.postgres.url(database), "-c", statement]
            subprocess.run(command, check=True, timeout=COMMAND_SECONDS)
        self.moto.client().create_bucket(
            Bucket="exalt-backups", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
        )

    def _fill_folder(self) -> None:
        for name in ("deploy", "docs"):
            (self.folder / name).symlink_to(ROOT / name)
        for name in ("one", "two"):
            (self.logs / name).mkdir(parents=True)
        config = self.folder / "config"
        config.mkdir()
        (config / "sampling_strategies.json").write_text(strategies(default=0.001, checkout=0.5))
        (config / "sampling_strategies_new.json").write_text(strategies(default=0.01))
        for name in ("config-backup.yaml", "deployment-backup.yaml"):
            (self.folder / name).write_text("kind: of a cluster\n")
        for words in (
            ["init", "-q", "-b", "main"],
            ["init", "-q", "--bare", "origin.git"],
            ["remote", "add", "origin", "origin.git"],
        ):
            subprocess.run(["git", *words], cwd=self.folder, check=True, timeout=COMMAND_SECONDS)
        (self.folder / ".git" / "info" / "exclude").write_text("*\n!*-backup.yaml\n")

    def _variables(self) -> dict[str, str]:
        plain = self.replicas[0]
        programs = (self.postgres.binaries, Path(sys.executable).parent)
        return {
            "PATH": os.pathsep.join((*map(str, programs), os.environ["PATH"])),
            "HOME": str(self.folder),
            "LC_ALL": "C.UTF-8",
            "SIDECAR": plain.sidecar_url,
            "METRICS": plain.metrics_url,
            "POLLS": plain.http_url,
            "REPLICAS": " ".join(replica.sidecar_url for replica in self.replicas),
            "TOKEN": TOKEN,
            "DATABASE": self._database("tracing_config_db"),
            "DATABASE_NEW": self._database("restored"),
            "REDIS": self.valkey.url(),
            "PROMETHEUS": self.prometheus.url,
            "LOGS": str(self.logs),
            "CERTIFICATE": str(self.certificate.cert),
            "JWT_SECRET": JWT_SECRET,
            **self.moto.environment,
            **{f"GIT_{who}_{what}": "tests@localhost" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
        }

    def _make_some_traffic(self) -> None:
        """Something of all that the commands look for: records, polls, a stranger."""
        for replica in self.replicas:
            replica.put_rate("user-management", 0.5).raise_for_status()
        plain = self.replicas[0]
        for name in ("checkout", "checkout", "nobody"):
            plain.poll_http(name)
        refused: Mapping[str, str] = {"Authorization": "Bearer 0123456789abcdef-of-a-stranger"}
        assert httpx.get(f"{plain.sidecar_url}/api/v1/config/services", headers=refused, timeout=5).status_code == 401
        with (self.folder / "tracing-config-dump.sql").open("wb") as dump:
            command = [
                str(self.postgres.binaries / "pg_dump"),
                "--no-comments",
                "--exclude-extension=*",
                self._database("tracing_config_db"),
            ]
            subprocess.run(command, check=True, stdout=dump, timeout=COMMAND_SECONDS)

    def _leave_an_old_log(self) -> None:
        old = self.logs / "old.log"
        old.touch()
        os.utime(old, (time.time() - 40 * DAY,) * 2)


def missing_programs() -> list[str]:
    """Programs that the guide uses and this machine lacks. (Those of PostgreSQL come with it, kubectl by a pin.)"""
    return [
        name for name in ("curl", "git", "jq", "openssl", "prometheus", "promtool", "redis-cli") if shutil.which(name) is None
    ]
