"""`Services` on grpcio's server, `grpc.aio`: the way back from the transport of our own.

grpc.aio ──metadata──▶ door ──bytes, ServicerContext──▶ Call ──▶ handler ──▶ answered or refused ──▶ grpc.aio
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import grpc

from signet.serving.errors import ServingError
from signet.serving.grpc_transport.calls import REQUEST_ID, Metadata, Refusal, Services, StreamHandler, UnaryHandler
from signet.serving.tls.credentials import Credentials
from signet.serving.tls.following import Followed

if TYPE_CHECKING:  # gRPC's classes are generic to type checkers alone
    ServicerContext = grpc.aio.ServicerContext[bytes, bytes]
    Handler = grpc.RpcMethodHandler[bytes, bytes]
    GenericRpcHandler = grpc.GenericRpcHandler[bytes, bytes]
else:
    ServicerContext, Handler, GenericRpcHandler = (
        grpc.aio.ServicerContext,
        grpc.RpcMethodHandler,
        grpc.GenericRpcHandler,
    )


class GrpcioServer:
    """Listens where it is told; answers once it is started, in the running event loop."""

    def __init__(
        self, services: Services, options: Sequence[tuple[str, int | str]], concurrent_calls: int | None = None
    ) -> None:
        """options: gRPC's channel arguments. concurrent_calls: at most, all connections together; None: no limit."""
        self._server = grpc.aio.server(options=options, maximum_concurrent_rpcs=concurrent_calls)
        self._server.add_generic_rpc_handlers((_Methods(services),))

    def add_port(self, address: str, credentials: grpc.ServerCredentials | None = None) -> int:
        """Open an address, such as `[::]:8500` or `unix:/path`; gives its port. Raises `RuntimeError` if that fails."""
        if credentials:
            return self._server.add_secure_port(address, credentials)
        return self._server.add_insecure_port(address)

    async def start(self) -> None:
        """Answer from now on."""
        await self._server.start()

    async def stop(self, grace_s: float) -> None:
        """Shut down gracefully: take no new calls, and give those in work that many seconds."""
        await self._server.stop(grace_s)


def followed_credentials(followed: Followed) -> grpc.ServerCredentials:
    """What a server shows, of each new connection what the files say then; with roots each client has to show a certificate."""

    def configuration(credentials: Credentials) -> grpc.ServerCertificateConfiguration:
        pairs = [(credentials.key, credentials.certificate)] if credentials.certificate else []
        return grpc.ssl_server_certificate_configuration(pairs, credentials.roots)

    told = first = followed.credentials

    def fetch() -> grpc.ServerCertificateConfiguration | None:
        """In gRPC's threads: the configuration, if it is not the one that was told last."""
        nonlocal told
        now = followed.credentials
        if now is told:
            return None
        told = now
        return configuration(now)

    made = grpc.dynamic_ssl_server_credentials
    return made(configuration(first), fetch, first.roots is not None)  # type: ignore[arg-type]  # None: as before


class _Head:
    """What is known of a call before its request is read."""

    def __init__(self, path: str, pairs: Metadata) -> None:
        self.path = path
        self.metadata = [(key, value) for key, value in pairs if not key.startswith("grpc-")]
        self.key: Any = None


class _Methods(GenericRpcHandler):
    """The methods, as grpcio asks for them when the head of a call is there."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Handler | None:
        path = str(handler_call_details.method)
        method = self._services.get(path)
        if method is None:
            return None
        head = _Head(path, handler_call_details.invocation_metadata or ())
        refusal = method.door(head, "")
        if refusal:  # a stream, for that is asked for an answer before its requests are read
            return grpc.stream_stream_rpc_method_handler(_refusing(refusal))
        if method.unary:
            return grpc.unary_unary_rpc_method_handler(_unary(method.unary, head))
        assert method.stream, "it is one or the other"
        # It serves a single request too: on the wire both look alike.
        return grpc.stream_stream_rpc_method_handler(_stream(method.stream, head))


class _Context:
    """What the handler of a stream may know of its call."""

    def __init__(self, context: ServicerContext, head: _Head) -> None:
        self._context, self.path, self.metadata, self.key = context, head.path, head.metadata, head.key

    @property
    def peer(self) -> str:
        return self._context.peer()

    def time_remaining(self) -> float | None:
        return self._context.time_remaining()


class _Call(_Context):
    """A unary call in work, for the event loop alone: `_ended` gets its end, once."""

    def __init__(self, context: ServicerContext, head: _Head) -> None:
        super().__init__(context, head)
        self.on_cancel: Callable[[], object] | None = None
        self.request_id = ""
        self._ended: asyncio.Future[tuple[bytes, str, str, Metadata]] = asyncio.get_running_loop().create_future()

    def answer(self, message: bytes, trailing: Metadata = ()) -> None:
        if not self._ended.done():
            self._ended.set_result((message, "OK", "", trailing))

    def refuse(self, code: str, details: str, trailing: Metadata = ()) -> None:
        if not self._ended.done():
            self._ended.set_result((b"", code, details, trailing))

    async def wait(self) -> bytes:
        """Until the call ends: its answer. Refuses where the handler did."""
        try:
            message, code, details, trailing = await self._ended
        except asyncio.CancelledError:  # the caller has left, or its time is over
            if self.on_cancel:
                self.on_cancel()
            raise
        if self.request_id:
            trailing = (*trailing, (REQUEST_ID, self.request_id))
        if code != "OK":
            await _abort(self._context, code, details, trailing)
        if trailing:
            self._context.set_trailing_metadata(tuple(trailing))
        return message


def _refusing(refusal: Refusal) -> Callable[[AsyncIterator[bytes], ServicerContext], AsyncIterator[bytes]]:
    async def answers(_: AsyncIterator[bytes], context: ServicerContext) -> AsyncIterator[bytes]:
        await _abort(context, *refusal)
        yield b""

    return answers


def _unary(handler: UnaryHandler, head: _Head) -> Callable[[bytes, ServicerContext], Awaitable[bytes]]:
    async def answer(request: bytes, context: ServicerContext) -> bytes:
        call = _Call(context, head)
        handler(request, call)
        return await call.wait()

    return answer


def _stream(
    handler: StreamHandler, head: _Head
) -> Callable[[AsyncIterator[bytes], ServicerContext], AsyncIterator[bytes]]:
    async def answers(requests: AsyncIterator[bytes], context: ServicerContext) -> AsyncIterator[bytes]:
        try:
            async for answer in handler(requests, _Context(context, head)):
                yield answer
        except ServingError as error:
            await _abort(context, error.grpc_code, str(error))

    return answers


async def _abort(context: ServicerContext, code: str, details: str, trailing: Metadata = ()) -> NoReturn:
    await context.abort(grpc.StatusCode[code], details, tuple(trailing))
    raise AssertionError("abort raises")
