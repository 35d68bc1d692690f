"""The backend that is one or several TensorFlow Servings: named arrays over gRPC.

Each server is asked, poll after poll, which versions it has. The version that most servers have, the highest of equals, is
the one that unversioned requests get, as soon as its signatures are here: while a new version goes round, nobody waits
for the last server and the first one is not alone with all requests. Every Predict names its version, so that arrays
meet the signature they were held against.
"""

import asyncio
import contextlib
import logging
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from signet.serving.errors import InvalidInput, NotFound, ServingError, Unavailable
from signet.serving.gateway.backends import addresses, remote_answers
from signet.serving.gateway.backends.connecting import connect_as
from signet.serving.gateway.backends.label_cache import LabelCache
from signet.serving.gateway.backends.model_server import ModelServer
from signet.serving.gateway.backends.upstream import Upstream
from signet.serving.gateway.backends.upstream_call import GONE
from signet.serving.gateway.core.backend import Lease
from signet.serving.gateway.core.batching import row_count
from signet.serving.gateway.core.joining import CALL_S, Gone, Joining
from signet.serving.gateway.observability.metrics import Metrics
from signet.serving.gateway.settings import Settings
from signet.serving.grpc_dialect import predict_bytes
from signet.serving.models import model_card
from signet.serving.models.independence import Verdict
from signet.serving.models.model_card import Card
from signet.serving.models.model_config import ModelConfig
from signet.serving.models.model_status import State, VersionStatus
from signet.serving.models.models_folder import FolderWatch, ModelsFolder
from signet.serving.offload.pool import LARGE_ELEMENTS, Offload
from signet.serving.process.supervision import POLLER, Failures
from signet.serving.tensors.arrays import Arrays
from signet.serving.tensors.protos import get_model_metadata_pb2, meta_graph_pb2
from signet.serving.tensors.signature import Signature

log = logging.getLogger(__name__)

_STATUS_TIMEOUT_S = 2.0
_MAX_SLOTS = 4
_SLOT_S = 0.010
"""A model's calls run side by side on a server: one more for every so many seconds that a call takes, up to the most.
Python's gRPC costs up to 0.45 ms a call on either side, so that quick calls are better made together."""
_RISE = 0.02
"""Weight of a slow call in an estimate; a fast one counts at once, so that a busy moment does not look like slow calls."""
_BYTES_PER_STRING = 64
"""Bytes of numbers that are copied about as quickly as one string is written."""
_LIVELIEST = (State.AVAILABLE, State.LOADING, State.START, State.UNLOADING, State.END)
"""Which of a version's states on several servers is told."""


@dataclass(eq=False)
class RemoteVersion:
    """The signatures of a version that a model server holds; nothing here keeps it loaded there."""

    name: str
    version: int
    signatures: Mapping[str, Signature]
    signature_defs: Mapping[str, meta_graph_pb2.SignatureDef]
    card: Card = model_card.NONE
    """The version's card from the folder of models, if there is one; looked for again until it is there, by the event loop."""
    joining: dict[str, Verdict] = field(default_factory=dict)
    in_use: dict[str, Any] = field(default_factory=dict)

    def release(self) -> None:
        """Do nothing: the model server decides how long the version stays loaded."""


