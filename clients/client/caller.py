"""What clients offer, whatever they send by: the calls of a program that waits, and those of one that awaits.

    client.predict("digits", {"pixels": images}) ──▶ steps (`server_calls.py`) ──drive──▶ `_send` of HTTP or gRPC ──▶ outputs

Signatures of calls stand here once for threads and once for asyncio; a client adds how it connects and how it sends.
"""

import time
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from functools import partial
from types import TracebackType
from typing import Any, TypeVar, cast

from signet.clients.client import calls, dataframes, values
from signet.clients.client.answer import Answer
from signet.clients.client.calls import CallSteps, Version, drive, drive_async, selector_of
from signet.clients.client.connecting import Access
from signet.clients.client.dataframes import Frame
from signet.clients.client.http_messages import Model
from signet.clients.client.retries import Retry
from signet.clients.client.server_calls import ServerCalls
from signet.clients.client.throttling import Throttle
from signet.serving.errors import UsageError
from signet.serving.tensors.signature import DEFAULT, Signature, select

DEFAULT_TIMEOUT_S = 30.0

C = TypeVar("C", bound="Caller")
Blocking = TypeVar("Blocking", bound="BlockingCaller")
Async = TypeVar("Async", bound="AsyncCaller")


class Caller(ABC):
    """What all clients are. They can be pickled: a copy has its own connections."""

    _server: ServerCalls

    @classmethod
    def of(
        cls: type[C],
        place: str,
        access: Access,
        *,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        retry: Retry = Retry(),  # noqa: B008  # it is frozen
        throttle: bool = True,
    ) -> C:
        """A client by what commands were told. place: the URL, or HOST:PORT for gRPC."""
        made = cls.__new__(cls)
        made._begin(place, access, timeout_s, retry, throttle)
        return made

    def _begin(self, place: str, access: Access, timeout_s: float, retry: Retry, throttle: bool) -> None:
        if not isinstance(retry, Retry):
            raise UsageError(f"retry is {retry!r}; expected a Retry, or NEVER")
        self._begun = (place, access, timeout_s, retry, throttle)
        self._timeout_s = calls.seconds_of(timeout_s, DEFAULT_TIMEOUT_S)
        shown = self._connect(place, access)
        self._server = self._calls(retry, Throttle(shown) if throttle else None)

    @property
    def throttled(self) -> Mapping[str, int]:
        """The calls that this client did not send while the server refused most of them (`Throttled`), by model."""
        return self._server.throttled()

    @abstractmethod
    def _connect(self, place: str, access: Access) -> str:
        """Set what is needed to send; gives the server, for messages. Raises `UsageError`."""

    @abstractmethod
    def _calls(self, retry: Retry, throttle: Throttle | None) -> ServerCalls:
        """The server's calls, in the client's protocol."""

    @property
    @abstractmethod
    def _shown(self) -> str:
        """The server, for messages."""

    def __getstate__(self) -> tuple[str, Access, float, Retry, bool]:
        return self._begun

    def __setstate__(self, begun: tuple[str, Access, float, Retry, bool]) -> None:
        self._begin(*begun)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._shown!r})"

    def _deadline(self, timeout_s: float | None = None) -> float:
        return time.monotonic() + calls.seconds_of(timeout_s, self._timeout_s)

    def _signature(self, model: str, signature: str, version: int | None, label: str | None) -> CallSteps[Signature]:
        described = yield from self._server.describe(model, selector_of(version, label), self._deadline())
        return select(described.signatures, signature, model)

    def _wait_ready(self, timeout_s: float, model: str | None) -> CallSteps[None]:
        return calls.waiting(partial(self._server.ready, model), self._shown, calls.seconds_of(timeout_s, 0))


