"""Rows that signatures take, each found once for a version: a thread reads its folder, or the model answers a trial.

lease, signature ──▶ kept? ──no──▶ rows at hand in its folder ──none──▶ the first body that the model answers ──▶ bytes
"""

import asyncio
import logging
from collections import OrderedDict
from dataclasses import replace
from typing import Any

from signet.serving.gateway.core.backend import Lease
from signet.serving.gateway.core.inference import Inference
from signet.serving.gateway.openapi import examples, trials
from signet.serving.gateway.openapi.described_model import DescribedModel, of_lease, servable
from signet.serving.gateway.openapi.document_cache import Document, of_bytes
from signet.serving.gateway.page import rows
from signet.serving.gateway.page.rows import CARD, MADE_UP, Rows
from signet.serving.tensors.signature import Signature

log = logging.getLogger(__name__)

_MOST_BYTES = 16 << 20
"""Of all that is kept."""
_SIDE_BY_SIDE = 2
"""Signatures whose rows are looked for at once: trials compete with the requests of callers."""

_NOT_CARRIED = "JSON cannot carry its inputs, or none of its outputs: use gRPC"
_NONE = "no rows are known that this model takes"
_NOT_NOW = "the model cannot be asked now; try again in a moment"


class KeptRows:
    """Finds and keeps the rows of one gateway's models. All fields belong to the event loop."""

    def __init__(self, inference: Inference) -> None:
        self._inference = inference
        self._kept: OrderedDict[tuple[str, int, str], tuple[Any, Document]] = OrderedDict()
        """(model, version, signature) -> what identifies the version itself, and its rows; the latest last."""
        self._bytes = 0
        self._places = asyncio.Semaphore(_SIDE_BY_SIDE)

    async def rows(self, lease: Lease, signature: Signature) -> Document:
        """The rows of a signature of a version that is leased."""
        known = self._of(lease, signature)
        if known:
            return known
        async with self._places:
            known = self._of(lease, signature)
            if known:
                return known
            body, final = await self._found(lease, signature)
            made = await asyncio.to_thread(of_bytes, body)  # megabytes may be there
            if final:
                self._keep(lease, signature, made)
            return made

    def _of(self, lease: Lease, signature: Signature) -> Document | None:
        """What is kept; a version may have been replaced under its number."""
        version, made = self._kept.get((lease.name, lease.version, signature.name), (None, None))
        return made if version is not None and version[0] is lease.card and version[1] is lease.signatures else None

    def _keep(self, lease: Lease, signature: Signature, made: Document) -> None:
        key = lease.name, lease.version, signature.name
        self._drop(key)
        self._kept[key] = (lease.card, lease.signatures), made
        self._bytes += len(made.body)
        while self._bytes > _MOST_BYTES:
            self._drop(next(iter(self._kept)))

    def _drop(self, key: tuple[str, int, str]) -> None:
        _, made = self._kept.pop(key, (None, None))
        self._bytes -= len(made.body) if made else 0

    async def _found(self, lease: Lease, signature: Signature) -> tuple[bytes, bool]:
        """The body of the answer, and whether it is the last word."""
        model = replace(of_lease(lease, {}, ()), card=lease.card.content)
        if not servable(signature):
            return _without(model, signature, _NOT_CARRIED), True
        try:
            source, found = await asyncio.to_thread(rows.at_hand, model, lease.card, signature)
            if found:
                return await asyncio.to_thread(found.body, source), True
            source, tried = await self._tried(model, lease, signature)
            if not tried:
                tried.problem = tried.problem or found.problem or _NONE
            return await asyncio.to_thread(tried.body, source), True
        except trials.AWAY as error:
            log.info("model %s cannot be asked for examples now: %s", model.name, error)
            return _without(model, signature, _NOT_NOW), False

    async def _tried(self, model: DescribedModel, lease: Lease, signature: Signature) -> tuple[str, Rows]:
        """The rows of the first body that the model answers: its card's, else one made up. Raises `trials.AWAY`."""
        found = Rows(model, signature)
        bodies = await asyncio.to_thread(_bodies, model, signature)
        for source, text in bodies:
            try:
                _, inputs, outputs = await trials.answered(self._inference, lease, signature, text)
                await asyncio.to_thread(found.add, inputs, outputs)
            except trials.AWAY:
                raise
            except Exception as error:  # noqa: BLE001  # a card's example may be anything
                log.info("model %s, signature %s: an example does not work: %s", model.name, signature.name, error)
            if found:
                return source, found
        return MADE_UP, found


def _bodies(model: DescribedModel, signature: Signature) -> list[tuple[str, bytes]]:
    declared = isinstance(model.declared_example(signature.name), dict)
    texts = map(trials.as_text, examples.candidates(model, signature, {}))
    return [(CARD if declared and not i else MADE_UP, text) for i, text in enumerate(texts) if text]


def _without(model: DescribedModel, signature: Signature, problem: str) -> bytes:
    none = Rows(model, signature)
    none.problem = problem
    return none.body(MADE_UP)
