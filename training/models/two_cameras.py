"""How far away is it: two cameras side by side -> metres. One network looks through both eyes.

    left_camera  (batch, height, width, 3) float32, 0 to 255 ─▶ 64 x 64 ─▶ base ─┐ the same base, called twice
    right_camera (batch, height, width, 3) float32, 0 to 255 ─▶ 64 x 64 ─▶ base ─┴▶ side by side -> convolution 1x1, 64
        -> flattened -> dense 64 -> disparity -> depth (batch, 1) float32, metres

The base is a small Xception: a convolution of stride 2, then two residual blocks of separable convolutions. Pictures
of any size are scaled to 64 x 64 in the graph, 250 x 250 among them; both eyes alike. `from_bytes` takes JPEG or PNG
files of any size instead, `left_camera` and `right_camera` string [batch], and gives `depth` float32 [batch].

`--architecture notebook`: the notebook's own base, Xception without its top, at the notebook's 250 x 250 and no other
size: 20.9 million weights, 2 seconds of processor time a pair and step. Its quick preset is a smoke run, which learns
nothing; its full preset is for a GPU. Source: the notebook's dual camera (7.1.6). Mended: it overwrites the input
`right_input` by its features, so that no model can be built; and it has no head. The one here keeps where things are
seen in each eye, for that is what tells the depth: an average over the picture would lose it.

**Units.** Depth is in metres for the cameras of `data/stereo.py`: BASELINE_M = 0.1 m apart, a picture as wide as the
focal length is long. The network finds the disparity, in picture widths, and depth is FOCAL x BASELINE_M / disparity;
so for cameras k times further apart the answer has to be multiplied by k. It learns from the error of the disparity,
as that of the depth is mostly that of the furthest objects. Reports give both; disparities in pixels of a picture
64 wide.
"""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

from signet.training.data import stereo
from signet.training.model import Array, Arrays, BadOption, Card, Data, Endpoint, Examples, Meaning, Recipe, Score
from signet.training.models import empty_batch

EYES = ("left_camera", "right_camera")
WIDTH = 64
"""Disparities are reported in pixels of a picture this wide."""
SIDE, NOTEBOOK_SIDE = 64, 250
"""Pixels along an edge of what the base sees."""
START = 11.0
"""Disparity before anything is learnt: the middle of what occurs, in pixels of 64."""
LEAST = 0.1
"""No disparity is found below, in pixels of 64: 64 m."""

PRESETS: Mapping[str, Recipe] = {
    "quick": Recipe(epochs=3, batch_rows=32, learning_rate=2e-3, train_rows=2_500),
    "full": Recipe(epochs=30, batch_rows=32, learning_rate=2e-3, train_rows=4_000),
}
NOTEBOOK_PRESETS: Mapping[str, Recipe] = {
    "quick": Recipe(epochs=1, batch_rows=4, learning_rate=1e-3, train_rows=8),
    "full": Recipe(epochs=20, batch_rows=16, learning_rate=1e-3, train_rows=4_000),
}
TEST_ROWS, NOTEBOOK_TEST_ROWS = 1_000, 8

CARD = Card(
    purpose="Tells how far away an object is from two pictures, taken at the same time by two cameras side by side.",
    data="Pairs that a program draws: one lit object before a dim wall far away, with noise, and cameras of unlike "
    f"brightness. Depths lie between {stereo.NEAR_M} and {stereo.FAR_M} metres.",
    inputs={
        "left_camera": Meaning("what the left camera sees, in colour", "brightness of red, green, blue", "0 to 255"),
        "right_camera": Meaning("what the right camera sees, in colour", "brightness of red, green, blue", "0 to 255"),
        "from_bytes/left_camera": Meaning("what the left camera sees", "", "the bytes of a JPEG or PNG file"),
        "from_bytes/right_camera": Meaning("what the right camera sees", "", "the bytes of a JPEG or PNG file"),
    },
    outputs={
        "depth": Meaning(
            "how far the object is",
            "metres, for cameras 0.1 m apart whose picture spans 53 degrees",
            "above 0, up to 64",
        )
    },
    limits=[
        "Learnt from drawn pictures alone: it knows nothing of real rooms, and of more than one object.",
        "For cameras k times further apart multiply the answer by k; both have to look straight ahead.",
        f"Nothing nearer than {stereo.NEAR_M} m or further than {stereo.FAR_M} m was learnt from.",
        "Left and right pictures are scaled alike; a pair of unequal shapes is answered, but wrongly.",
    ],
)


@dataclass(frozen=True)
class Config:
    """Which base, for pictures of which size."""

    side: int = SIDE
    architecture: str = "default"


