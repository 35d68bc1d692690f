"""From a folder to a version that answers.

    path ──operations allowed? variables there?──Session──▶ Servable ──warm-up requests, else a trial──▶ ready

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

from signet.serving.engine import trial
from signet.serving.engine.servable import Servable
from signet.serving.engine.tensorflow_c import Session
from signet.serving.engine.warmup import Run, warm_up
from signet.serving.errors import FailedPrecondition, NotFound, ServingError, Unsupported
from signet.serving.models import completeness, operations
from signet.serving.models.model_status import BROKEN, INCOMPLETE, OPERATIONS, UNANSWERED
from signet.serving.tensors.protos import config_pb2, meta_graph_pb2, saved_model_pb2

log = logging.getLogger(__name__)


def soft(threads: int | None = None) -> bytes:
    """A serialized ConfigProto: what a graph wants on a device that is not there, such as /GPU:0, runs on the processor.

    threads: within an operation; None: as many as cores. Between operations there are as many as cores in any case: to
    say so would take the single-threaded executor from graphs with loops.
    """
    config = config_pb2.ConfigProto(allow_soft_placement=True)
    if threads:
        config.intra_op_parallelism_threads = threads
    return config.SerializeToString()


SOFT = soft()

_SINGLE = "SINGLE_THREADED_EXECUTOR"

_CHUNKS = "saved_model.cpb"
"""TensorFlow reads it in the place of saved_model.pb."""

_REFUSED = frozenset({"Switch", "Merge", "Enter", "Exit", "NextIteration", "LoopCond"})
"""Operations that the single-threaded executor refuses when a call needs them. Old variables it refuses to load."""


@dataclass(frozen=True)
class Loader:
    """Loads versions; knows how, and what else has to be done before one is ready."""

    config: bytes = SOFT
    """A serialized ConfigProto."""
    tags: tuple[str, ...] = ("serve",)
    """Tags of the MetaGraph to load."""
    warmup_rounds: int = 1
    """Times that each warm-up request is run; 0: not at all."""
    warmup_run: Run = Servable.predict
    """How it is run."""
    admit: Callable[[Servable, Path], None] | None = None
    """Called before the warm-up; may refuse the version by a `ServingError`."""
    allowed_operations: frozenset[str] | None = None
    """Operations that a graph may have although they reach beyond the model, such as ReadFile; None: all, with a warning."""
    trial: bool = False
    """Whether a version without warm-up requests has to answer something before it is ready."""
    warmed_up: Callable[[Path, str, float], None] | None = None
    """Called after each warm-up, in the loading thread, with the version's folder, OK or the code of its error, and seconds."""

    def __call__(self, name: str, version: int, path: Path) -> Servable:
        """A version, ready. Raises `ServingError`s when it is broken or a warm-up request fails."""
        self._examine(name, version, path)
        servable = load(name, version, path, self.config, self.tags)
        try:
            if self.admit:
                self.admit(servable, path)
            self._ask(servable, path)
        except BaseException:
            servable.close()
            raise
        return servable

    def _examine(self, name: str, version: int, path: Path) -> None:
        """What TensorFlow does not look at, and has to be known before a part of the graph runs."""
        saved_model = completeness.read(path)
        meta_graph = _tagged(saved_model, self.tags)
        if meta_graph is None:
            if self.allowed_operations is None or not saved_model.meta_graphs:
                return  # the loader says what is wrong
            raise _refused(NotFound(f"{path}: {_other_tags(saved_model, self.tags)}"), BROKEN)
        if lacking := completeness.missing_index(path, meta_graph):
            raise _refused(NotFound(f"{path}: {lacking}"), INCOMPLETE)
        reached = operations.reaching_out(meta_graph)
        if self.allowed_operations is not None:
            if problem := operations.refusal(reached, self.allowed_operations):
                raise _refused(FailedPrecondition(problem), OPERATIONS)
            if (path / _CHUNKS).exists():
                problem = (
                    f"{_CHUNKS}, a graph in chunks, cannot be examined for operations that touch more than the model"
                )
                raise _refused(FailedPrecondition(problem), OPERATIONS)
        elif reached:
            names = ", ".join(map(str, reached))
            log.warning("version %d of model %r reaches operations that touch more than it: %s", version, name, names)

    def _ask(self, servable: Servable, path: Path) -> None:
        """Run the version's own requests, else one that is made up."""
        try:
            answered = self._warm_up(servable, path) if self.warmup_rounds else 0
            if self.trial and not answered:
                trial.try_out(servable, path)
        except ServingError as error:
            raise _refused(error, UNANSWERED) from None

    def _warm_up(self, servable: Servable, path: Path) -> int:
        """How many requests there are."""
        started = time.perf_counter()
        try:
            requests = warm_up(servable, path, self.warmup_rounds, self.warmup_run)
        except ServingError as error:
            self._tell(path, error.grpc_code, started)
            raise
        if requests:
            self._tell(path, "OK", started)
        return requests

    def _tell(self, path: Path, code: str, started: float) -> None:
        if self.warmed_up:
            self.warmed_up(path, code, time.perf_counter() - started)


def _refused(error: ServingError, reason: str) -> ServingError:
    error.reason = reason
    return error


def _tagged(saved_model: saved_model_pb2.SavedModel, tags: Sequence[str]) -> meta_graph_pb2.MetaGraphDef | None:
    """The MetaGraphDef that the loader will choose; None when it will find none."""
    found = [graph for graph in saved_model.meta_graphs if set(graph.meta_info_def.tags) == set(tags)]
    return found[0] if found else None


def _other_tags(saved_model: saved_model_pb2.SavedModel, tags: Sequence[str]) -> str:
    has = [",".join(graph.meta_info_def.tags) or "none" for graph in saved_model.meta_graphs]
    return f"there is no graph with the tags {','.join(tags)}; it has {' and '.join(has)}: --tags {has[0]}"


def load(name: str, version: int, path: Path, config: bytes = SOFT, tags: Sequence[str] = ("serve",)) -> Servable:
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
    return proto.SerializeToString()


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
