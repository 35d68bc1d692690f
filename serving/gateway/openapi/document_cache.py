"""The OpenAPI documents of one gateway: what it serves now, each written once for what it is about.

    GET ──▶ is what is served still what the document says? ──▶ its bytes
             └── no ──▶ for each model that has changed: card, labels, examples tried on it ──▶ bytes, in threads

The event loop makes no document and asks nobody which versions there are: that is known already. An example is shown with
its answer once its model has answered it. Whoever asks while a document is made waits for it, for `_WAIT_S` at most;
then gets the one before.
"""

import asyncio
import contextlib
import hashlib
import logging
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple, TypeVar

import orjson
from fastapi import FastAPI

from signet.serving.errors import ServingError, Unavailable
from signet.serving.gateway.core.backend import Backend, Lease
from signet.serving.gateway.core.inference import Inference, InferenceRequest
from signet.serving.gateway.openapi import document, trials
from signet.serving.gateway.openapi.described_model import DescribedModel, Examples, of_lease
from signet.serving.models.model_card import Card

log = logging.getLogger(__name__)

T = TypeVar("T")

_WAIT_S = 10.0
"""Seconds that a request waits for a document that is being made."""
_AGAIN_S = 10.0
"""Seconds until a model that could not answer its examples is described anew."""
_SIDE_BY_SIDE = 2
"""Models that are described at once: their examples compete with the requests of callers."""
_MOST_WHOLES = 8
"""Documents of all models, or of those of a key, that are kept."""
_MOST_BYTES = 4 << 20
"""Largest document of a model; a card that makes a larger one is left out."""


class Document(NamedTuple):
    """A document as it is sent."""

    body: bytes
    etag: str
    """For `If-None-Match`: another one for other bytes."""


@dataclass(frozen=True)
class _Described:
    """A model with its document, and what both are about."""

    bare: DescribedModel
    """The model without its card and examples: what can change while the card is the same."""
    card: Card
    model: DescribedModel
    document: Document
    until: float
    """When it is described anew though nothing has changed."""

    def holds(self, bare: DescribedModel, card: Card) -> bool:
        """Whether it says what is served now. The version itself is compared: one may be replaced under its number."""
        same_version = self.bare.signatures is bare.signatures and self.card is card
        return same_version and self.bare == bare and time.monotonic() < self.until


