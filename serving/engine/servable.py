"""One loaded version of a model: signatures by name, and calls by named arrays.

It counts its users. `close` frees the session when the last of them is done: a session that is freed during a call
crashes the process.
"""

import threading
from collections.abc import Sequence
from pathlib import Path

from serving import signature as signatures
from serving.engine.tensorflow_c import Call, RunOptions, Session
from serving.errors import InvalidInput
from serving.protos import meta_graph_pb2
from serving.signature import Signature
from serving.tensors import Arrays


class Servable:
    """A version that answers. Made by `load`; handed out by the repository, to be released after use."""

    def __init__(self, name: str, version: int, session: Session) -> None:
        self.name, self.version = name, version
        self._session = session
        # Only the signatures are kept of the MetaGraph: the graph itself can be large.
        self.signature_defs = dict(meta_graph_pb2.MetaGraphDef.FromString(session.meta_graph).signature_def)
        session.meta_graph = b""
        self.signatures = {key: signatures.from_proto(key, proto) for key, proto in self.signature_defs.items()}
        self.seconds: dict[tuple[str, int], float] = {}
        """What a call takes, by signature and size class of its rows; kept by the runner."""
        self._calls: dict[tuple[str, tuple[str, ...]], Call] = {}
        self._users = 0
        self._closing = False
        self._lock = threading.Lock()
        self.closed = threading.Event()

    def acquire(self) -> bool:
        """Count one more user; False when the version is on its way out."""
        with self._lock:
            if self._closing:
                return False
            self._users += 1
            return True

    def release(self) -> None:
        """One user less; the last one out frees the session."""
        with self._lock:
            self._users -= 1
            last = self._closing and self._users == 0
        if last:
            self._free()

    def close(self) -> None:
        """Take no more users; free the session at once, or when the last user is done."""
        with self._lock:
            idle = self._users == 0 and not self._closing
            self._closing = True
        if idle:
            self._free()

    def predict(
        self,
        signature: Signature,
        inputs: Arrays,
        outputs: Sequence[str] = (),
        options: RunOptions | None = None,
    ) -> Arrays:
        """Run one signature; the caller has acquired this servable.

        inputs: an array for every input of the signature. outputs: the names wanted, all of them when empty.
        Raises what TensorFlow says: dtypes and shapes are checked there, not here.
        """
        names = tuple(outputs) or tuple(signature.outputs)
        call = self._calls.get((signature.name, names)) or self._prepare(signature, names)
        arrays = call([inputs[name] for name in signature.inputs], options or RunOptions())
        return dict(zip(names, arrays, strict=True))

    def _prepare(self, signature: Signature, names: tuple[str, ...]) -> Call:
        if not signature.inputs:
            raise InvalidInput(f"signature {signature.name!r} has no inputs and cannot be called")
        call = self._session.call(
            [spec.tensor for spec in signature.inputs.values()], [signature.outputs[name].tensor for name in names]
        )
        if len(self._calls) < _MAX_CALLS:
            self._calls[signature.name, names] = call
        return call

    def _free(self) -> None:
        self._session.close()
        self.closed.set()


_MAX_CALLS = 256
"""Prepared calls kept; callers choose the output names, so their combinations are bounded here."""


def load(name: str, version: int, path: Path, config: bytes = b"") -> Servable:
    """Load the SavedModel at `path`. config: a serialized ConfigProto. Raises `ServingError`s when it is broken."""
    session = Session(path, config=config)
    try:
        return Servable(name, version, session)
    except BaseException:
        session.close()
        raise
