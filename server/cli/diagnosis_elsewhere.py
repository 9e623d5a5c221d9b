"""What the doctor asks: the database, Redis, the server of this machine, and the other servers of the platform."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from server.cli.diagnosis import Check, Seen, Trouble, trouble_of
from server.cli.health import NoAnswer, ask, host_of
from server.cli.trust import CERT, KEY
from server.daemon_call import daemon_call
from server.integrations.dependency import Dependency
from server.integrations.http_client import Unusable
from server.setting_reader import SettingError
from server.settings import PREFIX, SQLITE_FILE, Settings
from server.surroundings import KNOWN, Surroundings, Target
from storage.condition import Condition, program_schema
from storage.errors import StoreError

if TYPE_CHECKING:
    from storage.hot_copy import HotCopy

PORT_SECONDS = 1.0
"""For a connection to a port of this machine."""

HEALTH = "/actuator/health"


def checks_of_stores(settings: Settings, refused: Mapping[str, SettingError]) -> Iterator[Check]:
    """The database and Redis."""
    yield _database(settings, refused)
    setting, url = settings.variable("redis_url"), settings.redis_url
    if url is None:
        yield Check("Redis", "-", setting, None, "redis_url" in refused)
        return
    from storage.hot_copy import HotCopy  # noqa: PLC0415 - its driver

    try:
        hot_copy = HotCopy(url)
    except ValueError as error:
        yield Check("Redis", "-", setting, partial(_unusable, error, setting))
        return
    yield Check("Redis", hot_copy.address, setting, partial(_redis, hot_copy, setting))


def check_of_server(settings: Settings, refused: Mapping[str, SettingError]) -> Check:
    """The server process that these settings are of."""
    host = host_of(settings)
    where = f"[{host}]:{settings.sidecar_port}" if ":" in host else f"{host}:{settings.sidecar_port}"
    return Check("server", where, f"{PREFIX}SIDECAR_PORT", partial(_server, settings), "sidecar_port" in refused)


def checks_of_dependencies(surroundings: Surroundings, refused: Mapping[str, SettingError], *, spans: bool) -> Iterator[Check]:
    """Each dependency, and with ``spans`` each target's readiness to take one."""
    there = {one.name: one for one in surroundings.dependencies}
    for name in (*KNOWN, *(name for name in there if name not in KNOWN)):
        if (dependency := there.get(name)) is None:
            setting = KNOWN[name]
            wrong = {setting, f"{PREFIX}{name.upper()}_URL"} & {f"{PREFIX}{field.upper()}" for field in refused}
            yield Check(name, "-", min(wrong, default=setting), None, refused=bool(wrong))
            continue
        yield Check(name, dependency.url, dependency.setting, partial(_dependency, dependency))
        target = surroundings.targets.get(name)
        if spans and target is not None:
            yield Check(f"span to {name}", dependency.url, dependency.setting, partial(_span, target))


def _database(settings: Settings, refused: Mapping[str, SettingError]) -> Check:
    setting, url = settings.variable("database_url"), settings.database_url
    if "database_url" in refused:
        return Check("database", "-", setting, None, refused=True)
    if url is None:
        from storage.sqlite.condition import look as look_at_file  # noqa: PLC0415 - what the others do not need

        file, setting = (settings.data_dir / SQLITE_FILE).absolute(), f"{PREFIX}DATA_DIR"
        read = partial(daemon_call, look_at_file, file)
        return Check("database", str(file), setting, partial(_store, "SQLite", str(file), read, setting))
    from storage.postgres.address import public_address  # noqa: PLC0415 - its driver
    from storage.postgres.condition import look  # noqa: PLC0415

    try:
        address = public_address(url)
    except ValueError:
        address = "-"
    return Check("database", address, setting, partial(_store, "PostgreSQL", "PostgreSQL", partial(look, url), setting))


