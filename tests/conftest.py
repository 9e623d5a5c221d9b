"""Real servers for the tests, one of each kind a run; a test gets a database of its own on them."""

import os
from collections.abc import AsyncIterator, Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.services.postgres import PostgresServer
from tests.services.valkey import ValkeyServer

# What the product or a driver of it would read from the environment of whoever runs the tests.
SCRUBBED = ("TRACING_CONFIG_", "OTEL_", "PG", "LOG_LEVEL")
# What the tests themselves read.
KEPT = "TRACING_CONFIG_TEST_"


# Read when grpc is imported. With its fork handlers, one in ten children of a process that uses grpc was seen to crash before
# it became the program that it should run.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"

# A busy machine is no failure of a property, and no run tries other examples than the last one did: what a new one finds has
# nothing to do with the change that is tested.
settings.register_profile("tracing-config", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tracing-config")


def pytest_configure() -> None:
    for name in list(os.environ):
        if name.startswith(SCRUBBED) and not name.startswith(KEPT):
            del os.environ[name]


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """The PostgreSQL of the whole run: it is never stopped, and a test keeps to the databases it creates."""
    with PostgresServer() as server:
        yield server


@pytest.fixture
async def postgres_url(postgres: PostgresServer) -> AsyncIterator[str]:
    """The address of an empty database that only this test uses."""
    database = await postgres.create_database()
    yield postgres.url(database)
    await postgres.drop_database(database)


@pytest.fixture
def private_postgres() -> Iterator[PostgresServer]:
    """A running PostgreSQL that this test may stop, kill, freeze and start again; its port stays the same."""
    with PostgresServer() as server:
        yield server


@pytest.fixture(scope="session")
def valkey() -> Iterator[ValkeyServer]:
    """The Valkey of the whole run: it is never stopped."""
    with ValkeyServer() as server:
        yield server


@pytest.fixture
def valkey_url(valkey: ValkeyServer) -> str:
    """The address of an empty database that only this test uses."""
    valkey.flush()
    return valkey.url()


@pytest.fixture
def private_valkey() -> Iterator[ValkeyServer]:
    """A running Valkey that this test may stop, kill, freeze and start again; its port stays the same."""
    with ValkeyServer() as server:
        yield server