class RemoteBackend:
    """Serves what one or several model servers hold.

    Only the event loop writes these fields; `_probe_predict` reads `_versions` from the probe's thread. `_current` holds
    the version of unversioned requests, chosen under the model's `_choosing` lock, and `_versions` all that were asked
    for; an entry goes when no server offers the version any more, or the model is not served any more.
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
    ) -> None:
        """models: those that there are at the start. folder: its models are served from then on, as they come and go.

        models_dir: where the cards of the served versions lie, if that is known.
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

    def slots(self, model: str, quick: bool) -> int:
        side_by_side = min(_MAX_SLOTS, 1 + int(self._duration_s.get(model, 0.0) / _SLOT_S))
        return side_by_side * max(1, len(self._upstream.servers))

    def watch_room(self, told: Callable[[str], None]) -> None:
        """Do nothing: each model always has slots of its own; the servers hand out their threads."""

    async def start(self) -> None:
        loop = asyncio.get_running_loop()

        def changed(models: list[ModelConfig]) -> None:
            loop.call_soon_threadsafe(self._set_models, models)  # a thread looks at the folder

        if self._folder:
            self._watch = FolderWatch(self._folder, changed, self._poll_s)
        await self._upstream.start()
        await asyncio.gather(*(self._poll(server) for server in self._upstream.servers))
        self._poller = asyncio.create_task(self._keep_polling())

    async def stop(self) -> None:
        self._joining.stop()
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
        return f"no version of {model} is available"

    def _set_models(self, models: Sequence[ModelConfig]) -> None:
        """Serve these models, and no others."""
        self.models = [model.name for model in models]
        for name in set(self._current) - set(self.models):
            del self._current[name]
        for key in [key for key in self._versions if key[0] not in self.models]:
            del self._versions[key]

    def lease(self, model: str, version: int | None) -> Lease | Awaitable[Lease]:
        if version is not None:
            return self._versions.get((model, version)) or self._fetch(model, version)
        return self._current.get(model) or self._look_for(model)

    async def _look_for(self, model: str) -> Lease:
        await self.refresh(model)
        if model not in self._current:
            raise NotFound(f"Servable not found for request: Latest({model})")
        return self._current[model]

    def run(
        self, lease: Lease, signature: Signature, inputs: Arrays, outputs: Sequence[str], timeout_s: float
    ) -> Awaitable[Arrays]:
        written = partial(predict_bytes.request, lease.name, lease.version, signature.name, inputs, outputs)
        verdict = lease.joining.get(signature.name)
        rows = row_count(inputs) if verdict and verdict.joined and signature.batched else None
        read = partial(remote_answers.outputs_of, signature, outputs or tuple(signature.outputs), rows)
        observe = partial(self._observe_duration, lease.name)
        predict = partial(self._upstream.predict, lease.name, lease.version)
        if _is_work(inputs):
            return _write_beside(written, lambda data: predict(data, timeout_s, read, observe))
        return predict(written(), timeout_s, read, observe)

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

    def keep(self, model: str, version: int, seconds: float) -> None:
        """Do nothing: the model servers decide; their version policy can keep a version."""

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

    async def poll_now(self) -> None:
        await asyncio.gather(*(self.refresh(model) for model in self.models))

    async def refresh(self, model: str) -> None:
        """Ask for the versions; an unreachable server changes nothing, an unloaded model is missing from now on."""
        asked_at = time.monotonic()
        async with self._refreshing[model]:
            if self._refreshed_at.get(model, 0.0) > asked_at:
                return  # many ask at once when a version goes: this one's question has been put by another
            self._refreshed_at[model] = time.monotonic()
            with contextlib.suppress(Unavailable):
                await self._poll_all_servers(model)
            await self._choose_current(model)

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
            await self._choose_current(model)

    async def _poll_all_servers(self, model: str) -> None:
        """Poll the servers that are in, or all when none is. Raises `Unavailable` when none of them answers."""
        servers = [server for server in self._upstream.servers if not server.is_ejected()] or self._upstream.servers
        asking = (self._upstream.poll_status(server, model, _STATUS_TIMEOUT_S) for server in servers)
        answers = await asyncio.gather(*asking, return_exceptions=True)
        problems = [answer for answer in answers if answer is not None]
        for problem in problems:
            if not isinstance(problem, ServingError):
                raise problem
        if len(problems) == len(servers):
            raise Unavailable(
                f"no model server says which versions of {model!r} it has: {'; '.join(map(str, problems[:3]))}"
            )

    async def _choose_current(self, model: str) -> None:
        """Choose the version that unversioned requests get from what the servers have by now, and forget what none has."""
        async with self._choosing[model]:
            offered = [version for server in self._upstream.servers for version in server.available(model)]
            for key in [key for key in self._versions if key[0] == model and key[1] not in offered]:
                del self._versions[key]
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
            try:
                self._current[model] = self._versions.get((model, version)) or await self._fetch(model, version)
            except ServingError as error:
                log.warning("cannot get the signatures of model %r, version %d: %s", model, version, error)
                return
            log.info("model %r is at version %d", model, version)

    def _majority_version(self, model: str) -> int | None:
        """The version that most servers have, the highest of equals; those left out are asked if there are no others."""
        servers = self._upstream.servers
        for chosen in ([server for server in servers if not server.is_ejected()], servers):
            counts = Counter(version for server in chosen for version in server.available(model))
            if counts:
                return max(counts, key=lambda version: (counts[version], version))
        return None

    async def _fetch(self, model: str, version: int) -> RemoteVersion:
        request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
        request.model_spec.name, request.model_spec.version.value = model, version
        defs, parsed = await self._upstream.metadata(request, _STATUS_TIMEOUT_S, remote_answers.signatures_of)
        known = RemoteVersion(model, version, parsed, defs)
        await self._look_for_card(known)
        self._versions[model, version] = known  # before it is asked: it counts as gone else
        self._decide(known)
        return known

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
        call = self._upstream.predict_unrecorded(known.name, known.version, data, CALL_S, read)
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
    """The backend for the addresses of the settings. Raises `UsageError` for one that is none, and for bad TLS files.

    offload: reads large answers; without, threads do.
    """
    failures = failures or Failures()
    upstream = Upstream(
        addresses.parse(settings.addresses), metrics, connect_as(settings), offload=offload, failures=failures
    )
    for model in models:  # at 0 from the start: a rate needs a value before the first one
        metrics.upstream_errors.labels(model, "UNAVAILABLE")
        metrics.upstream_retries.labels(model)
    follows = settings.models_dir and not settings.models and not settings.model_config_file
    folder = ModelsFolder(settings.models_dir) if settings.models_dir and follows else None
    return RemoteBackend(
        models, upstream, settings.poll_s, Joining(settings, failures), folder, failures, models_dir=settings.models_dir
    )
