"""The model servers behind the gateway, as one: discovery, load balancing, retries and outlier ejection.

    call ──▶ of the servers that are in and have the version: the one with the fewest calls, equals in turn
               │ UNAVAILABLE ──▶ once more on another, if the retry budget has one left; failures in a row: out
               └ NOT_FOUND   ──▶ it does not have the version any more: the next one that has

An answer that is none, as another program gives at the address, is `BadGateway` and counts as UNAVAILABLE.

Only for calls that may be made twice, which all of TensorFlow Serving's are.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

import grpc
from prometheus_client import Counter

from signet.serving.errors import BadGateway, DeadlineExceeded, NotFound, ServingError, Unavailable, from_code
from signet.serving.gateway.backends import remote_answers
from signet.serving.gateway.backends.addresses import Address, Name
from signet.serving.gateway.backends.ejection import OutlierEjection
from signet.serving.gateway.backends.retry_budget import RetryBudget
from signet.serving.gateway.observability.metrics import Metrics
from signet.serving.models.model_status import State, VersionStatus
from signet.serving.offload.message_weight import heavy_bytes
from signet.serving.offload.pool import LARGE_BYTES, Offload
from signet.serving.process.supervision import POLLER, Failures
from signet.serving.tensors.protos import get_model_metadata_pb2, get_model_status_pb2, predict_pb2

log = logging.getLogger(__name__)

_OPTIONS = [
    ("grpc.max_receive_message_length", -1),  # the 4 MiB default is the client's, not the server's
    ("grpc.max_send_message_length", -1),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2000),
    # Servers count pings more often than every 5 minutes as strikes and end the connection: GOAWAY too_many_pings. A
    # host that is gone is noticed sooner all the same: what was sent must be acknowledged within the ping's timeout.
    ("grpc.keepalive_time_ms", 330_000),
    ("grpc.keepalive_timeout_ms", 10_000),
]
_RESOLVE_S = 5.0
"""Seconds between two looks at the addresses of a name."""
_LEAVE_S = 3600.0
"""Seconds that calls on a server have which is no longer an address of its name; their own deadlines end them before."""

GONE = "Servable not found"
"""How TensorFlow Serving's message starts when a version is not loaded; a model's own NOT_FOUND says something else."""

T = TypeVar("T")
if TYPE_CHECKING:  # gRPC's classes are generic to type checkers alone
    BytesCall = grpc.aio.UnaryUnaryCall[bytes, bytes]
    BytesMethod = grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]
else:
    BytesCall, BytesMethod = grpc.aio.UnaryUnaryCall, grpc.aio.UnaryUnaryMultiCallable

ReadAnswer = Callable[[bytes], T]
"""Makes of an answer's bytes what the caller wants. Raises `BadGateway` for an answer that is none."""


class Server:
    """One model server: its connection, its calls in work, the versions it has.

    Only the event loop writes: `statuses` and `answers` from polls, `ejection` from polls and calls.
    """

    def __init__(self, address: Address, credentials: grpc.ChannelCredentials | None, sent: Counter) -> None:
        self.address, self.sent = address, sent
        self.ejection = OutlierEjection()
        self.calls: set[BytesCall] = set()
        self.statuses: dict[str, list[VersionStatus]] = {}
        """Model -> its versions as this server said last; without an entry it has not been asked."""
        self.answers = False
        """Whether this server answered its last poll."""
        if credentials:
            names = [("grpc.ssl_target_name_override", address.server_name)] if address.server_name else []
            self.channel = grpc.aio.secure_channel(address.target, credentials, [*_OPTIONS, *names])
        else:
            self.channel = grpc.aio.insecure_channel(address.target, _OPTIONS)
        # Bytes both ways: a request is not written again for a second attempt, and gRPC logs a traceback for every
        # answer that it cannot read, and gives None.
        self.predict = self._method("PredictionService/Predict")
        self.metadata = self._method("PredictionService/GetModelMetadata")
        self.status = self._method("ModelService/GetModelStatus")

    def _method(self, name: str) -> BytesMethod:
        return self.channel.unary_unary(f"/tensorflow.serving.{name}", None, None)

    def __str__(self) -> str:
        return self.address.target

    def available(self, model: str) -> list[int]:
        """The versions of a model that this server serves."""
        return [entry.version for entry in self.statuses.get(model, ()) if entry.state is State.AVAILABLE]

    def has(self, model: str, version: int | None) -> bool:
        """Whether this server serves that version of a model, or for None any."""
        versions = self.available(model)
        return bool(versions) if version is None else version in versions

    def is_ejected(self) -> bool:
        """Whether this server is left out now; see `OutlierEjection`."""
        return self.ejection.is_ejected(time.monotonic())

    def forget(self, model: str, version: int) -> None:
        """Note that this server said that it does not have this version."""
        self.statuses[model] = [entry for entry in self.statuses.get(model, ()) if entry.version != version]


