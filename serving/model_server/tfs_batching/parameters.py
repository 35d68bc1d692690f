"""How requests are batched: TensorFlow Serving's BatchingParameters, as text for all models or one version's own.

    --batching_parameters_file ──▶ the threads that all share, and a version's parameters where it has none of its own
    VERSION/batching_params.pbtxt ──▶ that version's parameters (--enable_per_model_batching_parameters)

Source of names, defaults and refusals: `session_bundle_config.proto`, `bundle_factory_util.cc`,
`shared_batch_scheduler.h`.
"""

import os
from dataclasses import dataclass, replace
from pathlib import Path

from signet.serving.errors import InvalidInput
from signet.serving.model_server import text_file
from signet.serving.model_server.config_messages import BatchingParameters
from signet.serving.process.cores import ALONE, Share

_PER_VERSION = "batching_params.pbtxt"


@dataclass(frozen=True)
class Parameters:
    """What may share a call, and what waits. Raises `InvalidInput` for what cannot work."""

    max_batch_size: int = 1000
    """Most rows of one request."""
    batch_timeout_s: float = 0.0
    """Seconds that an open batch waits for more; 0: it goes as soon as a thread is free."""
    max_enqueued_batches: int = 10
    """Most batches that wait in one queue; beyond that requests are refused."""
    allowed_batch_sizes: tuple[int, ...] = ()
    """Rows that a call may have, rising; a batch is padded up to the next. Empty: any number."""
    pad_variable_length_inputs: bool = False
    """Fill shorter inputs up, so that requests of different inner shapes may share a call."""
    max_execution_batch_size: int | None = None
    """Most rows of a call, when larger requests are cut into several; None: they are not cut."""

    def __post_init__(self) -> None:
        self._check_sizes()
        if self.batch_timeout_s < 0:
            raise InvalidInput(f"batch_timeout_micros must be non-negative; was {round(self.batch_timeout_s * 1e6)}")
        if self.max_enqueued_batches < 1:
            raise InvalidInput(f"max_enqueued_batches must be positive; was {self.max_enqueued_batches}")

    def _check_sizes(self) -> None:
        sizes = self.allowed_batch_sizes
        if sizes and sizes[-1] != self.max_batch_size:
            raise InvalidInput(
                "Last entry in allowed_batch_sizes must match max_batch_size; last entry was "
                f"{sizes[-1]}; expected {self.max_batch_size}"
            )
        if sizes != tuple(sorted({size for size in sizes if size > 0})):
            raise InvalidInput("allowed_batch_sizes entries must be monotonically increasing")
        if self.max_batch_size < 1:
            raise InvalidInput(f"input_batch_size_limit must be positive; was {self.max_batch_size}")
        if not 1 <= self.most_rows <= self.max_batch_size:
            raise InvalidInput(
                "When enable_large_batch_splitting is true, input_batch_size_limit must be greater than or equal to "
                "max_execution_batch_size."
            )

    @property
    def most_rows(self) -> int:
        """Most rows of one call, before it is padded."""
        return self.max_batch_size if self.max_execution_batch_size is None else self.max_execution_batch_size

    def padded(self, rows: int) -> int:
        """The rows that a call for so many has: the next allowed size."""
        return next((size for size in self.allowed_batch_sizes if size >= rows), rows)


@dataclass(frozen=True)
class BatchingSettings:
    """What the flags say of batching: the threads, and where a version's parameters stand."""

    threads: int = os.cpu_count() or 1
    """Calls that run side by side, of all models, in this process."""
    common: BatchingParameters | None = None
    """BatchingParameters of all versions; None: each has a file of its own, or is not batched."""

    share: Share = ALONE
    """Of what the files say, as far as they bound what all processes do."""

    def of(self, path: Path) -> Parameters | None:
        """The parameters of the version at `path`; None when it is not batched. `InvalidInput` for what cannot work."""
        message, file = self.common, path / _PER_VERSION
        if message is None:
            if not file.exists():
                return None
            message = text_file.read(file, BatchingParameters())
        parameters = from_proto(message)
        return replace(parameters, max_enqueued_batches=self.share.of(parameters.max_enqueued_batches))


def read(file: str, per_version: bool, share: Share = ALONE) -> BatchingSettings:
    """From the flags; no file: all defaults. Raises `NotFound` and `InvalidInput`."""
    message = text_file.read(Path(file), BatchingParameters()) if file else BatchingParameters()
    threads = message.num_batch_threads.value if message.HasField("num_batch_threads") else BatchingSettings.threads
    if threads < 1:
        raise InvalidInput(f"num_batch_threads must be positive; was {threads}")
    return BatchingSettings(share.of(threads), None if per_version else message, share)


def from_proto(message: BatchingParameters) -> Parameters:
    """A BatchingParameters message. Raises `InvalidInput` for what cannot work."""
    sizes: dict[str, int] = {
        name: getattr(message, name).value
        for name in ("max_batch_size", "max_enqueued_batches", "max_execution_batch_size")
        if message.HasField(name)
    }
    if message.enable_large_batch_splitting.value:
        sizes.setdefault("max_execution_batch_size", sizes.get("max_batch_size", Parameters.max_batch_size))
    else:
        sizes.pop("max_execution_batch_size", None)
        if sizes.get("max_enqueued_batches") == 0:
            sizes["max_enqueued_batches"] = 1  # the original's leniency: only with splitting it is an error
    return Parameters(
        **sizes,
        batch_timeout_s=message.batch_timeout_micros.value / 1e6,
        allowed_batch_sizes=tuple(message.allowed_batch_sizes),
        pad_variable_length_inputs=message.pad_variable_length_inputs,
    )
