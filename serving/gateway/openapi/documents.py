"""The OpenAPI documents of one gateway: what it serves now, each written once for what it is about.

    GET ──▶ is what is served still what the document says? ──▶ its bytes
             └── no ──▶ for each model that has changed: card, labels, examples tried on it ──▶ bytes, in threads

The event loop makes no document and asks nobody which versions there are: that is known already. An example is shown with
its answer once its model has answered it. Whoever asks while a document is made waits for it, for `_WAIT_S` at most;
then gets the one before.
"""

import asyncio
import hashlib
import json
import logging
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple, TypeVar

import orjson
from fastapi import FastAPI

from signet.serving.errors import DeadlineExceeded, Overloaded, ServingError, Unavailable
from signet.serving.gateway.core.backend import Backend, Lease
from signet.serving.gateway.core.inference import Inference, InferenceRequest, LeasedSignature
from signet.serving.gateway.core.joining import verdicts
from signet.serving.gateway.http import v1
from signet.serving.gateway.observability.request_context import RequestContext
from signet.serving.gateway.openapi import document as openapi
from signet.serving.gateway.openapi import examples
from signet.serving.gateway.openapi.described_model import DescribedModel, Example, Examples
from signet.serving.models.model_card import Card
from signet.serving.models.model_status import State
from signet.serving.rest_dialect import json_codec
from signet.serving.tensors.signature import DEFAULT, Signature

log = logging.getLogger(__name__)

T = TypeVar("T")

_WAIT_S = 10.0
"""Seconds that a request waits for a document that is being made."""
_TRIAL_S = 5.0
"""Seconds that the trial of an example may take."""
_TRIALS_S = 20.0
"""Seconds that the trials of one model may take; signatures whose turn has not come by then are shown without example."""
_AGAIN_S = 10.0
"""Seconds until a model that could not answer its examples is described anew."""
_SIDE_BY_SIDE = 2
"""Models that are described at once: their examples compete with the requests of callers."""
_MOST_BYTES = 4 << 20
"""Largest document of a model; a card that makes a larger one is left out."""

_AWAY = (Unavailable, Overloaded, DeadlineExceeded)
"""Errors that say nothing about an example."""


class Document(NamedTuple):
    """A document as it is sent."""

    body: bytes
    etag: str
    """For `If-None-Match`: another one for other bytes."""


@dataclass(frozen=True)
class _Described:
    """A model, its document, and what both are about."""

    model: DescribedModel
    document: Document
    until: float
    """When it is described anew though nothing has changed."""
    card: Card
    """Of the version."""

    def holds(self, lease: Lease, versions: Sequence[int], labels: Mapping[str, int]) -> bool:
        """Whether it says what is served now. The version itself is compared: one may be replaced under its number."""
        model = self.model
        return (
            model.signatures is lease.signatures
            and self.card is lease.card
            and model.joining == verdicts(lease)
            and (model.version, list(model.versions), model.labels) == (lease.version, versions, labels)
            and time.monotonic() < self.until
        )


