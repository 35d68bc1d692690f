"""A model with two inputs and two outputs as a layer of a larger one: points, turned twice by the same model.

    x, y (batch, points) float32 ─▶ turn ─▶ turn ─▶ turned_x, turned_y (batch, points) float32
                                     └───────┴─ one model, its four weights shared

The larger model learns from points and where they are after a turn by ANGLE around (0, 0), anticlockwise; so the inner
one comes to turn by half of it. That makes it small and its right answers known in closed form: it is here to be
carried through exports, servers and protocols. Source: `y1, y2 = model([x1, x2])` of the notebook (7.1.6).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

from signet.training.model import Array, Arrays, BadOption, Card, Data, Endpoint, Examples, Meaning, Recipe, Score

ANGLE = np.deg2rad(60)

PRESETS: Mapping[str, Recipe] = {
    "quick": Recipe(epochs=5, batch_rows=32, learning_rate=0.02, train_rows=2_000),
    "full": Recipe(epochs=20, batch_rows=32, learning_rate=0.02, train_rows=2_000),
}
TEST_ROWS = 200
POINTS = 3
"""Points in each row to learn from; a request may hold any number."""

CARD = Card(
    purpose="Turns points by 60 degrees around (0, 0), anticlockwise. The right answers are known in closed form: it is "
    "here to be carried through exports, servers and protocols, not for its own sake.",
    data="Random points, normally distributed around (0, 0) with a standard deviation of 1; drawn afresh in each epoch.",
    inputs={
        "x": Meaning("how far right each point of a row is", "any length", "any number; as many as in y"),
        "y": Meaning("how far up each point of a row is", "the same length", "any number; as many as in x"),
    },
    outputs={
        "turned_x": Meaning("how far right it is after the turn", "that of x and y", "any number"),
        "turned_y": Meaning("how far up it is after the turn", "that of x and y", "any number"),
    },
    limits=["x and y of a row must have the same number of points.", "Its error grows with the distance from (0, 0)."],
)


@dataclass(frozen=True)
class Config:
    """How often the inner model is called."""

    turns: int = 2


def load(source: Path | None, preset: str, seed: int, architecture: str = "default") -> Data[Config]:
    """Random points, fresh in each epoch. There are no files of this kind: `source` has to be None."""
    if source is not None:
        raise BadOption("nested takes no --data: it learns from random points")

    def generated(part: int, rows: int) -> Examples:
        x, y = np.random.default_rng([seed, part]).normal(size=(2, rows, POINTS)).astype(np.float32)
        return Examples({"x": x, "y": y}, turned(x, y))

    rows = PRESETS[preset].train_rows
    return Data("random points", Config(), lambda epoch: generated(1 + epoch, rows), generated(0, TEST_ROWS))


def turned(x: Array, y: Array) -> Arrays:
    """Where the points are after a turn by ANGLE."""
    return {
        "turned_x": (np.cos(ANGLE) * x - np.sin(ANGLE) * y).astype(np.float32),
        "turned_y": (np.sin(ANGLE) * x + np.cos(ANGLE) * y).astype(np.float32),
    }


def build_model(config: Config) -> keras.Model:
    """The larger model; the inner one is its layer `turn`."""
    turn = build_turn()
    x, y = keras.Input((None,), name="x"), keras.Input((None,), name="y")
    turned_x, turned_y = x, y
    for _ in range(config.turns):
        turned_x, turned_y = turn([turned_x, turned_y])
    return keras.Model({"x": x, "y": y}, {"turned_x": turned_x, "turned_y": turned_y})


def build_turn() -> keras.Model:
    """Two inputs, two outputs, (batch, points) each; it starts by leaving points where they are."""
    x, y = keras.Input((None,), name="x"), keras.Input((None,), name="y")
    pairs = ops.stack([x, y], axis=-1)  # (batch, points, 2)
    pairs = layers.Dense(2, use_bias=False, kernel_initializer="identity")(pairs)
    return keras.Model([x, y], [pairs[..., 0], pairs[..., 1]], name="turn")


def compile_model(model: keras.Model, recipe: Recipe, steps: int) -> None:
    """Set Adam and a squared error for each output."""
    rate = keras.optimizers.schedules.CosineDecay(recipe.learning_rate, steps)
    model.compile(keras.optimizers.Adam(rate), loss={"turned_x": "mse", "turned_y": "mse"})


def evaluate(model: keras.Model, data: Data[Config]) -> list[Score]:
    """How far from the right places the points end, beside leaving them where they are."""
    truth = data.test.targets
    outputs = model.predict(data.test.inputs, verbose=0)
    left = {"turned_x": data.test.inputs["x"], "turned_y": data.test.inputs["y"]}
    return [
        Score(
            "turned", "mean distance", _distance(outputs, truth), {"left in place": _distance(left, truth)}, ceiling=0.0
        )
    ]


def _distance(places: Arrays, truth: Arrays) -> float:
    return float(np.mean(np.hypot(*(places[name] - truth[name] for name in ("turned_x", "turned_y")))))


def golden(model: keras.Model, data: Data[Config]) -> dict[str, Arrays]:
    """Prove the export by points on the axes, then by held-out ones."""
    axes = {"x": np.array([[1, 0, -1]], np.float32), "y": np.array([[0, 1, 0]], np.float32)}
    inputs = data.test[:9].inputs
    return {"serving_default": {name: np.concatenate([axes[name], inputs[name]]) for name in axes}}


def endpoints(model: keras.Model, config: Config) -> dict[str, Endpoint]:
    """One signature: points in, turned points out."""

    def graph(x: tf.Tensor, y: tf.Tensor) -> dict[str, tf.Tensor]:
        outputs: dict[str, tf.Tensor] = model({"x": x, "y": y}, training=False)
        return outputs

    def reference(inputs: Arrays) -> Arrays:
        outputs: Arrays = model.predict(inputs, verbose=0)
        return outputs

    specs = [tf.TensorSpec([None, None], tf.float32, name=name) for name in ("x", "y")]
    return {"serving_default": Endpoint(specs, graph, reference)}
