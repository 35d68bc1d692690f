"""The card of an export: what a stranger needs to know before calling, and what was checked before it was published.

    module's CARD, metrics.json, golden.json, signatures ──draft──▶ model-card.json        by the child that writes
    what loading it as a server does showed, content digest ──complete──▶ model-card.json, model-card.md    by the other

No dates, no paths, no timings of the export: the same weights give the same card. The JSON is for programs, the text for
people; both say the same.

    {"format": 1, "name", "purpose", "data": {…}, "training": {…}, "scores": [{output, metric, value, baselines, ceiling}],
     "signatures": {name: {"inputs":  {name: {dtype, shape, meaning, unit, values, labels}}, "outputs": {the same},
                           "example": a predict body or null, "batched", "padding": {"value", "safe", …} or null, …
                           "reference": {"rows", "source", "pad", "columns": {feature: {"edges" or "categories", "counts"}}}
                                        or null: `serving/models/distribution.py`}},
     "operations": {"allowed": [name], "marked": {name: what it touches}},
     "limits": [text], "notes": [text], "model": {"parameters", "summary"}, "pictures": [file], "digest": {…}}
"""

import hashlib
import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from signet.serving.errors import Unsupported
from signet.serving.tensors import dtypes
from signet.serving.tensors.signature import DEFAULT
from signet.training.model import Card, Meaning

JSON_FILE, TEXT_FILE = "model-card.json", "model-card.md"
PICTURES = ("model.png", "history.png")
LONGEST_EXAMPLE = 4_000
"""Characters of an example request; a longer one is left to golden.json."""


def draft(
    name: str,
    card: Card,
    config: Any,
    signatures: Mapping[str, Any],
    golden: Mapping[str, Any],
    metrics: Mapping[str, Any],
) -> dict[str, Any]:
    """All that is known before the export is loaded.

    signatures: name -> (inputs, outputs), each name -> (enum of the dtype, shape); golden: the content of golden.json.
    """
    return {
        "format": 1,
        "name": name,
        "purpose": card.purpose,
        "data": {"description": card.data, **metrics.get("data", {})},
        "training": {key: metrics[key] for key in _TRAINING if key in metrics}
        | ({"epochs": len(metrics["epochs"])} if metrics.get("epochs") else {}),
        "scores": metrics.get("scores", []),
        "signatures": {
            signature: {
                "inputs": _described(signature, inputs, card.inputs, config),
                "outputs": _described(signature, outputs, card.outputs, config),
                "example": example(signature, golden[signature]["inputs"]),
            }
            for signature, (inputs, outputs) in signatures.items()
        },
        "limits": list(card.limits),
        "pad_value": card.pad_value,
        "notes": [],
    }


_TRAINING = (
    "preset", "architecture", "seed", "recipe", "best_epoch", "precision", "distribute", "seconds", "versions"
)  # fmt: skip


def _described(
    signature: str,
    tensors: Mapping[str, tuple[int, Sequence[int | None]]],
    meanings: Mapping[str, Meaning],
    config: Any,
) -> dict[str, Any]:
    described = {}
    for name, (dtype, shape) in tensors.items():
        meaning = meanings.get(f"{signature}/{name}") or meanings.get(name) or Meaning("")
        labels = meaning.labels(config) if callable(meaning.labels) else meaning.labels
        described[name] = {
            "dtype": _dtype_name(dtype),
            "shape": list(shape),
            "meaning": meaning.text,
            "unit": meaning.unit,
            "values": meaning.values,
            "labels": list(labels),
        }
    return described


def _dtype_name(enum: int) -> str:
    try:
        dtype = dtypes.from_enum(enum)
    except Unsupported:
        return "unsupported"
    return "float32" if dtype.name == "float" else dtype.name


def example(signature: str, inputs: Mapping[str, Any]) -> dict[str, Any] | None:
    """A predict body with the first golden row; None if it is too long to be read."""
    if any(isinstance(column, dict) for column in inputs.values()):
        return None  # too large even for golden.json
    row = {name: column[0] for name, column in inputs.items()}
    body: dict[str, Any] = {} if signature == DEFAULT else {"signature_name": signature}
    body["instances"] = [row]
    return body if len(json.dumps(body)) <= LONGEST_EXAMPLE else None


