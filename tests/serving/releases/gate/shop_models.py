"""Versions of the shop's model, good and broken, for the gate's tests, which import this file where they need it.

weights of `shop.train` ──a graph of TensorFlow's, with one mistake or none──▶ FOLDER/shop/NAME
"""

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from signet.serving.models import distribution
from signet.serving.tensors import dtypes
from signet.serving.tensors.signature import Signature, TensorSpec
from tests.serving.releases.gate.shop import LABELS, MOODS, TOPICS, WORDS, Weights, rows, train

Step = Callable[[dict[str, Any]], dict[str, Any]]


def _as_they_are(tensors: dict[str, Any]) -> dict[str, Any]:
    return tensors


@dataclass
class Mistake:
    """What is done otherwise than by the stable version."""

    before: Step = _as_they_are
    """What the graph does to its inputs."""
    after: Step = _as_they_are
    """What it does to its outputs."""
    words: list[str] = field(default_factory=lambda: list(WORDS))
    names: Mapping[str, str] = field(default_factory=dict)
    """Other names of inputs."""
    more: list[tf.TensorSpec] = field(default_factory=list)
    """Further inputs."""
    labels: list[str] = field(default_factory=lambda: list(LABELS))


def save(folder: Path, weights: Weights, mistake: Mistake | None = None) -> None:
    """Write a version as an export does: graph, golden examples, card."""
    mistake = mistake or Mistake()
    folder.parent.mkdir(parents=True, exist_ok=True)
    asset = folder.parent / f".{folder.name}" / "words.txt"
    asset.parent.mkdir()
    asset.write_text("\n".join(mistake.words))
    module = tf.Module()
    module.table = tf.lookup.StaticVocabularyTable(
        tf.lookup.TextFileInitializer(
            str(asset), tf.string, tf.lookup.TextFileIndex.WHOLE_LINE, tf.int64, tf.lookup.TextFileIndex.LINE_NUMBER
        ),
        1,
    )
    module.weights = {name: tf.Variable(value, dtype=tf.float32) for name, value in vars(weights).items()}
    specs = [
        tf.TensorSpec([None, 8, 8], tf.float32, name="picture"),
        tf.TensorSpec([None], tf.string, name="word"),
        tf.TensorSpec([None, 1], tf.float32, name="width"),
        tf.TensorSpec([None, 1], tf.float32, name="weight"),
    ]
    named = [tf.TensorSpec(spec.shape, spec.dtype, mistake.names.get(spec.name, spec.name)) for spec in specs]

    @tf.function(input_signature=[*named, *mistake.more])
    def serve(picture: Any, word: Any, width: Any, weight: Any, *more: Any) -> dict[str, Any]:
        w = module.weights
        tensors = {"picture": picture / 255, "word": word, "width": width, "weight": weight}
        tensors = mistake.before(tensors)
        x = tf.reshape(tensors["picture"], [-1, 64])
        inner = tf.nn.relu(x @ w["first"] + w["first_bias"])
        place = module.table.lookup(tensors["word"])
        sizes = tf.concat([tensors["width"], tensors["weight"], tf.ones_like(tensors["width"])], axis=1)
        outputs = {
            "digit": tf.nn.softmax(inner @ w["second"] + w["second_bias"]),
            "topic": tf.nn.softmax(tf.gather(w["topic"], place)),
            "mood": tf.nn.softmax(tf.gather(w["mood"], place)),
            "price": sizes @ w["price"],
        }
        if more:
            outputs["price"] += 0 * more[0]
        return mistake.after(outputs)

    tf.saved_model.save(module, folder, signatures=serve)
    _describe(folder, serve, mistake)
    shutil.rmtree(asset.parent)


def _describe(folder: Path, serve: Any, mistake: Mistake) -> None:
    asked, _ = rows(200, 5)
    inputs = {mistake.names.get(name, name): array for name, array in asked.items()}
    for spec in mistake.more:
        inputs[spec.name] = np.ones((200, 1), np.float32)
    specs = serve.input_signature
    outputs = {name: tensor.numpy() for name, tensor in serve(*[inputs[spec.name] for spec in specs]).items()}
    extra = folder / "assets.extra"
    extra.mkdir()
    golden = {
        "inputs": {name: _plain(array[:32]) for name, array in inputs.items()},
        "outputs": {name: array[:32].tolist() for name, array in outputs.items()},
        "rtol": 1e-3,
        "atol": 1e-4,
    }
    (extra / "golden.json").write_text(json.dumps({"format": 1, "signatures": {"serving_default": golden}}))
    signature = Signature(
        "serving_default",
        {
            name: TensorSpec(name, dtypes.from_numpy(array.dtype), (None, *array.shape[1:]), "")
            for name, array in inputs.items()
        },
        {
            name: TensorSpec(name, dtypes.from_numpy(array.dtype), (None, *array.shape[1:]), "")
            for name, array in outputs.items()
        },
    )
    names = {"digit": mistake.labels, "topic": TOPICS, "mood": MOODS}
    reference = distribution.reference(signature, inputs, outputs, source="held-out rows")
    card = {
        "signatures": {
            "serving_default": {
                "inputs": {name: {} for name in inputs},
                "outputs": {name: {"labels": names.get(name, [])} for name in outputs},
                "reference": reference.to_json() if reference else None,
            }
        }
    }
    (extra / "model-card.json").write_text(json.dumps(card))


