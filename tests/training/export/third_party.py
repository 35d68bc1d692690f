"""Models as strangers make them: built, saved and exported here, in one process of its own.

python -m tests.training.export.third_party FOLDER
  FOLDER/models/NAME/1/       exported by training/export/any_keras.py, or a SavedModel made elsewhere
  FOLDER/expected/NAME.json   rows, and what the model answered to them before it was saved
  FOLDER/refused.json         name -> what is said of a model that is not exported
"""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import tensorflow as tf
from keras import layers

from signet.serving.errors import SignetError
from signet.training.export import golden, publish, verify, write
from signet.training.export.description import describe
from signet.training.export.errors import ExportFailed
from signet.training.export.keras_file import hard_sigmoid_of_keras_2
from signet.training.export.options import ExportOptions
from signet.training.model import Arrays

random = np.random.default_rng(0)


@dataclass
class Case:
    """A model; its rows and the names that its outputs are expected to get, in their order."""

    model: Any
    rows: Arrays
    outputs: list[str]
    call: Callable[[Any, Arrays], Any] = lambda model, rows: model(next(iter(rows.values())), training=False)
    suffix: str = ".keras"
    example: Any = None
    change: Callable[[Path], None] = lambda file: None
    """What is done to the file before it is exported."""
    options: dict[str, Any] = field(default_factory=dict)
    random: bool = False


def floats(*shape: int) -> Any:
    return random.normal(size=shape).astype(np.float32)


def as_list(model: Any, rows: Arrays) -> Any:
    return model(list(rows.values()), training=False)


def as_dict(model: Any, rows: Arrays) -> Any:
    return model(rows, training=False)


@keras.saving.register_keras_serializable("strangers")
class Scorer(keras.Model):
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.dense = layers.Dense(2)

    def call(self, features: Any) -> Any:
        return {"score": self.dense(features), "total": keras.ops.sum(features, axis=1)}


@keras.saving.register_keras_serializable("strangers")
class Pair(keras.Model):
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.dense = layers.Dense(3)

    def call(self, left: Any, right: Any, training: bool = False) -> Any:
        return self.dense(left) * self.dense(right)


@keras.saving.register_keras_serializable("strangers")
class InPython(layers.Layer):
    def call(self, x: Any) -> Any:
        return tf.ensure_shape(tf.numpy_function(lambda array: array * 2, [x], tf.float32), [None, 2])


@keras.saving.register_keras_serializable("strangers")
class Centred(layers.Layer):
    def call(self, x: Any) -> Any:
        return x - keras.ops.mean(x, axis=0, keepdims=True)


def sequential() -> Case:
    """Its input has no name of its own; one is asked for."""
    model = keras.Sequential([keras.Input((4,)), layers.Dense(5), layers.Dense(3, activation="softmax", name="kind")])
    return Case(model, {"sizes": floats(3, 4)}, ["kind"], options={"rename": ["input_layer=sizes"]})


def functional_of_pictures() -> Case:
    """Convolutions, which TensorFlow for the CPU cannot run on no rows."""
    image = keras.Input((8, 8, 3), dtype="uint8", name="image")
    x = layers.Conv2D(4, 3, activation="relu")(layers.Rescaling(1 / 255)(image))
    x = layers.Conv2D(4, 3, activation="relu")(x)
    score = layers.Dense(1, name="score")(layers.GlobalAveragePooling2D()(x))
    rows = random.integers(256, size=(3, 8, 8, 3)).astype(np.uint8)
    return Case(keras.Model(image, score), {"image": rows}, ["score"])


def pictures_of_any_size() -> Case:
    """The same for any height and width; the answers are large, and so is what they may differ by."""
    photo = keras.Input((None, None, 3), name="photo")
    x = layers.Conv2D(4, 3, strides=2, activation="relu")(photo)
    x = layers.Conv2D(4, 3, strides=2, activation="relu")(x)
    x = layers.Dense(1)(layers.GlobalAveragePooling2D()(x))
    x = layers.Rescaling(1e4, name="brightness")(x)
    return Case(keras.Model(photo, x), {"photo": floats(2, 20, 30, 3)}, ["brightness"])


def lists() -> Case:
    """Two inputs and two outputs in lists."""
    height, weight = keras.Input((1,), name="height"), keras.Input((1,), name="weight")
    both = layers.Concatenate()([height, weight])
    model = keras.Model([height, weight], [layers.Dense(1, name="age")(both), layers.Dense(2, name="shape")(both)])
    return Case(model, {"height": floats(3, 1), "weight": floats(3, 1)}, ["age", "shape"], as_list)


