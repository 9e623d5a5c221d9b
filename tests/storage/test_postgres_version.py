"""A PostgreSQL that is too old, as one that is not would say it."""

import asyncio
from contextlib import suppress

import asyncpg
import pytest

from storage.errors import WrongVersion
from storage.postgres import PostgresStore
from tests.services.postgres import PostgresServer


async def pretend(major: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> None:
    """Pass a connection on, but let the server greet with another version."""
    server_reader, server_writer = await asyncio.open_connection("127.0.0.1", port)

    async def greet() -> None:
        while data := await server_reader.read(65_536):
            name, found, rest = data.partition(b"server_version\0")
            writer.write(name + found + major + rest[len(major) :] if found else data)
        writer.close()

    async def ask() -> None:
        while data := await reader.read(65_536):
            server_writer.write(data)
        server_writer.close()

    with suppress(ConnectionError):
        await asyncio.gather(greet(), ask())


@pytest.mark.parametrize(("major", "taken"), [(b"12", False), (b"13", True)])
async def test_an_old_server_is_refused_with_its_version_and_nothing_is_made_there(
    postgres: PostgresServer, postgres_url: str, major: bytes, taken: bool
) -> None:
    proxy = await asyncio.start_server(lambda reader, writer: pretend(major, reader, writer, postgres.port), "127.0.0.1", 0)
    port = proxy.sockets[0].getsockname()[1]
    store = PostgresStore(postgres_url.replace(str(postgres.port), str(port)))
    if taken:
        await store.open()
    else:
        with pytest.raises(WrongVersion, match=r"the server is PostgreSQL 12\.\d+: too old, it must be 13 or newer"):
            await store.open()
    await store.close()
    proxy.close()
    connection = await asyncpg.connect(postgres_url)
    assert (await connection.fetchval("SELECT to_regclass('store') IS NOT NULL")) is taken
    await connection.close()
