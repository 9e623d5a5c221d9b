"""The hot copy, on a real server that speaks Redis's protocol."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import redis
from redis.asyncio import Redis

from storage import hot_copy
from storage.errors import CopyInvalid, StoreUnavailable
from storage.hot_copy import KEY, PIECE_BYTES, STAGED_SECONDS, HotCopy
from storage.interface import Copies, Copy
from tests.services.valkey import ValkeyServer
from tests.storage.copies_contract import GARBAGE, LARGE, OTHER_STORE_ID, STORE_ID, CopiesContract, Place, copy_of

QUESTIONS: dict[str, Callable[[HotCopy], Awaitable[Any]]] = {
    "header": lambda copies: copies.header(),
    "read": lambda copies: copies.read(),
    "write": lambda copies: copies.write(copy_of()),
    "version": lambda copies: copies.version(),
}
every_question = pytest.mark.parametrize("question", QUESTIONS.values(), ids=QUESTIONS.keys())


class RedisPlace(Place):
    def __init__(self, url: str) -> None:
        self.url = url
        self.redis = Redis.from_url(url)
        self._opened: list[HotCopy] = []

    def copies(self) -> Copies:
        copies = HotCopy(self.url)
        self._opened.append(copies)
        return copies

    async def bytes_there(self) -> bytes:
        value = await self.redis.get(KEY)
        assert isinstance(value, bytes)
        return value

    async def put(self, data: bytes) -> None:
        await self.redis.set(KEY, data)

    async def overtaken_by(self, data: bytes, copy: Copy) -> bool:
        """Write the copy, and let this data come in between after it was looked whether the copy should be written."""
        await self.redis.delete(KEY)
        writer = asyncio.create_task(self.copies().write(copy))
        await self.until_a_copy_is_on_its_way()
        with redis.Redis.from_url(self.url) as blocking:
            blocking.set(KEY, data)
            assert blocking.exists(KEY) == 1
        assert not writer.done()
        return await writer

    async def until_a_copy_is_on_its_way(self) -> None:
        async with asyncio.timeout(10):
            while not await self.redis.keys(f"{KEY}:*"):
                pass

    async def close(self) -> None:
        for copies in self._opened:
            await copies.close()
        await self.redis.aclose()


@pytest.fixture
async def place(valkey_url: str) -> AsyncIterator[RedisPlace]:
    place = RedisPlace(valkey_url)
    yield place
    await place.close()


@pytest.fixture
async def private_place(private_valkey: ValkeyServer) -> AsyncIterator[RedisPlace]:
    place = RedisPlace(private_valkey.url())
    yield place
    await place.close()


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it is not about time, a busy machine makes nothing fail."""
    monkeypatch.setattr(hot_copy, "SOCKET_SECONDS", 10.0)
    monkeypatch.setattr(hot_copy, "QUESTION_SECONDS", 10.0)


