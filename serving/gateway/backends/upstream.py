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
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from signet.serving.errors import BadGateway, DeadlineExceeded, NotFound, ServingError
from signet.serving.gateway.backends import model_server, remote_answers
from signet.serving.gateway.backends.addresses import Address, Name
from signet.serving.gateway.backends.connecting import Connect, in_the_clear
from signet.serving.gateway.backends.model_server import ModelServer
from signet.serving.gateway.backends.retry_budget import RetryBudget
from signet.serving.gateway.backends.upstream_call import ReadAnswer, UpstreamCall, translated
from signet.serving.gateway.observability.metrics import Metrics
from signet.serving.grpc_transport.channels import CallError, ask
from signet.serving.offload.message_weight import heavy_bytes
from signet.serving.offload.pool import LARGE_BYTES, Offload
from signet.serving.process.supervision import POLLER, Failures
from signet.serving.tensors.protos import get_model_metadata_pb2, get_model_status_pb2, predict_pb2

log = logging.getLogger(__name__)

_RESOLVE_S = 5.0
"""Seconds between two looks at the addresses of a name."""
_LEAVE_S = 3600.0
"""Seconds that calls on a server have which is no longer an address of its name; their own deadlines end them before."""

T = TypeVar("T")


class Upstream:
    """All model servers, balanced: the ready one with the fewest calls in work gets a call, equals in turn.

    Only the event loop touches it. `servers` changes in `resolve` alone; a server that leaves finishes its calls.
    """

    def __init__(
        self,
        endpoints: Sequence[Address | Name],
        metrics: Metrics,
        connect: Connect = in_the_clear,
        budget: RetryBudget | None = None,
        offload: Offload | None = None,
        failures: Failures | None = None,
    ) -> None:
        """offload: reads answers that are much work; without, threads do. failures: counts those of looking up names."""
        self.servers: list[ModelServer] = []
        self._endpoints, self._metrics, self._connect = endpoints, metrics, connect
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
        await asyncio.gather(*(server.channel.close() for server in self.servers))

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

    def predict(
        self,
        model: str,
        version: int,
        request: bytes,
        timeout_s: float,
        read: ReadAnswer[T],
        on_success: Callable[[float], None] | None = None,
    ) -> asyncio.Future[T]:
        """What `read` makes of the PredictResponse for a serialized PredictRequest that names this version.

        on_success(seconds): told how long it took.
        """
        return self._call(model_server.PREDICT, model, version, request, timeout_s, read, on_success)

    async def predict_unrecorded(
        self, model: str, version: int, request: bytes, timeout_s: float, read: ReadAnswer[T]
    ) -> T:
        """What `read` makes of the answer to a probe, which is nobody's request: made once, not retried, not counted."""
        path = model_server.PREDICT
        return await UpstreamCall(self, path, model, version, request, timeout_s, read, recorded=False).start()

    def metadata(
        self, request: get_model_metadata_pb2.GetModelMetadataRequest, timeout_s: float, read: ReadAnswer[T]
    ) -> asyncio.Future[T]:
        """What `read` makes of the GetModelMetadataResponse for a request that names a version or a label."""
        spec = request.model_spec
        version = spec.version.value if spec.HasField("version") else None
        return self._call(model_server.METADATA, spec.name, version, request.SerializeToString(), timeout_s, read)

    async def poll_status(self, server: ModelServer, model: str, timeout_s: float) -> None:
        """Let a server say which versions of a model it has. Raises `ServingError` when it does not answer that."""
        request = get_model_status_pb2.GetModelStatusRequest()
        request.model_spec.name = model
        try:
            answer = await ask(server.channel, model_server.STATUS, request.SerializeToString(), timeout_s)
            statuses = remote_answers.statuses_of(answer)
        except BadGateway as error:
            server.answers = False
            self.failed(server, error)
            raise BadGateway(f"model server {server}: {error}") from error
        except CallError as error:
            problem = translated(error)
            server.answers = isinstance(problem, NotFound)
            if not server.answers:
                if self.failed(server, problem) and isinstance(problem, DeadlineExceeded):
                    self._give_up_calls(server)
                raise problem from error
            server.statuses[model] = []
        else:
            server.statuses[model] = statuses
        server.answers = True
        server.ejection.succeeded(time.monotonic())

    def _call(
        self,
        path: str,
        model: str,
        version: int | None,
        request: bytes,
        timeout_s: float,
        read: ReadAnswer[T],
        on_success: Callable[[float], None] | None = None,
    ) -> asyncio.Future[T]:
        self._budget.add_call()
        return UpstreamCall(self, path, model, version, request, timeout_s, read, on_success=on_success).start()

    # What calls need: see `Balancer`

    def pick(self, model: str, version: int | None, tried: set[ModelServer]) -> ModelServer | None:
        """The best server that has not been tried: better one that is out than one without the version."""
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

    def may_retry(self, model: str, tried: set[ModelServer]) -> bool:
        """Whether there is another server, and a retry left in the budget; it is taken then."""
        if len(tried) == len(self.servers) or not self._budget.take(time.monotonic()):
            return False
        self._metrics.upstream_retries.labels(model).inc()
        return True

    def failed(self, server: ModelServer, problem: ServingError) -> bool:
        """Note a failure; True when it ejects the server and that was in before."""
        ejected = server.ejection.failed(time.monotonic())
        if ejected:
            log.warning("model server %s is ejected for a while: %s", server, problem)
        return ejected

    def count_error(self, model: str, problem: ServingError) -> None:
        """Count a failed attempt by its code."""
        self._metrics.upstream_errors.labels(model, problem.grpc_code).inc()

    def read_large(self, response: bytes, read: ReadAnswer[T]) -> Awaitable[T]:
        """A worker reads what goes value by value, a thread what is copied in one piece."""
        if self._offload and heavy_bytes(response, predict_pb2.PredictResponse) >= LARGE_BYTES:
            return self._offload.call(read, response)
        return asyncio.to_thread(read, response)

    def _give_up_calls(self, server: ModelServer) -> None:
        """Calls on a server that stands still would wait in vain; another may answer them."""
        if not all(other.is_ejected() for other in self.servers):
            for attempt in list(server.calls):
                attempt.give_up()

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
        sent = self._metrics.upstream_requests.labels(address.target)
        server = ModelServer(address, self._connect(address), sent)
        self._metrics.upstream_ejected.labels(address.target).set_function(server.is_ejected)
        self.servers.append(server)
        log.info("model server %s is new", server)

    def _remove(self, server: ModelServer) -> None:
        self.servers.remove(server)
        self._metrics.upstream_ejected.remove(str(server))
        self._metrics.upstream_requests.remove(str(server))
        closing = asyncio.create_task(server.channel.close(_LEAVE_S))
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)
        log.info("model server %s is no longer there", server)
