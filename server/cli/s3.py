"""Backups in S3, or in what speaks its protocol: region, address and credentials come from AWS's usual variables."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from server.cli.failures import Failed, WrongUsage

if TYPE_CHECKING:
    from botocore.exceptions import ClientError
    from mypy_boto3_s3 import S3Client

SCHEME = "s3://"

CONNECT_SECONDS = 10
READ_SECONDS = 60
"""Without a byte."""

ATTEMPTS = 4

_CREDENTIALS = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or give the pod's service account a role"

_CURES = {
    "NoSuchBucket": "there is no such bucket: create it, or correct the address",
    "NoSuchKey": "there is no such object: `aws s3 ls` shows those that there are",
    "404": "there is no such bucket or object: `aws s3 ls` shows those that there are",
    "403": "access is denied: the credentials need s3:GetObject to restore and s3:PutObject to back up",
    "AccessDenied": "access is denied: the credentials need s3:PutObject to back up and s3:GetObject to restore",
    "InvalidAccessKeyId": f"the access key is not known: {_CREDENTIALS}",
    "SignatureDoesNotMatch": "the secret key is wrong: correct AWS_SECRET_ACCESS_KEY",
    "ExpiredToken": f"the credentials have expired: {_CREDENTIALS}",
    "PermanentRedirect": "the bucket is in another region: set AWS_DEFAULT_REGION to it",
}


class Address(NamedTuple):
    """``s3://bucket/key``; a key that is empty or ends with a slash stands for a folder."""

    bucket: str
    key: str

    @classmethod
    def of(cls, text: str, option: str) -> "Address":
        """Raises WrongUsage."""
        bucket, _, key = text.removeprefix(SCHEME).partition("/")
        if not text.startswith(SCHEME) or not bucket:
            raise WrongUsage(f"{option}: {text!r} is no address in S3; give one like s3://exalt-backups/tracing-config/")
        return cls(bucket, key)

    def below(self, name: str) -> "Address":
        """The object of this name where the address is a folder, else the address itself."""
        return self._replace(key=self.key + name) if not self.key or self.key.endswith("/") else self

    def __str__(self) -> str:
        return f"{SCHEME}{self.bucket}/{self.key}"


class S3:
    """Where backups are kept. Raises Failed, naming the cure, also at once where nothing could ever be sent."""

    def __init__(self) -> None:
        try:
            from boto3.session import Session  # noqa: PLC0415 - an extra
            from botocore.config import Config  # noqa: PLC0415
        except ModuleNotFoundError:
            raise Failed("S3 needs boto3, which is not installed: pip install 'tracing-config[s3]'") from None
        with _translated("S3"):
            session = Session()
            if session.get_credentials() is None:
                raise Failed(f"there are no credentials for S3: {_CREDENTIALS}")
            config = Config(
                connect_timeout=CONNECT_SECONDS,
                read_timeout=READ_SECONDS,
                retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
            )
            self._client: S3Client = session.client("s3", config=config)

    def upload(self, file: Path, address: Address, sent: Callable[[int], object]) -> None:
        """Put a file there, and look whether it has arrived whole. ``sent`` is called with so many bytes at a time."""
        with _translated(str(address)):
            self._client.upload_file(str(file), address.bucket, address.key, Callback=sent)
            arrived = self._client.head_object(Bucket=address.bucket, Key=address.key)["ContentLength"]
        if arrived != (size := file.stat().st_size):
            raise Failed(f"{address}: {arrived} of {size} bytes have arrived; try again")

    def download(self, address: Address, file: Path) -> None:
        """Bring an object into a file."""
        with _translated(str(address)):
            self._client.download_file(address.bucket, address.key, str(file))


@contextmanager
def _translated(what: str) -> Iterator[None]:
    from boto3.exceptions import Boto3Error  # noqa: PLC0415
    from botocore.exceptions import (  # noqa: PLC0415
        BotoCoreError,
        ClientError,
        EndpointConnectionError,
        NoCredentialsError,
        PartialCredentialsError,
    )

    try:
        yield
    except (NoCredentialsError, PartialCredentialsError) as error:
        raise Failed(f"{what}: {error}: {_CREDENTIALS}") from None
    except EndpointConnectionError as error:
        raise Failed(f"{what}: {_public(error)} Is AWS_ENDPOINT_URL_S3 right, and may this machine go there?") from None
    except ClientError as error:
        raise _failed(what, error) from None
    except Boto3Error as error:
        if isinstance(error.__context__, ClientError):
            raise _failed(what, error.__context__) from None
        raise Failed(f"{what}: {_public(error)}") from None
    except (BotoCoreError, ValueError) as error:
        raise Failed(f"{what}: {_public(error)}") from None
    except OSError as error:
        raise Failed(f"{what}: {error.strerror or error}") from None


def _public(error: Exception) -> str:
    """What it says, without a user and a password in the endpoint's address."""
    return re.sub(r"//[^/\s]*@", "//", str(error))


def _failed(what: str, error: "ClientError") -> Failed:
    details = error.response.get("Error", {})
    cure = _CURES.get(details.get("Code", ""))
    return Failed(f"{what}: {cure or error}")
