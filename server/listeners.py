"""Sockets to listen on: opened by us, once, so that servers can share them and hand them over."""

import resource
import socket
from pathlib import Path

RESERVED_DESCRIPTORS = 256
"""File descriptors that connections leave to stores, sidecar and logs."""


class CannotListen(Exception):
    """Is raised when a port cannot be had. The message names address and reason; the caller adds the setting."""


def open_listener(host: str, port: int) -> socket.socket:
    """Take a port, 0 for any free one, without letting connections in yet: that is ``listen``.

    Raises:
        CannotListen: it is in use, is not allowed to this user, or the host is no address of this machine.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise _cannot_listen(host, port, error) from None
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            # `::` means every address of either kind, whatever the system's default is.
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listener.setblocking(False)
        listener.bind(address)
    except OSError as error:
        listener.close()
        raise _cannot_listen(host, port, error) from None
    return listener


def listen(listener: socket.socket) -> None:
    """Let connections in: they wait until a server accepts them.

    Raises:
        CannotListen: two programs took the port at the same moment, and the other one listens.
    """
    try:
        listener.listen(backlog())
    except OSError as error:
        host, port = listener.getsockname()[:2]
        raise _cannot_listen(host, port, error) from None


def own_address(listener: socket.socket) -> tuple[str, int] | str:
    """Where this process reaches it: host and port, or a Unix socket's path."""
    if listener.family == socket.AF_UNIX:
        return str(listener.getsockname())
    host, port = listener.getsockname()[:2]
    # `::` takes IPv4 too, see ``open_listener``; and not every machine has IPv6 on its loopback.
    return "127.0.0.1" if host in ("0.0.0.0", "::") else host, port


def backlog() -> int:
    """How many connections may wait to be accepted: as many as the system allows, for clients that all start at once."""
    try:
        return int(Path("/proc/sys/net/core/somaxconn").read_text())
    except (OSError, ValueError):
        return socket.SOMAXCONN


def connections_limit(descriptors_each: int = 1) -> int:
    """How many connections can be held at once, 0 for no limit."""
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if descriptors == resource.RLIM_INFINITY:
        return 0
    return max(descriptors - RESERVED_DESCRIPTORS, descriptors // 2) // descriptors_each


def _cannot_listen(host: str, port: int, error: OSError) -> CannotListen:
    return CannotListen(f"cannot listen on port {port} of {host}: {error.strerror or error}")
