"""The backend in the gateway's own process: repository and runner of the engine. Only this file imports the engine."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import cast

from signet.serving.engine.following import Rules
from signet.serving.engine.loading import Loader, soft
from signet.serving.engine.repository import Repository
from signet.serving.engine.runner import Runner
from signet.serving.engine.servable import Servable
from signet.serving.engine.tensorflow_c import RunOptions
from signet.serving.errors import NotFound
from signet.serving.gateway.core.backend import Lease
from signet.serving.gateway.core.joining import CALL_S, Gone, Joining
from signet.serving.gateway.observability.call_trace import CallTrace
from signet.serving.gateway.settings import Settings
from signet.serving.models import model_card
from signet.serving.models.model_config import ModelConfig
from signet.serving.models.model_status import VersionStatus
from signet.serving.models.models_folder import FolderWatch, ModelsFolder
from signet.serving.models.operations import parse_names
from signet.serving.process import cores
from signet.serving.process.supervision import FOLDER, Background, Failures
from signet.serving.tensors.arrays import Arrays
from signet.serving.tensors.signature import Signature

log = logging.getLogger(__name__)


class EmbeddedBackend:
    """Serves the versions that lie in folders of this machine.

    Versions are loaded and freed by the repository's threads, requests come from the event loop; what both touch is
    guarded in the repository, and a version stays loaded while somebody holds a lease.
    """

    def __init__(
        self,
        models: Sequence[ModelConfig],
        settings: Settings,
        failures: Failures,
        load: Callable[[str, int, Path], Servable] | None = None,
    ) -> None:
        """models: those that there are at the start; a models folder in the settings is followed from then on.

        load: default: a `Loader`.
        """
        threads = cores.threads(settings.processes) if settings.processes > 1 else None
        self._load = load or Loader(
            config=soft(threads),
            tags=settings.tag_names,
            allowed_operations=parse_names(settings.allow_ops),
            trial=True,
        )
        self._joining = Joining(settings, failures)
        self._appears: Callable[[str], None] = lambda model: None
        self._repository = Repository(
            models, poll_s=settings.poll_s, rules=Rules(heals=True), load=self._loaded, failures=failures
        )
        self._runner = Runner(threads)
        self._declared = frozenset(model.name for model in models)
        self._folder: FolderWatch | None = None
        if settings.models_dir and not settings.model_config_file:
            self._folder = FolderWatch(ModelsFolder(settings.models_dir), self._repository.configure, settings.poll_s)
        self._watching = Background(FOLDER, self._folder.step, failures) if self._folder else None

    @property
    def models(self) -> list[str]:
        return list(self._repository.models)

    def slots(self, model: str) -> int:
        return self._runner.share(model)

    def room(self, model: str, quick: bool) -> int:
        return self._runner.threads if quick or self._runner.may_start(model) else 0

    def watch_room(self, told: Callable[[str], None]) -> None:
        self._runner.on_room = told

    def watch_versions(self, appears: Callable[[str], None]) -> None:
        self._appears = appears

    async def start(self) -> None:
        self._repository.start()
        if self._watching:
            self._watching.start()
        await asyncio.to_thread(self._repository.first_pass.wait)

    async def stop(self) -> None:
        self._joining.stop()
        if self._watching:
            self._watching.stop()
        await asyncio.to_thread(self._repository.stop)
        self._runner.close()

    def missing(self) -> list[str]:
        return [name for name in self.models if not self._repository.versions(name)]

    def unready(self) -> list[str]:
        waiting = [name for name in self.models if not self._repository.served(name)]
        if len(waiting) == len(self.models):
            return waiting  # while none is served, it does not matter which came when
        return [name for name in waiting if name in self._declared]

    def why_missing(self, model: str) -> str:
        folder = self._repository.models[model].base_path
        failed = [status for status in self._repository.statuses(model) if status.error_message]
        if not failed:
            return f"model {model!r} has no version in {folder}: expected a folder such as {folder / '1'}"
        return (
            f"model {model!r} has no good version in {folder}: version {failed[0].version}: {failed[0].error_message}"
        )

    def lease(self, model: str, version: int | None) -> Lease:
        return self._repository.lease(model, version)

    async def version_of_label(self, model: str, label: str) -> int | None:
        """None: here the gateway's files say all there is to say of labels."""
        return None

    def keep(self, model: str, version: int, seconds: float) -> None:
        self._repository.keep(model, version, seconds)

    def available(self, model: str, version: int) -> bool:
        return version in self._repository.versions(model)

    def pin(self, versions: Mapping[str, Collection[int]]) -> None:
        self._repository.pin(versions)

    def on_trial(self, candidates: Mapping[str, int]) -> None:
        """Do nothing: there is no server that could be taken for bad."""

    async def poll_now(self) -> None:
        if self._watching:
            self._watching.wake()
        self._repository.look()

    async def refresh(self, model: str) -> None:
        """Do nothing: the repository knows its versions without being asked."""

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
    ) -> Arrays | Awaitable[Arrays]:
        return self._runner.run(cast(Servable, lease), signature, inputs, outputs, timeout_s, beside=beside)

    async def statuses(self, model: str) -> list[VersionStatus]:
        statuses = self._repository.statuses(model)
        if not statuses:
            raise NotFound(f"Could not find any versions of model {model}")
        return statuses

    def last_statuses(self, model: str) -> list[VersionStatus]:
        return self._repository.statuses(model)

    def _loaded(self, name: str, version: int, path: Path) -> Servable:
        """In the repository's thread: a version with its card; whether its rows are joined is found out meanwhile."""
        servable = self._load(name, version, path)
        servable.card = model_card.read(path)
        if servable.card.problem:
            log.warning("%s", servable.card.problem)
        self._joining.decide(servable, partial(_probe_predict, servable))
        self._appears(name)  # last of all: whatever was written before the version answers is seen
        return servable


def _probe_predict(servable: Servable, signature: Signature, inputs: Arrays) -> Arrays:
    try:
        return servable.predict(signature, inputs, (), RunOptions(timeout_s=CALL_S))
    except NotFound:
        if servable.closed.is_set():
            raise Gone from None
        raise