@pytest.mark.usefixtures("patient")
class TestHotCopy(CopiesContract):
    @pytest.mark.parametrize("command", ["LPUSH {} x", "HSET {} a b", "SADD {} x", "XADD {} * a b"])
    async def test_a_value_of_another_type_is_replaced(self, place: RedisPlace, command: str) -> None:
        await place.redis.execute_command(*command.format(KEY).split())  # type: ignore[no-untyped-call]
        with pytest.raises(CopyInvalid):
            await place.copies().header()
        with pytest.raises(CopyInvalid):
            await place.copies().read()
        assert await place.copies().write(copy_of()) is True
        assert await place.copies().read() == copy_of()

    async def test_the_copy_is_the_only_key_and_never_expires(self, place: RedisPlace) -> None:
        await place.put(b"garbage that expires")
        await place.redis.expire(KEY, 100)
        await place.copies().write(copy_of(LARGE))
        await asyncio.gather(*(place.copies().write(copy_of(LARGE, revision=n, checked_at=n * 9.0)) for n in range(99, 110)))
        assert await place.redis.keys() == [KEY.encode()]
        assert await place.redis.ttl(KEY) == -1

    async def test_what_a_dying_writer_leaves_behind_expires(self, place: RedisPlace) -> None:
        writer = asyncio.create_task(place.copies().write(copy_of(LARGE * 4)))
        await place.until_a_copy_is_on_its_way()
        writer.cancel()
        await asyncio.wait([writer])
        assert writer.cancelled()
        [left] = await place.redis.keys()
        assert left != KEY.encode()
        assert 0 < await place.redis.ttl(left) <= STAGED_SECONDS

    @pytest.mark.parametrize("checked_at", [1999.0, 2000.0, 2001.0])
    @pytest.mark.parametrize("store_id", [STORE_ID, OTHER_STORE_ID])
    async def test_a_writer_that_is_overtaken_wins_only_by_a_later_check(
        self, place: RedisPlace, store_id: str, checked_at: float
    ) -> None:
        overtaking = copy_of(revision=9, checked_at=2000.0)
        await place.copies().write(overtaking)
        overtaken = copy_of(LARGE * 4, revision=8, checked_at=checked_at, store_id=store_id)
        wins = store_id == STORE_ID and checked_at > 2000.0
        assert await place.overtaken_by(await place.bytes_there(), overtaken) is wins
        assert await place.copies().read() == (overtaken if wins else overtaking)
        assert await place.redis.keys() == [KEY.encode()]

    @pytest.mark.parametrize("shape", sorted(GARBAGE.keys() - {"a damaged body", "a damaged digest"}))
    async def test_a_writer_that_is_overtaken_by_garbage_wins(self, place: RedisPlace, shape: str) -> None:
        await place.copies().write(copy_of(checked_at=1000.0))
        overtaken = copy_of(LARGE * 4, revision=8, checked_at=500.0)
        assert await place.overtaken_by(GARBAGE[shape](await place.bytes_there()), overtaken) is True
        assert await place.copies().read() == overtaken

    async def test_only_the_header_travels_until_more_is_needed(self, place: RedisPlace) -> None:
        async def traffic() -> int:
            stats = await place.redis.info("stats")
            return int(stats["total_net_input_bytes"] + stats["total_net_output_bytes"])

        copies = place.copies()
        await copies.write(copy_of(LARGE, revision=7))
        before = await traffic()
        await copies.header()
        await copies.write(copy_of(LARGE, revision=7, checked_at=2000.0))
        await copies.write(copy_of(LARGE, revision=8, checked_at=999.0))
        assert await traffic() - before < 30_000 < len(await place.bytes_there())

    async def test_a_redis_that_is_emptied_over_and_over_never_holds_a_part_of_a_copy(self, place: RedisPlace) -> None:
        copy = copy_of(LARGE)
        flushing = True

        async def flush() -> None:
            while flushing:
                await place.redis.flushall()

        flusher = asyncio.create_task(flush())
        lost = 0
        for _ in range(20):
            try:
                assert await place.copies().write(copy) is True
            except StoreUnavailable as error:
                assert "lost the copy" in str(error)  # noqa: PT017
                lost += 1
            assert await place.copies().read() in (None, copy)
        flushing = False
        await flusher
        assert lost > 0
        assert await place.copies().write(copy) is True
        assert await place.copies().read() == copy

    async def test_a_copy_travels_in_pieces(self, place: RedisPlace) -> None:
        await place.redis.config_resetstat()
        await place.copies().write(copy_of(LARGE))
        commands = await place.redis.info("commandstats")
        assert commands["cmdstat_append"]["calls"] == len(await place.bytes_there()) // PIECE_BYTES + 1 > 2

    async def test_no_cancellation_is_lost(self, place: RedisPlace) -> None:
        """With Python 3.11 the driver loses about one of four (``asyncio.wait_for``)."""
        copies = place.copies()
        for turns in range(200):
            question = asyncio.create_task(copies.header())
            for _ in range(turns % 20):
                await asyncio.sleep(0)
            if not question.done():
                question.cancel()
                await asyncio.wait([question])
                assert question.cancelled()
        assert await copies.header() is None

    async def test_the_version_is_the_servers(self, place: RedisPlace) -> None:
        assert (await place.copies().version()).split(".")[0].isdecimal()  # type: ignore[attr-defined]


async def answers(question: Awaitable[Any]) -> bool:
    try:
        await question
    except StoreUnavailable:
        return False
    return True


@every_question
async def test_a_stopped_redis_is_unavailable_within_a_second(
    private_valkey: ValkeyServer, private_place: RedisPlace, question: Callable[[Copies], Awaitable[Any]]
) -> None:
    fresh, connected = private_place.copies(), private_place.copies()
    await connected.header()
    await asyncio.to_thread(private_valkey.stop)
    for copies in (fresh, connected):
        async with asyncio.timeout(1):
            with pytest.raises(StoreUnavailable, match=f"127.0.0.1:{private_valkey.port}"):
                await question(copies)


