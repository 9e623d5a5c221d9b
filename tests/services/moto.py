"""A server that speaks S3's protocol: moto's, in a process of its own."""

import signal
import socket
import sys
from typing import TYPE_CHECKING, ClassVar

import boto3

from tests.services.account import Account
from tests.services.local_server import LocalServer

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class MotoServer(LocalServer):
    """An S3 that forgets everything when it ends, and takes any credentials."""

    name: ClassVar[str] = "moto"
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM

    def __init__(self) -> None:
        super().__init__(Account.own())

    @property
    def environment(self) -> dict[str, str]:
        """The variables that lead clients to it."""
        return {
            "AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{self.port}",
            "AWS_DEFAULT_REGION": "eu-central-1",
            "AWS_ACCESS_KEY_ID": "tests",
            "AWS_SECRET_ACCESS_KEY": "tests",
        }

    def client(self) -> "S3Client":
        """A client of ours."""
        return boto3.client(
            "s3",
            endpoint_url=f"http://127.0.0.1:{self.port}",
            region_name="eu-central-1",
            aws_access_key_id="tests",
            aws_secret_access_key="tests",
        )

    def command(self) -> list[str]:
        return [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)]

    def is_ready(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0
