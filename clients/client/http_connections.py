"""Connections of the HTTP clients: each process has its own, each event loop too, and no call takes longer than it may.

    Connections(url, access).sync()     this process's httpx.Client         .of_loop()     this event loop's AsyncClient

A server that sends a byte now and then keeps every single read short: the deadline is that of the whole call.
"""

import asyncio
import math
import os
import threading
import time
from collections.abc import Iterable
from typing import Any

import anyio
import httpcore
import httpx

from signet.clients.client import current_trace
from signet.clients.client.connecting import Access, proxy_of, with_scheme, without_password
from signet.clients.client.http_messages import Request
from signet.serving.errors import DeadlineExceeded, ServingError, Unavailable, UsageError

_CONNECT_S = 5.0
_LAST_PORT = 65535
_KEEP_ALIVE_S = 4.0
"""Idle connections are given up before the gateway, which waits 5 s, closes them under a request."""
CONNECTIONS = 100
"""The most that are open; beyond, calls wait. The pool's own queue costs each call the more the longer it is."""
FOREIGN = (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError, RuntimeError, ValueError, TypeError)
"""What may come out of httpx and below."""


class Connections:
    """The connection pools of one client, made when they are needed."""

    def __init__(self, url: str, access: Access) -> None:
        """Raises `UsageError` for what is no URL, for files that are none, and for a proxy that cannot be used."""
        url = with_scheme(url) if isinstance(url, str) else url
        self.shown = without_password(url) if isinstance(url, str) else repr(url)
        try:
            parsed = httpx.URL(url)
        except (httpx.InvalidURL, TypeError) as error:
            raise UsageError(f"the URL is {self.shown!r}; expected http://HOST:PORT ({error})") from error
        if parsed.scheme not in ("http", "https") or not parsed.host or (parsed.port or 0) > _LAST_PORT:
            raise UsageError(f"the URL is {self.shown!r}; expected http://HOST:PORT")
        self._proxy = proxy_of(url)
        limits = httpx.Limits(
            max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS, keepalive_expiry=_KEEP_ALIVE_S
        )
        self._options = {
            "base_url": parsed,
            "limits": limits,
            "headers": {"content-type": "application/json", **dict(access.headers)},
            "trust_env": False,  # the environment was asked above
            "proxy": self._proxy or None,
            "verify": access.ssl_context() if parsed.scheme == "https" else False,
        }
        self._pid = 0
        self._closed = False
        self._lock = threading.Lock()
        self._deadline = _Deadline()
        self._client: httpx.Client | None = None
        """This process's pool. The first thread that sends makes it, under the lock."""
        self._of_loops: dict[asyncio.AbstractEventLoop, tuple[httpx.AsyncClient, asyncio.Semaphore]] = {}
        """Each event loop's pool, and whose turn it is; only a thread that runs the loop adds to it."""
        self._made(httpx.Client).close()  # says what is wrong with the proxy

    @property
    def way(self) -> str:
        """The server, and the proxy on the way, for messages."""
        return f"{self.shown} through the proxy {without_password(self._proxy)}" if self._proxy else self.shown

    def send(self, request: Request) -> httpx.Response:
        """The response to a request. Raises what `FOREIGN` names."""
        self._check_open()
        if self._pid != os.getpid():  # at first, and after a fork: the parent's connections are not to be shared
            self._lock, self._pid, self._client = threading.Lock(), os.getpid(), None
        with self._lock:
            if self._client is None:
                self._client = self._made(httpx.Client)
                self._deadline.bound(self._client)
        with self._deadline.of(request.timeout_s):
            return self._client.request(**_sent(request))

    async def send_async(self, request: Request) -> httpx.Response:
        """The response to a request that the running event loop sends. Raises what `FOREIGN` names."""
        self._check_open()
        if self._pid != os.getpid():
            self._pid, self._of_loops = os.getpid(), {}
        loop = asyncio.get_running_loop()
        if loop not in self._of_loops:
            self._of_loops = {other: made for other, made in self._of_loops.items() if not other.is_closed()}
            self._of_loops[loop] = (self._made(httpx.AsyncClient), asyncio.Semaphore(CONNECTIONS))
        client, turns = self._of_loops[loop]
        with anyio.fail_after(_finite(request.timeout_s)):  # as httpx does; asyncio.timeout came with Python 3.11
            async with turns:
                return await client.request(**_sent(request))

    def close(self) -> None:
        """Close the pool of this process."""
        self._closed = True
        if self._client is not None and self._pid == os.getpid():
            self._client.close()

    async def close_async(self) -> None:
        """Close the pool of the running event loop; those of others end with their loops."""
        self._closed = True
        client, _ = self._of_loops.pop(asyncio.get_running_loop(), (None, None))
        if client is not None:
            await client.aclose()

    def translated(self, error: Exception, timeout_s: float) -> ServingError:
        """The error of `serving/errors.py` for what httpx raised."""
        said = str(error) or type(error).__name__
        if isinstance(error, httpx.ConnectTimeout) and timeout_s > _CONNECT_S:
            return Unavailable(f"cannot reach {self.way}: no connection in time")
        if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.ProxyError):
            return Unavailable(f"cannot reach {self.way}: {str(error) or 'no connection in time'}")
        if isinstance(error, httpx.TimeoutException | TimeoutError):
            return DeadlineExceeded(f"{self.way} did not answer within {timeout_s:.2g} s")
        return Unavailable(f"{self.way} broke the connection off: {said}")

    def _check_open(self) -> None:
        if self._closed:
            raise UsageError(f"this client of {self.shown} is closed")

    def _made(self, kind: Any) -> Any:
        try:
            return kind(**self._options)
        except ImportError as error:
            proxy = without_password(self._proxy)
            raise UsageError(
                f"the proxy {proxy} of the environment needs a package: pip install 'httpx[socks]'"
            ) from error
        except ValueError as error:
            if not self._proxy:
                raise UsageError(f"no client can be made for {self.shown}: {error}") from error
            raise UsageError(
                f"the proxy {without_password(self._proxy)} of the environment is none: {error}"
            ) from error