class Upstream:
    """All model servers, balanced: the ready one with the fewest calls in work gets a call, equals in turn.

    Only the event loop touches it. `servers` changes in `resolve` alone; a server that leaves finishes its calls.
    """

    def __init__(
        self,
        endpoints: Sequence[Address | Name],
        metrics: Metrics,
        credentials: grpc.ChannelCredentials | None = None,
        budget: RetryBudget | None = None,
        offload: Offload | None = None,
        failures: Failures | None = None,
    ) -> None:
        """offload: reads answers that are much work; without, threads do. failures: counts those of looking up names."""
        self.servers: list[Server] = []
        self._endpoints, self._metrics, self._credentials = endpoints, metrics, credentials
        self._budget = budget or RetryBudget()
        self._offload, self._failures = offload, failures or Failures()
        self._resolved: dict[Name, list[Address]] = {}
        self._round_robin = 0
        self._resolver: asyncio.Task[None] | None = None
        self._closing: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        await self.resolve()
        if any(isinstance(endpoint, Name) for endpoint in self._endpoints):
            self._resolver = asyncio.create_task(self._keep_resolving())

    async def stop(self) -> None:
        if self._resolver:
            self._resolver.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._resolver
        for task in self._closing:
            task.cancel()
        await asyncio.gather(*self._closing, return_exceptions=True)
        for server in self.servers:
            await server.channel.close(None)

    async def resolve(self) -> None:
        """Look up the names. Servers that stay keep their connections; one whose address is gone ends its calls."""
        await asyncio.gather(*(self._look_up(endpoint) for endpoint in self._endpoints if isinstance(endpoint, Name)))
        addresses: dict[str, Address] = {}
        for endpoint in self._endpoints:
            for address in self._resolved.get(endpoint, []) if isinstance(endpoint, Name) else [endpoint]:
                addresses.setdefault(address.target, address)
        for server in [server for server in self.servers if str(server) not in addresses]:
            self._remove(server)
        present = {str(server) for server in self.servers}
        for target, address in addresses.items():
            if target not in present:
                self._add(address)

    async def predict(self, model: str, version: int, request: bytes, timeout_s: float, read: ReadAnswer[T]) -> T:
        """What `read` makes of the PredictResponse for a serialized PredictRequest that names this version."""
        return await self._call("predict", model, version, request, timeout_s, read)

    async def predict_unrecorded(
        self, model: str, version: int, request: bytes, timeout_s: float, read: ReadAnswer[T]
    ) -> T:
        """What `read` makes of the answer to a probe, which is nobody's request: made once, not retried, not counted."""
        server = self._pick(model, version, set())
        if server is None:
            raise Unavailable("there is no model server")
        return await self._attempt(server, server.predict, request, time.monotonic() + timeout_s, read, counted=False)

    async def metadata(
        self, request: get_model_metadata_pb2.GetModelMetadataRequest, timeout_s: float, read: ReadAnswer[T]
    ) -> T:
        """What `read` makes of the GetModelMetadataResponse for a request that names a version or a label."""
        spec = request.model_spec
        version = spec.version.value if spec.HasField("version") else None
        return await self._call("metadata", spec.name, version, request.SerializeToString(), timeout_s, read)

    async def poll_status(self, server: Server, model: str, timeout_s: float) -> None:
        """Let a server say which versions of a model it has. Raises `ServingError` when it does not answer that."""
        request = get_model_status_pb2.GetModelStatusRequest()
        request.model_spec.name = model
        try:
            statuses = remote_answers.statuses_of(await server.status(request.SerializeToString(), timeout=timeout_s))
        except BadGateway as error:
            server.answers = False
            self._failed(server, error)
            raise BadGateway(f"model server {server}: {error}") from error
        except grpc.aio.AioRpcError as error:
            translated = _translate(error)
            server.answers = isinstance(translated, NotFound)
            if not server.answers:
                if self._failed(server, translated) and isinstance(translated, DeadlineExceeded):
                    self._give_up_calls(server)
                raise translated from error
            server.statuses[model] = []
        else:
            server.statuses[model] = statuses
        server.answers = True
        server.ejection.succeeded(time.monotonic())

    async def _call(
        self, method: str, model: str, version: int | None, request: bytes, timeout_s: float, read: ReadAnswer[T]
    ) -> T:
        deadline = time.monotonic() + timeout_s
        tried: set[Server] = set()
        retried = False
        self._budget.add_call()
        problem: ServingError = Unavailable("there is no model server")
        while server := self._pick(model, version, tried):
            tried.add(server)
            try:
                return await self._attempt(server, getattr(server, method), request, deadline, read)
            except ServingError as error:
                problem = error
                self._metrics.upstream_errors.labels(model, error.grpc_code).inc()
            if version is not None and isinstance(problem, NotFound) and str(problem).startswith(GONE):
                server.forget(model, version)
                continue
            if not isinstance(problem, Unavailable) or retried or len(tried) == len(self.servers):
                break
            if not self._budget.take(time.monotonic()):
                break
            retried = True
            self._metrics.upstream_retries.labels(model).inc()
        raise problem

    async def _attempt(
        self,
        server: Server,
        method: BytesMethod,
        request: bytes,
        deadline: float,
        read: ReadAnswer[T],
        *,
        counted: bool = True,
    ) -> T:
        left_s = deadline - time.monotonic()
        if left_s <= 0:
            raise DeadlineExceeded("the deadline passed before the model server was called")
        if counted:
            server.sent.inc()
        call = method(request, timeout=left_s)
        server.calls.add(call)
        try:
            response = await call
            answer = read(response) if len(response) < LARGE_BYTES else await self._read_large(response, read)
        except BadGateway as error:
            self._failed(server, error)
            raise BadGateway(f"model server {server}: {error}") from error
        except grpc.aio.AioRpcError as error:
            translated = _translate(error)
            if isinstance(translated, Unavailable):
                self._failed(server, translated)
            raise translated from error
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task and task.cancelling():
                raise  # the caller has left
            raise Unavailable(f"model server {server} stopped answering") from None
        finally:
            server.calls.discard(call)
        server.ejection.succeeded(time.monotonic())
        return answer

    async def _read_large(self, response: bytes, read: ReadAnswer[T]) -> T:
        """TensorFlow Serving answers in typed fields, value by value."""
        if self._offload and heavy_bytes(response, predict_pb2.PredictResponse) >= LARGE_BYTES:
            return await self._offload.call(read, response)
        return await asyncio.to_thread(read, response)

    def _pick(self, model: str, version: int | None, tried: set[Server]) -> Server | None:
        """The best server that has not been tried: better one that is out than one without the version.

        version: None for any.
        """
        now = time.monotonic()
        ranks = {
            server: (not server.has(model, version), server.ejection.is_ejected(now), len(server.calls))
            for server in self.servers
            if server not in tried
        }
        if not ranks:
            return None
        best = min(ranks.values())
        equals = [server for server, rank in ranks.items() if rank == best]
        self._round_robin += 1
        return equals[self._round_robin % len(equals)]

    def _failed(self, server: Server, problem: ServingError) -> bool:
        """Note a failure; True when it ejects the server and that was in before."""
        ejected = server.ejection.failed(time.monotonic())
        if ejected:
            log.warning("model server %s is ejected for a while: %s", server, problem)
        return ejected

    def _give_up_calls(self, server: Server) -> None:
        """Calls on a server that stands still would wait in vain; another may answer them."""
        if not all(other.is_ejected() for other in self.servers):
            for call in list(server.calls):
                call.cancel()

    async def _keep_resolving(self) -> None:
        while True:
            await asyncio.sleep(_RESOLVE_S)
            try:
                await self.resolve()
            except Exception:
                log.exception("the model servers' names could not be looked up")
                self._failures.count(POLLER)

    async def _look_up(self, name: Name) -> None:
        """A name that cannot be looked up keeps the addresses it had."""
        try:
            self._resolved[name] = await name.resolve()
        except OSError as error:
            log.warning("the name %s cannot be resolved: %s", name.host, error)

    def _add(self, address: Address) -> None:
        server = Server(address, self._credentials, self._metrics.upstream_requests.labels(address.target))
        self._metrics.upstream_ejected.labels(address.target).set_function(server.is_ejected)
        self.servers.append(server)
        log.info("model server %s is new", server)

    def _remove(self, server: Server) -> None:
        self.servers.remove(server)
        self._metrics.upstream_ejected.remove(str(server))
        self._metrics.upstream_requests.remove(str(server))
        closing = asyncio.create_task(server.channel.close(_LEAVE_S))
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)
        log.info("model server %s is no longer there", server)


def _translate(error: grpc.aio.AioRpcError) -> ServingError:
    code, message = error.code().name, error.details() or error.code().name
    if code == "CANCELLED":  # not by this side: the server is stopping
        return Unavailable(f"the model server cancelled the call: {message}")
    return from_code(code, message)
