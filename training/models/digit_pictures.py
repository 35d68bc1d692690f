"""What `inception` and `residual` share: all but the network. They say which digit is in a picture.

    load(...) ─▶ Data: digits of 8 x 8 pixels, or scenes of 24 x 24
    evaluate  ─▶ accuracy on held-out pictures, beside a support vector machine that learnt from the first epoch's
    endpoints ─▶ serving_default: image (batch, side, side, 1) float32, 0 to 16 -> digit (batch, 10) float32
                 from_bytes: image (batch,) string, JPEG or PNG files      -> the same

On plain digits a support vector machine is as good; scenes are what these networks are for.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from signet.training.data import digits, scenes
from signet.training.model import (
    Array,
    Arrays,
    BadOption,
    Card,
    Data,
    Endpoint,
    Examples,
    Meaning,
    Recipe,
    Score,
    accuracy,
)
from signet.training.models import empty_batch

SCENES = "scenes"
TEST_SCENES = 2_000
CLASSES = 10
INK, WHITE = 16.0, 255.0
"""The brightest stroke, in the model's pixels and in those of a file."""

CARD = Card(
    purpose="Says which digit, 0 to 9, a picture shows: a handwritten digit alone, or one among scraps of others (scenes).",
    data="Scikit-learn's digits: 1,797 pictures of 8 x 8 pixels, handwritten by 13 people, 450 of them held out; scenes of "
    "24 x 24 pixels are drawn of them, held-out scenes of held-out digits.",
    inputs={
        "image": Meaning("a grey picture", "brightness of the stroke", "0 (paper) to 16 (ink)"),
        "from_bytes/image": Meaning("a picture with bright strokes on dark", "", "the bytes of a JPEG or PNG file"),
    },
    outputs={
        "digit": Meaning(
            "the chance of each digit", "", "0 to 1, a row sums to 1", [str(digit) for digit in range(CLASSES)]
        )
    },
    limits=[
        "Pixels of another size are refused, files are scaled; pixels from 0 to 255 or 0 to 1, and dark strokes on light paper, "
        "give wrong answers without an error.",
        "It always names one of ten digits, for letters and empty pictures too.",
        "On plain digits a support vector machine is as good.",
    ],
)


@dataclass(frozen=True)
class Config:
    """Which network, for pictures of which size."""

    side: int = digits.SIDE
    architecture: str = "default"


Recipes = Mapping[tuple[str, str], Mapping[str, Recipe]]
"""(data, architecture) -> preset -> recipe; data is 'digits' or 'scenes'."""


def load(source: Path | None, preset: str, seed: int, architecture: str, recipes: Recipes) -> Data[Config]:
    """Scikit-learn's digits, or scenes made of them where `source` says so."""
    if source not in (None, Path(SCENES)):
        raise BadOption(f"--data {source}: this model learns from scikit-learn's digits, or from --data {SCENES}")
    train, test = digits.images()
    if source is None:
        return Data(
            "scikit-learn's digits, moved by up to a pixel",
            Config(digits.SIDE, architecture),
            lambda epoch: digits.moved(train, np.random.default_rng([seed, 1 + epoch])),
            test,
            recipe=recipes["digits", architecture][preset],
        )
    recipe = recipes[SCENES, architecture][preset]
    return Data(
        "generated scenes of scikit-learn's digits, fresh in each epoch",
        Config(scenes.SIDE, architecture),
        lambda epoch: scenes.generate(train, recipe.train_rows, np.random.default_rng([seed, 1 + epoch])),
        scenes.generate(test, TEST_SCENES, np.random.default_rng([seed, 0])),
        recipe=recipe,
    )


def picture(side: int) -> tuple[keras.KerasTensor, keras.KerasTensor]:
    """The input `image`, 0 to 16, and the same from 0 to 1."""
    image = keras.Input((side, side, 1), name="image")
    return image, layers.Rescaling(1 / 16)(image)


def classified(x: keras.KerasTensor) -> keras.KerasTensor:
    """The output `digit` from a map of features; where in the map they are is kept.

    float32, whatever the precision of the rest.
    """
    return layers.Dense(CLASSES, activation="softmax", dtype="float32", name="digit")(layers.Flatten()(x))


