"""From a folder to a version that answers.

    path ──Session──▶ variables, graph ──▶ Servable

Graphs with loops are carried by one thread (`SINGLE_THREADED_EXECUTOR`), unless the ConfigProto says how operations are
to run: two LSTMs take 0.6 to 0.8 of the processor time then, because nothing is handed from thread to thread, and a
time limit still acts. Large operations use all cores as ever. Other graphs are left to TensorFlow's own executor, whose
errors name the node; without loops, `runner.py` gets the same by `RunOptions`.
"""

import logging
from collections.abc import Sequence
from pathlib import Path

from serving.engine.servable import Servable
from serving.engine.tensorflow_c import Session
from serving.errors import FailedPrecondition, Unsupported
from serving.protos import config_pb2

log = logging.getLogger(__name__)

_SINGLE = "SINGLE_THREADED_EXECUTOR"

_REFUSED = frozenset({"Switch", "Merge", "Enter", "Exit", "NextIteration", "LoopCond"})
"""Operations that the single-threaded executor refuses when a call needs them. Old variables it refuses to load."""


def load(name: str, version: int, path: Path, config: bytes = b"", tags: Sequence[str] = ("serve",)) -> Servable:
    """Load the SavedModel at `path`. config: a serialized ConfigProto. Raises `ServingError`s when it is broken."""
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