def _plain(array: Any) -> Any:
    return [value.decode() for value in array] if array.dtype == object else array.tolist()


# ---- The mistakes.


def _with(name: str, change: Callable[[Any], Any]) -> Step:
    return lambda tensors: {**tensors, name: change(tensors[name])}


def _swap(one: str, other: str) -> Step:
    return lambda tensors: {**tensors, one: tensors[other], other: tensors[one]}


def _slow(price: Any) -> Any:
    start = tf.zeros([200, 200]) + tf.reduce_mean(price)
    grown = tf.while_loop(lambda i, _: i < 60, lambda i, x: (i + 1, tf.tanh(x @ start)), [0, start])[1]
    return price + 1e-9 * tf.reduce_mean(grown)


def _greedy(price: Any) -> Any:
    much = tf.fill([tf.size(price) * 0 + (3 << 25)], tf.reduce_mean(price))
    return price + 1e-9 * tf.reduce_max(much)


def _when_zero(mistake: Callable[[Any], Any]) -> Step:
    """A mistake that only inputs of zeros meet: the examples have none."""
    return lambda tensors: {
        **tensors,
        "width": tf.cond(
            tf.reduce_sum(tensors["width"]) == 0, lambda: mistake(tensors["width"]), lambda: tensors["width"]
        ),
    }


def _crash(width: Any) -> Any:
    with tf.control_dependencies([tf.raw_ops.Abort(error_msg="the graph gives up")]):
        return tf.identity(width)


def _hang(width: Any) -> Any:
    return tf.while_loop(lambda x: tf.reduce_sum(x) < 1, lambda x: (x * 1.0,), (width,))[0]


def _several(tensors: dict[str, Any]) -> dict[str, Any]:
    return {
        **tensors,
        "picture": tensors["picture"] * 255,
        "width": tensors["width"] * (tensors["width"] / tensors["width"]),
    }


BROKEN: dict[str, Mistake] = {
    "several": Mistake(before=_several, after=_swap("topic", "mood")),
    "crash": Mistake(before=_when_zero(_crash)),
    "hang": Mistake(before=_when_zero(_hang)),
    "swapped_outputs": Mistake(after=_swap("topic", "mood")),
    "swapped_inputs": Mistake(before=_swap("width", "weight")),
    "wrong_vocabulary": Mistake(words=[*WORDS[5:], *WORDS[:5]]),
    "wrong_scaling": Mistake(before=_with("picture", lambda picture: picture * 255)),
    "transposed": Mistake(before=_with("picture", lambda picture: tf.transpose(picture, [0, 2, 1]))),
    "stale_labels": Mistake(labels=[*LABELS[1:], LABELS[0]]),
    "other_count_of_labels": Mistake(labels=LABELS[:9]),
    "slow": Mistake(after=_with("price", _slow)),
    "wrong_dtype": Mistake(after=_with("price", lambda price: tf.cast(price, tf.float64))),
    "constant": Mistake(after=_with("digit", lambda digit: 0 * digit + 0.1)),
    "off_by_one": Mistake(after=_with("digit", lambda digit: tf.roll(digit, 1, axis=1))),
    "wrong_shape": Mistake(after=_with("price", lambda price: price[:, 0])),
    "wrong_rows": Mistake(after=_with("mood", lambda mood: tf.reshape(tf.concat([mood, mood], 0), [-1, 4]))),
    "dropped_output": Mistake(after=lambda outputs: {name: outputs[name] for name in ("digit", "topic", "price")}),
    "renamed_input": Mistake(names={"picture": "image"}),
    "extra_input": Mistake(more=[tf.TensorSpec([None, 1], tf.float32, name="tax")]),
    "infinite_on_zeros": Mistake(
        before=lambda tensors: {**tensors, "width": tensors["width"] * (tensors["width"] / tensors["width"])}
    ),
    "forbidden_operation": Mistake(
        before=_with("word", lambda word: tf.where(word == b"/", tf.io.read_file("/etc/hostname"), word))
    ),
    "memory_hog": Mistake(after=_with("price", _greedy)),
    "logits": Mistake(after=_with("digit", lambda digit: tf.math.log(digit + 1e-6))),
    "cents": Mistake(after=_with("price", lambda price: price * 100)),
}


def nan_weights(weights: Weights) -> Weights:
    """As a training that has diverged leaves them."""
    return Weights(**{**vars(weights), "second_bias": np.full(10, np.nan)})


def write(folder: Path, names: list[str], good: int) -> None:
    """FOLDER/shop/stable, so many good retrainings good-0 …, and the named broken versions."""
    home = folder / "shop"
    weights = train(0)
    save(home / "stable", weights)
    for place in range(good):
        save(
            home / f"good-{place}",
            train(1 + place, (150, 300, 80, 500)[place % 4], (24, 16, 40)[place % 3], 500 + 20 * place),
        )
    for name in names:
        if name == "nan_weights":
            save(home / name, nan_weights(weights))
        elif name == "hardly_trained":
            save(home / name, train(9, 1))
        else:
            save(home / name, train(50), BROKEN[name])