def digest(folder: Path) -> dict[str, Any]:
    """SHA-256 of what answers are made of: names and contents of the files, but for fingerprint.pb, which is random."""
    files = sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and path.relative_to(folder).parts[0] in ("saved_model.pb", "variables", "assets")
    )
    total = hashlib.sha256()
    for name in files:
        with (folder / name).open("rb") as file:
            total.update(f"{name} {hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return {"sha256": total.hexdigest(), "files": files}


def complete(folder: Path, verified: Mapping[str, Mapping[str, Any]], marked: Mapping[str, str]) -> None:
    """Add what verification showed, signature by signature, and the digest; write both files.

    marked: operations that touch more than the model, and that nobody has allowed -> what they touch.
    """
    extra = folder / "assets.extra"
    card = json.loads((extra / JSON_FILE).read_bytes())
    for name, facts in verified.items():
        card["signatures"][name].update(facts)
    card["operations"]["marked"] = dict(marked)
    if marked:
        touched = ", ".join(f"{name} ({touches})" for name, touches in marked.items())
        card["notes"].append(
            f"it reaches operations that touch more than the model: {touched}; "
            f"`signet serve` refuses it without --allow-ops {','.join(marked)}"
        )
    card["pictures"] = [name for name in PICTURES if (extra / name).exists()]
    card["digest"] = digest(folder)
    (extra / JSON_FILE).write_text(json.dumps(card, indent=1, ensure_ascii=False))
    (extra / TEXT_FILE).write_text(markdown(card))


def brief(version: Path) -> Iterator[str]:
    """A few lines for the screen: how a published version is called, and what was noted."""
    card = json.loads((version / "assets.extra" / JSON_FILE).read_bytes())
    for name, signature in card["signatures"].items():
        inputs, outputs = (
            ", ".join(f"{tensor} {facts['dtype']} {_shape(facts)}" for tensor, facts in signature[kind].items())
            for kind in ("inputs", "outputs")
        )
        yield f"{name}: {inputs} -> {outputs}"
    yield from card["notes"]


# ---- The text.


def markdown(card: Mapping[str, Any]) -> str:
    """The card as people read it."""
    return "\n".join(_lines(card)) + "\n"


def _lines(card: Mapping[str, Any]) -> Iterator[str]:
    yield f"# {card['name']}"
    yield from ("", card["purpose"])
    yield from ("", "## Data", "", *_data(card["data"]))
    yield from ("", "## Figures", "", *_figures(card))
    for name, signature in card["signatures"].items():
        yield from ("", f"## Signature `{name}`", "", *_signature(card["name"], name, signature))
    if card["limits"]:
        yield from ("", "## Limits", "", *(f"- {limit}" for limit in card["limits"]))
    yield from ("", "## Network", "", f"{card['model']['parameters']:,} parameters.", "")
    for picture in card["pictures"]:
        yield f"![{_CAPTIONS[picture]}]({picture})"
    yield from ("", "```", card["model"]["summary"].rstrip(), "```")
    yield from ("", "## This export", "", *_export(card))


_CAPTIONS = {"model.png": "the layers", "history.png": "the learning curve"}


def _data(data: Mapping[str, Any]) -> Iterator[str]:
    yield data["description"]
    if "source" in data:
        yield ""
        yield f"Learnt from {data['source']}: {data['rows_per_epoch']:,} rows an epoch; judged by {data['held_out_rows']:,}"
        yield f"held-out rows. SHA-256 of these rows: `{data['sha256']}`."


def _figures(card: Mapping[str, Any]) -> Iterator[str]:
    if not card["scores"]:
        yield "None are known: nothing was measured when this was exported."
        return
    yield "| output | metric on held-out rows | reached | beside | best possible |"
    yield "| --- | --- | --- | --- | --- |"
    for score in card["scores"]:
        beside = ", ".join(f"{value:.3f} {name}" for name, value in score["baselines"].items()) or "–"
        best = "–" if score["ceiling"] is None else f"{score['ceiling']:.3f}"
        yield f"| `{score['output']}` | {score['metric']} | {score['value']:.3f} | {beside} | {best} |"
    training = card["training"]
    shown = {
        "preset": training.get("preset"),
        "architecture": training.get("architecture"),
        "seed": training.get("seed"),
        "epochs": training.get("epochs"),
        "weights of epoch": training.get("best_epoch"),
        "precision": training.get("precision"),
        "seconds of fitting": training.get("seconds"),
        **training.get("versions", {}),
    }
    yield ""
    yield "; ".join(f"{key} {value}" for key, value in shown.items() if value is not None) + "."


def _signature(model: str, name: str, signature: Mapping[str, Any]) -> Iterator[str]:
    for kind in ("inputs", "outputs"):
        yield f"| {kind[:-1]} | dtype | shape | meaning | unit | values |"
        yield "| --- | --- | --- | --- | --- | --- |"
        for tensor, facts in signature[kind].items():
            cells = (facts["meaning"], facts["unit"], facts["values"])
            described = " | ".join(_cell(cell) for cell in cells)
            yield f"| `{tensor}` | {facts['dtype']} | {_shape(facts)} | {described} |"
        yield ""
    for tensor, facts in signature["outputs"].items():
        if facts["labels"]:
            yield f"Classes of `{tensor}`, in order: {'; '.join(facts['labels'])}."
            yield ""
    yield from (f"- {fact}" for fact in _facts(signature))
    yield ""
    if signature["example"] is None:
        yield "A request is too long to be shown; `golden.json` holds inputs with their answers."
        return
    yield "An example; `URL` is where the gateway or TensorFlow Serving's REST API answers:"
    body = shlex.quote(json.dumps(signature["example"], ensure_ascii=False))
    yield from ("", "```sh", f"curl -s URL/v1/models/{model}:predict -d {body}", "```")


def _shape(facts: Mapping[str, Any]) -> str:
    return f"({', '.join('any' if size is None else str(size) for size in facts['shape'])})"


def _cell(text: str) -> str:
    return text.replace("|", "\\|") or "–"


def _facts(signature: Mapping[str, Any]) -> Iterator[str]:
    """What verification showed, as sentences."""
    if "batched" not in signature:
        yield "Not verified."
        return
    rows = signature["golden_rows"]
    yield f"Loaded as a server does, it answered {rows} examples as the Keras model does (`golden.json`)."
    if signature.get("random"):
        yield "Its answers are random: the same rows get others each time, so only their shapes were compared."
    if signature["batched"]:
        yield "Rows alone and in a batch got the same answers; a server may join the rows of several callers."
        yield "No rows in, no rows out." if signature["empty"] else "A request without rows fails."
    else:
        yield (
            "The number of rows is fixed, or an answer is no row of its own: a server must not join the rows of several "
            "callers."
        )
    if known := signature.get("reference"):
        yield f"The JSON says how inputs and outputs are distributed in {known['rows']} {known['source']}, for `signet drift`."
    padding = signature["padding"]
    if padding is None:
        return
    names = ", ".join(f"`{name}`" for name in padding["inputs"])
    if padding["safe"]:
        yield f"Padding-safe: more of {padding['value']} on the right of {names} changed no answer."
    else:
        yield f"**Not padding-safe**: more of {padding['value']} on the right of {names} changes answers. {padding['why']}"


def _export(card: Mapping[str, Any]) -> Iterator[str]:
    yield f"Content digest (SHA-256 of {', '.join(f'`{name}`' for name in card['digest']['files'])}):"
    yield f"`{card['digest']['sha256']}`."
    yield ""
    yield "Every operation is one of TensorFlow's own. `tf_serving_warmup_requests` holds requests that a server runs"
    yield "before it is ready, `golden.json` inputs with the answers that are due, `example_requests`, where it is, more of"
    yield "the rows that outputs were measured by: `signet release check` compares versions by them."
    for note in card["notes"]:
        yield ""
        yield f"{note[:1].upper()}{note[1:]}."
