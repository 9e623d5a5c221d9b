"""Who a request comes from, and what that one may do."""

from functools import lru_cache
from typing import Literal

import msgspec

from sampling.pattern import Pattern
from sampling.records import Key
from sampling.strategy import check_name

Role = Literal["viewer", "editor", "admin"]
"""``viewer`` reads, ``editor`` also writes the configuration, ``admin`` also uses the admin endpoints."""

ROLES: tuple[Role, ...] = ("viewer", "editor", "admin")
"""Each may what those before it may."""

ADMIN = "admin"
"""The name that comes with the admin token; no other token may have it, or the log of changes would not tell them apart."""

SCHEDULE = "schedule"
"""The actor of what this program does by itself, at its time. No token may have this name either."""

MAX_NAME_CHARACTERS = 256
MAX_PATTERNS = 100

_pattern = lru_cache(1024)(Pattern)


class Identity(msgspec.Struct, frozen=True):
    """The bearer of a token."""

    name: str
    """The actor of every change that is made with it."""

    role: Role
    services: tuple[str, ...] | None = None
    """Glob patterns: an editor with these writes services and boosts whose name matches, and nothing else."""

    def has(self, role: Role) -> bool:
        return ROLES.index(self.role) >= ROLES.index(role)

    def may_write(self, key: Key) -> bool:
        """Whether a record is within the scope of an editor or admin."""
        if self.services is None:
            return True
        return key.kind in ("service", "boost") and any(_pattern(text).matches(key.name) for text in self.services)


def identity_of(name: str, role: Role, services: tuple[str, ...] | None, field: str = "name") -> Identity:
    """The bearer that a token file or a JWT describes; ``field`` is what the name is called there.

    Raises:
        ValueError: one of these cannot be; the message names it.
    """
    check_name(field, name)
    if len(name) > MAX_NAME_CHARACTERS:
        raise ValueError(f"{field}: has {len(name)} characters; at most {MAX_NAME_CHARACTERS} are possible")
    if name.strip() != name:
        raise ValueError(f"{field}: must not begin or end with white space")
    if name == ADMIN:
        raise ValueError(f"{field}: {ADMIN!r} is kept for the admin token; choose another")
    if name == SCHEDULE:
        raise ValueError(f"{field}: {SCHEDULE!r} is kept for what is done by a schedule; choose another")
    if services is not None:
        if role != "editor":
            raise ValueError(f"services: limits what an editor may write, and the role here is {role}; leave it out")
        if not 1 <= len(services) <= MAX_PATTERNS:
            raise ValueError(
                f"services: has {len(services)} patterns; 1 to {MAX_PATTERNS} are possible, or leave it out for all"
            )
        for text in services:
            check_name("services", text)
    return Identity(name, role, services)
