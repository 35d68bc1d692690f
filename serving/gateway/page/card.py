"""What a version says of itself, for the page: from its live signatures, its card and what the gateway has found out.

    DescribedModel, Card, statuses ──of_version──▶ bytes of JSON
    statuses, why no version answers ──without_version──▶ the same without signatures

The card is a file that anybody may have written: what has another form is left out, and `problem` says so.
"""

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import orjson

from signet.serving.gateway.openapi.described_model import (
    DescribedModel,
    DescribedTensor,
    in_single_rows,
    servable,
)
from signet.serving.gateway.openapi.tensors import dtype_text
from signet.serving.gateway.page import pictures
from signet.serving.gateway.page.bounded import Bounded
from signet.serving.json_arrays.inputs import JSON_DTYPES
from signet.serving.models.independence import Verdict
from signet.serving.models.model_card import Card
from signet.serving.models.model_status import VersionStatus
from signet.serving.tensors.padding import PaddingRule
from signet.serving.tensors.signature import Signature, TensorSpec

log = logging.getLogger(__name__)

_MOST_BYTES = 4 << 20
"""A card that makes a larger answer is left out."""
_MOST_LABELS = 10_000
_MOST_LABEL = 200
_MOST_LIMITS = _MOST_SCORES = 100
_MOST_TRAINING = 50
_UNKNOWN = Verdict(False, "not known yet")


def of_version(model: DescribedModel, card: Card, statuses: Sequence[VersionStatus]) -> bytes:
    """The answer about a version that is available. model: with the content of the card."""
    try:
        body = orjson.dumps(_card(model, card, statuses))
        if len(body) > _MOST_BYTES:
            raise ValueError(f"it makes {len(body)} bytes, and {_MOST_BYTES} are the most")
    except Exception as error:  # noqa: BLE001  # whatever is wrong with a card, the model is there
        log.warning("the card of model %s, version %d, is left out: %s", model.name, model.version, error)
        bare = Card(folder=card.folder, problem=f"its card is left out: {str(error)[:200]}")
        body = orjson.dumps(_card(replace(model, card={}), bare, statuses))
    return body


def without_version(
    name: str, version: int | None, labels: Mapping[str, int], statuses: Sequence[VersionStatus], error: str
) -> bytes:
    """The answer about a model, or the version asked for, that is not available. error: why."""
    bounded = Bounded()
    content = _content(bounded, DescribedModel(name, 0, {}, labels=labels), Card(), statuses)
    return orjson.dumps(content | {"version": version, "error": error})


def _card(model: DescribedModel, card: Card, statuses: Sequence[VersionStatus]) -> dict[str, Any]:
    bounded = Bounded()
    content = _content(bounded, model, card, statuses)
    content["signatures"] = [_signature(bounded, model, card, one) for one in model.callable_signatures]
    content["problem"] = "; ".join(filter(None, (_problem(card), bounded.left_out)))
    return content


def _content(bounded: Bounded, model: DescribedModel, card: Card, statuses: Sequence[VersionStatus]) -> dict[str, Any]:
    """All but the signatures."""
    said = model.card
    data = said.get("data")
    versions = [
        {"version": one.version, "state": one.state.name, "error": bounded.text("an error", one.error_message)}
        for one in sorted(statuses, key=lambda one: -one.version)
    ]
    return {
        "name": model.name,
        "version": model.version,
        "versions": versions,
        "labels": {bounded.text("a label", label, _MOST_LABEL): version for label, version in model.labels.items()},
        "purpose": bounded.text("purpose", said.get("purpose")),
        "limits": bounded.items("limits", said.get("limits"), _MOST_LIMITS, lambda one: bounded.text("limits", one)),
        "data": bounded.text("data", data.get("description") if isinstance(data, Mapping) else data),
        "parameters": bounded.number("parameters", bounded.mapping("model", said.get("model")).get("parameters")),
        "digest": bounded.text("digest", card.digest, _MOST_LABEL),
        "problem": "",
        "error": "",
        "training": bounded.tree("training", bounded.mapping("training", said.get("training")), _MOST_TRAINING),
        "scores": bounded.items("scores", said.get("scores"), _MOST_SCORES, lambda one: _score(bounded, one)),
        "pictures": pictures.names(card.folder),
        "signatures": [],
    }


def _problem(card: Card) -> str:
    """Why there is no card, without the place where it lies."""
    return card.problem.replace(f"{card.folder}/", "").encode(errors="replace").decode()


def _score(bounded: Bounded, score: Any) -> dict[str, Any]:
    said = bounded.mapping("a score", score)
    return {
        "output": bounded.text("an output of scores", said.get("output"), _MOST_LABEL),
        "metric": bounded.text("a metric of scores", said.get("metric"), _MOST_LABEL),
        "value": bounded.number("a value of scores", said.get("value")),
        "baselines": bounded.entries(
            "baselines of scores", said.get("baselines"), _MOST_SCORES, lambda one: bounded.number("a baseline", one)
        ),
        "ceiling": bounded.number("a ceiling of scores", said.get("ceiling")),
    }


def _signature(bounded: Bounded, model: DescribedModel, card: Card, signature: Signature) -> dict[str, Any]:
    verdict = model.joining.get(signature.name, _UNKNOWN)
    return {
        "name": signature.name,
        "inputs": [_tensor(bounded, signature, one) for one in model.inputs(signature)],
        "outputs": [_tensor(bounded, signature, one) for one in model.outputs(signature)],
        "servable": servable(signature),
        "in_rows": in_single_rows(signature),
        "independent": verdict.joined,
        "why": "" if verdict.joined else verdict.why,
        "padding": _padding(signature, card.padding(signature)),
    }


def _tensor(bounded: Bounded, signature: Signature, tensor: DescribedTensor) -> dict[str, Any]:
    spec, doc = tensor.spec, tensor.doc
    place = f"{signature.name}/{spec.name}"
    return {
        "name": spec.name,
        "dtype": dtype_text(spec),
        "shape": None if spec.shape is None else [-1 if size is None else size for size in spec.shape],
        "meaning": bounded.text(f"meaning of {place}", doc.meaning),
        "unit": bounded.text(f"unit of {place}", doc.unit, _MOST_LABEL),
        "values": bounded.text(f"values of {place}", doc.values),
        "labels": bounded.items(
            f"labels of {place}", doc.labels, _MOST_LABELS, lambda one: bounded.text("a label", one, _MOST_LABEL)
        ),
        "holds": holds(spec, as_bytes=tensor.holds_bytes),
    }


def holds(spec: TensorSpec, *, as_bytes: bool) -> str:
    """What a person writes for it. as_bytes: whether its strings are bytes rather than text."""
    if spec.dtype is None or spec.dtype.name not in JSON_DTYPES:
        return "other"
    if spec.dtype.is_string:
        return "bytes" if as_bytes else "text"
    return "booleans" if spec.dtype.name == "bool" else "numbers"


def _padding(signature: Signature, rule: PaddingRule | None) -> dict[str, Any] | None:
    if rule is None or not math.isfinite(rule.value):
        return None
    axes = {
        name: [axis for axis in rule.axes[name] if 0 < axis < len(spec.shape or ())]
        for name, spec in signature.inputs.items()
        if name in rule.axes
    }
    return {"value": rule.value, "inputs": axes}
