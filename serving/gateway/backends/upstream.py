"""The model servers behind the gateway, as one: discovery, load balancing, retries and outlier ejection.

    call ──▶ of the servers that are in and hold the version: the one with the fewest calls, slow ones' count more
               │ UNAVAILABLE        ──▶ once more on another, if the retry budget has one left; failures in a row: out
               │ RESOURCE_EXHAUSTED ──▶ the same, where another takes calls; it rests for a moment
               │ NOT_FOUND          ──▶ it does not have the version any more: the next one that has
               └ no answer in time  ──▶ if hedging is on: beside it on another, if the hedging budget has one left

An answer that is none, as another program gives at the address, is `BadGateway` and counts as UNAVAILABLE. A server is out while
it is ejected, says nothing or refuses; where all are out, calls go to the best of them.

Only for calls that may be made twice, which all of TensorFlow Serving's are.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar

from signet.serving.errors import BadGateway, DeadlineExceeded, NotFound, Overloaded, ServingError
from signet.serving.gateway.backends import model_server, remote_answers, slowness
from signet.serving.gateway.backends.addresses import Address, Name
from signet.serving.gateway.backends.connecting import Connect, in_the_clear
from signet.serving.gateway.backends.hedging import Hedging
from signet.serving.gateway.backends.model_server import ModelServer
from signet.serving.gateway.backends.remote_version import RemoteVersion
from signet.serving.gateway.backends.retry_budget import RetryBudget
from signet.serving.gateway.backends.signature_ledger import SignatureLedger
from signet.serving.gateway.backends.slowness import Pace
from signet.serving.gateway.backends.upstream_call import ReadAnswer, UpstreamCall, translated
from signet.serving.gateway.observability.call_trace import CallTrace
from signet.serving.gateway.observability.metrics import Metrics
from signet.serving.grpc_transport.channels import CallError, Channel, ask
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
        hedging: Hedging | None = None,
    ) -> None:
        """offload: reads answers that are much work; without, threads do. failures: counts those of looking up names.

        hedging: when calls are made a second time; None: never.
        """
        self.servers: list[ModelServer] = []
        self.ledger = SignatureLedger()
        self.candidates: Mapping[str, int] = {}
        """Model -> the version that is on trial. Replaced by the thread that follows releases."""
        self._endpoints, self._metrics, self._connect = endpoints, metrics, connect
        self._budget, self._hedging = budget or RetryBudget(), hedging
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
        await asyncio.gather(*self._closing, *self.ledger.stop(), return_exceptions=True)
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
        lease: RemoteVersion | None = None,
        trace: CallTrace | None = None,
    ) -> asyncio.Future[T]:
        """What `read` makes of the PredictResponse for a serialized PredictRequest that names this version.

        on_success(seconds): told how long it took. lease: a server that is known to hold other signatures answers nothing.
        trace: that the call belongs to, which servers are told.
        """
        path = model_server.PREDICT
        self._budget.add_call()
        if self._hedging and lease:
            self._hedging.began()
        return UpstreamCall(
            self, path, model, version, request, timeout_s, read, lease=lease, on_success=on_success, trace=trace
        ).start()

    async def predict_unrecorded(
        self, lease: RemoteVersion, request: bytes, timeout_s: float, read: ReadAnswer[T]
    ) -> T:
        """What `read` makes of the answer to a probe, which is nobody's request: made once, not retried, not counted."""
        path, name, version = model_server.PREDICT, lease.name, lease.version
        return await UpstreamCall(
            self, path, name, version, request, timeout_s, read, lease=lease, recorded=False
        ).start()

    def metadata(
        self, request: get_model_metadata_pb2.GetModelMetadataRequest, timeout_s: float, read: ReadAnswer[T]
    ) -> asyncio.Future[T]:
        """What `read` makes of the GetModelMetadataResponse for a request that names a version or a label."""
        spec = request.model_spec
        version = spec.version.value if spec.HasField("version") else None
        path, data = model_server.METADATA, request.SerializeToString()
        self._budget.add_call()
        return UpstreamCall(self, path, spec.name, version, data, timeout_s, read).start()

    async def poll_status(self, server: ModelServer, model: str, timeout_s: float) -> None:
        """Let a server say which versions of a model it has. Raises `ServingError` when it does not answer that."""
        request = get_model_status_pb2.GetModelStatusRequest()
        request.model_spec.name = model
        asked_s = time.monotonic()
        server.silence.asked(asked_s)
        try:
            answer = await ask(server.channel, model_server.STATUS, request.SerializeToString(), timeout_s)
            statuses = remote_answers.statuses_of(answer)
        except BadGateway as error:
            server.silence.heard()
            server.answers, server.problem = False, f"{server}: {error}"
            self.failed(server, error)
            raise BadGateway(f"model server {server}: {error}") from error
        except CallError as error:
            problem = translated(error, server)
            server.answers = isinstance(problem, NotFound)
            if not isinstance(problem, DeadlineExceeded):
                server.silence.heard()  # a refusal is no silence
            if not server.answers:
                server.problem = str(problem)
                ejected = self.failed(server, problem)
                if isinstance(problem, DeadlineExceeded) and server.silence.since(asked_s):
                    self._give_up_calls(server)
                    if ejected:
                        self._close(server.renew())
                raise problem from error
            server.statuses[model] = []
        else:
            server.statuses[model] = statuses
        server.answers, server.problem = True, ""
        server.silence.heard()
        server.ejection.succeeded(time.monotonic())

    async def reload(self, config: bytes, timeout_s: float) -> list[str]:
        """Have every server that answers take a configuration, unless it has; gives a sentence about each that does not.

        config: a serialized ReloadConfigRequest.
        """

        async def told(server: ModelServer) -> str | None:
            try:
                epoch = server.epoch
                await ask(server.channel, model_server.RELOAD, config, timeout_s)
            except CallError as error:
                return f"model server {server}: {error}"
            if server.epoch == epoch:
                server.config = config
            return None

        answers = await asyncio.gather(
            *(told(server) for server in self.servers if server.answers and server.config != config)
        )
        return [problem for problem in answers if problem]

    # What calls need: see `Balancer`

    def pick(
        self,
        model: str,
        version: int | None,
        tried: set[ModelServer],
        lease: RemoteVersion | None = None,
    ) -> ModelServer | None:
        """The best server that has not been tried: better one that is out than one without the version.

        lease: a server that is known to hold other signatures is none; one of which that is not known is the worse.
        """
        servers = self.servers
        if len(servers) == 1 and not tried and (lease is None or servers[0] in lease.holders):
            return servers[0]
        now = time.monotonic()
        paces_s = [_estimate_s(server, model, now) for server in self.servers]
        least_s = min([known for known in paces_s if known], default=0.0)
        best: tuple[bool, bool, bool, float] | None = None
        equals: list[ModelServer] = []
        for server, pace_s in zip(self.servers, paces_s, strict=True):
            if server in tried:
                continue
            holds = lease is None or server in lease.holders
            if not holds and lease is not None and server.holds(lease.name, lease.version) is not None:
                continue
            load = (len(server.calls) + 1) * slowness.factor(pace_s, least_s)
            rank = (not server.has(model, version), server.is_out(now), not holds, load)
            if best is None or rank < best:
                best, equals = rank, [server]
            elif rank == best:
                equals.append(server)
        if not equals:
            return None
        self._round_robin += 1
        return equals[self._round_robin % len(equals)]

    def may_retry(self, model: str, tried: set[ModelServer], problem: ServingError) -> bool:
        """Whether there is another server, and a retry left in the budget; it is taken then.

        What one has refused is tried again only where another takes calls: overload of all is not answered with more calls.
        """
        now = time.monotonic()
        others = [server for server in self.servers if server not in tried]
        if isinstance(problem, Overloaded):
            others = [server for server in others if not server.is_out(now)]
        if not others or not self._budget.take(now):
            return False
        self._metrics.upstream_retries.labels(model).inc()
        return True

    def hedge_delay_s(self, model: str) -> float | None:
        """Seconds after which a call on the model is made a second time."""
        return self._hedging.delay_s(model) if self._hedging else None

    def hedge(self, model: str, version: int, tried: set[ModelServer], lease: RemoteVersion) -> ModelServer | None:
        """A holder that is in, if the hedging budget has one left; it is taken then."""
        now = time.monotonic()
        server = self.pick(model, version, tried, lease)
        if server is None or server not in lease.holders or server.is_out(now):
            return None
        if self._hedging is None or not self._hedging.take(now):
            return None
        self._metrics.upstream_hedges.labels(model).inc()
        return server

    def answered(self, server: ModelServer, model: str, seconds: float) -> None:
        """Note that a server has answered a call."""
        now = time.monotonic()
        server.ejection.succeeded(now)
        server.pushback.accepted()
        server.silence.heard()
        if len(self.servers) > 1:
            _pace(server, model).observe(seconds, now)
        if self._hedging:
            self._hedging.observe(model, server, seconds)

    def lags(self, server: ModelServer, model: str, seconds: float) -> None:
        """Note that a call was taken back from a server after so long."""
        _pace(server, model).lags(seconds, time.monotonic())

    def failed(self, server: ModelServer, problem: ServingError) -> bool:
        """Note a failure or a refusal; True when it ejects the server and that was in before."""
        now = time.monotonic()
        if isinstance(problem, Overloaded):
            server.pushback.refused(now)
            return False
        ejected = server.ejection.failed(now)
        if ejected:
            log.warning("model server %s is ejected for a while: %s", server, problem)
        return ejected

    def call_failed(self, server: ModelServer, model: str, version: int | None, problem: ServingError) -> None:
        """The same of a call. One of a candidate's may be the candidate's fault: it takes no server away from the stable version,
        whose own calls, and polls, find out soon if it is the server's.
        """
        if isinstance(problem, Overloaded) or version is None or self.candidates.get(model) != version:
            self.failed(server, problem)

    def doubts(self, server: ModelServer, lease: RemoteVersion) -> bool:
        """Whether to ask the server what it holds, as an error could come from other signatures."""
        return self.ledger.doubts(server, lease.name, lease.version)

    async def confirm(self, server: ModelServer, lease: RemoteVersion) -> bool:
        """Whether the server, which is asked now, holds the lease's signatures. Raises `ServingError`."""
        return await self.ledger.learn(server, lease.name, lease.version) is lease

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
        now = time.monotonic()
        if not all(other.is_out(now) for other in self.servers):
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
        server = ModelServer(address, self._connect, sent)
        self._metrics.upstream_ejected.labels(address.target).set_function(server.is_ejected)
        self.servers.append(server)
        log.info("model server %s is new", server)

    def _remove(self, server: ModelServer) -> None:
        self.servers.remove(server)
        self._metrics.upstream_ejected.remove(str(server))
        self._metrics.upstream_requests.remove(str(server))
        self.ledger.forget_server(server)
        if self._hedging:
            self._hedging.forget(server)
        self._close(server.leave(), _LEAVE_S)
        log.info("model server %s is no longer there", server)

    def _close(self, channel: Channel, grace_s: float | None = None) -> None:
        closing = asyncio.create_task(channel.close(grace_s))
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)


def _pace(server: ModelServer, model: str) -> Pace:
    pace = server.paces.get(model)
    if pace is None:
        pace = server.paces[model] = Pace()
    return pace


def _estimate_s(server: ModelServer, model: str, now_s: float) -> float:
    pace = server.paces.get(model)
    return pace.estimate_s(now_s) if pace else 0.0
