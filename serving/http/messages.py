"""What our HTTP server passes on: a request that came whole, its answer, and what a stranger may cost it."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from typing import Any, NamedTuple, Protocol

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Request:
    """One HTTP request that came whole, its body still in its Content-Encoding."""

    method: str
    path: bytes
    """The path as it was sent, with the query."""
    headers: dict[bytes, bytes] = field(repr=False)
    """Name in lower case -> value of the first header of that name; of one that shows who asks, all of them with commas between.
    Trailers are never among them."""
    body: bytes
    version: str
    keep_alive: bool
    address: str = ""
    """Of its caller, as `process/ports.py` tells callers apart."""
    id: str = ""
    """What it is called in its answer and in logs; written by the handler, where it calls requests anything."""
    logged: bool = False
    """Whether whoever answers it tells the log of it."""
    key: Any = field(default=None, compare=False)
    """The key that its caller has shown, for whom the handler answers; the server knows nothing of it."""
    known: Any = field(default=None, compare=False, repr=False)
    """The `KnownHead` that it has in common with other requests; None for a head that is new."""


class Response(NamedTuple):
    """One HTTP response."""

    status: int
    body: bytes
    headers: bytes = b""
    """Headers as complete lines, without Date, Content-Length and Connection."""
    close: bool = False


class Work(Protocol):
    """A request in work, as the connection sees it on which it came."""

    def cancel(self) -> object:
        """The caller has left: no reply is needed any more."""


Reply = Callable[[Response], None]
"""Sends the response to a request; for the event loop. Once the caller has left it does nothing."""

Handler = Callable[[Request, Reply], Work | None]
"""handler(request, reply) sees to it that `reply` is called once, at once or later, unless the work is cancelled before.

It raises nothing, and gives the work that can be cancelled, if there is any left.
"""


Door = Callable[[Request], Response | None]
"""door(request) gives the answer to a request that is refused by its head alone; its body is not there yet."""

Completion = Callable[[Request, Response], bytes]
"""completion(request, response) gives more headers, as complete lines, for an answer that is about to be sent.

Each answer passes it, whoever made it. Of a request that never came whole only what came is there: perhaps no method.
"""


def answered_by(answer: Callable[[Request], Awaitable[Response]]) -> Handler:
    """A handler that awaits each response in a task of its own. What it raises is logged, and ends the connection with 500."""

    def handler(request: Request, reply: Reply) -> Work:
        task = asyncio.ensure_future(answer(request))
        task.add_done_callback(partial(_done, reply))
        return task

    return handler


def _done(reply: Reply, task: "asyncio.Future[Response]") -> None:
    if task.cancelled():
        return
    error = task.exception()
    if error:
        log.error("a request failed", exc_info=error)
        reply(page(HTTPStatus.INTERNAL_SERVER_ERROR))
    else:
        reply(task.result())


@dataclass(frozen=True)
class Limits:
    """The bounds of what a stranger may cost the HTTP server."""

    head_bytes: int = 1 << 20
    """Most bytes of a request's line, headers and trailers, and of what else is no body, such as chunk extensions."""
    body_bytes: int | None = None
    """Most bytes of a body, as it comes; a larger one is refused as soon as that is known."""
    request_s: float | None = None
    """Seconds from the first byte of a request to its last."""
    idle_s: float = 50.0
    """Seconds without a byte of a request after which a connection is closed, unless one is in work; libevent's."""
    unread_s: float = 30.0
    """Seconds in which a caller reads 64 KiB of what waits for it, or all; one that does not is cut off."""
    room_s: float = 5.0
    """Seconds that a body waits, unread, for room in the budget of bytes; then the answer is 429."""
    connections: int | None = None
    """Connections at once; one more takes the place of the longest idle one."""
    address_connections: int | None = None
    """Connections at once of one address; of IPv6, of the 64 bits that one customer gets."""
    checks_host: bool = True
    """Whether `Host` must be there once and be a host (RFC 9112, 3.2); HTTP/1.0 may leave it out."""
    cancels: bool = False
    """Whether a caller who leaves takes back what is in work. One that has only closed its own side has not left."""


def page(status: HTTPStatus) -> Response:
    """The HTML page with which libevent answers errors by itself."""
    title = f"{status.value} {status.phrase}"
    text = f"<HTML><HEAD>\n<TITLE>{title}</TITLE>\n</HEAD><BODY>\n<H1>{status.phrase}</H1>\n</BODY></HTML>\n"
    return Response(status.value, text.encode(), b"Content-Type: text/html\r\n", close=True)


def without_body(response: Response) -> Response:
    """The answer to HEAD: what GET gets, without the body, but with its length."""
    length = b"Content-Length: %d\r\n" % len(response.body)
    return response._replace(body=b"", headers=response.headers + length)
