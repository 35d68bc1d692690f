"""Examples of a model's documentation, tried on the model itself: what is shown works, and has the model's own answer.

    candidates: card, golden, made up ──▶ one after the other through the model ──▶ the first that it answers

The card is a file that anybody may have written, and what is made up from a signature may be nothing that the model takes.
A trial waits in the model's queue as a request does, but is neither admitted nor counted as one.
"""

import asyncio
import logging
import time
from typing import Any

import orjson

from signet.serving.errors import DeadlineExceeded, Overloaded, Unavailable
from signet.serving.gateway.core.backend import Lease
from signet.serving.gateway.core.inference import Inference, LeasedSignature
from signet.serving.gateway.core.load import Load
from signet.serving.gateway.observability.request_context import RequestContext
from signet.serving.gateway.openapi import examples
from signet.serving.gateway.openapi.described_model import DescribedModel, Example, Examples
from signet.serving.rest_dialect import json_codec
from signet.serving.rest_dialect.json_codec import PredictBody
from signet.serving.tensors.arrays import Arrays
from signet.serving.tensors.signature import DEFAULT, Signature

log = logging.getLogger(__name__)

_TRIAL_S = 5.0
"""Seconds that the trial of one example may take."""
_TRIALS_S = 20.0
"""Seconds that the trials of one model may take; signatures whose turn has not come by then are shown without example."""
AWAY = (Unavailable, Overloaded, DeadlineExceeded)
"""Errors that say nothing about an example."""


async def working_examples(
    inference: Inference, model: DescribedModel, lease: Lease
) -> tuple[dict[str, Examples], bool]:
    """For each signature the first example that works; and whether all have been tried, or another time is better."""
    bodies = await asyncio.to_thread(_bodies, model, lease)
    working: dict[str, Examples] = {}
    end = time.monotonic() + _TRIALS_S
    for signature, texts in bodies:
        for text in texts:
            if time.monotonic() > end:
                log.warning("model %s: its examples take too long; some are not shown", model.name)
                return working, False
            try:
                working[signature.name] = await _trial(inference, model, lease, signature, text)
                break
            except AWAY as error:
                log.info("model %s cannot answer its examples now: %s", model.name, error)
                return working, False
            except Exception as error:  # noqa: BLE001  # a card's example may be anything
                log.info("model %s, signature %s: an example does not work: %s", model.name, signature.name, error)
    return working, True


def _bodies(model: DescribedModel, lease: Lease) -> list[tuple[Signature, list[bytes]]]:
    """The bodies to try for each signature, best first; none that is too long or that JSON cannot carry."""
    golden = examples.first_rows(lease.card.folder) if lease.card.folder else {}
    return [
        (signature, list(filter(None, map(as_text, examples.candidates(model, signature, golden)))))
        for signature in model.servable_signatures
    ]


def as_text(body: Any) -> bytes:
    """A body as it is sent; empty for one that is too long or that JSON cannot carry."""
    try:
        text = orjson.dumps(body)
    except TypeError:
        return b""
    return text if len(text) <= examples.LONGEST else b""


async def answered(
    inference: Inference, lease: Lease, signature: Signature, text: bytes
) -> tuple[PredictBody, Arrays, Arrays]:
    """A predict body as read, its inputs, and the model's outputs.

    Raises `ServingError` and ValueError for one that does not work.
    """
    body = json_codec.parse(text)
    if (body.signature_name or DEFAULT) != signature.name:
        raise ValueError(f"it names signature {body.signature_name!r}")
    inputs = json_codec.decode(body, signature)
    leased = LeasedSignature(lease, signature, Load(lease.name))
    return body, inputs, await inference.call(leased, inputs, body.output_filter, RequestContext("openapi", _TRIAL_S))


async def _trial(
    inference: Inference, model: DescribedModel, lease: Lease, signature: Signature, text: bytes
) -> Examples:
    """The body with its answer, in both dialects. Raises as `answered` does."""
    body, inputs, outputs = await answered(inference, lease, signature, text)

    def shown() -> Examples:
        answer = json_codec.encode(outputs, body.layout, named=body.named_outputs)
        infer = examples.inference(model, signature, inputs, outputs, body.output_filter)
        infer_answer = _strict_json(orjson.dumps(infer.answer))
        return Examples(Example(orjson.loads(text), _strict_json(answer)), Example(infer.body, infer_answer))

    return await asyncio.to_thread(shown)


def _strict_json(answer: bytes) -> Any:
    """An answer to be shown; None for one that is very long or holds NaN or infinity, which strict JSON has not."""
    try:
        return orjson.loads(answer) if len(answer) <= examples.LONGEST else None
    except orjson.JSONDecodeError:
        return None
