"""The whole service as one of its processes sees it: what all of them know, and what is changed in all of them at once.

HandleReloadConfigRequest ──reload──▶   ┐ OnlyProcess: this process, nothing else
GetModelStatus ──statuses──▶            ├
metrics ──told──▶                       ┘ OneOfSeveral: the parent, which asks every process
"""

from collections.abc import Sequence
from typing import Protocol

from signet.serving.engine.repository import Repository
from signet.serving.errors import Unavailable
from signet.serving.model_server.monitoring import Monitoring
from signet.serving.model_server.reload import Reloader
from signet.serving.models.model_config import ModelConfig
from signet.serving.models.model_status import VersionStatus
from signet.serving.process.child import Parent
from signet.serving.process.combining import Family


class AllProcesses(Protocol):
    """For the event loop."""

    async def reload(self, models: Sequence[ModelConfig]) -> None:
        """Serve these models and no others, everywhere; raises as `Reloader.apply` does."""

    async def statuses(self, model: str) -> list[VersionStatus]:
        """Every known version, highest first; empty for an unknown model. Raises `Unavailable`."""

    async def told(self, group: str) -> list[Family]:
        """What has been counted, of one group of `Monitoring.told`. Raises `Unavailable` when that is not told in time."""


class OnlyProcess:
    """A service of one process."""

    def __init__(self, repository: Repository, reloader: Reloader, monitoring: Monitoring) -> None:
        self._repository, self._reloader, self._monitoring = repository, reloader, monitoring

    async def reload(self, models: Sequence[ModelConfig]) -> None:
        await self._reloader.apply(models)

    async def statuses(self, model: str) -> list[VersionStatus]:
        return self._repository.statuses(model)

    async def told(self, group: str) -> list[Family]:
        return self._monitoring.told()[group]


class OneOfSeveral:
    """A service whose parent knows all processes (`processes.py`)."""

    def __init__(self, parent: Parent) -> None:
        self._parent = parent

    async def reload(self, models: Sequence[ModelConfig]) -> None:
        await self._parent.ask("reload", models)

    async def statuses(self, model: str) -> list[VersionStatus]:
        found: list[VersionStatus] = await self._parent.ask("statuses", model)
        return found

    async def told(self, group: str) -> list[Family]:
        try:
            return await self._parent.told(group)
        except TimeoutError:
            raise Unavailable("the processes of this service do not tell their counts in time") from None