class DocumentCache:
    """Describes the models of one gateway. All fields belong to the event loop."""

    def __init__(self, backend: Backend, inference: Inference, app: FastAPI) -> None:
        """app: has the routes that are the same whatever is served, once the first document is asked for."""
        self._backend, self._inference, self._app = backend, inference, app
        self._described: dict[str, _Described] = {}
        self._wholes: dict[frozenset[str] | None, tuple[list[_Described], dict[str, str], Document]] = {}
        """The documents of all models, and of those that keys are for, each with what it is made of; the latest last."""
        self._tasks: dict[str, asyncio.Task[Any]] = {}
        """What is being made, by model; under the empty name the document of all."""
        self._places = asyncio.Semaphore(_SIDE_BY_SIDE)

    async def document(self, models: frozenset[str] | None = None) -> Document:
        """The document of all models, or of those that its reader may know of.

        Raises `Unavailable` while the first one is not made.
        """
        key = "" if models is None else "/".join(["", *sorted(models)])  # no model's name
        whole = await self._in_time(key, partial(self._all, models))
        if whole is not None:
            return whole
        if models not in self._wholes:
            raise Unavailable("the document is being made; try again in a moment")
        return self._wholes[models][2]

    async def model_document(self, name: str) -> Document:
        """One model's document. Raises `NotFound` for one that is not declared, `Unavailable` without a version."""
        self._inference.check_declared(name)
        described = await self._in_time(name, partial(self._one, name)) or self._described.get(name)
        if described is None:
            raise Unavailable(f"the document of model {name!r} is being made; try again in a moment")
        return described.document

    async def _in_time(self, key: str, make: Callable[[], Coroutine[Any, Any, T]]) -> T | None:
        """What is made once for all who wait for it; None when that takes too long, while it goes on."""
        task = self._shared(key, make)
        done, _ = await asyncio.wait([task], timeout=_WAIT_S)
        return task.result() if done else None

    def _shared(self, key: str, make: Callable[[], Coroutine[Any, Any, T]]) -> asyncio.Task[T]:
        task = self._tasks.get(key)
        if task is None:
            task = self._tasks[key] = asyncio.create_task(make())
            task.add_done_callback(lambda done: self._ended(key, done))
        return task

    def _ended(self, key: str, task: asyncio.Task[Any]) -> None:
        del self._tasks[key]
        if not task.cancelled():
            task.exception()  # whoever waited has it

    async def _all(self, seen: frozenset[str] | None) -> Document:
        declared = self._backend.models
        self._described = {name: described for name, described in self._described.items() if name in declared}
        names = [name for name in declared if seen is None or name in seen]
        results = await asyncio.gather(*(self._one_or_why(name) for name in names))
        models = [result for result in results if isinstance(result, _Described)]
        missing = {name: result for name, result in zip(names, results, strict=True) if isinstance(result, str)}
        known = self._wholes.get(seen)
        if known is not None and known[:2] == (models, missing):
            return known[2]
        described = [each.model for each in models]
        made = await asyncio.to_thread(_sent, document.document, described, missing, self._app)
        self._wholes.pop(seen, None)
        self._wholes[seen] = models, missing, made
        if len(self._wholes) > _MOST_WHOLES:
            del self._wholes[next(one for one in self._wholes if one is not None)]
        return made

    async def _one_or_why(self, name: str) -> _Described | str:
        """A model, or why it is missing."""
        try:
            return await asyncio.shield(self._shared(name, partial(self._one, name)))
        except ServingError as error:
            return str(error)
        except Exception:
            log.exception("model %s cannot be described", name)
            return "it cannot be described; the gateway's log says why"

    async def _one(self, name: str) -> _Described:
        """A model as it was described before, if that holds, else anew."""
        labels = dict(await asyncio.to_thread(self._inference.labels.of, name))
        before = self._described.get(name)
        async with self._leased(name) as lease:
            if before is not None and before.holds(self._bare(lease, labels), lease.card):
                return before
        async with self._places:
            async with self._leased(name) as lease:
                bare, card = self._bare(lease, labels), lease.card
                described = replace(bare, card=card.content)
                working, all_tried = await trials.working_examples(self._inference, described, lease)
            model, made = await asyncio.to_thread(written, bare, card.content, working, self._app)
        until = float("inf") if all_tried else time.monotonic() + _AGAIN_S
        self._described[name] = _Described(bare, card, model, made, until)
        return self._described[name]

    @contextlib.asynccontextmanager
    async def _leased(self, name: str) -> AsyncIterator[Lease]:
        """The version that unversioned requests get. A model without one is not asked for: that would ask others."""
        if name in self._backend.missing():
            raise Unavailable(f"model {name!r} has no version that is available yet")
        lease = await self._inference.lease(InferenceRequest(name))
        try:
            yield lease
        finally:
            lease.release()

    def _bare(self, lease: Lease, labels: Mapping[str, int]) -> DescribedModel:
        """What is served now, without its card and examples."""
        return of_lease(lease, labels, self._backend.last_statuses(lease.name))


def written(
    bare: DescribedModel, card: Any, working: Mapping[str, Examples], app: FastAPI
) -> tuple[DescribedModel, Document]:
    """The model with its card and the examples that work, and its document; a card that spoils it is left out.

    card: anything, as JSON of strangers may be: half a character, a number of a hundred digits, a million labels.
    """
    model = replace(bare, card=card, examples=working)
    try:
        made = _sent(document.model_document, model, app)
        if len(made.body) > _MOST_BYTES:
            raise ValueError(f"its document would have {len(made.body)} bytes")
    except Exception as error:  # noqa: BLE001  # whatever it is, the card is not worth the document
        log.warning("the card of model %s, version %d, is left out: %s", bare.name, bare.version, error)
        return bare, _sent(document.model_document, bare, app)
    return model, made


def _sent(make: Callable[..., Any], *arguments: Any) -> Document:
    return of_bytes(orjson.dumps(make(*arguments)))


def of_bytes(body: bytes) -> Document:
    """A document of these bytes."""
    return Document(body, f'"{hashlib.sha256(body).hexdigest()[:32]}"')
