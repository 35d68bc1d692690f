"""The backend that is one or several TensorFlow Servings: named arrays over gRPC.

Each server is asked, poll after poll, which versions it has. The version that most servers have, the highest of equals, is
the one that unversioned requests get, as soon as its signatures are here: while a new version goes round, nobody waits
for the last server and the first one is not alone with all requests. Every Predict names its version, and goes to servers
that are known to hold the signatures that its arrays were held against (`signature_ledger.py`).
"""

import asyncio
import logging
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from concurrent.futures import CancelledError
from functools import partial
from pathlib import Path
from typing import NamedTuple

from signet.serving.errors import InvalidInput, NotFound, ServingError, Unavailable
from signet.serving.gateway.backends import addresses, hedging, remote_answers
from signet.serving.gateway.backends.connecting import connect_as, tls_of
from signet.serving.gateway.backends.hedging import Hedging
from signet.serving.gateway.backends.label_cache import LabelCache
from signet.serving.gateway.backends.model_server import ModelServer
from signet.serving.gateway.backends.remote_version import RemoteVersion
from signet.serving.gateway.backends.upstream import Upstream
from signet.serving.gateway.backends.upstream_call import GONE
from signet.serving.gateway.core.backend import Lease
from signet.serving.gateway.core.batching import row_count
from signet.serving.gateway.core.joining import CALL_S, Gone, Joining
from signet.serving.gateway.observability.call_trace import CallTrace
from signet.serving.gateway.observability.metrics import Metrics
from signet.serving.gateway.settings import Settings
from signet.serving.grpc_dialect import predict_bytes
from signet.serving.models import model_card
from signet.serving.models.model_config import ModelConfig
from signet.serving.models.model_status import State, VersionStatus
from signet.serving.models.models_folder import FolderWatch, ModelsFolder
from signet.serving.offload.pool import LARGE_ELEMENTS, Offload
from signet.serving.process.supervision import POLLER, Background, Failures
from signet.serving.tensors.arrays import Arrays
from signet.serving.tensors.protos import get_model_metadata_pb2
from signet.serving.tensors.signature import Signature
from signet.serving.tls import following
from signet.serving.tls.following import Followed

log = logging.getLogger(__name__)

_STATUS_TIMEOUT_S = 2.0
_PROBLEMS = 3
"""Model servers of which is told what is wrong with them."""
_MAX_SLOTS = 4
_SLOT_S = 0.010
"""A model's calls run side by side on a server: one more for every so many seconds that a call takes, up to the most.
Python's gRPC costs up to 0.45 ms a call on either side, so that quick calls are better made together."""
_RISE = 0.02
"""Weight of a slow call in an estimate; a fast one counts at once, so that a busy moment does not look like slow calls."""
_BYTES_PER_STRING = 64
"""Bytes of numbers that are copied about as quickly as one string is written."""
_STAYING = (State.START, State.LOADING, State.AVAILABLE)
_LIVELIEST = (State.AVAILABLE, State.LOADING, State.START, State.UNLOADING, State.END)
"""Which of a version's states on several servers is told."""


class Served(NamedTuple):
    """Versions of a model at the model servers that answer."""

    everywhere: frozenset[int]
    """Those that each of them serves."""
    somewhere: frozenset[int]
    """Those that any of them serves, or is loading."""


