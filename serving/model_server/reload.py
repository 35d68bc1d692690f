"""Another configuration while the server runs, from HandleReloadConfigRequest or from the file when it is polled."""

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from pathlib import Path

from signet.serving.engine.repository import Repository
from signet.serving.errors import ForeignError, SignetError
from signet.serving.model_server import text_file
from signet.serving.models.model_config import ModelConfig
from signet.serving.models.model_status import State
from signet.serving.process.supervision import CONFIG, Failures

log = logging.getLogger(__name__)


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
        async with self._one_at_a_time:
            new = {model.name for model in models} - set(self._repository.models)
            self._repository.configure(models, allow_unavailable_labels=self._allow_unavailable_labels)
            await asyncio.to_thread(self._repository.wait, lambda of: settled(of, new))
        if problems := failures(self._repository, new):
            raise ForeignError(f"{len(problems)} model(s) did not become available: {listed(problems)}", "UNKNOWN")

    async def poll(self, path: Path, interval_s: float, look: asyncio.Event, faults: Failures) -> None:
        """Apply the file again and again, changed or not, and when `look` is set; a bad one is only logged.

        Any other fault is counted, too, and does not end this.

        interval_s: 0 or below: only then.
        """
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(interval_s if interval_s > 0 else None):
                    await look.wait()
            look.clear()
            try:
                await self.apply(text_file.models(path))
            except SignetError as error:
                log.error("the model config file was not applied: %s", error)
            except Exception:
                faults.count(CONFIG)
                log.exception("applying the model config file failed; it is tried again")


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