class BlockingCaller(Caller):
    """The calls of a client that waits for each answer. Several threads may share it."""

    @abstractmethod
    def _send(self, request: Any) -> Any:
        """The response to a request. Raises `ServingError`."""

    @abstractmethod
    def close(self) -> None:
        """Close the connections."""

    def predict(
        self,
        model: str,
        inputs: Mapping[str, Any],
        *,
        version: int | None = None,
        label: str | None = None,
        signature: str | None = None,
        outputs: Collection[str] = (),
        timeout_s: float | None = None,
    ) -> Answer:
        """The outputs by name, in the signature's dtypes; text as an array of dtype object that holds str.

        Outputs called `…_bytes`, and strings that are no UTF-8, are bytes.

        inputs: arrays or nested lists by name, with one row a first-axis element; those with a default may be left out;
        strings may be str, bytes or the path of a file that holds them. version or label: default the highest version.
        signature: default `serving_default`. outputs: those wanted; default all. timeout_s: to wait for an answer,
        retries included.
        """
        selector, deadline = selector_of(version, label), self._deadline(timeout_s)
        steps = self._server.predict(model, selector, signature or DEFAULT, inputs, outputs, deadline)
        return values.with_texts(drive(steps, self._send))

    def predict_frame(
        self,
        model: str,
        frame: Frame,
        *,
        version: int | None = None,
        label: str | None = None,
        signature: str | None = None,
        outputs: Collection[str] = (),
        timeout_s: float | None = None,
        rows: int = dataframes.ROWS,
    ) -> Frame:
        """The outputs as columns of a frame of the same kind: pandas, polars or pyarrow, with the rows in their order.

        frame: its columns of the inputs' names are sent, others are not. An output of several numbers a row becomes a
        column of lists. rows: in a request; a frame of more is sent in parts, all to one version.
        """
        selector, deadline = selector_of(version, label), self._deadline(timeout_s)
        steps = self._server.predict_frame(model, selector, signature or DEFAULT, frame, outputs, rows, deadline)
        return cast(Frame, drive(steps, self._send))

    def describe(self, model: str, *, version: int | None = None, label: str | None = None) -> Version:
        """The version that answers now, with all its signatures."""
        return drive(self._server.describe(model, selector_of(version, label), self._deadline()), self._send)

    def signature(
        self, model: str, signature: str = DEFAULT, *, version: int | None = None, label: str | None = None
    ) -> Signature:
        """Names, dtypes and shapes that the model takes and gives now."""
        return drive(self._signature(model, signature, version, label), self._send)

    def models(self) -> list[Model]:
        """What is served: names, versions, signatures.

        Raises `Unsupported` where only TensorFlow Serving answers, which cannot tell.
        """
        return drive(self._server.models(self._deadline()), self._send)

    def wait_ready(self, timeout_s: float = DEFAULT_TIMEOUT_S, *, model: str | None = None) -> None:
        """Return when every model answers, or the one that is named; raises `Unavailable` when that takes too long.

        TensorFlow Serving cannot tell of every model: `Unsupported` without a name.
        """
        drive(self._wait_ready(timeout_s, model), self._send)

    def __enter__(self: Blocking) -> Blocking:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


class AsyncCaller(Caller):
    """The calls of a client that is awaited. They may run side by side, on several event loops."""

    @abstractmethod
    async def _send(self, request: Any) -> Any:
        """The response to a request. Raises `ServingError`."""

    @abstractmethod
    async def close(self) -> None:
        """Close the connections of the running event loop."""

    async def predict(
        self,
        model: str,
        inputs: Mapping[str, Any],
        *,
        version: int | None = None,
        label: str | None = None,
        signature: str | None = None,
        outputs: Collection[str] = (),
        timeout_s: float | None = None,
    ) -> Answer:
        """The outputs by name; what may be said is told at `Client.predict`."""
        selector, deadline = selector_of(version, label), self._deadline(timeout_s)
        steps = self._server.predict(model, selector, signature or DEFAULT, inputs, outputs, deadline)
        return values.with_texts(await drive_async(steps, self._send))

    async def predict_frame(
        self,
        model: str,
        frame: Frame,
        *,
        version: int | None = None,
        label: str | None = None,
        signature: str | None = None,
        outputs: Collection[str] = (),
        timeout_s: float | None = None,
        rows: int = dataframes.ROWS,
    ) -> Frame:
        """The outputs as columns of a frame of the same kind; what may be said is told at `Client.predict_frame`."""
        selector, deadline = selector_of(version, label), self._deadline(timeout_s)
        steps = self._server.predict_frame(model, selector, signature or DEFAULT, frame, outputs, rows, deadline)
        return cast(Frame, await drive_async(steps, self._send))

    async def describe(self, model: str, *, version: int | None = None, label: str | None = None) -> Version:
        """The version that answers now, with all its signatures."""
        return await drive_async(
            self._server.describe(model, selector_of(version, label), self._deadline()), self._send
        )

    async def signature(
        self, model: str, signature: str = DEFAULT, *, version: int | None = None, label: str | None = None
    ) -> Signature:
        """Names, dtypes and shapes that the model takes and gives now."""
        return await drive_async(self._signature(model, signature, version, label), self._send)

    async def models(self) -> list[Model]:
        """What is served: names, versions, signatures."""
        return await drive_async(self._server.models(self._deadline()), self._send)

    async def wait_ready(self, timeout_s: float = DEFAULT_TIMEOUT_S, *, model: str | None = None) -> None:
        """Return when every model answers, or the one that is named; raises `Unavailable` when that takes too long."""
        await drive_async(self._wait_ready(timeout_s, model), self._send)

    async def __aenter__(self: Async) -> Async:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.close()
