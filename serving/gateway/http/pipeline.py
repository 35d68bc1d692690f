"""The pipeline (middleware) of an inference over HTTP: admission, decompression, errors, compression, counting.

    Request ──▶ admitted? ──▶ body ──▶ handler of the dialect ──▶ Answer ──▶ Response

It stands before FastAPI, because every microsecond here is paid by every request.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from signet.serving.errors import Cancelled, Internal, InvalidInput, Overloaded, ServingError, UnknownEncoding
from signet.serving.gateway.core.inference import Inference
from signet.serving.gateway.http import compression, forms, inference_headers
from signet.serving.gateway.observability.metrics import UNKNOWN
from signet.serving.gateway.observability.request_context import RequestContext
from signet.serving.http.server import Request, Response
from signet.serving.process.byte_budget import ByteBudget
from signet.serving.rest_dialect import json_codec

log = logging.getLogger(__name__)

JSON = b"Content-Type: application/json\r\n"


class Answer(NamedTuple):
    """The answer of a dialect, before it is compressed and counted."""

    body: bytes
    headers: bytes = JSON
    """Headers as complete lines."""


InferenceHandler = Callable[[Request, bytes, RequestContext], Awaitable[Answer]]
"""What a dialect hands in: (request, its body without encoding, its context) -> answer."""


class HttpPipeline:
    """Answers the inference requests of one gateway over HTTP, whatever their dialect. For the event loop."""

    def __init__(self, inference: Inference, max_body_bytes: int, budget: ByteBudget) -> None:
        self._inference, self._max_body_bytes, self._budget = inference, max_body_bytes, budget

    async def answer(self, protocol: str, request: Request, handler: InferenceHandler) -> Response:
        """Answer with what the handler gives, or with the error in TensorFlow Serving's form. protocol: for the metrics."""
        context = self._inference.context(protocol)
        status, code, arrays_bytes = 200, "OK", 0
        try:
            with self._inference.admission.admitted(protocol):
                context.limit(inference_headers.timeout_s(request.headers))
                body = await compression.decompressed(request.body, request.headers, self._max_body_bytes)
                context.bytes = arrays_bytes = len(body)
                self._budget.change(arrays_bytes)  # what it is decoded to, about as large
                answer = await handler(request, body, context)
        except ServingError as error:
            if type(error) is InvalidInput and (hint := forms.hint(request.headers, request.body)):
                error = InvalidInput(f"{error}{hint}")
            status, code, answer = error.http_status, error.grpc_code, refusal(error)
        except asyncio.CancelledError:
            self._inference.count(context, Cancelled.grpc_code, 0)
            raise
        except Exception:
            log.exception("a request failed")
            status, code = Internal.http_status, Internal.grpc_code
            answer = refusal(Internal("internal error; the gateway's log says more"))
        finally:
            self._budget.change(-arrays_bytes)
        headers = answer.headers
        if context.version != UNKNOWN:
            headers += b"X-Signet-Model-Version: %b\r\n" % context.version.encode()
        body, encoding = await compression.compressed(answer.body, request.headers)
        if encoding:
            headers += b"Content-Encoding: %b\r\nVary: Accept-Encoding\r\n" % encoding.encode()
        self._inference.count(context, code, len(body))
        return Response(status, body, headers)


def refusal(error: ServingError) -> Answer:
    """An error as TensorFlow Serving writes it: one object with the key `error`."""
    headers = JSON
    if isinstance(error, Overloaded):
        headers += b"Retry-After: 1\r\n"
    elif isinstance(error, UnknownEncoding):
        headers += b"Accept-Encoding: gzip, deflate\r\n"  # RFC 9110 15.5.16
    return Answer(json_codec.encode_error(str(error)), headers)


def refused(error: ServingError) -> Response:
    """The answer to a request that was refused before it was complete."""
    answer = refusal(error)
    return Response(error.http_status, answer.body, answer.headers, close=True)
