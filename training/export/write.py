"""The first child of an export: the model is made again from what training left, and written with all that belongs to it.

    trained/ ──own model: models/registry ──────┐
             ──a file of Keras': any_keras ─────┴▶ Exportable ─▶ saved_model.pb, variables/
                                                             assets.extra/ golden.json, metrics.json, warm-up requests,
                                                                           example requests, model.png, history.png, the
                                                                           draft of the card

Through `tf.Module`, which stores each weight once and in the same order every time; Keras' own exports store weights
twice, in any order.
"""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from signet.serving.models import operations
from signet.training.export import card, example_requests, pictures, reference, warmup
from signet.training.export.errors import ExportFailed
from signet.training.export.exportable import Exportable
from signet.training.export.golden import Proof, bounded, from_json, keep
from signet.training.export.names import generic
from signet.training.model import Endpoint
from signet.training.models.registry import models

SUMMARY_WIDTH = 79
"""Characters; Keras cuts off what goes beyond 80 where there is no terminal."""


def write(trained: Path, folder: Path) -> None:
    """Write all files of a version into `folder`, but for what verification adds."""
    keras.utils.set_random_seed(0)  # layers that drop out carry the state of a random generator, which is exported, too
    description = json.loads((trained / "model.json").read_bytes())
    if "keras_file" in description:
        from signet.training.export import any_keras

        exportable = any_keras.exportable(description)
    else:
        exportable = own(trained, description)
    functions = traced(exportable)
    tf.saved_model.save(_holder(exportable), folder, signatures=functions)

    metrics = json.loads((trained / "metrics.json").read_bytes()) if (trained / "metrics.json").exists() else {}
    extra = folder / "assets.extra"
    extra.mkdir()
    proofs = {
        name: Proof(exportable.golden[name], endpoint.reference(exportable.golden[name]))
        for name, endpoint in exportable.endpoints.items()
    }
    keep(folder, proofs)
    golden = {
        name: {
            "inputs": bounded(proof.inputs),
            "outputs": bounded(proof.outputs),
            "rtol": exportable.rtol,
            "atol": exportable.atol,
            **({"random": True} if exportable.random else {}),
        }
        for name, proof in proofs.items()
    }
    (extra / "golden.json").write_text(json.dumps({"format": 1, "signatures": golden}))
    if metrics:
        shutil.copyfile(trained / "metrics.json", extra / "metrics.json")
    fixed = frozenset(name for name, endpoint in exportable.endpoints.items() if not _free_rows(endpoint))
    warmup.write(extra / warmup.FILE, exportable.name, exportable.golden, fixed)
    many = {name: rows for name, rows in exportable.reference.items() if name not in fixed}
    example_requests.write(extra / example_requests.FILE, exportable.name, many)

    described = {
        name: (
            _tensors({spec.name: spec for spec in exportable.endpoints[name].inputs}),
            _tensors(function.structured_outputs),
        )
        for name, function in functions.items()
    }
    draft = card.draft(exportable.name, exportable.card, exportable.config, described, golden, metrics)
    source = "held-out rows" if (trained / "metrics.json").exists() else "example rows"
    for name, signature in draft["signatures"].items():
        signature["reference"] = reference.described(exportable, name, described[name], source)
    draft["model"] = {"parameters": exportable.model.count_params(), "summary": summary(exportable.model)}
    draft["rounds_lengths"] = exportable.rounds_lengths
    draft["batched"] = exportable.batched
    draft["operations"] = {"allowed": sorted(operations.parse_names(description.get("allow_ops", ""))), "marked": {}}
    drawn = (
        pictures.network(exportable.model, extra / "model.png"),
        pictures.learning_curve(metrics.get("epochs", []), extra / "history.png") if metrics else None,
    )
    draft["notes"] = [note for note in drawn if note]
    (extra / card.JSON_FILE).write_text(json.dumps(draft))


def own(trained: Path, description: Mapping[str, Any]) -> Exportable:
    """A model of this project, with the weights that training left."""
    module = models()[description["name"]]
    config = module.Config(**description["config"])
    model = module.build_model(config)
    model.load_weights(trained / "weights.weights.h5")
    endpoints = module.endpoints(model, config)
    golden = {
        name: {
            spec.name: from_json(description["golden"][name][spec.name], spec.dtype.as_numpy_dtype)
            for spec in endpoint.inputs
        }
        for name, endpoint in endpoints.items()
    }
    held_out = reference.take(trained, endpoints)
    return Exportable(description["name"], model, config, endpoints, golden, module.CARD, reference=held_out)


def traced(exportable: Exportable) -> dict[str, Any]:
    """Signature -> concrete function. Raises ExportFailed for names that say nothing."""
    functions = {}
    for name, endpoint in exportable.endpoints.items():
        function = tf.function(endpoint.graph, input_signature=list(endpoint.inputs)).get_concrete_function()
        empty = [spec.name for spec in endpoint.inputs if generic(spec.name)]
        empty += [output for output in function.structured_outputs if generic(output)]
        if empty:
            raise ExportFailed(
                f"signature {name!r} has names that say nothing to those who call it: {', '.join(sorted(empty))}"
            )
        functions[name] = function
    return functions


def _holder(exportable: Exportable) -> tf.Module:
    holder = tf.Module()
    holder.vars = [variable.value for variable in exportable.model.variables]
    holder.tables = [table for endpoint in exportable.endpoints.values() for table in endpoint.tables]
    return holder


def _free_rows(endpoint: Endpoint) -> bool:
    return all(spec.shape.rank and spec.shape[0] is None for spec in endpoint.inputs)


def _tensors(specs: Mapping[str, Any]) -> dict[str, tuple[int, list[int | None]]]:
    return {
        name: (spec.dtype.as_datatype_enum, spec.shape.as_list() if spec.shape.rank is not None else [])
        for name, spec in specs.items()
    }


def summary(model: keras.Model) -> str:
    """What `model.summary()` prints."""
    lines: list[str] = []
    model.summary(line_length=SUMMARY_WIDTH, expand_nested=True, print_fn=lines.append)
    return "\n".join(lines)
