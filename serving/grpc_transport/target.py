"""Where a server is: what is written as HOST:PORT or unix:PATH, and how a socket is connected there.

[::1]:8500 ──▶ host ::1, port 8500, authority [::1]:8500          unix:/run/s.sock ──▶ path, authority localhost
"""

import asyncio
import re
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

P = TypeVar("P", bound=asyncio.Protocol)

_MOST_ADDRESSES = 8
"""Addresses of a name that are tried."""
_LEAST_S = 2.0
"""Seconds that an address has at least to take the connection."""
_SCOPE = re.compile(r"%[^\]]*")


@dataclass(frozen=True)
class Target:
    """The address of one server."""

    path: str
    """Of a Unix domain socket; empty for a host."""
    host: str
    port: int
    authority: str
    """What calls say in `:authority`."""

    async def connect(
        self, protocol: Callable[[], P], tls: ssl.SSLContext | None, server_name: str, within_s: float
    ) -> P:
        """A connected protocol. Tries each address of the host in turn. Raises OSError, TimeoutError.

        server_name: the name that the certificate must have; empty: the host.
        """
        loop = asyncio.get_running_loop()
        name = (server_name or self.host or "localhost") if tls else None
        if self.path:
            async with asyncio.timeout(within_s):
                return (await loop.create_unix_connection(protocol, self.path, ssl=tls, server_hostname=name))[1]
        infos = await loop.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        addresses = list(dict.fromkeys(sockaddr for *_, sockaddr in infos))[:_MOST_ADDRESSES]
        problem: OSError = OSError(f"{self.host} has no address")
        for address in addresses:
            try:
                async with asyncio.timeout(max(_LEAST_S, within_s / len(addresses))):
                    host, port = str(address[0]), int(address[1])
                    return (await loop.create_connection(protocol, host, port, ssl=tls, server_hostname=name))[1]
            except OSError as error:
                problem = error
        raise problem


def parse(text: str) -> Target:
    """The target that is written as HOST:PORT, [IPV6]:PORT or unix:PATH."""
    if text.startswith("unix:"):
        path = text.removeprefix("unix:")
        return Target("/" + path.lstrip("/") if path.startswith("//") else path, "", 0, "localhost")
    host, _, port = text.rpartition(":")
    return Target("", host.strip("[]"), int(port), _SCOPE.sub("", text))
