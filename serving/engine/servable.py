"""One loaded version of a model: signatures by name, and calls by named arrays.

It counts its users. `close` frees the session when the last of them is done: a session that is freed during a call
crashes the process.
"""

import threading
from collections.abc import Hashable, Sequence
from typing import Any

from serving import signature as signatures
from serving.engine.tensorflow_c import Call, RunOptions, Session
from serving.errors import InvalidInput
from serving.protos import meta_graph_pb2
from serving.signature import Signature
from serving.tensors import Arrays


class Servable:
    """A version that answers. Made by `loading`; handed out by the repository, to be released after use."""

    def __init__(self, name: str, version: int, session: Session) -> None:
        self.name, self.version = name, version
        self._session = session
        # Only the signatures are kept of the MetaGraph: the graph itself can be large.
        meta_graph = meta_graph_pb2.MetaGraphDef.FromString(session.meta_graph)
        session.meta_graph = b""
        self.operations = _operations(meta_graph.graph_def)
        """The kinds of operations in the graph and its functions."""
        self.signature_defs = dict(meta_graph.signature_def)
        self.signatures = {key: signatures.from_proto(key, proto) for key, proto in self.signature_defs.items()}
        self.devices = session.device_count()
        self.loops = not _LOOPS.isdisjoint(self.operations)
        """Whether the values in a request, not only its shapes, may decide how long a call takes."""
        self.seconds: dict[tuple[Hashable, bool], float] = {}
        """What a call takes, by kind and size and whether it ran in the calling thread; kept by the runner."""
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

    def retain(self) -> None:
        """Count one more user, beside one that has it already; works even while the version is on its way out."""
        with self._lock:
            self._users += 1

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

_LOOPS = frozenset({"While", "StatelessWhile", "Enter", "RefEnter"})


def _operations(graph: Any) -> frozenset[str]:
    functions = (function.node_def for function in graph.library.function)
    return frozenset(node.op for nodes in (graph.node, *functions) for node in nodes)