class RemoteBackend:
    """Serves what one or several model servers hold.

    Only the event loop writes these fields; `_probe_predict` reads `_versions` from the probe's thread. `_current` holds
    the version of unversioned requests, chosen under the model's `_choosing` lock, and `_versions` all that are known, each
    as most servers hold it; an entry goes when no server offers the version any more, or the model is not served any more.
    """

    def __init__(
        self,
        models: Sequence[str],
        upstream: Upstream,
        poll_s: float,
        joining: Joining,
        folder: ModelsFolder | None = None,
        failures: Failures | None = None,
        models_dir: Path | None = None,
        tls: Followed | None = None,
    ) -> None:
        """models: those that there are at the start. folder: its models are served from then on, as they come and go.

        models_dir: where the cards of the served versions lie, if that is known. tls: what is followed when it is renewed.
        """
        self.models = list(models)
        self._declared = frozenset(models)
        self._folder = folder
        self._watch: FolderWatch | None = None
        self._failures = failures or Failures()
        self._upstream, self._poll_s = upstream, poll_s
        self._joining, self._models_dir = joining, models_dir
        self._current: dict[str, RemoteVersion] = {}
        self._versions: dict[tuple[str, int], RemoteVersion] = {}
        self._refreshing: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._refreshed_at: dict[str, float] = {}
        self._choosing: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._labels = LabelCache(self._labelled)
        self._duration_s: dict[str, float] = {}
        self._polls: dict[ModelServer, asyncio.Task[None]] = {}
        self._poller: asyncio.Task[None] | None = None
        self._tls = tls
        self._following: Background | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._appears: Callable[[str], None] = lambda model: None

    def slots(self, model: str) -> int:
        side_by_side = min(_MAX_SLOTS, 1 + int(self._duration_s.get(model, 0.0) / _SLOT_S))
        return side_by_side * max(1, len(self._upstream.servers))

    def room(self, model: str, quick: bool) -> int:
        return self.slots(model)

    def watch_room(self, told: Callable[[str], None]) -> None:
        """Do nothing: each model always has room of its own; the servers hand out their threads."""

    def watch_versions(self, appears: Callable[[str], None]) -> None:
        self._appears = appears

    async def start(self) -> None:
        self._loop = loop = asyncio.get_running_loop()

        def changed(models: list[ModelConfig]) -> None:
            loop.call_soon_threadsafe(self._set_models, models)  # a thread looks at the folder

        if self._folder:
            self._watch = FolderWatch(self._folder, changed, self._poll_s)
        if self._tls:
            self._following = following.follow(self._tls, self._failures)
        await self._upstream.start()
        await asyncio.gather(*(self._poll(server) for server in self._upstream.servers))
        self._poller = asyncio.create_task(self._keep_polling())

    async def stop(self) -> None:
        self._joining.stop()
        if self._following:
            self._following.stop()
        tasks = [task for task in (self._poller, *self._polls.values()) if task]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._upstream.stop()

    def missing(self) -> list[str]:
        """The models that no answering server has. A server that is ejected still counts: overload is not absence."""
        servers = [server for server in self._upstream.servers if server.answers]
        return [
            name
            for name in self.models
            if name not in self._current or not any(server.available(name) for server in servers)
        ]

    def unready(self) -> list[str]:
        """A model that came later turns nobody away from the others; model servers that do not answer, do."""
        return [name for name in self.missing() if name in self._declared]

    def why_missing(self, model: str) -> str:
        problems = [server.problem for server in self._upstream.servers if server.problem]
        return f"no version of {model} is available{': ' if problems else ''}{'; '.join(problems[:_PROBLEMS])}"

    def _set_models(self, models: Sequence[ModelConfig]) -> None:
        """Serve these models, and no others."""
        self.models = [model.name for model in models]
        for name in set(self._current) - set(self.models):
            del self._current[name]
        for key in [key for key in self._versions if key[0] not in self.models]:
            del self._versions[key]
            self._upstream.ledger.forget(*key)

    def lease(self, model: str, version: int | None) -> Lease | Awaitable[Lease]:
        known = self._current.get(model) if version is None else self._versions.get((model, version))
        if known and known.holders:
            return known
        return self._look_for(model, version, known)

    async def _look_for(self, model: str, version: int | None, known: RemoteVersion | None) -> Lease:
        """Of what is not known to be anywhere now: servers that come back may hold other signatures."""
        if version is not None and known is None:
            return await self._fetch(model, version)
        problem = await self._refreshed(model)
        found = self._current.get(model) if version is None else self._versions.get((model, version))
        if found is None:
            if problem and self._upstream.servers and model in self.models:
                raise problem
            wanted = f"Latest({model})" if version is None else f"Specific({model}, {version})"
            raise NotFound(f"Servable not found for request: {wanted}")
        if not found.holders:  # to refuse or to take inputs by what may be no more would be a guess
            what = f"model {model!r}, version {found.version}"
            raise problem or Unavailable(f"no model server says which signatures {what} has now")
        return found

    def run(
        self,
        lease: Lease,
        signature: Signature,
        inputs: Arrays,
        outputs: Sequence[str],
        timeout_s: float,
        trace: CallTrace | None = None,
        *,
        beside: bool = False,
    ) -> Awaitable[Arrays]:
        written = partial(predict_bytes.request, lease.name, lease.version, signature.name, inputs, outputs)
        verdict = lease.joining.get(signature.name)
        rows = row_count(inputs) if verdict and verdict.joined and signature.batched else None
        read = partial(remote_answers.outputs_of, signature, outputs or tuple(signature.outputs), rows)
        observe = partial(self._observe_duration, lease.name)
        assert isinstance(lease, RemoteVersion), "whoever leases here runs here"
        predict = partial(self._upstream.predict, lease.name, lease.version)
        if _is_work(inputs):
            return _write_beside(written, lambda data: predict(data, timeout_s, read, observe, lease, trace))
        return predict(written(), timeout_s, read, observe, lease, trace)

    async def version_of_label(self, model: str, label: str) -> int | None:
        """The version that the label stands for at the model servers; None for a label that they do not know."""
        return await self._labels.version(model, label)

    async def _labelled(self, model: str, label: str) -> int | None:
        request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
        request.model_spec.name, request.model_spec.version_label = model, label
        try:
            return await self._upstream.metadata(request, _STATUS_TIMEOUT_S, remote_answers.version_of)
        except InvalidInput:
            return None

    def served(self, model: str) -> Served | None:
        """Which versions of a model the servers have, of which some answer. Any thread may ask.

        None while no server answers, or one has not been asked for the model yet.
        """
        answers = [server.statuses.get(model) for server in list(self._upstream.servers) if server.answers]
        told = [statuses for statuses in answers if statuses is not None]
        if not told or len(told) < len(answers):
            return None
        here = [{entry.version for entry in statuses if entry.state is State.AVAILABLE} for statuses in told]
        staying = {entry.version for statuses in told for entry in statuses if entry.state in _STAYING}
        return Served(frozenset.intersection(*map(frozenset, here)), frozenset(staying))

    def reload(self, config: bytes, timeout_s: float) -> list[str]:
        """As `Upstream.reload`. For another thread than the loop's, which it keeps waiting."""
        if self._loop is None:
            return ["the gateway is starting"]
        reloading = self._upstream.reload(config, timeout_s)
        try:
            told = asyncio.run_coroutine_threadsafe(reloading, self._loop)
        except RuntimeError:  # the loop has ended
            reloading.close()
            return ["the gateway is stopping"]
        try:
            return told.result(2 * timeout_s)
        except CancelledError:
            return ["the gateway is stopping"]
        except TimeoutError:
            told.cancel()  # by the loop, whose coroutine it is
            return ["the gateway does not get to it"]

    def keep(self, model: str, version: int, seconds: float) -> None:
        """Do nothing: the model servers decide; their version policy can keep a version."""

    def available(self, model: str, version: int) -> bool:
        known = self._versions.get((model, version))
        return known is not None and bool(known.holders)

    def pin(self, versions: Mapping[str, Collection[int]]) -> None:
        """Do nothing: as above."""

    async def statuses(self, model: str) -> list[VersionStatus]:
        """What the servers say now: each version in the liveliest state that it has on one of them."""
        await self._poll_all_servers(model)
        statuses = _liveliest(self._upstream.servers, model)
        if not statuses:
            raise NotFound(f"Could not find any versions of model {model}")
        return statuses

    def last_statuses(self, model: str) -> list[VersionStatus]:
        """The statuses as polled last, of the servers that answered their last poll."""
        return _liveliest([server for server in self._upstream.servers if server.answers], model)

    def on_trial(self, candidates: Mapping[str, int]) -> None:
        self._upstream.candidates = candidates

    async def poll_now(self) -> None:
        await asyncio.gather(*(self.refresh(model) for model in self.models))

    async def refresh(self, model: str) -> None:
        """Ask for the versions; an unreachable server changes nothing, an unloaded model is missing from now on."""
        await self._refreshed(model)

    async def _refreshed(self, model: str) -> Unavailable | None:
        """As `refresh`; gives why none of the servers answers, if that is so and was asked for this caller."""
        asked_at = time.monotonic()
        problem = None
        async with self._refreshing[model]:
            if self._refreshed_at.get(model, 0.0) > asked_at:
                return None  # many ask at once when a version goes: this one's question has been put by another
            self._refreshed_at[model] = time.monotonic()
            try:
                await self._poll_all_servers(model)
            except Unavailable as error:
                problem = error
            await self._choose_current(model)
        return problem

    async def _keep_polling(self) -> None:
        while True:
            await asyncio.sleep(self._poll_s)
            try:
                if self._watch:
                    await asyncio.to_thread(self._watch.step)
                self._start_polls()
            except Exception:
                self._failures.count(POLLER)
                log.exception("looking for models and their servers failed; trying again in %g s", self._poll_s)

    def _start_polls(self) -> None:
        servers = self._upstream.servers
        self._polls = {server: poll for server, poll in self._polls.items() if server in servers}
        for server in servers:  # each by itself: one that stands still must not hold up what the others tell
            if server not in self._polls or self._polls[server].done():
                self._polls[server] = asyncio.create_task(self._poll(server))

    async def _poll(self, server: ModelServer) -> None:
        """Ask a server for the versions of all models. A fault here must not be the last poll: it is logged."""
        try:
            await self._poll_all_models(server)
        except Exception:
            self._failures.count(POLLER)
            log.exception("a poll of model server %s failed", server)

    async def _poll_all_models(self, server: ModelServer) -> None:
        for model in self.models:
            try:
                await self._upstream.poll_status(server, model, _STATUS_TIMEOUT_S)
            except ServingError as error:
                log.debug("model server %s does not say which versions it has: %s", server, error)
                return
            await self._learn(server, model)
            await self._choose_current(model)

    async def _learn(self, server: ModelServer, model: str) -> None:
        """Ask a server for the signatures of the versions that it has now, where that is due."""
        ledger = self._upstream.ledger
        for version in server.available(model):
            if ledger.is_due(server, model, version):
                try:
                    await ledger.learn(server, model, version)
                except ServingError as error:
                    if server.holds(model, version) is None and (model, version) not in self._versions:
                        log.warning("cannot get the signatures of model %r, version %d: %s", model, version, error)

    async def _poll_all_servers(self, model: str) -> None:
        """Poll the servers that are in, or all when none is. Raises `Unavailable` when none of them answers."""
        servers = [server for server in self._upstream.servers if not server.is_ejected()] or self._upstream.servers
        asking = (self._poll_server(server, model) for server in servers)
        answers = await asyncio.gather(*asking, return_exceptions=True)
        problems = [answer for answer in answers if answer is not None]
        for problem in problems:
            if not isinstance(problem, ServingError):
                raise problem
        if len(problems) == len(servers):
            raise Unavailable(
                f"no model server says which versions of {model!r} it has: {'; '.join(map(str, problems[:_PROBLEMS]))}"
            )

    async def _poll_server(self, server: ModelServer, model: str) -> None:
        await self._upstream.poll_status(server, model, _STATUS_TIMEOUT_S)
        await self._learn(server, model)

    async def _choose_current(self, model: str) -> None:
        """Choose the version that unversioned requests get from what the servers have by now, and forget what none has."""
        async with self._choosing[model]:
            offered = [version for server in self._upstream.servers for version in server.available(model)]
            for key in [key for key in self._versions if key[0] == model and key[1] not in offered]:
                del self._versions[key]
                self._upstream.ledger.forget(*key)
            for offer in sorted(set(offered)):
                await self._publish(model, offer)
            for known in [known for key, known in self._versions.items() if key[0] == model and not known.card.content]:
                if await self._look_for_card(known):
                    self._decide(known)
            version = self._majority_version(model)
            if version is None:
                self._current.pop(model, None)
                return
            current = self._current.get(model)
            if current and current is self._versions.get((model, version)):
                return
            latest = self._versions.get((model, version))
            if latest is None:
                return  # its signatures are not known yet
            await asyncio.to_thread(self._appears, model)
            if self._versions.get((model, version)) is not latest or model not in self.models:
                return  # it has gone meanwhile
            self._current[model] = latest
            log.info("model %r is at version %d", model, version)

    async def _publish(self, model: str, version: int) -> RemoteVersion | None:
        """Have requests get a version as most servers hold it now; None while none is known to hold it."""
        variants = self._upstream.ledger.variants(model, version)
        before = self._versions.get((model, version))
        if not variants or not variants[0].holders or variants[0] is before:
            return before
        chosen = variants[0]
        if before and len(before.holders) == len(chosen.holders):
            return before  # as many hold either: nothing changes to and fro
        if before:
            log.warning("model %r, version %d has other signatures than before", model, version)
        await self._look_for_card(chosen)
        if self._versions.get((model, version)) is chosen:
            return chosen  # another has been quicker
        self._versions[model, version] = chosen  # before it is asked: it counts as gone else
        self._decide(chosen)
        return chosen

    def _majority_version(self, model: str) -> int | None:
        """The version that most servers have, the highest of equals; those left out are asked if there are no others."""
        servers = self._upstream.servers
        for chosen in ([server for server in servers if not server.is_ejected()], servers):
            counts = Counter(version for server in chosen for version in server.available(model))
            if counts:
                return max(counts, key=lambda version: (counts[version], version))
        return None

    async def _fetch(self, model: str, version: int) -> RemoteVersion:
        """A version that no poll has told of yet, or whose signatures could not be had."""
        tried: set[ModelServer] = set()
        problem: ServingError = Unavailable("there is no model server")
        while (server := self._upstream.pick(model, version, tried)) is not None:
            tried.add(server)
            try:
                await self._upstream.ledger.learn(server, model, version)
            except NotFound as error:
                server.forget(model, version)
                problem = error
            except Unavailable as error:
                self._upstream.failed(server, error)
                problem = error
            else:
                known = await self._publish(model, version)
                if known:
                    return known
        raise problem

    def _decide(self, known: RemoteVersion) -> None:
        self._joining.decide(known, partial(self._probe_predict, known, asyncio.get_running_loop()))

    async def _look_for_card(self, known: RemoteVersion) -> bool:
        """Whether it has a card now: one that comes after its version may say what was not known."""
        if self._models_dir is None:
            return False
        card = await asyncio.to_thread(model_card.read, self._models_dir / known.name / str(known.version))
        if card.problem and card.problem != known.card.problem:
            log.warning("%s", card.problem)
        known.card = card
        known.in_use.clear()  # it may know now how rows are filled up
        return bool(card.content)

    def _probe_predict(
        self, known: RemoteVersion, loop: asyncio.AbstractEventLoop, signature: Signature, inputs: Arrays
    ) -> Arrays:
        """In another thread than the loop's: a call that is nobody's request. Raises `Gone` when the version is."""
        if self._versions.get((known.name, known.version)) is not known:
            raise Gone
        data = predict_bytes.request(known.name, known.version, signature.name, inputs)
        read = partial(remote_answers.outputs_of, signature, tuple(signature.outputs), None)
        call = self._upstream.predict_unrecorded(known, data, CALL_S, read)
        try:
            return asyncio.run_coroutine_threadsafe(call, loop).result(2 * CALL_S)
        except NotFound as error:
            if str(error).startswith(GONE):
                raise Unavailable(str(error)) from error
            raise
        except (TimeoutError, CancelledError, RuntimeError) as error:
            raise Unavailable("the gateway is stopping") from error

    def _observe_duration(self, model: str, seconds: float) -> None:
        estimate = self._duration_s.get(model, seconds)
        self._duration_s[model] = min(seconds, estimate + _RISE * (seconds - estimate))