def dicts() -> Case:
    """Two inputs and two outputs in dicts, whose order is not the alphabet's; layers have other names."""
    inputs = {name: keras.Input((2,), name=name) for name in ("zeta", "alpha")}
    both = layers.Add()([inputs["zeta"], inputs["alpha"]])
    model = keras.Model(inputs, {"yes": layers.Dense(1)(both), "maybe": layers.Dense(2)(both)})
    return Case(model, {"zeta": floats(3, 2), "alpha": floats(3, 2)}, ["maybe", "yes"], as_dict)


def shared_layers() -> Case:
    """One layer called twice makes both outputs."""
    left, right = keras.Input((3,), name="left"), keras.Input((3,), name="right")
    encoder = layers.Dense(2, name="encoded")
    model = keras.Model([left, right], [encoder(left), encoder(right)])
    return Case(model, {"left": floats(3, 3), "right": floats(3, 3)}, ["encoded", "encoded_2"], as_list)


def nested_models() -> Case:
    """The outputs are those of a model inside; a Sequential one is in there, too."""
    inner_input = keras.Input((4,), name="inner")
    trunk = keras.Sequential([layers.Dense(4, activation="relu")], name="trunk")(inner_input)
    inner = keras.Model(inner_input, [layers.Dense(1, name="mean")(trunk), layers.Dense(1, name="spread")(trunk)])
    features = keras.Input((4,), name="features")
    return Case(keras.Model(features, inner(layers.LayerNormalization()(features))), {"features": floats(3, 4)},
                ["mean", "spread"])  # fmt: skip


def subclassed() -> Case:
    """Its outputs have names, its input's shape comes from an example."""
    model, rows = Scorer(), {"features": floats(3, 4)}
    model(rows["features"])
    return Case(model, rows, ["score", "total"], example={"features": [[0.5, 1.5, -2.0, 0.0]]})


def subclassed_with_two_arguments() -> Case:
    """`call(left, right)`; its one output has no name."""
    model, rows = Pair(), {"left": floats(3, 2), "right": floats(3, 2)}
    model(**rows)
    example = {"instances": [{"left": [0.5, 1.5], "right": [2.5, 0.5]}, {"left": [1.5, 0.5], "right": [0.5, 0.5]}]}
    return Case(model, rows, ["product"], lambda model, rows: model(**rows), example=example,
                options={"rename": ["output_0=product"]})  # fmt: skip


def strings() -> Case:
    """Texts in, a label out; its dropout carries the state of a random generator."""
    text = keras.Input((), dtype="string", name="text")
    words = layers.TextVectorization(vocabulary=["good", "bad", "film"], output_sequence_length=6)(text)
    x = layers.Dropout(0.1)(layers.GlobalAveragePooling1D()(layers.Embedding(5, 3)(words)))
    model = keras.Model(text, layers.Dense(2, activation="softmax", name="mood")(x))
    rows = {"text": np.array([b"good film", b"bad", b"", "schön".encode()], object)}
    return Case(model, rows, ["mood"], lambda model, rows: model(tf.constant(rows["text"])),
                options={"labels": ["glad", "sad"]})  # fmt: skip


def recurrent() -> Case:
    """Any length; masked, so that padding is safe."""
    words = keras.Input((None,), dtype="int32", name="words")
    x = layers.LSTM(3)(layers.Embedding(20, 4, mask_zero=True)(words))
    model = keras.Model(words, layers.Dense(1, activation="sigmoid", name="spam")(x))
    return Case(model, {"words": np.array([[1, 2, 3], [4, 0, 0]], np.int32)}, ["spam"])


def compiled() -> Case:
    """The same through XLA, for lengths that are rounded up."""
    return Case(**{**vars(recurrent()), "options": {"xla": True}})


def unmasked() -> Case:
    """The same without a mask: padding changes answers."""
    words = keras.Input((None,), dtype="int32", name="words")
    x = layers.GlobalAveragePooling1D()(layers.Embedding(20, 4)(words))
    return Case(
        keras.Model(words, layers.Dense(1, name="spam")(x)), {"words": np.array([[1, 2, 3]], np.int32)}, ["spam"]
    )


def fixed_rows() -> Case:
    """Takes four rows and no other number."""
    state = keras.Input(batch_shape=(4, 2), name="state")
    return Case(keras.Model(state, layers.Dense(1, name="value")(state)), {"state": floats(4, 2)}, ["value"])


