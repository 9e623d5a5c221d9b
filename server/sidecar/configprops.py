"""``/actuator/configprops``: the settings as they are, and where each came from. No secret is ever part of it."""

import re
from pathlib import Path
from typing import Literal

import msgspec
from aiohttp import web

from server.settings import PREFIX, Settings
from server.sidecar.auth import Authentication
from server.sidecar.configuration import json_response
from server.sidecar.identity import ROLES, Role
from server.sidecar.route import Call, Route, Routes
from server.span_settings import SECRETS, VARIABLES, SpanSettings

MASK = "******"

_SECRETS = frozenset({"admin_token", "jwt_secrets", "registry_token"})
_ADDRESSES = frozenset({"database_url", "redis_url", "elasticsearch_url", "registry_url"})
"""They may hold a user and a password."""

_COMPONENTS = {"database_url": "db", "redis_url": "redis"}
"""What is reached by the addresses that may change while the process runs."""

_ADDRESS = re.compile(r"(?P<scheme>[a-z]+://)(?P<user>[^@/?#]*@)?(?P<place>[^@?#=]*)(?P<query>\?[^@]*)?")

SettingValue = str | int | float | list[str | int] | None


class Property(msgspec.Struct, frozen=True, omit_defaults=True):
    """One setting."""

    value: SettingValue
    """Null where it is not set and has no default."""

    origin: Literal["environment", "file", "default"]
    variable: str | None = None
    """Which variable gave it, if one did."""

    file: str | None = None
    """Where a secret is kept."""


class JsonWebTokenSettings(msgspec.Struct, frozen=True, rename="camel"):
    """How JWTs are taken."""

    enabled: bool
    algorithms: list[str]
    secrets: int
    """How many; each verifies."""

    issuer: str | None
    audience: str | None


class Security(msgspec.Struct, frozen=True, rename="camel"):
    """Who may use the API."""

    roles: list[Role]
    tokens: int
    """In the token file."""

    jwt: JsonWebTokenSettings
    trusted_proxies: int


class ConfigProps(msgspec.Struct, frozen=True):
    """The settings of this process by the names of their variables."""

    properties: dict[str, Property]
    security: Security


async def configprops(call: Call[None, None]) -> web.Response:
    """Secrets are masked; addresses are shown without user, password and parameters."""
    parts = call.parts
    in_use = {field: parts.health.address_files.get(component) for field, component in _COMPONENTS.items()}
    changed = {field: file.current for field, file in in_use.items() if file is not None}
    settings = msgspec.structs.replace(parts.settings, **changed)
    return json_response(ConfigProps(properties_of(settings), _security(settings, parts.authentication)))


ROUTES: Routes = [
    Route(
        method="GET",
        path="/actuator/configprops",
        summary="The settings, and where each came from",
        handler=configprops,
        role="admin",
        answers={200: ConfigProps},
    )
]


def properties_of(settings: Settings) -> dict[str, Property]:
    """Every setting, safe to show; those of OpenTelemetry while spans are sent."""
    shown = {
        "LOG_LEVEL" if field == "log_level" else PREFIX + field.upper(): _property(settings, field)
        for field in settings.__struct_fields__
        if field not in ("sources", "spans")
    }
    return shown if settings.spans is None else {**shown, **_span_properties(settings.spans)}


def _span_properties(spans: SpanSettings) -> dict[str, Property]:
    properties = {}
    for name in VARIABLES:
        value = MASK if name in SECRETS and name in spans.given else spans.text(name) or None
        given = name in spans.given
        properties[name] = Property(value, "environment" if given else "default", name if given else None)
    return properties


def _property(settings: Settings, field: str) -> Property:
    value = _shown(field, getattr(settings, field))
    source = settings.sources.get(field)
    if source is None:
        return Property(value, "default")
    if source.file is None:
        return Property(value, "environment", source.variable)
    return Property(value, "file", source.variable, str(source.file))


def _shown(field: str, value: object) -> SettingValue:
    match value:
        case None | ():
            return None
        case str() if field in _ADDRESSES:
            return masked_address(value)
        case _ if field in _SECRETS:
            return MASK
        case Path():
            return str(value)
        case tuple():
            return list(value)
        case str() | int() | float():
            return value
    raise TypeError(f"{field}: {type(value).__name__} is not shown")


def masked_address(address: str) -> str:
    """The address of a server without its user, password and parameters; only the mask where these cannot be told apart."""
    found = _ADDRESS.fullmatch(address)
    if found is None:
        return MASK
    user, query = (found["user"] and f"{MASK}@") or "", (found["query"] and f"?{MASK}") or ""
    return f"{found['scheme']}{user}{found['place']}{query}"


def _security(settings: Settings, authentication: Authentication) -> Security:
    tokens = authentication.json_web_tokens
    return Security(
        roles=list(ROLES),
        tokens=len(authentication.tokens),
        jwt=JsonWebTokenSettings(
            enabled=tokens is not None,
            algorithms=[] if tokens is None else [tokens.algorithm],
            secrets=0 if tokens is None else len(tokens),
            issuer=settings.jwt_issuer,
            audience=settings.jwt_audience,
        ),
        trusted_proxies=settings.trusted_proxies,
    )
