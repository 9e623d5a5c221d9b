"""Listening sockets."""

import socket
from pathlib import Path

import pytest

from server.listeners import CannotListen, backlog, listen, open_listener


def test_port_0_takes_a_free_one() -> None:
    with open_listener("127.0.0.1", 0) as listener:
        host, port = listener.getsockname()

    assert (host, port > 0) == ("127.0.0.1", True)


def test_connections_are_let_in_from_listen_on() -> None:
    with open_listener("127.0.0.1", 0) as listener:
        address = listener.getsockname()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address)

        listen(listener)

        socket.create_connection(address).close()


def test_a_port_that_is_in_use_is_named() -> None:
    with open_listener("127.0.0.1", 0) as other:
        listen(other)
        port = other.getsockname()[1]

        with pytest.raises(CannotListen, match=rf"^cannot listen on port {port} of 127\.0\.0\.1: Address already in use$"):
            open_listener("127.0.0.1", port)


def test_of_two_that_took_a_port_at_the_same_moment_the_second_to_listen_is_told() -> None:
    with open_listener("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with open_listener("127.0.0.1", port) as second:
            listen(first)

            with pytest.raises(CannotListen, match=rf"port {port} of 127\.0\.0\.1: Address already in use"):
                listen(second)


@pytest.mark.parametrize("host", ["no such host.invalid", "203.0.113.1"])
def test_an_address_that_is_not_of_this_machine_is_named(host: str) -> None:
    with pytest.raises(CannotListen, match=f"cannot listen on port 14250 of {host}: "):
        open_listener(host, 14250)


def test_a_port_can_be_taken_again_right_after_its_last_connection() -> None:
    with open_listener("127.0.0.1", 0) as listener:
        listen(listener)
        address = listener.getsockname()
        with socket.create_connection(address):
            listener.setblocking(True)
            listener.accept()[0].close()

    with open_listener(*address) as again:
        listen(again)


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")
def test_the_ipv6_address_of_all_interfaces_takes_ipv4_connections_too() -> None:
    with open_listener("::", 0) as listener:
        listen(listener)
        port = listener.getsockname()[1]

        socket.create_connection(("127.0.0.1", port)).close()
        socket.create_connection(("::1", port)).close()


@pytest.mark.skipif(not Path("/proc/sys/net/core/somaxconn").exists(), reason="only Linux tells its maximum")
def test_as_many_connections_may_wait_as_the_system_allows() -> None:
    assert backlog() == int(Path("/proc/sys/net/core/somaxconn").read_text())