def half_precision() -> Case:
    """Computes in 16 bits."""
    x = keras.Input((4,), name="x")
    model = keras.Model(x, layers.Dense(2, dtype="mixed_float16", name="score")(x))
    return Case(model, {"x": floats(3, 4)}, ["score"])


def lambdas() -> Case:
    """Carries Python code."""
    x = keras.Input((2,), name="x")
    model = keras.Model(x, layers.Lambda(lambda x: x * 2, output_shape=(2,), name="doubled")(x))
    return Case(model, {"x": floats(3, 2)}, ["doubled"], options={"allow_lambda": True})


def hdf5() -> Case:
    """The file format before `.keras`; a regularised, batch-normalised model that drops out while it learns."""
    x = keras.Input((4,), name="x")
    y = layers.Dropout(0.5)(layers.BatchNormalization()(layers.Dense(4, kernel_regularizer="l2")(x)))
    return Case(keras.Model(x, layers.Dense(1, name="y")(y)), {"x": floats(3, 4)}, ["y"], suffix=".h5")


def sequential_with_states() -> Case:
    """One layer, three outputs."""
    model = keras.Sequential([keras.Input((5, 3), name="steps"), layers.LSTM(4, return_state=True, name="last")])
    return Case(model, {"steps": floats(2, 5, 3)}, ["last", "last_2", "last_3"])


def sequential_with_a_dict() -> Case:
    """Its last layer is a model with a dict of outputs."""
    features = keras.Input((4,), name="features")
    heads = keras.Model(features, {"price": layers.Dense(1)(features), "kind": layers.Dense(3)(features)})
    return Case(keras.Sequential([keras.Input((4,), name="house"), heads]), {"house": floats(3, 4)}, ["kind", "price"])


def nested_dicts() -> Case:
    """Two inputs whose last keys are the same."""
    inputs = {who: {"age": keras.Input((1,), name=f"{who}_age")} for who in ("user", "item")}
    both = layers.Concatenate()([inputs["user"]["age"], inputs["item"]["age"]])
    model = keras.Model(inputs, layers.Dense(1, name="score")(both))

    def call(model: Any, rows: Arrays) -> Any:
        return model({who: {"age": rows[f"{who}_age"]} for who in ("user", "item")}, training=False)

    return Case(model, {"item_age": floats(3, 1), "user_age": floats(3, 1)}, ["score"], call)


def logits() -> Case:
    """Two classes told apart by the sign of one number."""
    x = keras.Input((2,), name="x")
    model = keras.Model(x, layers.Dense(1, name="spam")(x))
    return Case(model, {"x": floats(16, 2)}, ["spam"], options={"labels": ["ham", "spam"]})


def chances() -> Case:
    """Two classes told apart by one chance; the activation stands before a cast to full precision."""
    x = keras.Input((2,), name="x")
    chance = layers.Activation("linear", dtype="float32", name="spam")(layers.Dense(1, activation="sigmoid")(x))
    return Case(keras.Model(x, chance), {"x": floats(16, 2)}, ["spam"], options={"labels": ["ham", "spam"]})


UNREGISTERED = """
import keras

class Plain(keras.layers.Layer):
    def call(self, x):
        return x * 3

def cubed(x):
    return x ** 3
"""


def unregistered() -> Case:
    """A class and a function that were never registered with Keras."""
    module: dict[str, Any] = {"__name__": "plain"}
    exec(UNREGISTERED, module)
    x = keras.Input((2,), name="x")
    model = keras.Model(x, module["Plain"](name="y")(layers.Dense(2, activation=module["cubed"])(x)))
    return Case(model, {"x": floats(3, 2)}, ["y"], options={"code": UNREGISTERED})


def similarities() -> Case:
    """Each row of one tower with each of the other."""
    texts, images = keras.Input((4,), name="texts"), keras.Input((4,), name="images")
    model = keras.Model([texts, images], {"similarity": keras.ops.matmul(texts, keras.ops.transpose(images))})
    rows = {"texts": floats(3, 4), "images": floats(3, 4)}
    return Case(model, rows, ["similarity"], as_list, options={"not_batched": True})


@keras.saving.register_keras_serializable("strangers")
class Sampling(layers.Layer):
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.generator = keras.random.SeedGenerator(7)

    def call(self, x: Any) -> Any:
        return x + keras.random.normal(keras.ops.shape(x), seed=self.generator)


def _sampling() -> keras.Model:
    x = keras.Input((2,), name="x")
    return keras.Model(x, Sampling(name="sampling")(x))