def load(source: Path | None, preset: str, seed: int, architecture: str = "default") -> Data[Config]:
    """Generated pairs. There are no files of this kind: `source` has to be None."""
    if source is not None:
        raise BadOption("two_cameras takes no --data: it learns from pairs of pictures that it draws")
    notebook = architecture == "notebook"
    recipe = (NOTEBOOK_PRESETS if notebook else PRESETS)[preset]
    config = Config(NOTEBOOK_SIDE if notebook else SIDE, architecture)

    @functools.lru_cache(maxsize=1)  # the first epoch is asked for more than once
    def epoch(number: int) -> Examples:
        return stereo.generate(recipe.train_rows, config.side, np.random.default_rng([seed, 1 + number]))

    test = stereo.generate(NOTEBOOK_TEST_ROWS if notebook else TEST_ROWS, config.side, np.random.default_rng([seed, 0]))
    return Data("generated pairs of pictures, fresh in each epoch", config, epoch, test, recipe=recipe)


def build_model(config: Config) -> keras.Model:
    """Takes two pictures of `config.side`; the endpoints see to that."""
    if config.architecture == "notebook":
        base = keras.applications.Xception(weights=None, include_top=False)
    else:
        base = small_base(config.side)
    scale = layers.Rescaling(1 / 127.5, offset=-1)
    left_camera = keras.Input((config.side, config.side, 3), name="left_camera")
    right_camera = keras.Input((config.side, config.side, 3), name="right_camera")
    left_features = base(scale(left_camera))
    right_features = base(scale(right_camera))
    merged_features = layers.concatenate([left_features, right_features], axis=-1)
    x = layers.Conv2D(64, 1, activation="relu")(merged_features)
    x = layers.Flatten()(x)
    x = layers.Dense(64, activation="relu")(x)
    start = keras.initializers.Constant(START)
    x = layers.Dense(1, bias_initializer=start, dtype="float32", name="disparity")(x)  # 8 bits would not tell depths
    depth = stereo.disparity((ops.softplus(x) + LEAST) / WIDTH)
    return keras.Model({"left_camera": left_camera, "right_camera": right_camera}, {"depth": depth})


def small_base(side: int) -> keras.Model:
    """(batch, side, side, 3), -1 to 1 -> features (batch, side / 8, side / 8, 64)."""
    picture = keras.Input((side, side, 3))
    x = layers.Conv2D(16, 3, strides=2, padding="same", activation="relu")(picture)
    x = _separable_residual(x, 32)
    x = _separable_residual(x, 64)
    return keras.Model(picture, x, name="eye")


def _separable_residual(x: keras.KerasTensor, filters: int) -> keras.KerasTensor:
    """A block of Xception's: two separable convolutions and a pool, beside a strided 1x1."""
    residual = layers.Conv2D(filters, 1, strides=2, padding="same")(x)
    y = layers.SeparableConv2D(filters, 3, padding="same", use_bias=False)(x)
    y = layers.BatchNormalization(momentum=0.9)(y)  # 0.99 would lag behind: there are a few hundred steps
    y = layers.Activation("relu")(y)
    y = layers.SeparableConv2D(filters, 3, padding="same", use_bias=False)(y)
    y = layers.BatchNormalization(momentum=0.9)(y)
    y = layers.MaxPooling2D(3, strides=2, padding="same")(y)
    return layers.add([y, residual])


def compile_model(model: keras.Model, recipe: Recipe, steps: int) -> None:
    """Set Adam and the squared error of the disparity."""

    def disparity_loss(truth: keras.KerasTensor, depth: keras.KerasTensor) -> keras.KerasTensor:
        return ops.mean(ops.square(WIDTH * (stereo.disparity(truth) - stereo.disparity(depth))), axis=-1)

    rate = keras.optimizers.schedules.CosineDecay(recipe.learning_rate, steps)
    model.compile(keras.optimizers.Adam(rate), loss=disparity_loss)


def evaluate(model: keras.Model, data: Data[Config]) -> list[Score]:
    """Mean errors, beside those of a ridge regression, of comparing the pictures shift by shift, and of one guess."""
    learnt = data.epoch(0)
    truth = data.test.targets["depth"][:, 0]
    depth = model.predict(data.test.inputs, batch_size=32, verbose=0)["depth"][:, 0]
    guesses = {
        "ridge on column means": ridge(learnt, data.test),
        "block matching": stereo.block_matching(data.test),
        "the median": stereo.disparity(np.full_like(truth, np.median(learnt.targets["depth"]))),
    }

    def error_m(guess: Array) -> float:
        return float(np.mean(np.abs(guess - truth)))

    def error_px(guess: Array) -> float:
        return float(np.mean(np.abs(guess - stereo.disparity(truth)))) * WIDTH

    return [
        Score(
            "depth",
            "mean error in metres",
            error_m(depth),
            {name: error_m(stereo.disparity(guess)) for name, guess in guesses.items()},
        ),
        Score(
            "depth",
            f"mean disparity error in pixels of {WIDTH}",
            error_px(stereo.disparity(depth)),
            {name: error_px(guess) for name, guess in guesses.items()},
        ),
    ]