def _finite(seconds: float) -> float | None:
    return None if math.isinf(seconds) else seconds


def _sent(request: Request) -> dict[str, Any]:
    timeout = httpx.Timeout(_finite(request.timeout_s), connect=min(_CONNECT_S, request.timeout_s))
    return {
        "method": request.method,
        "url": request.path,
        "content": request.body or None,
        "headers": dict((*current_trace.fields(), *request.headers)),
        "timeout": timeout,
    }


class _Deadline(threading.local):
    """When the call of a thread has to be over."""

    at = math.inf

    def of(self, seconds: float) -> "_Deadline":
        """A context in which the calls of this thread end in so many seconds."""
        self.at = time.monotonic() + seconds
        return self

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        self.at = math.inf

    def bound(self, client: httpx.Client) -> None:
        """Let the connections of a client end their reads and writes at the deadline.

        httpx has no name for it: the network below its pool is wrapped, wherever it may go through a proxy.
        """
        for transport in (client._transport, *client._mounts.values()):
            if isinstance(transport, httpx.HTTPTransport):
                transport._pool._network_backend = _Network(transport._pool._network_backend, self)

    def left(self, timeout_s: float | None, error: type[Exception]) -> float | None:
        """Seconds for the next read or write."""
        left_s = self.at - time.monotonic()
        if left_s <= 0:
            raise error
        return _finite(left_s if timeout_s is None else min(timeout_s, left_s))


class _Network(httpcore.NetworkBackend):
    """The network below a pool, whose connections keep to the deadline of the call that uses them."""

    def __init__(self, network: httpcore.NetworkBackend, deadline: _Deadline) -> None:
        self._network, self._deadline = network, deadline

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        left_s = self._deadline.left(timeout, httpcore.ConnectTimeout)
        return _Stream(self._network.connect_tcp(host, port, left_s, local_address, socket_options), self._deadline)


class _Stream(httpcore.NetworkStream):
    """A connection whose reads and writes end at the deadline of the call that uses it."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: _Deadline) -> None:
        self._stream, self._deadline = stream, deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._deadline.left(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._deadline.left(timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: Any, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        left_s = self._deadline.left(timeout, httpcore.ConnectTimeout)
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, left_s), self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