def sampled() -> Case:
    """Other answers each time."""
    return Case(_sampling(), {"x": floats(3, 2)}, ["sampling"], options={"not_batched": True}, random=True)


def of_keras_2() -> Case:
    """An LSTM as Keras 2 wrote it, in a file with the longer ending."""
    x = keras.Input((5, 3), name="x")
    gate = hard_sigmoid_of_keras_2  # what the old name meant; in Keras 3 it is another function's
    model = keras.Model(x, layers.LSTM(4, recurrent_activation=gate, name="y")(x))
    return Case(model, {"x": floats(2, 5, 3)}, ["y"], suffix=".hdf5", change=_as_keras_2_wrote_it)


def _as_keras_2_wrote_it(file: Path) -> None:
    with h5py.File(file, "r+") as content:
        config = json.loads(content.attrs["model_config"])
        for layer in config["config"]["layers"]:
            if layer["class_name"] == "LSTM":
                layer["config"] |= {"time_major": False, "recurrent_activation": "hard_sigmoid"}
        content.attrs["model_config"] = json.dumps(config)
        content.attrs["keras_version"] = "2.15.0"


def pictures_in_pictures_out() -> Case:
    """A row is a megabyte: golden.json has digests."""
    photo = keras.Input((256, 256, 1), name="photo")
    model = keras.Model(photo, layers.Conv2D(4, 1, name="segments")(photo))
    return Case(model, {"photo": floats(1, 256, 256, 1)}, ["segments"])


EXPORTED = (
    sequential,
    functional_of_pictures,
    pictures_of_any_size,
    lists,
    dicts,
    shared_layers,
    nested_models,
    subclassed,
    subclassed_with_two_arguments,
    strings,
    recurrent,
    compiled,
    unmasked,
    fixed_rows,
    half_precision,
    lambdas,
    hdf5,
    sequential_with_states,
    sequential_with_a_dict,
    nested_dicts,
    logits,
    chances,
    unregistered,
    similarities,
    sampled,
    of_keras_2,
    pictures_in_pictures_out,
)


def in_python() -> Case:
    x = keras.Input((2,), name="x")
    return Case(keras.Model(x, InPython(name="y")(x)), {}, [])


def rows_that_meet() -> Case:
    x = keras.Input((2,), name="x")
    return Case(keras.Model(x, Centred(name="y")(x)), {}, [])


def nameless() -> Case:
    return Case(keras.Sequential([keras.Input((4,)), layers.Dense(3)]), {}, [])


def without_example() -> Case:
    return Case(subclassed().model, {}, [])


def with_a_wrong_example() -> Case:
    return Case(subclassed().model, {}, [], example={"features": [[0.5, 1.5]]})


def with_lambdas() -> Case:
    return Case(lambdas().model, {}, [])


def compiled_without_a_mask() -> Case:
    return Case(**{**vars(unmasked()), "options": {"xla": True}})


def similarities_as_rows() -> Case:
    return Case(similarities().model, {}, [])


def random_answers() -> Case:
    return Case(_sampling(), {}, [])


def a_mean_over_rows() -> Case:
    x = keras.Input((6,), name="x")
    return Case(keras.Model(x, {"y": layers.Dense(1)(x), "level": keras.ops.mean(x)}), {}, [])


def stateful() -> Case:
    steps = keras.Input(batch_shape=(2, 5, 3), name="steps")
    return Case(keras.Model(steps, layers.GRU(4, stateful=True, name="y")(steps)), {}, [])


def compiled_sequences() -> Case:
    steps = keras.Input((None, 3), name="steps")
    model = keras.Model(steps, layers.GRU(4, return_sequences=True, name="next")(layers.Masking()(steps)))
    return Case(model, {}, [], options={"xla": True})


def labels_of_who_knows_what() -> Case:
    x = keras.Input((2,), name="x")
    model = keras.Model(x, layers.Dense(1, activation="relu", name="y")(x))
    return Case(model, {}, [], options={"labels": ["no", "yes"]})


def a_chance_that_is_none() -> Case:
    x = keras.Input((2,), name="x")
    model = keras.Model(x, layers.Dense(1, name="y")(x))
    return Case(model, {}, [], options={"labels": ["no", "yes"], "scores": "probability"})


def weights_only() -> Case:
    return Case(recurrent().model, {}, [], suffix=".weights.h5")


