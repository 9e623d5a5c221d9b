"""The hot copy: one Redis value that a starting replica may load instead of asking the store for everything."""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, cast
from uuid import uuid4

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoPermissionError, RedisError
from redis.maint_notifications import MaintNotificationsConfig

from storage.certificates import check_authority, check_pair, refusal
from storage.copy_format import FORMAT, HEADER_BYTES, decode, encode, is_behind, read_header
from storage.errors import CopyInvalid, StoreUnavailable
from storage.interface import Copy, CopyHeader
from storage.pacing import paced

KEY = f"tracing-config:copy:{FORMAT}"

SOCKET_SECONDS = 0.25
"""For connecting, and for each command and each answer. The driver's own limits are 5 s and ten retries."""

QUESTION_SECONDS = 0.8
"""For one small question with all that it may need: connecting, signing in, asking."""

TRANSFER_SECONDS = 30.0
"""For a whole copy, up or down."""

PIECE_BYTES = 256 * 1024
"""A copy travels in pieces: each fits ``SOCKET_SECONDS`` also on a slow network, and none holds up polls here or other
clients there."""

STAGED_SECONDS = 60
"""How long Redis keeps what a writer left behind that died while it sent its copy."""

_READ_ATTEMPTS = 3

_DRIVER_ERRORS = (RedisError, OSError, AttributeError, LookupError, TypeError, ValueError)
"""The last four are the driver's where what listens at the address does not speak Redis's protocol."""

_APPEND = f"""
redis.call('APPEND', KEYS[1], ARGV[1])
redis.call('EXPIRE', KEYS[1], {STAGED_SECONDS})
"""

_REPLACE = f"""
-- KEYS: the copy, the staged copy. ARGV: "again" or "", then the ids of accepted stores.
-- 1: replaced, 0: what is there stays, -1: the staged copy is not whole. Fields of fixed width compare as text.
local function header(key)
  local line = redis.pcall('GETRANGE', key, 0, {HEADER_BYTES - 1})
  if type(line) ~= 'string' then return nil end
  local front, point, store_id, checked_at, size, seal =
    string.match(line, '^(tracing%-config%-copy {FORMAT:04d} ((%x+) %d+ %x+) %x+ (%d+) %d+ (%d+)) (%x+)\\n$')
  if not front or redis.sha1hex(front) ~= seal or redis.call('STRLEN', key) ~= tonumber(size) then return nil end
  return {{point = point, store_id = store_id, checked_at = checked_at}}
end
local function is_behind(old, new)
  if not old then return true end
  if old.point == new.point and ARGV[1] == 'again' then return true end
  local known = old.store_id == new.store_id
  for i = 2, #ARGV do known = known or old.store_id == ARGV[i] end
  return known and old.checked_at < new.checked_at
end
local new, old = header(KEYS[2]), header(KEYS[1])
if new and is_behind(old, new) then
  redis.call('RENAME', KEYS[2], KEYS[1])
  redis.call('PERSIST', KEYS[1])
  return 1
end
redis.call('DEL', KEYS[2])
return new and 0 or -1
"""