def compile_model(model: keras.Model, recipe: Recipe, steps: int) -> None:
    """Set Adam and a loss of class numbers."""
    rate = keras.optimizers.schedules.CosineDecay(recipe.learning_rate, steps)
    model.compile(keras.optimizers.Adam(rate), loss="sparse_categorical_crossentropy", metrics=["accuracy"])


def evaluate(model: keras.Model, data: Data[Config]) -> list[Score]:
    """Judge by accuracy, beside a support vector machine's."""
    truth = data.test.targets["digit"]
    chances = model.predict(data.test.inputs, batch_size=256, verbose=0)["digit"]
    learnt = digits.images()[0] if data.config.side == digits.SIDE else data.epoch(0)
    baselines = {"support vector machine": support_vector_machine(learnt, data.test)}
    return [Score("digit", "accuracy", accuracy(chances.argmax(axis=1), truth), baselines)]


def support_vector_machine(learnt: Examples, test: Examples) -> float:
    """Accuracy of one with a radial kernel on the plain pixels; seconds for some thousand scenes."""
    from sklearn.svm import SVC  # half a second, and needed once

    machine = SVC(C=10).fit(learnt.inputs["image"].reshape(learnt.rows, -1), learnt.targets["digit"])
    return accuracy(machine.predict(test.inputs["image"].reshape(test.rows, -1)), test.targets["digit"])


def golden(model: keras.Model, data: Data[Config]) -> dict[str, Arrays]:
    """Prove the export by the first ten held-out pictures; as files, too: PNG and JPEG, of one size and of others."""
    pictures = data.test.inputs["image"][:10]
    files = np.array([encoded(picture, row) for row, picture in enumerate(pictures)], object)
    return {"serving_default": {"image": pictures}, "from_bytes": {"image": files}}


def encoded(picture: Array, row: int) -> bytes:
    """A PNG file of a picture from 0 to 16; of some rows twice as large and in colour, or a JPEG file."""
    grey = np.round(picture * (WHITE / INK)).astype(np.uint8)
    if row % 3 == 1:
        grey = grey.repeat(2, axis=0).repeat(2, axis=1).repeat(3, axis=2)
    file = tf.io.encode_jpeg(grey, quality=95) if row % 3 == 2 else tf.io.encode_png(grey)
    content: bytes = file.numpy()
    return content


def endpoints(model: keras.Model, config: Config) -> dict[str, Endpoint]:
    """`serving_default`: raw pixels in. `from_bytes`: files in, decoded and scaled in the graph."""

    def decoded(content: tf.Tensor) -> tf.Tensor:
        grey = tf.io.decode_image(content, channels=1, expand_animations=False)
        grey.set_shape([None, None, 1])  # not known of a file before it is read
        return tf.image.resize(tf.cast(grey, tf.float32), (config.side, config.side), antialias=True) * (INK / WHITE)

    def graph(image: tf.Tensor) -> dict[str, tf.Tensor]:
        (filled,) = empty_batch.filled(image)
        return {"digit": empty_batch.emptied(model({"image": filled}, training=False)["digit"], image)}

    def graph_of_files(image: tf.Tensor) -> dict[str, tf.Tensor]:
        pixels = tf.TensorSpec([config.side, config.side, 1], tf.float32)
        return graph(tf.map_fn(decoded, image, fn_output_signature=pixels))

    def reference(inputs: Arrays) -> Arrays:
        return {"digit": model.predict(inputs, verbose=0)["digit"]}

    def reference_of_files(inputs: Arrays) -> Arrays:
        return reference({"image": np.stack([decoded(content).numpy() for content in inputs["image"]])})

    image = tf.TensorSpec([None, config.side, config.side, 1], tf.float32, name="image")
    files = tf.TensorSpec([None], tf.string, name="image")
    return {
        "serving_default": Endpoint([image], graph, reference),
        "from_bytes": Endpoint([files], graph_of_files, reference_of_files),
    }
