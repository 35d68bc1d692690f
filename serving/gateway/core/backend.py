"""What the gateway needs of whatever runs the models: the embedded engine or TensorFlow Serving."""

from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from signet.serving.errors import Unavailable
from signet.serving.gateway.observability.call_trace import CallTrace
from signet.serving.models.independence import Verdict
from signet.serving.models.model_card import Card
from signet.serving.models.model_status import VersionStatus
from signet.serving.tensors.arrays import Arrays
from signet.serving.tensors.protos import meta_graph_pb2
from signet.serving.tensors.signature import Signature


class SignatureChanged(Unavailable):
    """The version that was leased has other signatures now: the request is to be held against those, and run again."""


class Lease(Protocol):
    """A version of a model that stays loaded until it is released."""

    @property
    def name(self) -> str: ...
    @property
    def version(self) -> int: ...
    @property
    def signatures(self) -> Mapping[str, Signature]: ...
    @property
    def signature_defs(self) -> Mapping[str, meta_graph_pb2.SignatureDef]:
        """The SignatureDef messages, for the metadata route."""

    @property
    def card(self) -> Card:
        """The card of this version, where its folder is at hand."""

    @property
    def joining(self) -> dict[str, Verdict]:
        """Signature -> whether rows of several requests share its calls; until there is an entry they do not."""

    @property
    def in_use(self) -> dict[str, Any]:
        """Signature -> `LeasedSignature`, which the gateway's event loop keeps here as long as the version lives."""

    def release(self) -> None:
        """Give the version back; after this it may be unloaded."""


@contextmanager
def releasing(lease: Lease) -> Iterator[Lease]:
    """A block that ends with the release of the lease, whatever happens in it."""
    try:
        yield lease
    finally:
        lease.release()


class Backend(Protocol):
    """Runs the models: calls on named arrays. Errors are those of `serving/errors.py`; all methods are for the event loop."""

    @property
    def models(self) -> list[str]:
        """The models that are served now: those declared, or those that the folder of models holds."""

    def slots(self, model: str) -> int:
        """Calls on a model that run side by side while it has many, as things are now; at least 1."""

    def room(self, model: str, quick: bool) -> int:
        """Calls on a model, of one shape, that may run side by side now; 0 while threads are for other models.

        quick: whether its last call answered at once, so that the next one will need no thread. After a 0 whoever watches the
        room is told when it is the model's turn.
        """

    def watch_room(self, told: Callable[[str], None]) -> None:
        """told(model): to be called when calls of a model may start for which `room` was 0."""

    def watch_versions(self, appears: Callable[[str], None]) -> None:
        """appears(model): to be called before a version that has come answers what names none, and waited for. Called before
        `start`. It reads files, and is not for the event loop.
        """

    async def start(self) -> None:
        """Load or find the models; returns when the backend is ready to answer."""

    async def stop(self) -> None:
        """Let go of the models and of all connections and threads."""

    def missing(self) -> list[str]:
        """Models without an available version."""

    def unready(self) -> list[str]:
        """Models that keep the gateway from being ready: declared or there at the start, and never served yet; all of them
        while none has been served."""

    def why_missing(self, model: str) -> str:
        """A sentence about a model without an available version."""

    def lease(self, model: str, version: int | None) -> Lease | Awaitable[Lease]:
        """Lease the given version, or for None the current one; the caller releases it. Raises `NotFound`, or when awaited.

        It is to be awaited where somebody has to be asked for it.
        """

    async def version_of_label(self, model: str, label: str) -> int | None:
        """The version that a label stands for which no file of the gateway knows; None for an unknown one."""

    def keep(self, model: str, version: int, seconds: float) -> None:
        """Do not unload that version, if it is loaded, before so many seconds from now."""

    def available(self, model: str, version: int) -> bool:
        """Whether that version would answer now, as far as is known without asking anybody. Any thread may ask."""

    def pin(self, versions: Mapping[str, Collection[int]]) -> None:
        """Keep these versions of these models loaded, beside those of the version policy; any thread may say so.

        They take the place of those that were named before.
        """

    def on_trial(self, candidates: Mapping[str, int]) -> None:
        """Model -> the version whose failures say nothing against what others use too. Any thread may say so."""

    async def poll_now(self) -> None:
        """Look at once which models and versions there are, rather than at the next poll."""

    async def refresh(self, model: str) -> None:
        """Look at once which versions of a model there are."""

    def run(
        self,
        lease: Lease,
        signature: Signature,
        inputs: Arrays,
        outputs: Sequence[str],
        timeout_s: float,
        trace: CallTrace | None = None,
        *,
        beside: bool = False,
    ) -> Arrays | Awaitable[Arrays]:
        """The outputs wanted, all of them when none are named, of one call; at once when it is quick. trace: that it belongs to.

        beside: to be awaited in any case, as nobody waits for it: the event loop must not stand still meanwhile.

        Raises `SignatureChanged` when the version is not the leased one any more, or when awaited.
        """

    async def statuses(self, model: str) -> list[VersionStatus]:
        """Every known version, highest first, as it is now. Raises `NotFound`."""

    def last_statuses(self, model: str) -> list[VersionStatus]:
        """The statuses as they were last polled, without any I/O; empty for a model of which nothing is known."""