class HotCopy:
    """The copy in Redis. Losing or emptying Redis costs nothing.

    ``url``: ``redis://user:password@host:port/0``, or ``rediss://...?ssl_ca_certs=<file>`` for TLS, where the server's
    certificate and its name are verified; without a file by the authorities that the system trusts.

    Raises:
        ValueError: this is no address of a Redis, or names files of certificates that cannot be used; the message does not
            repeat it, since it may hold a password.
    """

    def __init__(self, url: str) -> None:
        self._connect(url)
        self._unreadable: CopyHeader | None = None
        """A copy whose header looked right and whose body was not."""

    async def use(self, url: str) -> None:
        """Reach Redis by another address from now on. Raises ValueError, and nothing has changed then."""
        old = self._redis
        self._connect(url)
        await old.aclose()

    def _connect(self, url: str) -> None:
        """Prepare connections by an address; none is made yet. Raises ValueError."""
        try:
            client = Redis.from_url(
                url,
                socket_timeout=SOCKET_SECONDS,
                socket_connect_timeout=SOCKET_SECONDS,
                retry=Retry(NoBackoff(), 0),
                maint_notifications_config=MaintNotificationsConfig(enabled=False),
            )
            pool = client.connection_pool
            pool.connection_class(**pool.connection_kwargs)  # Checks the options that came with the address.
        except (ValueError, TypeError, RedisError):
            raise ValueError(
                "must look like redis://user:password@host:6379/0, or rediss://...?ssl_ca_certs=<file> for TLS, "
                "without parameters that its client does not know and with special characters of the password percent-encoded"
            ) from None
        options = pool.connection_kwargs
        _check_certificates(options)
        self._redis = client
        self.address = f"{options.get('host', 'localhost')}:{options.get('port', 6379)}"
        """Names the server without its secrets."""
        self._append = client.register_script(_APPEND)
        self._replace = client.register_script(_REPLACE)

    async def close(self) -> None:
        await self._redis.aclose()

    async def version(self) -> str:
        """What the server's INFO calls ``redis_version``, for health; ``unknown`` where this user may not ask for it.

        Of Valkey that is the version of Redis it stands for, as in Spring's health.
        """
        async with self._answering(QUESTION_SECONDS):
            try:
                server = await self._redis.info("server")
            except NoPermissionError:
                return "unknown"
        version = server.get("redis_version")
        if version is None:
            raise StoreUnavailable(f"what answers at {self.address} is no Redis")
        return str(version)

    async def obstacle(self) -> str | None:
        """Why no copy can be written; None where nothing is known against it. Writes nothing."""
        async with self._answering(QUESTION_SECONDS):
            try:
                told = await self._redis.info()
            except NoPermissionError:
                return None
        if told.get("role") == "slave" and told.get("slave_read_only"):
            return "it is a read-only replica"
        if 0 < told.get("maxmemory", 0) < told.get("used_memory", 0) and told.get("maxmemory_policy") == "noeviction":
            return "its memory is full, and it may evict nothing"
        return None

    async def header(self) -> CopyHeader | None:
        async with self._answering(QUESTION_SECONDS), self._redis.pipeline() as pipeline:
            pipeline.getrange(KEY, 0, HEADER_BYTES - 1)
            pipeline.strlen(KEY)
            line, size = await pipeline.execute()
        if size == 0:
            return None
        header = read_header(line)
        if header.size != size or header == self._unreadable:
            raise CopyInvalid(f"the copy in Redis at {self.address} is damaged")
        return header

    async def read(self) -> Copy | None:
        for _ in range(_READ_ATTEMPTS):
            header = await self.header()
            if header is None:
                return None
            data = await self._fetch(header.size)
            if await self.header() == header:
                break
        else:
            raise StoreUnavailable(f"the copy in Redis at {self.address} was replaced whenever it was read")
        try:
            return await paced(decode(data))
        except CopyInvalid:
            self._unreadable = header
            raise

    async def write(self, copy: Copy, *, accepted: Collection[str] = (), again: bool = False) -> bool:
        if not is_behind(await self._readable_header(), copy, accepted, again=again):
            return False
        view = memoryview(await paced(encode(copy)))
        staged = f"{KEY}:{uuid4().hex}"
        try:
            async with self._answering(TRANSFER_SECONDS):
                for start in range(0, len(view), PIECE_BYTES):
                    async with self._answering(QUESTION_SECONDS):
                        await self._append([staged], [bytes(view[start : start + PIECE_BYTES])])
                async with self._answering(QUESTION_SECONDS):
                    outcome = await self._replace([KEY, staged], ["again" if again else "", *accepted])
        except StoreUnavailable:
            with suppress(StoreUnavailable):
                async with self._answering(QUESTION_SECONDS):
                    await self._redis.delete(staged)
            raise
        if outcome < 0:
            raise StoreUnavailable(f"Redis at {self.address} lost the copy while it was sent")
        if outcome:
            self._unreadable = None  # The new header may be the same.
        return bool(outcome)

    async def _readable_header(self) -> CopyHeader | None:
        try:
            return await self.header()
        except CopyInvalid:
            return None

    async def _fetch(self, size: int) -> bytearray:
        """As many bytes of the copy; zeros where it has become shorter."""
        data = bytearray(size)
        async with self._answering(TRANSFER_SECONDS):
            for start in range(0, size, PIECE_BYTES):
                end = min(start + PIECE_BYTES, size)
                async with self._answering(QUESTION_SECONDS):
                    piece = cast("bytes", await self._redis.getrange(KEY, start, end - 1))
                data[start : start + len(piece)] = piece
        return data

    @asynccontextmanager
    async def _answering(self, seconds: float) -> AsyncIterator[None]:
        """Ask Redis within so many seconds; what it says that is no answer becomes an error of ours.

        Around every single command: a cancellation may come late by one command, but not by a whole copy.
        """
        task = asyncio.current_task()
        cancelling = task.cancelling() if task else 0
        try:
            async with asyncio.timeout(seconds):
                yield
        except TimeoutError as error:
            raise StoreUnavailable(f"Redis at {self.address} does not answer within {seconds:g} s") from error
        except _DRIVER_ERRORS as error:
            if (refused := refusal(error, "ssl_ca_certs")) is not None:
                raise StoreUnavailable(f"Redis at {self.address}: {refused}") from error
            if "WRONGTYPE" in str(error):
                raise CopyInvalid(f"the copy in Redis at {self.address} is no string") from error
            raise StoreUnavailable(f"Redis at {self.address}: {error}") from error
        finally:
            # The driver waits with asyncio.wait_for, which loses some cancellations until Python 3.12 (gh-86296).
            if task and task.cancelling() > cancelling:
                raise asyncio.CancelledError


def _check_certificates(options: Mapping[str, Any]) -> None:
    """Check that the files which an address names can be used now. Raises ValueError."""
    authority, certificate = options.get("ssl_ca_certs"), options.get("ssl_certfile")
    if authority is not None:
        check_authority("ssl_ca_certs", authority)
    if certificate is not None:
        check_pair(("ssl_certfile", "ssl_keyfile"), certificate, options.get("ssl_keyfile"), options.get("ssl_password", ""))