class Documents:
    """Describes the models of one gateway."""

    def __init__(self, backend: Backend, inference: Inference, app: FastAPI) -> None:
        """app: has the routes that are the same whatever is served, once the first document is asked for."""
        self._backend, self._inference, self._app = backend, inference, app
        self._described: dict[str, _Described] = {}
        self._whole: tuple[list[_Described], dict[str, str], Document] | None = None
        """The document of all models, and what it is made of."""
        self._making: dict[str, asyncio.Task[Any]] = {}
        """What is being made, by model; under the empty name the whole."""
        self._places = asyncio.Semaphore(_SIDE_BY_SIDE)

    async def document(self) -> Document:
        """All models. Raises `Unavailable` while the first one is not made."""
        whole = await self._waited("", self._all)
        if whole is not None:
            return whole
        if self._whole is None:
            raise Unavailable("the document is being made; try again in a moment")
        return self._whole[2]

    async def model_document(self, name: str) -> Document:
        """One model. Raises `NotFound` for one that is not declared, `Unavailable` for one without a version."""
        self._inference.check_declared(name)
        described = await self._waited(name, partial(self._one, name)) or self._described.get(name)
        if described is None:
            raise Unavailable(f"the document of model {name!r} is being made; try again in a moment")
        return described.document

    async def _waited(self, key: str, make: Callable[[], Coroutine[Any, Any, T]]) -> T | None:
        """What is made once for all who wait for it; None when that takes too long, while it goes on."""
        task = self._shared(key, make)
        done, _ = await asyncio.wait([task], timeout=_WAIT_S)
        return task.result() if done else None

    def _shared(self, key: str, make: Callable[[], Coroutine[Any, Any, T]]) -> asyncio.Task[T]:
        task = self._making.get(key)
        if task is None:
            task = self._making[key] = asyncio.create_task(make())
            task.add_done_callback(lambda done: self._made(key, done))
        return task

    def _made(self, key: str, task: asyncio.Task[Any]) -> None:
        del self._making[key]
        if not task.cancelled():
            task.exception()  # whoever waited has it

    async def _all(self) -> Document:
        models: list[_Described] = []
        missing: dict[str, str] = {}
        names = self._backend.models
        self._described = {name: known for name, known in self._described.items() if name in names}
        found = await asyncio.gather(*(self._one_or_why(name) for name in names))
        for name, described in zip(names, found, strict=True):
            if isinstance(described, _Described):
                models.append(described)
            else:
                missing[name] = described
        if self._whole is not None and self._whole[:2] == (models, missing):
            return self._whole[2]
        described_models = [described.model for described in models]
        document = await asyncio.to_thread(_written, openapi.document, described_models, missing, self._app)
        self._whole = models, missing, document
        return document

    async def _one_or_why(self, name: str) -> _Described | str:
        try:
            return await asyncio.shield(self._shared(name, partial(self._one, name)))
        except ServingError as error:
            return str(error)
        except Exception:
            log.exception("model %s cannot be described", name)
            return "it cannot be described; the gateway's log says why"

    async def _one(self, name: str) -> _Described:
        labels = dict(await asyncio.to_thread(self._inference.labels.of, name))
        described = await self._if_it_holds(name, labels)
        if described is None:
            async with self._places:
                described = self._described[name] = await self._describe(name, labels)
        return described

    async def _if_it_holds(self, name: str, labels: Mapping[str, int]) -> _Described | None:
        known = self._described.get(name)
        lease = await self._lease(name)
        try:
            return known if known is not None and known.holds(lease, self._versions(name), labels) else None
        finally:
            lease.release()

    async def _lease(self, name: str) -> Lease:
        """The version that unversioned requests get. A model without one is not asked for: that would ask others."""
        if name in self._backend.missing():
            raise Unavailable(f"model {name!r} has no version that is available yet")
        return await self._inference.lease(InferenceRequest(name))

    def _versions(self, name: str) -> list[int]:
        statuses = self._backend.last_statuses(name)
        return [status.version for status in statuses if status.state is State.AVAILABLE]

    async def _describe(self, name: str, labels: Mapping[str, int]) -> _Described:
        lease = await self._lease(name)
        try:
            versions = self._versions(name)
            joining = verdicts(lease)
            bare = DescribedModel(
                name, lease.version, lease.signatures, lease.signature_defs, {}, labels, versions, joining=joining
            )
            card = lease.card
            tried, until = await self._trials(replace(bare, card=card.content), lease)
        finally:
            lease.release()
        described = await asyncio.to_thread(written, bare, card.content, tried, self._app)
        return _Described(*described, until, card)

    async def _trials(self, model: DescribedModel, lease: Lease) -> tuple[dict[str, Examples], float]:
        """Of each signature the first example that works, and until when they stand."""
        bodies = await asyncio.to_thread(self._candidates, model, lease)
        found: dict[str, Examples] = {}
        end = time.monotonic() + _TRIALS_S
        for signature, texts in bodies:
            for text in texts:
                if time.monotonic() > end:
                    log.warning("model %s: its examples take too long; some are not shown", model.name)
                    return found, time.monotonic() + _AGAIN_S
                try:
                    found[signature.name] = await self._trial(text, model, lease, signature)
                    break
                except _AWAY as error:
                    log.info("model %s cannot answer its examples now: %s", model.name, error)
                    return found, time.monotonic() + _AGAIN_S
                except Exception as error:  # noqa: BLE001  # a card's example may be anything
                    log.info("model %s, signature %s: an example does not work: %s", model.name, signature.name, error)
        return found, float("inf")

    def _candidates(self, model: DescribedModel, lease: Lease) -> list[tuple[Signature, list[bytes]]]:
        """The bodies to try for each signature, best first."""
        golden = examples.first_rows(lease.card.folder) if lease.card.folder else {}
        return [
            (signature, list(filter(None, map(_text, examples.candidates(model, signature, golden)))))
            for signature in model.servable_signatures
        ]

    async def _trial(self, text: bytes, model: DescribedModel, lease: Lease, signature: Signature) -> Examples:
        """The body with its answer. Raises `ServingError` and ValueError for one that does not work."""
        asked = json_codec.parse(text)
        if (asked.signature_name or DEFAULT) != signature.name:
            raise ValueError(f"it names signature {asked.signature_name!r}")
        inputs = json_codec.decode(asked, signature)
        request = InferenceRequest(lease.name, lease.version)
        wanted = asked.output_filter
        context = RequestContext(v1.PROTOCOL, _TRIAL_S)
        outputs = await self._inference.call(LeasedSignature.of(lease, signature), inputs, wanted, request, context)

        def shown() -> Examples:
            answer = json_codec.encode(outputs, asked.layout, named=asked.named_outputs)
            body = orjson.loads(text)
            try:
                predict = Example(body, orjson.loads(answer) if len(answer) <= examples.LONGEST else None)
            except orjson.JSONDecodeError:
                predict = Example(body)
            infer = examples.inference(model, signature, inputs, outputs, wanted)
            return Examples(
                predict, infer if len(json.dumps(infer.answer)) <= examples.LONGEST else Example(infer.body)
            )

        return await asyncio.to_thread(shown)


def _text(body: dict[str, Any]) -> bytes:
    """An example as it is sent; empty for one that is too long, or that JSON cannot carry."""
    try:
        text = orjson.dumps(body)
    except TypeError:
        return b""
    return text if len(text) <= examples.LONGEST else b""


def written(
    bare: DescribedModel, card: Any, tried: Mapping[str, Examples], app: FastAPI
) -> tuple[DescribedModel, Document]:
    """The model with its card and the examples that work, and its document; a card that spoils it is left out.

    card: anything, as JSON of strangers may be: half a character, a number of a hundred digits, a million labels.
    """
    model = replace(bare, card=card, examples=tried)
    try:
        document = _written(openapi.model_document, model, app)
        if len(document.body) > _MOST_BYTES:
            raise ValueError(f"its document would have {len(document.body)} bytes")
    except Exception as error:  # noqa: BLE001  # whatever it is, the card is not worth the document
        log.warning("the card of model %s, version %d, is left out: %s", bare.name, bare.version, error)
        return bare, _written(openapi.model_document, bare, app)
    return model, document


def _written(make: Callable[..., Any], *arguments: Any) -> Document:
    body = orjson.dumps(make(*arguments))
    return Document(body, f'"{hashlib.sha256(body).hexdigest()[:32]}"')
