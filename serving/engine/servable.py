"""One loaded version of a model: signatures by name, and calls by named arrays.

    lease ──acquire──▶ users ◀──acquire── the runner, before it submits a call; and each call itself
    close ──▶ no users left ──▶ the session is freed

A session that is freed during a call crashes the process. So everybody who needs it counts as a user, and `_free` runs
when the version is closing and the last user has gone, or at once when there is none. `_users`, `_closing` are written
under `_lock` only; a version that has been freed has no users and takes none.
"""

import threading
from collections.abc import Hashable, Sequence
from typing import Any

from signet.serving.engine.tensorflow_c import PreparedCall, RunOptions, Session
from signet.serving.errors import NotFound
from signet.serving.models import model_card
from signet.serving.models.independence import Verdict
from signet.serving.tensors.arrays import Arrays
from signet.serving.tensors.protos import graph_pb2, meta_graph_pb2
from signet.serving.tensors.signature import Signature, from_signature_def


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
        self.signatures = {key: from_signature_def(key, proto) for key, proto in self.signature_defs.items()}
        self.devices = session.device_count()
        self.loops = not _LOOPS.isdisjoint(self.operations)
        """Whether the values in a request, not only its shapes, may decide how long a call takes."""
        self.card = model_card.NONE
        """The card in its folder. Set by the thread that loads the version, before it is handed out."""
        self.joining: dict[str, Verdict] = {}
        """Of each signature whether rows of several requests may share its calls, as far as that was found out.

        Written by the thread that loads the version, and by the gateway's one that asks models (`core/joining.py`): an
        entry comes as a whole, so that the event loop reads it without a lock.
        """
        self.in_use: dict[str, Any] = {}
        """What a server keeps for each signature as long as the version lives; only its event loop touches it."""
        self.seconds: dict[tuple[Hashable, bool], float] = {}
        """Seconds that a call takes, by kind and size and whether it ran in the calling thread.

        Written by the runner in whichever thread a call has run; single operations of a dict, which need no lock, and a
        measurement that is lost to another thread's does no harm.
        """
        # Written by whichever thread prepares a call first; two that do so at once leave either's, which are alike.
        self._calls: dict[tuple[str, tuple[str, ...]], PreparedCall] = {}
        self._users = 0
        self._closing = False
        self._lock = threading.Lock()
        self.closed = threading.Event()

    def acquire(self) -> bool:
        """Count one more user; False when the session is freed. A version on its way out takes calls of its users."""
        with self._lock:
            if self._closing and not self._users:
                return False
            self._users += 1
            return True

    def hold(self) -> None:
        """Count one more user, who has to make a call. Raises `NotFound` when the session is freed."""
        if not self.acquire():
            raise NotFound(f"Servable not found for request: Specific({self.name}, {self.version})")

    def release(self) -> None:
        """Count one user less; the last one of a closing version frees the session."""
        with self._lock:
            self._users -= 1
            last = self._closing and self._users == 0
        if last:
            self._free()

    def close(self) -> None:
        """Free the session at once, or when the last user is done (graceful shutdown). Calling it twice is harmless."""
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
        """Run one signature. Whoever calls holds this servable, or gets `NotFound` when it has been freed.

        inputs: an array for every input of the signature. outputs: the names wanted, all of them when empty.
        Raises what TensorFlow says: dtypes and shapes are checked there, not here.
        """
        self.hold()
        try:
            names = tuple(outputs) or tuple(signature.outputs)
            call = self._calls.get((signature.name, names)) or self._prepare(signature, names)
            arrays = call([inputs[name] for name in signature.inputs], options or RunOptions())
            return dict(zip(names, arrays, strict=True))
        finally:
            self.release()

    def _prepare(self, signature: Signature, names: tuple[str, ...]) -> PreparedCall:
        call = self._session.call(
            [spec.tensor for spec in signature.inputs.values()], [signature.outputs[name].tensor for name in names]
        )
        if len(self._calls) < _MAX_CALLS:
            self._calls[signature.name, names] = call
        return call

    def _free(self) -> None:
        try:
            self._session.close()
        finally:
            self.closed.set()


_MAX_CALLS = 256
"""Prepared calls kept; callers choose the output names, so their combinations are bounded here."""

_LOOPS = frozenset({"While", "StatelessWhile", "Enter", "RefEnter"})


def _operations(graph: graph_pb2.GraphDef) -> frozenset[str]:
    functions = (function.node_def for function in graph.library.function)
    return frozenset(node.op for nodes in (graph.node, *functions) for node in nodes)