@every_question
async def test_a_frozen_redis_is_unavailable_within_a_second_and_available_when_it_goes_on(
    private_valkey: ValkeyServer, private_place: RedisPlace, question: Callable[[Copies], Awaitable[Any]]
) -> None:
    fresh, connected = private_place.copies(), private_place.copies()
    await connected.header()
    private_valkey.pause()
    for copies in (fresh, connected):
        async with asyncio.timeout(1):
            with pytest.raises(StoreUnavailable):
                await question(copies)
    private_valkey.resume()
    for copies in (fresh, connected):
        async with asyncio.timeout(10):
            while not await answers(question(copies)):
                pass


async def test_a_redis_that_freezes_while_a_copy_is_sent_is_unavailable_soon(
    private_valkey: ValkeyServer, private_place: RedisPlace
) -> None:
    writer = asyncio.create_task(private_place.copies().write(copy_of(LARGE * 4)))
    await private_place.until_a_copy_is_on_its_way()
    private_valkey.pause()
    async with asyncio.timeout(2):
        with pytest.raises(StoreUnavailable):
            await writer
    private_valkey.resume()
    assert await private_place.redis.exists(KEY) == 0


@pytest.mark.usefixtures("patient")
async def test_after_a_restart_the_first_question_is_answered(private_valkey: ValkeyServer, private_place: RedisPlace) -> None:
    copies = private_place.copies()
    assert await copies.write(copy_of()) is True
    await asyncio.to_thread(private_valkey.restart)
    assert await copies.read() is None
    assert await copies.write(copy_of()) is True
    assert await copies.read() == copy_of()


@pytest.mark.usefixtures("patient")
async def test_a_full_redis_is_unavailable_keeps_the_copy_and_is_not_kept_full(private_place: RedisPlace) -> None:
    copies = private_place.copies()
    await copies.write(copy_of())
    used = (await private_place.redis.info("memory"))["used_memory"]
    await private_place.redis.config_set("maxmemory", used + 1_500_000)
    with pytest.raises(StoreUnavailable, match="maxmemory"):
        await copies.write(copy_of(LARGE * 4, revision=8, checked_at=2000.0))
    assert await copies.read() == copy_of()
    assert await private_place.redis.keys() == [KEY.encode()]


@pytest.mark.usefixtures("patient")
async def test_a_password_opens_the_door_and_is_never_told(private_valkey: ValkeyServer, private_place: RedisPlace) -> None:
    await private_place.redis.config_set("requirepass", "right:secret")
    right = HotCopy(f"redis://:right%3Asecret@127.0.0.1:{private_valkey.port}/0")
    assert await right.write(copy_of()) is True
    await right.close()
    wrong = HotCopy(f"redis://someone:wrong%3Asecret@127.0.0.1:{private_valkey.port}/0")
    with pytest.raises(StoreUnavailable) as raised:
        await wrong.header()
    await wrong.close()
    for text in (str(raised.value), repr(wrong), wrong.address):
        assert "secret" not in text
        assert "someone" not in text


@pytest.mark.usefixtures("patient")
async def test_a_user_who_may_not_ask_for_the_version_is_served_all_the_same(
    private_valkey: ValkeyServer, private_place: RedisPlace
) -> None:
    await private_place.redis.execute_command(  # type: ignore[no-untyped-call]
        *["ACL", "SETUSER", "narrow", "on", ">secret", "~tracing-config:*", "+@all", "-@dangerous"]
    )
    copies = HotCopy(f"redis://narrow:secret@127.0.0.1:{private_valkey.port}/0")
    assert await copies.version() == "unknown"
    assert await copies.write(copy_of()) is True
    assert await copies.read() == copy_of()
    await copies.close()


@pytest.mark.parametrize(
    "url",
    ["", "localhost:6379", "http://:secret@localhost", "redis://:sec:ret@host:secret", "redis://:secret@host?secret=1"],
)
def test_an_address_that_is_none_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(ValueError, match="must look like redis://") as raised:
        HotCopy(url)
    assert "secret" not in str(raised.value)
    assert raised.value.__suppress_context__


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\x00\xff" * 1000,
        b"$abc\r\n",
        b"*9\r\n",
        b"x" * 200_000,
        b"+OK\r\n",
        b":1\r\n",
        b"_\r\n",
    ],
)
@every_question
async def test_what_is_no_redis_is_unavailable(answer: bytes, question: Callable[[Copies], Awaitable[Any]]) -> None:
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while await reader.read(1000) and answer:
                writer.write(answer)
                await writer.drain()
        writer.close()

    async with await asyncio.start_server(speak, "127.0.0.1", 0) as server:
        copies = HotCopy(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0")
        async with asyncio.timeout(1):
            with pytest.raises(StoreUnavailable):
                await question(copies)
        await copies.close()
