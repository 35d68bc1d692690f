"""Handwritten digits: grey pixels -> the chance of each of ten digits.

    pixels (batch, 64) float32, 0 to 16 -> divided by 16 -> dense 32, relu -> dense 32, relu
        -> digit (batch, 10) float32, rows sum to 1

3,466 parameters. Source: the notebook's dense digit classifier (7.1.1), which it writes down twice, as a Sequential and
as a functional model: the same weights, the same answers. Mended: its targets were random numbers and not
distributions, and it judged the model by the rows that it had learnt from.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from signet.training.data import digits as digits_data
from signet.training.model import Arrays, BadOption, Card, Data, Endpoint, Meaning, Recipe, Score, accuracy

PRESETS: Mapping[str, Recipe] = {
    "quick": Recipe(epochs=30, batch_rows=32, learning_rate=3e-3),
    "full": Recipe(epochs=100, batch_rows=32, learning_rate=5e-3),
}

CARD = Card(
    purpose="Says which digit, 0 to 9, a small grey picture of a handwritten digit shows.",
    data="Scikit-learn's digits: 1,797 pictures of 8 x 8 pixels, handwritten by 13 people; 450 of them are held out.",
    inputs={
        "pixels": Meaning(
            "a picture of 8 x 8 pixels, row by row from the top left",
            "brightness of the stroke",
            "0 (paper) to 16 (ink)",
        )
    },
    outputs={
        "digit": Meaning("the chance of each digit", "", "0 to 1, a row sums to 1", [str(digit) for digit in range(10)])
    },
    limits=[
        "Pictures have to be made as the data's were: centred, scaled to 8 x 8, bright on dark, 0 to 16; 0 to 255 or 0 to 1 "
        "gives wrong answers without an error.",
        "It always names one of ten digits, for letters and empty pictures too; the chances tell little about such pictures.",
    ],
)


@dataclass(frozen=True)
class Config:
    """The sizes of the notebook's network."""

    pixels: int = 64
    hidden: int = 32
    digits: int = 10


def load(source: Path | None, preset: str, seed: int, architecture: str = "default") -> Data[Config]:
    """Scikit-learn's digits. There are no other files of this kind: `source` has to be None."""
    if source is not None:
        raise BadOption("digits takes no --data: it learns from the digits that come with scikit-learn")
    train, test = digits_data.load()
    return Data("scikit-learn's digits", Config(), lambda _epoch: train, test)


def build_model(config: Config) -> keras.Model:
    """The network in Keras' functional form."""
    pixels = keras.Input((config.pixels,), name="pixels")
    x = layers.Rescaling(1 / 16)(pixels)
    x = layers.Dense(config.hidden, activation="relu")(x)
    x = layers.Dense(config.hidden, activation="relu")(x)
    digit = layers.Dense(config.digits, activation="softmax", dtype="float32", name="digit")(x)
    return keras.Model({"pixels": pixels}, {"digit": digit})


def compile_model(model: keras.Model, recipe: Recipe, steps: int) -> None:
    """Class numbers as targets: the notebook's categorical loss without its one-hot rows."""
    rate = keras.optimizers.schedules.CosineDecay(recipe.learning_rate, steps)
    model.compile(keras.optimizers.RMSprop(rate), loss="sparse_categorical_crossentropy", metrics=["accuracy"])


def evaluate(model: keras.Model, data: Data[Config]) -> list[Score]:
    """Accuracy, beside always naming the commonest digit and two classic models on the same pixels."""
    from sklearn.linear_model import LogisticRegression  # half a second, and needed once
    from sklearn.svm import SVC

    learnt, truth = data.epoch(0), data.test.targets["digit"]
    predicted = model.predict(data.test.inputs, verbose=0)["digit"].argmax(axis=1)

    def reached(classic: Any) -> float:
        classic.fit(learnt.inputs["pixels"] / 16, learnt.targets["digit"])
        return accuracy(classic.predict(data.test.inputs["pixels"] / 16), truth)

    baselines = {
        "commonest": accuracy(np.full_like(truth, np.bincount(learnt.targets["digit"]).argmax()), truth),
        "logistic regression": reached(LogisticRegression(max_iter=1_000)),
        "support vector machine": reached(SVC(C=10)),
    }
    return [Score("digit", "accuracy", accuracy(predicted, truth), baselines)]


def golden(model: keras.Model, data: Data[Config]) -> dict[str, Arrays]:
    """Prove the export by the first ten held-out digits."""
    return {"serving_default": {"pixels": data.test.inputs["pixels"][:10]}}


def endpoints(model: keras.Model, config: Config) -> dict[str, Endpoint]:
    """One signature: raw pixels in, chances of the digits out."""

    def graph(pixels: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"digit": model({"pixels": pixels}, training=False)["digit"]}

    def reference(inputs: Arrays) -> Arrays:
        return {"digit": model.predict(inputs, verbose=0)["digit"]}

    pixels = tf.TensorSpec([None, config.pixels], tf.float32, name="pixels")
    return {"serving_default": Endpoint([pixels], graph, reference)}