def of_keras_2_with_another_value() -> Case:
    def change(file: Path) -> None:
        _as_keras_2_wrote_it(file)
        with h5py.File(file, "r+") as content:
            content.attrs["model_config"] = content.attrs["model_config"].replace('major": false', 'major": true')

    return Case(of_keras_2().model, {}, [], suffix=".h5", change=change)


def sparse_inputs() -> Case:
    words = keras.Input((9,), sparse=True, name="words")
    return Case(keras.Model(words, layers.Dense(1, name="y")(words)), {}, [])


REFUSED = (
    similarities_as_rows,
    random_answers,
    a_mean_over_rows,
    stateful,
    compiled_sequences,
    labels_of_who_knows_what,
    a_chance_that_is_none,
    weights_only,
    of_keras_2_with_another_value,
    sparse_inputs,
    in_python,
    rows_that_meet,
    nameless,
    without_example,
    with_a_wrong_example,
    with_lambdas,
    compiled_without_a_mask,
)


class Module(tf.Module):
    """No Keras at all; one of its outputs is as long as the input is wide."""

    def __init__(self) -> None:
        self.factor = tf.Variable(3.0)

    @tf.function(input_signature=[tf.TensorSpec([None, 2], tf.float32, name="x")])
    def scale(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"scaled": x * self.factor, "summed": tf.reduce_sum(x, axis=1)}


def save_module(folder: Path) -> tuple[Arrays, Arrays]:
    module = Module()
    tf.saved_model.save(module, folder, signatures={"serving_default": module.scale})
    x = floats(3, 2)
    return {"x": x}, {"scaled": x * 3, "summed": x.sum(axis=1)}


def save_tf1(folder: Path) -> tuple[Arrays, Arrays]:
    """With a variable of TensorFlow 1 and a branch."""
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        x = tf.compat.v1.placeholder(tf.float32, [None, 2], name="x")
        weight = tf.compat.v1.get_variable("weight", initializer=[2.0, 0.5], use_resource=False)
        y = tf.compat.v1.cond(tf.reduce_sum(x) > 0, lambda: x * weight, lambda: -x * weight)
        session.run(tf.compat.v1.global_variables_initializer())
        tf.compat.v1.saved_model.simple_save(session, str(folder), {"x": x}, {"y": y})
    array = np.abs(floats(3, 2))
    return {"x": array}, {"y": array * np.array([2, 0.5], np.float32)}


SAVED = {"tf_module": save_module, "tf1": save_tf1}


def export_case(name: str, case: Case, folder: Path) -> Path:
    """Save, load, write, verify: what `signet export` does in three processes."""
    files = folder / "files" / name
    files.mkdir(parents=True)
    file = files / f"model{case.suffix}"
    if case.suffix == ".weights.h5":
        case.model.save_weights(file)
    else:
        case.model.save(file)
    case.change(file)
    options = dict(case.options)
    if "code" in options:
        (files / "plain.py").write_text(options["code"])
        options["code"] = files / "plain.py"
    if case.example:
        options["example"] = files / "example.json"
        options["example"].write_text(json.dumps(case.example))
    if "labels" in options:
        (files / "labels.txt").write_text("\n".join(options["labels"]))
        options["labels"] = files / "labels.txt"
    description = describe(ExportOptions(file, name, **options))
    (files / "model.json").write_text(json.dumps(description))
    with publish.writing_folder(folder / "models" / name) as writing:
        write.write(files, writing)
        if problem := verify.verify(writing):
            raise ExportFailed(problem)
        return publish.publish(writing)


def main(folder: Path) -> None:
    (folder / "expected").mkdir()

    def expect(name: str, rows: Arrays, answers: Arrays, random: bool = False) -> None:
        content = {
            "inputs": golden.to_json(rows),
            "outputs": golden.to_json(answers),
            "rtol": 1e-2,
            "atol": 1e-4,
            "random": random,
        }
        (folder / "expected" / f"{name}.json").write_text(json.dumps(content))

    for build in EXPORTED:
        case = build()
        answers = [np.asarray(answer) for answer in keras.tree.flatten(case.call(case.model, case.rows))]
        expect(build.__name__, case.rows, dict(zip(case.outputs, answers, strict=True)), case.random)
        export_case(build.__name__, case, folder)
    for name, save in SAVED.items():
        expect(name, *save(folder / "models" / name / "1"))
    refused = {}
    for build in REFUSED:
        try:
            export_case(build.__name__, build(), folder)
        except SignetError as error:
            refused[build.__name__] = str(error)
    (folder / "refused.json").write_text(json.dumps(refused))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