def _is_work(inputs: Arrays) -> bool:
    """Whether it takes long to write them as a message: strings one by one, numbers as one piece of memory."""
    work = sum(array.size if array.dtype.hasobject else array.nbytes // _BYTES_PER_STRING for array in inputs.values())
    return work >= LARGE_ELEMENTS


async def _write_beside(written: Callable[[], bytes], predict: Callable[[bytes], Awaitable[Arrays]]) -> Arrays:
    return await predict(await asyncio.to_thread(written))


def _liveliest(servers: Sequence[ModelServer], model: str) -> list[VersionStatus]:
    """Each version, the highest first, in the liveliest state that it has on one of the servers."""
    statuses: dict[int, VersionStatus] = {}
    for server in servers:
        for entry in server.statuses.get(model, ()):
            known = statuses.get(entry.version)
            if known is None or _LIVELIEST.index(entry.state) < _LIVELIEST.index(known.state):
                statuses[entry.version] = entry
    return [statuses[version] for version in sorted(statuses, reverse=True)]


def create(
    models: Sequence[str],
    settings: Settings,
    metrics: Metrics,
    failures: Failures | None = None,
    offload: Offload | None = None,
) -> RemoteBackend:
    """The backend for the addresses of the settings. Raises `UsageError` for one that is none, for bad TLS files and a
    `hedge_after` that is neither p95 nor seconds.

    offload: reads large answers; without, threads do.
    """
    failures = failures or Failures()
    after = hedging.parse(settings.hedge_after)
    tls = tls_of(settings)
    if tls:
        metrics.watch_certificate(tls)
    upstream = Upstream(
        addresses.parse(settings.addresses),
        metrics,
        connect_as(settings, tls),
        offload=offload,
        failures=failures,
        hedging=Hedging(after) if after else None,
    )
    for model in models:  # at 0 from the start: a rate needs a value before the first one
        metrics.upstream_errors.labels(model, "UNAVAILABLE")
        metrics.upstream_retries.labels(model)
        metrics.upstream_hedges.labels(model)
    follows = settings.models_dir and not settings.models and not settings.model_config_file
    folder = ModelsFolder(settings.models_dir) if settings.models_dir and follows else None
    return RemoteBackend(
        models, upstream, settings.poll_s, Joining(settings, failures), folder, failures, settings.models_dir, tls
    )
