"""Which models are served: as the flags say at the start, and as the model config file says when it is looked at again."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from signet.serving.errors import SignetError, UsageError
from signet.serving.model_server import text_file
from signet.serving.model_server.flags import Flags
from signet.serving.models.model_config import ModelConfig
from signet.serving.process.supervision import CONFIG, Failures

log = logging.getLogger(__name__)


def of_flags(flags: Flags) -> list[ModelConfig]:
    """Raises `UsageError`, `NotFound` and `InvalidInput` for what the original does not start with, in its words."""
    if flags.model_config_file:
        models = text_file.models(Path(flags.model_config_file))
        labelled = [(model.name, number) for model in models for number in model.labels.values()]
        if labelled and not flags.allow_version_labels_for_unavailable_models:
            name, number = labelled[0]
            raise UsageError(
                f"FAILED_PRECONDITION: Request to assign label to version {number} of model {name}, "
                "which is not currently available for inference"
            )
        return models
    if not flags.model_base_path:
        raise UsageError(
            "INVALID_ARGUMENT: Both server_options.model_base_path and server_options.model_config_file are empty!"
        )
    if not Path(flags.model_base_path).is_absolute():
        raise UsageError(
            f"INVALID_ARGUMENT: Expected model {flags.model_name} to have an absolute path or URI; "
            f"got base_path()={flags.model_base_path}"
        )
    return [ModelConfig(flags.model_name, Path(flags.model_base_path))]


async def poll(
    flags: Flags,
    look: asyncio.Event,
    apply: Callable[[Sequence[ModelConfig]], Awaitable[None]],
    faults: Failures,
) -> None:
    """Apply the model config file, if there is one, again and again, changed or not, and when `look` is set.

    A bad one is only logged; any other fault is counted, too, and does not end this.
    """
    path, interval_s = Path(flags.model_config_file), flags.model_config_file_poll_wait_seconds
    while flags.model_config_file:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(interval_s if interval_s > 0 else None):
                await look.wait()
        look.clear()
        try:
            await apply(text_file.models(path))
        except SignetError as error:
            log.error("the model config file was not applied: %s", error)
        except Exception:
            faults.count(CONFIG)
            log.exception("applying the model config file failed; it is tried again")