def ridge(learnt: Examples, test: Examples) -> Array:
    """Disparities, within what occurs, by a linear regression on the mean colour of each column of both pictures."""
    from sklearn.linear_model import RidgeCV  # half a second, and needed once

    def columns(rows: Examples) -> Array:
        return np.concatenate([rows.inputs[eye].mean(axis=1).reshape(rows.rows, -1) for eye in EYES], axis=1)

    machine = RidgeCV(np.logspace(1, 6, 11)).fit(columns(learnt), stereo.disparity(learnt.targets["depth"][:, 0]))
    guess: Array = machine.predict(columns(test))
    return np.clip(guess, stereo.disparity(stereo.FAR_M), stereo.disparity(stereo.NEAR_M))


def golden(model: keras.Model, data: Data[Config]) -> dict[str, Arrays]:
    """The pair that is judged best, then the first eight; as files, too: JPEG, and PNG, grey and of another size."""
    first_rows = data.test[:64]
    depth = model.predict(first_rows.inputs, batch_size=32, verbose=0)["depth"]
    best = int(np.abs(depth / first_rows.targets["depth"] - 1).argmin())
    pairs = first_rows[np.array([best, *range(8)])].inputs
    return {
        "serving_default": pairs,
        "from_bytes": {
            eye: np.array([encoded(picture, row) for row, picture in enumerate(pairs[eye])], object) for eye in EYES
        },
    }


def encoded(picture: Array, row: int) -> bytes:
    """A JPEG file; of some rows a PNG file, whole, or half as wide, or grey."""
    if row % 4 == 1:
        return _bytes(tf.io.encode_png(picture))
    if row % 4 == 2:
        return _bytes(tf.io.encode_png(picture[:, ::2]))
    if row % 4 == 3:
        return _bytes(tf.io.encode_png(picture[..., :1]))
    return _bytes(tf.io.encode_jpeg(picture, quality=85))


def _bytes(tensor: tf.Tensor) -> bytes:
    content: bytes = tensor.numpy()
    return content


def endpoints(model: keras.Model, config: Config) -> dict[str, Endpoint]:
    """`serving_default`: pixels in. `from_bytes`: files in, decoded in the graph."""

    def scaled(pictures: tf.Tensor) -> tf.Tensor:
        return tf.image.resize(pictures, (config.side, config.side), antialias=True)

    def decoded(content: tf.Tensor) -> tf.Tensor:
        picture = tf.io.decode_image(content, channels=3, expand_animations=False)
        picture.set_shape([None, None, 3])  # not known of a file before it is read
        return scaled(tf.cast(picture, tf.float32))

    def depth(left_camera: tf.Tensor, right_camera: tf.Tensor) -> dict[str, tf.Tensor]:
        pair = empty_batch.filled(scaled(left_camera), scaled(right_camera))
        outputs = model(dict(zip(EYES, pair, strict=True)), training=False)
        return {"depth": empty_batch.emptied(outputs["depth"], left_camera)}

    def depth_of_files(left_camera: tf.Tensor, right_camera: tf.Tensor) -> dict[str, tf.Tensor]:
        picture = tf.TensorSpec([config.side, config.side, 3], tf.float32)
        pair = [tf.map_fn(decoded, eye, fn_output_signature=picture) for eye in (left_camera, right_camera)]
        return {"depth": depth(*pair)["depth"][:, 0]}

    def reference(inputs: Arrays) -> Arrays:
        pair = {eye: scaled(inputs[eye]).numpy() for eye in EYES}
        return {"depth": model.predict(pair, batch_size=8, verbose=0)["depth"]}

    def reference_of_files(inputs: Arrays) -> Arrays:
        pair = {eye: np.stack([decoded(content).numpy() for content in inputs[eye]]) for eye in EYES}
        return {"depth": reference(pair)["depth"][:, 0]}

    side = config.side if config.architecture == "notebook" else None
    pixels = [tf.TensorSpec([None, side, side, 3], tf.float32, name=eye) for eye in EYES]
    files = [tf.TensorSpec([None], tf.string, name=eye) for eye in EYES]
    return {
        "serving_default": Endpoint(pixels, depth, reference),
        "from_bytes": Endpoint(files, depth_of_files, reference_of_files),
    }
