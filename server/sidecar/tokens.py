"""The token file: who has which token, by its hash. Nobody can find a token from the file."""

import fcntl
import hashlib
import hmac
import os
import re
import secrets
from collections.abc import Sequence
from pathlib import Path

import msgspec

from sampling.choices import with_choices
from server.sidecar.identity import Identity, Role, identity_of
from storage.regular_file import open_regular

MAX_FILE_BYTES = 1024 * 1024

MAX_TOKENS = 1000
"""A token is compared with all of them: 0.2 ms."""

_SHA256 = re.compile("[0-9a-f]{64}")


class TokenEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One token of the file."""

    name: str
    role: Role
    sha256: str
    """Of the token, in lower case hex."""

    services: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET
    """Not null: what means no limit is left out on purpose, not by mistake."""

    @property
    def identity(self) -> Identity:
        """Raises ValueError, see ``identity_of``."""
        return identity_of(self.name, self.role, None if self.services is msgspec.UNSET else self.services)


class Tokens:
    """Finds the bearer of a token."""

    def __init__(self, entries: Sequence[TokenEntry] = ()) -> None:
        self._identities = [(bytes.fromhex(entry.sha256), entry.identity) for entry in entries]

    def __len__(self) -> int:
        return len(self._identities)

    def bearer(self, digest: bytes) -> Identity | None:
        """Whose token has this digest. It takes as long whichever it is."""
        found = None
        for known, identity in self._identities:
            if hmac.compare_digest(known, digest):
                found = identity
        return found


def token_digest(token: str) -> bytes:
    """What is kept of a token. A token has 256 random bits, so a plain hash is enough."""
    return hashlib.sha256(token.encode(errors="surrogateescape")).digest()


def make_token() -> str:
    """A new token. By its beginning, those who look for secrets in source code can know it."""
    return f"tracing-config_{secrets.token_urlsafe(32)}"


def read_token_file(path: Path) -> list[TokenEntry]:
    """The entries of a token file.

    Raises:
        ValueError: in one line, with the path and the entry; no hash and nothing that might be a token is part of it.
    """
    try:
        with open_regular(path) as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from None
    if len(content) > MAX_FILE_BYTES:
        raise ValueError(f"{path} has more than {MAX_FILE_BYTES} bytes; name a file of `tracing-config token create`")
    try:
        entries = msgspec.json.decode(content, type=list[TokenEntry])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{path} is not a list of tokens: {with_choices(error, list[TokenEntry])}") from None
    if len(entries) > MAX_TOKENS:
        raise ValueError(f"{path} has {len(entries)} tokens; at most {MAX_TOKENS} are possible")
    names: dict[str, int] = {}
    hashes: dict[str, int] = {}
    for index, entry in enumerate(entries):
        try:
            _ = entry.identity
        except ValueError as error:
            raise ValueError(f"{path}: [{index}].{error}") from None
        if _SHA256.fullmatch(entry.sha256) is None:
            raise ValueError(f"{path}: [{index}].sha256: must be the sha256 of the token, 64 digits of lower case hex")
        for field, seen, value in (("name", names, entry.name), ("sha256", hashes, entry.sha256)):
            if seen.setdefault(value, index) != index:
                raise ValueError(f"{path}: [{index}].{field}: is that of [{seen[value]}] too; each token needs its own")
    return entries


def entry_of(token: str, identity: Identity) -> TokenEntry:
    """What the file says of a token."""
    return TokenEntry(identity.name, identity.role, token_digest(token).hex(), identity.services or msgspec.UNSET)


def add_to_token_file(path: Path, entry: TokenEntry, *, replace: bool) -> None:
    """Write the file anew with one more entry, in one step, readable by its owner only; a file that is not there is made.

    Raises:
        ValueError: as ``read_token_file``; the name is there already and ``replace`` is not set.
        OSError: the file cannot be written.
    """
    path = path.resolve()  # The target of a link is written, the link stays.
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)  # Two at once: the second reads what the first wrote.
        entries = read_token_file(path) if path.exists() else []
        if not replace and any(known.name == entry.name for known in entries):
            raise ValueError(f"{path} has a token named {entry.name!r}; choose another name, or give --replace")
        kept = [known for known in entries if known.name != entry.name]
        if len(kept) >= MAX_TOKENS:
            raise ValueError(f"{path} has {len(kept)} tokens, and more are not possible; remove those that nobody uses")
        _write(path, msgspec.json.format(msgspec.json.encode([*kept, entry]), indent=2) + b"\n")
        os.fsync(folder)
    finally:
        os.close(folder)


def _write(path: Path, content: bytes) -> None:
    beside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError:
        beside.unlink(missing_ok=True)
        raise
