"""Where the model servers are: the text of the setting -> addresses, each of which is one server.

a:8500,b:8500            two servers
dns:///service:8500      every address that the name has now: a headless Kubernetes service
unix:/run/serving.sock   a socket on this machine
"""

import asyncio
import ipaddress
import logging
import socket
from collections.abc import Sequence
from dataclasses import dataclass

from signet.serving.errors import UsageError
from signet.serving.gateway.settings import named

log = logging.getLogger(__name__)

_DNS = "dns:///"
_MAX_ADDRESSES = 256
"""Addresses of a name that are used; each gets a connection and series of its own."""


@dataclass(frozen=True)
class Address:
    """The address of one model server."""

    target: str
    """The address as gRPC takes it: HOST:PORT or unix:PATH."""
    server_name: str = ""
    """The name that its certificate must have, when that is not the target's host."""


@dataclass(frozen=True)
class Name:
    """A name that stands for as many servers as it has addresses."""

    host: str
    port: int

    async def resolve(self) -> list[Address]:
        """The addresses it has now, in a fixed order. Raises `OSError` when it has none or nobody can tell."""
        infos = await asyncio.get_running_loop().getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        targets = sorted({_join(str(sockaddr[0]), self.port) for *_, sockaddr in infos})
        if len(targets) > _MAX_ADDRESSES:
            log.warning("%s has %d addresses; the first %d are used", self.host, len(targets), _MAX_ADDRESSES)
        return [Address(target, self.host) for target in targets[:_MAX_ADDRESSES]]


def parse(entries: Sequence[str]) -> list[Address | Name]:
    """The addresses and names that the entries of the setting stand for. Raises `UsageError` naming one that is neither."""
    return [_parse(entry) for entry in dict.fromkeys(entries)]


def _parse(entry: str) -> Address | Name:
    if entry.startswith("unix:"):
        if not entry.removeprefix("unix:").strip("/"):
            raise UsageError(f"{named('backend')}: {entry!r} names no socket; expected unix:PATH")
        return Address(entry, "localhost")
    is_name = entry.startswith(_DNS)
    host, colon, port = entry.removeprefix(_DNS).rpartition(":")
    if not colon or not host or "/" in host or (":" in host and not host.startswith("[")):
        raise UsageError(f"{named('backend')}: {entry!r} is not HOST:PORT, dns:///HOST:PORT or unix:PATH")
    if not port.isascii() or not port.isdecimal() or not 0 < int(port) < 1 << 16:
        raise UsageError(f"{named('backend')}: {entry!r} has the port {port!r}; expected a number from 1 to 65535")
    return Name(host.strip("[]"), int(port)) if is_name else Address(entry)


def _join(host: str, port: int) -> str:
    """("::1", 8500) -> "[::1]:8500"; a scope such as %eth0 stays."""
    return f"[{host}]:{port}" if ipaddress.ip_address(host).version == 6 else f"{host}:{port}"
