"""The backend in the gateway's own process: repository and runner of the engine. Only this file imports the engine."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import cast

from serving.engine.loading import Loader
from serving.engine.repository import Repository
from serving.engine.runner import Runner
from serving.engine.servable import Servable
from serving.errors import NotFound, UsageError
from serving.gateway.backend import Lease
from serving.model_config import ModelConfig
from serving.model_status import State, VersionStatus
from serving.signature import Signature
from serving.tensors import Arrays


class EmbeddedBackend:
    """Serves the versions that lie in folders of this machine."""

    def __init__(
        self,
        models: Sequence[ModelConfig],
        poll_s: float,
        allow_missing: bool,
        load: Callable[[str, int, Path], Servable] | None = None,
    ) -> None:
        """load: default: a `Loader`."""
        self.models = [model.name for model in models]
        self._repository = Repository(models, poll_s=poll_s, load=load or Loader())
        self._runner = Runner()
        self._allow_missing = allow_missing

    def slots(self, model: str) -> int:
        return self._runner.threads

    async def start(self) -> None:
        self._repository.start()
        await asyncio.to_thread(self._repository.first_pass.wait)
        if self._allow_missing or not self.missing():
            return
        raise UsageError("; ".join(self._why_missing(name) for name in self.missing()))

    async def stop(self) -> None:
        await asyncio.to_thread(self._repository.stop)
        self._runner.close()

    def missing(self) -> list[str]:
        return [name for name in self.models if not self._repository.versions(name)]

    async def lease(self, model: str, version: int | None) -> Lease:
        return self._repository.lease(model, version)

    async def labelled(self, model: str, label: str) -> int | None:
        """The files say all there is to say."""
        return None

    def keep(self, model: str, version: int, seconds: float) -> None:
        self._repository.keep(model, version, seconds)

    async def refresh(self, model: str) -> None:
        """The repository knows already."""

    def run(
        self, lease: Lease, signature: Signature, inputs: Arrays, outputs: Sequence[str], timeout_s: float
    ) -> Arrays | Awaitable[Arrays]:
        return self._runner.run(cast(Servable, lease), signature, inputs, outputs, timeout_s)

    async def statuses(self, model: str) -> list[VersionStatus]:
        statuses = self._repository.statuses(model)
        if not statuses:
            raise NotFound(f"Could not find any versions of model {model}")
        return statuses

    def known_statuses(self, model: str) -> list[VersionStatus]:
        return self._repository.statuses(model)

    def _why_missing(self, name: str) -> str:
        folder = self._repository.models[name].base_path
        failed = [status for status in self._repository.statuses(name) if status.state is State.END]
        if not failed:
            return f"model {name!r} has no version in {folder}: expected a folder such as {folder / '1'}"
        return f"model {name!r} has no good version in {folder}: version {failed[0].version}: {failed[0].error_message}"
