"""The pipeline (middleware) of an inference over HTTP: decompression, errors, compression, headers.

    Request ──▶ HttpExchange.begin ──▶ body without encoding ──▶ the dialect's steps ──▶ Answer ──▶ compressed ──▶ reply(Response)

It stands before FastAPI, because every microsecond here is paid by every request.
"""

import logging
import math
import re
from abc import abstractmethod
from collections.abc import Awaitable
from functools import lru_cache
from typing import NamedTuple

from signet.serving.errors import InvalidInput, Overloaded, ServingError, Unauthenticated, UnknownEncoding, UnknownType
from signet.serving.gateway.core import exchange
from signet.serving.gateway.core.exchange import Exchange
from signet.serving.gateway.core.inference import Inference
from signet.serving.gateway.core.load import Load
from signet.serving.gateway.http import compression, forms, inference_headers
from signet.serving.gateway.http.compression import Compressed
from signet.serving.gateway.http.server_timing import ASKED, server_timing, wanted
from signet.serving.gateway.observability.metrics import UNKNOWN
from signet.serving.gateway.observability.request_context import RequestContext
from signet.serving.http.messages import Reply, Request, Response
from signet.serving.offload.pool import Offload
from signet.serving.process.byte_budget import ByteBudget
from signet.serving.rest_dialect import json_codec

log = logging.getLogger(__name__)

JSON = b"Content-Type: application/json\r\n"

_KEY, _SIDE = exchange.KEY.encode(), exchange.SIDE.encode()

_MOST_PATH = 256
"""Bytes of a path that its span has."""


class Answer(NamedTuple):
    """The answer of a dialect, before it is compressed and counted."""

    body: bytes
    headers: bytes = JSON
    """Headers as complete lines."""


class HttpServices(NamedTuple):
    """What the inferences of one gateway over HTTP share."""

    inference: Inference
    offload: Offload
    """Reads large bodies and writes large answers."""
    budget: ByteBudget
    max_body_bytes: int
    """Most bytes of a body without its encoding."""


class HttpExchange(Exchange[Answer]):
    """An inference over HTTP. A dialect fills in `read`, `decode` and `encode`, and begins it."""

    # Up to thirty attributes Python keeps together for all objects of a class; with one more each object costs a microsecond.

    asks_model = False  # its path told, at the door

    def __init__(
        self, protocol: str, services: HttpServices, match: re.Match[bytes], http_request: Request, reply: Reply
    ) -> None:
        """match: of the dialect's path with the request's path; its first group is the model's name."""
        super().__init__(protocol, services.inference)
        self.services, self.match, self.http_request, self.reply = services, match, http_request, reply
        _note_caller(self, http_request)
        http_request.logged = True

    @property
    def request_id(self) -> str:  # type: ignore[override]  # known by its request
        return self.http_request.id

    def announced(self) -> Load | None:
        self.limit(inference_headers.timeout_s(self.http_request.headers))
        return self.inference.admission.load_in_path(self.match[1])

    def address(self) -> str:
        return self.http_request.address

    def header(self, name: str) -> str | None:
        value = self.http_request.headers.get(name.encode())
        return None if value is None else value.decode("latin-1")

    def affinity(self) -> tuple[str, str | None]:
        request = self.http_request
        key, side = request.headers.get(_KEY), request.headers.get(_SIDE)
        asked = request.id if key is None else key.decode("latin-1")
        return asked, None if side is None else side.decode("latin-1")

    @abstractmethod
    def route(self) -> str:
        """Its path with names in the place of what differs, such as `/v1/models/{model}:predict`."""

    def described(self, code: str) -> tuple[str, dict[str, str | int | float | bool]]:
        request, route = self.http_request, self.route()
        attributes: dict[str, str | int | float | bool] = {
            "http.request.method": request.method,
            "http.route": route,
            "url.path": request.path.partition(b"?")[0][:_MOST_PATH].decode("latin-1"),
            "network.protocol.version": request.version,
        }
        if code == "OK" or self.error:
            attributes["http.response.status_code"] = int(self.error.http_status) if self.error else 200
        return f"{request.method} {route}", attributes

    def receive(self) -> bytes | Awaitable[bytes]:
        request = self.http_request
        body = compression.decompressed(request.body, request.headers, self.services.max_body_bytes)
        return self._counted(body) if isinstance(body, bytes) else self._decompressed(body)

    async def _decompressed(self, body: Awaitable[bytes]) -> bytes:
        return self._counted(await body)

    def _counted(self, body: bytes) -> bytes:
        self.bytes = len(body)
        self.services.budget.change(self.bytes)  # what it is decoded to, about as large
        return body

    def send(self, answer: Answer) -> None:
        accepted = self.http_request.headers.get(b"accept-encoding")
        if not accepted:
            self._reply(answer, Compressed(answer.body, ""))
            return
        compressed = compression.compressed(answer.body, accepted)
        self.then(compressed, lambda compressed: self._reply(answer, compressed))

    def send_error(self, error: ServingError) -> int:
        if type(error) is InvalidInput and (hint := self.hint()):
            error = InvalidInput(f"{error}{hint}")
        answer = refusal(error)
        headers = answer.headers
        if self.version != UNKNOWN:
            headers += b"X-Signet-Model-Version: %b\r\n" % self.version.encode()
        if (timing := self.http_request.headers.get(ASKED)) is not None and wanted(timing):
            headers += server_timing(self)
        self.reply(Response(error.http_status, answer.body, headers))
        return len(answer.body)

    def hint(self) -> str:
        """What to say after an error of a body that may not be what its Content-Type says."""
        return forms.hint(self.http_request.headers, self.http_request.body)

    def close(self) -> None:
        self.services.budget.change(-self.bytes)

    def _reply(self, answer: Answer, compressed: Compressed) -> None:
        body, encoding = compressed
        headers = b"%bX-Signet-Model-Version: %b\r\n" % (answer.headers, self.version.encode())
        if encoding:
            headers += b"Content-Encoding: %b\r\nVary: Accept-Encoding\r\n" % encoding.encode()
        if (timing := self.http_request.headers.get(ASKED)) is not None and wanted(timing):
            headers += server_timing(self)
        self.finish("OK", len(body))
        self.reply(Response(200, body, headers))