async def _store(product: str, place: str, look: Callable[[], Awaitable[Condition]], setting: str) -> Seen:
    try:
        condition = await look()
    except (StoreError, ValueError) as error:
        problem = str(error).removeprefix(f"{place}: ")
        raise trouble_of(problem, f"see whether it is up, and {setting} right") from None
    if condition.point is None:
        raise Trouble("it is empty", f"`tracing-config serve` fills it; if it did, {setting} names another one here")
    if condition.read_only is not None:
        raise Trouble(f"nothing can be written: {condition.read_only}", f"name one that takes writes in {setting}")
    known = program_schema("sqlite" if product == "SQLite" else "postgres")
    advice = "" if condition.schema >= known else f"the next start of this version brings it to schema {known}"
    text = f"{product} {condition.version}, schema {condition.schema}, at {condition.point}, can be written"
    return Seen(text, advice)


async def _redis(hot_copy: "HotCopy", setting: str) -> Seen:
    try:
        version, obstacle = await hot_copy.version(), await hot_copy.obstacle()
        if obstacle is not None:
            raise Trouble(f"no copy can be written: {obstacle}", f"give it room, or name one that takes writes in {setting}")
        return Seen(f"version {version}")
    except StoreError as error:
        problem = str(error).removeprefix(f"Redis at {hot_copy.address}: ")
        raise trouble_of(problem, f"see whether it is up, and {setting} right") from None
    finally:
        await hot_copy.close()


async def _unusable(error: ValueError, setting: str) -> Seen:
    raise Trouble(str(error), f"correct {setting}")


async def _server(settings: Settings) -> Seen:
    if settings.sidecar_port == 0:
        raise Trouble("its port is a free one, which nobody else knows", f"give {PREFIX}SIDECAR_PORT a number")
    try:
        status, _ = await daemon_call(ask, settings, f"{HEALTH}/liveness")
        if status != 200:
            raise Trouble(f"something else answers there: {status} to {HEALTH}/liveness", f"correct {PREFIX}SIDECAR_PORT")
        status, _ = await daemon_call(ask, settings, f"{HEALTH}/readiness")
        if status != 200:
            _, body = await daemon_call(ask, settings, HEALTH)
            # No token of ours is shown to whatever listens there.
            token = "" if settings.health_details == "always" else ", with a token"
            raise Trouble(f"it runs, but is not ready{_down(body)}", f"see the other rows, and {HEALTH} there{token}")
    except NoAnswer as error:
        cure = f"`tracing-config serve` starts one; if one runs, {PREFIX}SIDECAR_PORT or {PREFIX}HOST is another here"
        # Who shows none is not always told so before the connection ends.
        if settings.sidecar_tls_client_ca is not None and "refused" not in str(error):
            cure = f"it asks for a certificate: name one that it takes in {CERT}, and its key in {KEY}"
        raise Trouble(str(error), cure) from None
    for name in ("grpc_ports", "http_ports", "metrics_port"):
        ports = getattr(settings, name)
        for port in ports if isinstance(ports, tuple) else (ports,):
            await _check_port(host_of(settings), port, f"{PREFIX}{name.upper()}")
    return Seen("alive and ready, every port accepts connections")


def _down(body: bytes) -> str:
    """What a health report says is down."""
    with suppress(ValueError, RecursionError):
        components = msgspec.json.decode(body, type=_Health).components
        down = [name for name, component in components.items() if component.status == "DOWN"]
        return f"; DOWN are {', '.join(down)}" if down else ""
    return ""


class _Component(msgspec.Struct):
    status: str


class _Health(msgspec.Struct):
    components: dict[str, _Component]


async def _check_port(host: str, port: int, setting: str) -> None:
    if port == 0:
        return
    try:
        async with asyncio.timeout(PORT_SECONDS):
            _, writer = await asyncio.open_connection(host, port)
        writer.close()
    except OSError as error:
        reason = error.strerror or "no answer in time"
        raise Trouble(f"port {port} does not accept connections: {reason}", f"restart the server with this {setting}") from None


async def _dependency(dependency: Dependency) -> Seen:
    await dependency.look()
    if dependency.problem is not None:
        raise Trouble(dependency.problem, dependency.cure)
    told = {name: value for name, value in dependency.report()["details"].items() if name not in ("url", "latencyMilliseconds")}
    return Seen(", ".join(f"{name} {value}" for name, value in told.items() if isinstance(value, str | int)) or "answers")


async def _span(target: Target) -> Seen:
    try:
        trace_id = await target.send_marked_span()
    except Unusable as error:
        raise Trouble(str(error), error.cure) from None
    return Seen(f"taken, trace {trace_id}", trace_id=trace_id)
