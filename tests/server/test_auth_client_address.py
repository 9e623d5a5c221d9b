"""The client's address behind proxies: only what trusted ones added is believed."""

import pytest
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict

from server.sidecar.client_address import client_address

PEER = "203.0.113.9"


def seen(proxies: int, *headers: str) -> str | None:
    given = CIMultiDict([("X-Forwarded-For", header) for header in headers])
    return client_address(make_mocked_request("GET", "/", headers=given).clone(remote=PEER), proxies)


@pytest.mark.parametrize(
    ("proxies", "headers", "address"),
    [
        (0, [], PEER),
        (0, ["198.51.100.1"], PEER),
        (1, ["198.51.100.1"], "198.51.100.1"),
        (1, ["192.0.2.66, 198.51.100.1"], "198.51.100.1"),
        (1, ["192.0.2.66", "198.51.100.1"], "198.51.100.1"),
        (2, ["198.51.100.1, 10.0.0.1"], "198.51.100.1"),
        (2, ["192.0.2.66, 192.0.2.67,198.51.100.1 , 10.0.0.1"], "198.51.100.1"),
        (2, ["192.0.2.66, 198.51.100.1", "10.0.0.1"], "198.51.100.1"),
        (1, ["198.51.100.1:4711"], "198.51.100.1"),
        (1, ["2001:DB8::1"], "2001:db8::1"),
        (1, ["[2001:db8::1]:4711"], "2001:db8::1"),
    ],
)
def test_the_address_is_the_one_that_the_outermost_trusted_proxy_added(proxies: int, headers: list[str], address: str) -> None:
    assert seen(proxies, *headers) == address


@pytest.mark.parametrize(
    ("proxies", "headers"),
    [(1, []), (1, [""]), (2, ["198.51.100.1"]), (1, ["unknown"]), (1, ['"><script>']), (1, ["198.51.100.1, "])],
)
def test_where_the_header_is_not_what_proxies_make_only_the_connection_is_certain(proxies: int, headers: list[str]) -> None:
    assert seen(proxies, *headers) == PEER
