"""`ModelStreamInfer`: inferences one after the other on one stream, answered in the order of their requests.

    requests ──16 at once──▶ ModelInfer's exchange ──▶ _StreamedCall ──in order──▶ ModelStreamInferResponse
        ▲                                                                              │ not read
        └──────────────────────────── nothing more is asked for ◀──────────────────────┘

As Triton has it: an inference that fails is an answer with `error_message`, and the stream goes on. Every other answer has the
parameter `triton_final_response`, true, for there is one to a request; so none of those that are asked for by
`triton_enable_empty_final_response`, for requests that got no answer, is ever due.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any

from google.protobuf.message import DecodeError

from signet.serving.grpc_transport.calls import Metadata, StreamContext, StreamHandler, UnaryHandler
from signet.serving.offload.pool import LARGE_BYTES
from signet.serving.open_inference import open_inference_pb2 as pb2

MOST_AT_ONCE = 16
"""Requests of one stream in work, or answered and not read."""

_RESPONSE_FIELD = b"\x12"
"""The tag of infer_response: written by hand, the answer's bytes need not be read again."""
_FINAL = pb2.ModelInferResponse(
    parameters={"triton_final_response": pb2.InferParameter(bool_param=True)}
).SerializeToString()
"""What is written behind a message's bytes is read as if it were in it."""


class _StreamedCall:
    """One inference of a stream, to its exchange a unary call. For the event loop alone."""

    def __init__(self, request: bytes, context: StreamContext) -> None:
        self.on_cancel: Callable[[], object] | None = None
        self.request_id = ""
        """There is no place for it in the answer."""
        self.written: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        """The ModelStreamInferResponse, once the inference has ended."""
        self._request, self._context = request, context

    @property
    def metadata(self) -> Metadata:
        return self._context.metadata

    @property
    def path(self) -> str:
        return self._context.path

    @property
    def key(self) -> Any:
        return self._context.key

    @key.setter
    def key(self, key: Any) -> None:
        self._context.key = key

    @property
    def peer(self) -> str:
        return self._context.peer

    def time_remaining(self) -> float | None:
        return self._context.time_remaining()

    def answer(self, message: bytes, trailing: Metadata = ()) -> None:  # the message names the version
        self._end(b"".join((_RESPONSE_FIELD, _varint(len(message) + len(_FINAL)), message, _FINAL)))

    def refuse(self, code: str, details: str, trailing: Metadata = ()) -> None:  # there is no place for it
        response = pb2.ModelStreamInferResponse(error_message=f"{code}: {details}")
        response.infer_response.id = _id(self._request)
        self._end(response.SerializeToString())

    def cancel(self) -> None:
        if not self.written.done():
            self.written.cancel()
            if self.on_cancel:
                self.on_cancel()

    def _end(self, written: bytes) -> None:
        if not self.written.done():
            self.written.set_result(written)


def stream_handler(infer: UnaryHandler, check: Callable[[StreamContext], None] = lambda _: None) -> StreamHandler:
    """The method. infer: answers one ModelInferRequest. check: asked before each; what it raises ends the stream."""

    async def answers(requests: AsyncIterator[bytes], context: StreamContext) -> AsyncIterator[bytes]:
        slots = asyncio.Semaphore(MOST_AT_ONCE)
        calls: deque[_StreamedCall] = deque()
        begun = asyncio.Event()

        async def begin_all() -> None:
            async for request in requests:
                check(context)
                await slots.acquire()
                call = _StreamedCall(request, context)
                calls.append(call)
                infer(request, call)
                begun.set()

        beginning = asyncio.create_task(begin_all())
        beginning.add_done_callback(lambda _: begun.set())
        try:
            while True:
                while calls:
                    written = await calls[0].written
                    calls.popleft()
                    slots.release()
                    yield written
                if beginning.done():
                    beginning.result()  # what was wrong with the requests is the stream's status
                    if not calls:
                        return
                begun.clear()
                await begun.wait()
        finally:
            beginning.cancel()
            for call in calls:
                call.cancel()

    return answers


def _id(request: bytes) -> str:
    """What the caller calls its request; empty for a large one, which is not read here."""
    if len(request) >= LARGE_BYTES:
        return ""
    try:
        return pb2.ModelInferRequest.FromString(request).id
    except DecodeError:
        return ""


def _varint(number: int) -> bytes:
    written = bytearray()
    while number > 0x7F:
        written.append(number & 0x7F | 0x80)
        number >>= 7
    written.append(number)
    return bytes(written)
