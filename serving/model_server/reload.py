"""Another configuration while the process runs, from HandleReloadConfigRequest or from the file when it is polled.

Of several processes, all check it before any switches to it.
"""

import asyncio
from collections.abc import Sequence

from signet.serving.engine.repository import Repository
from signet.serving.errors import ForeignError
from signet.serving.models.model_config import ModelConfig
from signet.serving.models.model_status import State


class Reloader:
    """Applies one configuration after the other."""

    def __init__(self, repository: Repository, *, allow_unavailable_labels: bool) -> None:
        self._repository = repository
        self._allow_unavailable_labels = allow_unavailable_labels
        self._one_at_a_time = asyncio.Lock()

    async def apply(self, models: Sequence[ModelConfig]) -> None:
        """Serve these models and no others, and wait until those with new names are available or have failed.

        Raises `FailedPrecondition` for labels, and loads nothing; an error with the code UNKNOWN for new models that
        failed, while the rest stays applied.
        """
        self.check(models)
        await self.switch(models)

    def check(self, models: Sequence[ModelConfig]) -> None:
        """Raise `FailedPrecondition` for labels that cannot be assigned now. Any thread may ask."""
        self._repository.check_labels(models, allow_unavailable=self._allow_unavailable_labels)

    async def switch(self, models: Sequence[ModelConfig]) -> None:
        """As `apply`, for a configuration that has been checked."""
        async with self._one_at_a_time:
            new = {model.name for model in models} - set(self._repository.models)
            self._repository.switch(models)
            await asyncio.to_thread(self._repository.wait, lambda of: settled(of, new))
        if problems := failures(self._repository, new):
            raise ForeignError(f"{len(problems)} model(s) did not become available: {listed(problems)}", "UNKNOWN")


def available(repository: Repository, names: set[str]) -> bool:
    """Whether each of the models has a version that answers."""
    return all(repository.versions(name) for name in names)


def settled(repository: Repository, names: set[str]) -> bool:
    """Whether there is nothing more to wait for: all answer, or one of them has failed."""
    return bool(failures(repository, names)) or available(repository, names)


def failures(repository: Repository, names: set[str]) -> list[str]:
    """What ended the models that have no version left to try, in TensorFlow Serving's words."""
    return [
        f"{{name: {name} version: {status.version}}} due to error: {status.error_message}"
        for name in sorted(names)
        for status in repository.statuses(name)
        if status.state is State.END and status.error_code != "OK" and not repository.versions(name)
    ]


def listed(problems: Sequence[str]) -> str:
    """Several failures as one text."""
    return f"{{{', '.join(problems)}, }}"
