"""From a folder to a version that answers.

    path ──Session──▶ variables, graph ──▶ Servable ──warm-up requests──▶ ready

Graphs with loops are carried by one thread (`SINGLE_THREADED_EXECUTOR`), unless the ConfigProto says how operations are
to run: two LSTMs take 0.6 to 0.8 of the processor time then, because nothing is handed from thread to thread, and a
time limit still acts. Large operations use all cores as ever. Other graphs are left to TensorFlow's own executor, whose
errors name the node; without loops, `runner.py` gets the same by `RunOptions`.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from serving.engine.servable import Servable
from serving.engine.tensorflow_c import Session
from serving.engine.warmup import Run, warm_up
from serving.errors import FailedPrecondition, ServingError, Unsupported
from serving.protos import config_pb2

log = logging.getLogger(__name__)

_SINGLE = "SINGLE_THREADED_EXECUTOR"

_REFUSED = frozenset({"Switch", "Merge", "Enter", "Exit", "NextIteration", "LoopCond"})
"""Operations that the single-threaded executor refuses when a call needs them. Old variables it refuses to load."""


@dataclass(frozen=True)
class Loader:
    """Loads versions; knows how, and what else has to be done before one is ready."""

    config: bytes = b""
    """A serialized ConfigProto."""
    tags: tuple[str, ...] = ("serve",)
    """Of the MetaGraph to load."""
    warmup_rounds: int = 1
    """Times that each warm-up request is run; 0: not at all."""
    warmup_run: Run = Servable.predict
    """How it is run."""
    admit: Callable[[Servable, Path], None] | None = None
    """Called before the warm-up; may refuse the version by a `ServingError`."""
    warmed_up: Callable[[Path, str, float], None] | None = None
    """Told of each warm-up, in the loading thread: the version's folder, OK or the code of its error, seconds."""

    def __call__(self, name: str, version: int, path: Path) -> Servable:
        """A version, ready. Raises `ServingError`s when it is broken or a warm-up request fails."""
        servable = load(name, version, path, self.config, self.tags)
        try:
            if self.admit:
                self.admit(servable, path)
            if self.warmup_rounds:
                self._warm_up(servable, path)
        except BaseException:
            servable.close()
            raise
        return servable

    def _warm_up(self, servable: Servable, path: Path) -> None:
        started = time.perf_counter()
        try:
            requests = warm_up(servable, path, self.warmup_rounds, self.warmup_run)
        except ServingError as error:
            self._tell(path, error.grpc_code, started)
            raise
        if requests:
            self._tell(path, "OK", started)

    def _tell(self, path: Path, code: str, started: float) -> None:
        if self.warmed_up:
            self.warmed_up(path, code, time.perf_counter() - started)


def load(name: str, version: int, path: Path, config: bytes = b"", tags: Sequence[str] = ("serve",)) -> Servable:
    """The SavedModel at `path`, without its warm-up. config: a serialized ConfigProto. Raises `ServingError`s."""
    single = _single_threaded(config)
    if single and _may_loop(path):
        try:
            servable = _open(name, version, path, single, tags)
        except (FailedPrecondition, Unsupported) as error:
            log.info("version %d of model %r gets TensorFlow's own executor: %s", version, name, error)
        else:
            # With several devices, one thread could wait for what another device needs it for.
            if servable.loops and servable.devices == 1 and _REFUSED.isdisjoint(servable.operations):
                return servable
            servable.close()
    return _open(name, version, path, config, tags)


def _single_threaded(config: bytes) -> bytes | None:
    """The ConfigProto with that executor; None when it asks for another, or for operations side by side."""
    proto = config_pb2.ConfigProto.FromString(config)
    if proto.experimental.executor_type or proto.inter_op_parallelism_threads > 1:
        return None
    proto.experimental.executor_type = _SINGLE
    return bytes(proto.SerializeToString())


def _may_loop(path: Path) -> bool:
    """Whether the word for a loop is in the file at all: the executor has to be chosen before the graph is known."""
    try:
        return b"While" in (path / "saved_model.pb").read_bytes()
    except OSError:
        return False


def _open(name: str, version: int, path: Path, config: bytes, tags: Sequence[str]) -> Servable:
    session = Session(path, tags, config)
    try:
        return Servable(name, version, session)
    except BaseException:
        session.close()
        raise
