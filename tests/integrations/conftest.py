"""Real servers that several files ask, one of each kind a run. A test leaves them as they were."""

from collections.abc import Iterator

import pytest

from tests.services.eureka import EurekaServer
from tests.services.jaeger import JaegerServer
from tests.services.opensearch import OpenSearchServer
from tests.services.zipkin import ZipkinServer


@pytest.fixture(scope="session")
def eureka() -> Iterator[EurekaServer]:
    with EurekaServer() as server:
        yield server


@pytest.fixture(scope="session")
def jaeger() -> Iterator[JaegerServer]:
    with JaegerServer() as server:
        yield server


@pytest.fixture(scope="session")
def opensearch() -> Iterator[OpenSearchServer]:
    with OpenSearchServer() as server:
        yield server


@pytest.fixture(scope="session")
def zipkin() -> Iterator[ZipkinServer]:
    with ZipkinServer() as server:
        yield server
