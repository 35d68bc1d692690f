"""The calls of a server as steps, of which each protocol states its own messages; nothing is sent here.

    predict, predict_frame, describe, models, ready ──▶ CallSteps: yields requests, is sent responses, returns the result
          │
          └── fitted inputs ──▶ the protocol's request … its response ──▶ outputs with as many rows as were asked for

Signatures are asked for once and kept, until another version answers.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Any

from signet.clients.client import calls, dataframes
from signet.clients.client.answer import Answer
from signet.clients.client.calls import CallSteps, SignatureCache, Version, VersionSelector
from signet.clients.client.http_messages import Model
from signet.clients.client.retries import Budget, Retry
from signet.clients.client.throttling import Throttle
from signet.serving.errors import FailedPrecondition, InvalidInput, ServingError, Unsupported
from signet.serving.tensors.arrays import Arrays
from signet.serving.tensors.signature import Signature, select


class ServerCalls(ABC):
    """A server as one client knows it: the signatures it has told, what may be spent on retries, how often it refuses."""

    _build_metadata: Callable[[str, VersionSelector, float], Any]
    """The request for a version's signatures, with the seconds that it may take."""
    _parse_metadata: Callable[[Any], Version]
    """The signatures that its response holds."""
    _failure: Callable[[Any], ServingError | None]
    """The error that a response stands for, where errors are not raised when it is sent."""

    def __init__(self, retry: Retry, throttle: Throttle | None) -> None:
        """throttle: refuses calls of models that the server refuses; None: every call is sent."""
        self._cache: SignatureCache = {}
        """Any thread that calls may write it: an entry is replaced as a whole, and a lost one is asked for again."""
        self._budget = Budget(retry)
        self._throttle = throttle

    @abstractmethod
    def _predict(
        self,
        model: str,
        selector: VersionSelector,
        signature: str,
        inputs: Mapping[str, Any],
        outputs: Collection[str],
        deadline: float,
    ) -> CallSteps[Answer]:
        """The steps of `predict`, once it may be sent."""

    @abstractmethod
    def models(self, deadline: float) -> CallSteps[list[Model]]:
        """The steps to all that is served."""

    @abstractmethod
    def ready(self, model: str | None, timeout_s: float) -> CallSteps[str]:
        """The steps to what keeps the server, or one model, from answering; empty when nothing does. Asks once."""

    def predict(
        self,
        model: str,
        selector: VersionSelector,
        signature: str,
        inputs: Mapping[str, Any],
        outputs: Collection[str],
        deadline: float,
    ) -> CallSteps[Answer]:
        """The steps to the outputs by name, whose strings are bytes. deadline: a time of `time.monotonic`.

        Raises `Throttled` before anything is sent, while the server refuses most calls of the model.
        """
        self._check(model)
        return (yield from self._predict(model, selector, signature, inputs, outputs, deadline))

    def throttled(self) -> Mapping[str, int]:
        """The calls that were not sent, by model."""
        return self._throttle.counts() if self._throttle else {}

    def predict_frame(
        self,
        model: str,
        selector: VersionSelector,
        signature: str,
        frame: Any,
        outputs: Collection[str],
        rows: int,
        deadline: float,
    ) -> CallSteps[Any]:
        """The steps to a frame of outputs, in requests of so many rows, all to one version."""
        dataframes.check(frame, rows)
        self._check(model)  # before its signatures are asked for
        described = yield from self.describe(model, selector, deadline)
        chosen = select(described.signatures, signature, model)
        pinned = selector if dataframes.fits(frame, rows) else described.number

        def predict(inputs: dict[str, Any]) -> CallSteps[Answer]:
            return self.predict(model, pinned, signature, inputs, outputs, deadline)

        return (yield from dataframes.predicting(frame, chosen, rows, predict))

    def describe(self, model: str, selector: VersionSelector, deadline: float) -> CallSteps[Version]:
        """The steps to the version that answers now, with its signatures."""
        described = self._cache[model, selector] = yield from self._described(model, selector, deadline)
        return described

    def _described(self, model: str, selector: VersionSelector, deadline: float) -> CallSteps[Version]:
        response = yield from self._send(partial(self._build_metadata, model, selector), deadline)
        return calls.parsed(lambda: self._parse_metadata(response))

    def _fitted(
        self,
        model: str,
        selector: VersionSelector,
        signature: str,
        inputs: Mapping[str, Any],
        outputs: Collection[str],
        deadline: float,
    ) -> CallSteps[tuple[Version, Signature, Arrays]]:
        """The steps to the inputs as arrays of a signature that has these outputs.

        Asks for the signatures again before it says that the inputs do not fit those that were known.
        """
        known = self._cache.get((model, selector))
        described = known if known is not None else (yield from self.describe(model, selector, deadline))
        try:
            fitted = calls.fitted(described, signature, inputs)
        except (InvalidInput, FailedPrecondition, Unsupported):
            if known is None:
                raise
            self._cache.pop((model, selector), None)
            newer = yield from self.describe(model, selector, deadline)
            if newer.number == known.number:
                raise
            fitted = calls.fitted(newer, signature, inputs)
        calls.check_outputs(outputs, fitted[1])
        return fitted

    def _check(self, model: str) -> None:
        if self._throttle:
            self._throttle.check(model)

    def _send(self, build: Callable[[float], Any], deadline: float, *, predicting: str | None = None) -> CallSteps[Any]:
        """The steps to the response to a request, which `build` makes for the seconds that are left.

        predicting: the model, for a request that a server may refuse for overload; others say nothing of that.
        """
        note = partial(self._throttle.record, predicting) if self._throttle and predicting is not None else None
        return calls.sending(self._budget, build, self._failure, deadline, note)