def refused_at_the_door(services: HttpServices, protocol: str, name: bytes, request: Request) -> Response | None:
    """The answer to an inference that admission refuses by its head; None: it does not. name: of its model, as in its path."""
    inference = services.inference
    context = _context_of_head(services, protocol, request)
    try:
        context.limit(inference_headers.timeout_s(request.headers))
    except InvalidInput:
        return None
    load = inference.admission.load_in_path(name)
    error = inference.admission.full() or (inference.admission.refusal(context, load) if load else None)
    if error is None:
        return None
    context.model = load.model if load else context.model
    _count_refused(services, context, request, error)
    return refused(error)


def count_refusal(services: HttpServices, protocol: str, request: Request, error: ServingError) -> None:
    """Count an inference that is refused by its head for what it shows."""
    _count_refused(services, _context_of_head(services, protocol, request), request, error)


def _context_of_head(services: HttpServices, protocol: str, request: Request) -> RequestContext:
    """The context of an inference of which there is the head alone."""
    context = RequestContext(protocol, services.inference.timeout_s)
    _note_caller(context, request)
    context.peer_address, context.request_id = request.address, request.id
    return context


def _count_refused(services: HttpServices, context: RequestContext, request: Request, error: ServingError) -> None:
    context.error = error
    request.logged = True
    services.inference.count(context, error.grpc_code, 0)


def _note_caller(context: RequestContext, request: Request) -> None:
    """Whose request it is: of a key, or else of an address."""
    identity = request.key
    if identity is None:
        context.caller = request.address
    else:
        context.identity, context.caller = identity, identity.caller


def refusal(error: ServingError) -> Answer:
    """An error as TensorFlow Serving writes it: one object with the key `error`."""
    if isinstance(error, Overloaded):
        return _busy(str(error), math.ceil(error.retry_after_s or 1.0))
    headers = JSON
    if isinstance(error, Unauthenticated):
        headers += b"WWW-Authenticate: Bearer\r\n"  # RFC 6750, 3
    elif isinstance(error, UnknownEncoding):
        headers += b"Accept-Encoding: gzip, deflate\r\n"  # RFC 9110 15.5.16
    elif isinstance(error, UnknownType):
        headers += b"Accept: %b\r\n" % error.readable.encode()  # as above
    return Answer(json_codec.encode_error(str(error)), headers)


@lru_cache(256)
def _busy(message: str, retry_after_s: int) -> Answer:
    """Written once: admission says the same to many."""
    return Answer(json_codec.encode_error(message), JSON + b"Retry-After: %d\r\n" % retry_after_s)


def refused(error: ServingError) -> Response:
    """The answer to a request that was refused before it was complete."""
    answer = refusal(error)
    return Response(error.http_status, answer.body, answer.headers, close=True)
