"""Short ways to say what a test writes and reads."""

from datetime import UTC, datetime

from sampling.records import (
    DEFAULT_POLICY,
    SILENT_DEFAULT,
    Boost,
    Key,
    SamplingPolicy,
    ServiceConfiguration,
    Stored,
    encode_record,
)
from sampling.strategy import SamplingStrategy
from storage.interface import Committed, Store, Terms, Write

DEFAULT = Key("policy", DEFAULT_POLICY)
DEFAULT_BODY = encode_record(SILENT_DEFAULT)


def service(name: str, param: float = 0.5, *, managed_by: str | None = None, enabled: bool = True) -> Write:
    strategy = SamplingStrategy("probabilistic", param)
    record = ServiceConfiguration(strategy, managed_by=managed_by, enabled=enabled)
    return Write(Key("service", name), encode_record(record))


def policy(name: str, priority: int = 0) -> Write:
    record = SamplingPolicy("batch-*", priority, SamplingStrategy("ratelimiting", 10))
    return Write(Key("policy", name), encode_record(record))


def boost(name: str, param: float = 1) -> Write:
    record = Boost(datetime(2030, 1, 1, tzinfo=UTC), SamplingStrategy("probabilistic", param))
    return Write(Key("boost", name), encode_record(record))


def deletion(write: Write) -> Write:
    return Write(write.key, None)


async def commit(store: Store, *writes: Write, takeover: bool = False) -> Committed:
    return await store.commit(writes, Terms(actor="tests", reason="because", takeover=takeover))


async def everything(store: Store) -> dict[Key, Stored]:
    """All records, as a full load gives them."""
    async with store.load() as load:
        return {change.key: change.record async for chunk in load for change in chunk if change.record}


async def bodies(store: Store) -> dict[Key, bytes]:
    return {key: record.body for key, record in (await everything(store)).items()}
