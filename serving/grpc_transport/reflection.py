"""gRPC's reflection, by which clients such as grpcurl learn the services and messages of a server.

ServerReflectionInfo  questions, one after the other ──▶ an answer to each, from protobuf's pool of descriptors
"""

from collections.abc import AsyncIterator, Sequence

from google.protobuf.message import DecodeError
from grpc_reflection.v1alpha import reflection, reflection_pb2

from signet.serving.errors import InvalidInput
from signet.serving.grpc_transport.calls import Method, Services, StreamContext

_METHOD = f"/{reflection.SERVICE_NAME}/ServerReflectionInfo"


def services(names: Sequence[str]) -> Services:
    """The methods by their paths. names: the services to tell of, whose descriptors are in protobuf's pool."""
    servicer = reflection.aio.ReflectionServicer((*names, reflection.SERVICE_NAME))  # type: ignore[attr-defined]

    async def answers(requests: AsyncIterator[bytes], _: StreamContext) -> AsyncIterator[bytes]:
        async for response in servicer.ServerReflectionInfo(_messages(requests), None):
            yield response.SerializeToString()

    return {_METHOD: Method(stream=answers)}


async def _messages(requests: AsyncIterator[bytes]) -> AsyncIterator[reflection_pb2.ServerReflectionRequest]:
    async for request in requests:
        try:
            message = reflection_pb2.ServerReflectionRequest.FromString(request)
        except DecodeError as error:
            raise InvalidInput(f"the request is no ServerReflectionRequest: {error}") from error
        yield message
