"""Bound sockets for a server's ports, a sentence when a port cannot be had, who has connected, and what is still in them."""

import asyncio
import fcntl
import socket
import struct
import termios
from collections.abc import Iterator
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

from signet.serving.errors import NotDone

_UNSENT_BYTES = 1 << 18
"""More than this of answers that cannot be sent yet the system does not take: it would, up to 4 MiB a connection, uncounted."""

_TURNS = 4

EVERYWHERE = "0.0.0.0"  # noqa: S104  # nosec B104  # for who asks for it
"""All IPv4 addresses of this machine, to listen on."""


def prepare(listener: socket.socket) -> None:
    """What a bound socket needs before it listens: connections inherit it."""
    if listener.family != socket.AF_UNIX:
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _UNSENT_BYTES)


def address_of(peer: Any) -> str:
    """What counts as one caller: an IPv4 address, the first 64 bits of an IPv6 address, all of a UNIX socket."""
    if not isinstance(peer, tuple):
        return ""
    host: str = peer[0]
    if ":" not in host:
        return host
    packed = socket.inet_pton(socket.AF_INET6, host.partition("%")[0])
    return host if packed.startswith(bytes(10) + b"\xff\xff") else packed[:8].hex()


def waiting(listener: socket.socket) -> Iterator[socket.socket]:
    """The connections that the system has taken on a listener and nobody has accepted: closed with it, they would be reset."""
    listener.setblocking(False)
    while True:
        try:
            yield listener.accept()[0]
        except OSError:  # there are no more, or nothing can be accepted
            return


async def all_made() -> None:
    """Until the protocols of all connections that the event loop has accepted know of them: that takes it a few turns."""
    for _ in range(_TURNS):
        await asyncio.sleep(0)


def has_input(transport: asyncio.Transport) -> bool:
    """Whether the system has bytes for a connection that the event loop has not read, or a part of a record of TLS has come."""
    if transport.get_extra_info("held"):
        return True
    connection = transport.get_extra_info("socket")
    if connection is None or connection.fileno() < 0:
        return False
    size: int = struct.unpack("i", fcntl.ioctl(connection.fileno(), termios.FIONREAD, bytes(4)))[0]
    return size > 0


@lru_cache(1024)
def address_in(peer: str) -> str:
    """As `address_of`, for a peer as gRPC writes it: ipv4:192.0.2.1:4711, ipv6:%5B2001:db8::1%5D:4711 or unix:."""
    kind, _, rest = peer.partition(":")
    if kind not in ("ipv4", "ipv6"):
        return ""
    try:
        return address_of((unquote(rest).rpartition(":")[0].strip("[]"),))
    except OSError:
        return peer[:100]


def listen(host: str, port: int, option: str) -> socket.socket:
    """A bound socket. Raises `UsageError`, which names the port and the option for another."""
    try:
        return bound(host, port)
    except OSError as error:
        raise NotDone(f"cannot listen on {host}:{port}: {error.strerror}; choose another with {option}") from error


def bound(host: str, port: int) -> socket.socket:
    """A bound socket. Raises `OSError`."""
    return _bound(_socket(host), host, port)


def on_all_interfaces(port: int) -> socket.socket:
    """A bound socket for all addresses, of IPv6 and IPv4. Raises `OSError`."""
    try:
        listener = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
        address = "::"
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    except OSError:  # the system has no IPv6
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        address = EVERYWHERE
    return _bound(listener, address, port)


def reserve(host: str, port: int) -> socket.socket:
    """A bound socket that never listens, for a port on which the processes of a service do, by SO_REUSEPORT.

    Raises `OSError` when somebody has the port, also where they share it among themselves.
    """
    with _socket(host) as alone:
        alone.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        alone.bind((host, port))
        port = alone.getsockname()[1]
    shared = _socket(host)
    try:
        shared.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        shared.bind((host, port))
    except OSError:
        shared.close()
        raise
    return shared


def _bound(listener: socket.socket, host: str, port: int) -> socket.socket:
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError:
        listener.close()
        raise
    return listener


def _socket(host: str) -> socket.socket:
    return socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
