"""gRPC's health protocol, `grpc.health.v1.Health`, for whoever can say how healthy a service is.

Check  service ──▶ state, or NOT_FOUND
Watch  service ──▶ state, and again whenever it is another, until the server drains
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

from google.protobuf.message import DecodeError
from grpc_health.v1 import health_pb2

from signet.serving.errors import InvalidInput, NotFound
from signet.serving.grpc_transport.calls import Method, Services, StreamContext
from signet.serving.grpc_transport.coroutine_methods import unary_handler

SERVICE = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name

SERVING: int = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING: int = health_pb2.HealthCheckResponse.NOT_SERVING

_WATCH_S = 1.0
"""Seconds between two looks of those who watch the health."""


class Health:
    """The methods of the health protocol. Everything here runs in the event loop."""

    def __init__(
        self, state: Callable[[str], int | None], stopping: Callable[[], bool], unknown: Callable[[str], str]
    ) -> None:
        """state: of a service by its name, such as `SERVING`; None for one that there is not. unknown: words for that."""
        self._state, self._stopping, self._unknown = state, stopping, unknown
        self._drained = asyncio.Event()

    def drain(self) -> None:
        """Tell those who watch, now that the server is stopping."""
        self._drained.set()

    def services(self) -> Services:
        """The methods by their paths."""
        return {
            f"/{SERVICE}/Check": Method(unary=unary_handler(self._check)),
            f"/{SERVICE}/Watch": Method(stream=self._watch),
        }

    async def _check(self, request: bytes, _: StreamContext) -> bytes:
        name = _service_of(request)
        state = self._state(name)
        if state is None:
            raise NotFound(self._unknown(name))
        return _response(state)

    async def _watch(self, requests: AsyncIterator[bytes], _: StreamContext) -> AsyncIterator[bytes]:
        name = _service_of(await anext(requests))
        told = None
        while True:
            stopping = self._stopping()
            state = self._state(name)
            if state is None:
                state = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
            if state != told:
                yield _response(state)
                told = state
            if stopping:
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_WATCH_S):
                    await self._drained.wait()


def _service_of(request: bytes) -> str:
    try:
        name: str = health_pb2.HealthCheckRequest.FromString(request).service
    except DecodeError as error:
        raise InvalidInput(f"the request is no grpc.health.v1.HealthCheckRequest: {error}") from error
    return name


def _response(state: int) -> bytes:
    written: bytes = health_pb2.HealthCheckResponse(status=state).SerializeToString()
    return written
