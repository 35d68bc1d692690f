"""Do two texts mean the same person at the same address? One LSTM reads both, character by character.

    left  (batch, characters, 128) float32 ─▶ mask ─▶ reader ─┐ the same reader, called twice
    right (batch, characters, 128) float32 ─▶ mask ─▶ reader ─┴▶ compared -> same (batch, 1) float32, chance that they do

A character is one-hot over the 128 symbols of ASCII, in lower case; a row of zeros is padding, and any amount of it
changes nothing. `from_text` takes `left` and `right` as strings [batch] and gives `same` float32 [batch]: it reads the
first LONGEST characters, and every character that is not ASCII as the symbol OTHER. Two networks:

**default**: the reader is an LSTM of 64 in both directions; what it says at each character is averaged, and the
greatest taken. Compared are the absolute difference and the product of the two sides -> dense 32 -> same. Both are the
same with left and right exchanged, and so is the answer.

**notebook**: the reader is an LSTM of 32 and gives its last state; both sides are put side by side -> same. Source: the
notebook's Siamese network (7.1.5). Mended: compiled before it is fitted, targets, the mask. It cannot learn the task:
what it computes is f(left) + g(right), and no such sum says whether the two are alike. It stays at one half.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

from signet.training.data import people
from signet.training.data.people import Pairs
from signet.training.model import Array, Arrays, Card, Data, Endpoint, Examples, Meaning, Recipe, Score, accuracy

SIDES = ("left", "right")
SYMBOLS = 128
PADDING = 0
OTHER = SYMBOLS - 1
"""The symbol of what is not ASCII: 'delete', which no text has."""
LONGEST = 256
"""Characters of a text that `from_text` reads."""
WIDTH = 64
"""Characters that are learnt from: generated texts are shorter but for one in some thousands. XLA wants one width."""
STEEPEST = 1.0
"""Gradients are clipped to this length."""

PRESETS: Mapping[str, Recipe] = {
    "quick": Recipe(epochs=11, batch_rows=64, learning_rate=5e-3, train_rows=4_000),
    "full": Recipe(epochs=100, batch_rows=64, learning_rate=4e-3, train_rows=8_000),
}
NOTEBOOK_PRESETS: Mapping[str, Recipe] = {
    "quick": Recipe(epochs=6, batch_rows=64, learning_rate=5e-3, train_rows=4_000),
    "full": Recipe(epochs=20, batch_rows=64, learning_rate=3e-3, train_rows=8_000),
}
TEST_ROWS = 2_000

CARD = Card(
    purpose="Says whether two writings of a name and an address mean the same person, in spite of typos, initials, "
    "abbreviations and exchanged names. It shows one network that reads two inputs with the same weights.",
    data="Names and addresses made up by a program from syllables; or a file of one's own (--data).",
    inputs={
        "left": Meaning("one text, a character a step, one-hot over ASCII in lower case", "", "0 or 1; zeros: padding"),
        "right": Meaning("the other text", "", "as left"),
        "from_text/left": Meaning("one text", "", f"UTF-8 text, the first {LONGEST} characters of it"),
        "from_text/right": Meaning("the other text", "", "as left"),
    },
    outputs={"same": Meaning("the chance that both mean the same person", "", "0 to 1")},
    limits=[
        "Learnt from made-up names and addresses in one form unless --data gave others; judge it by your own first.",
        "Not to be the only ground for joining records of people: one pair in some twenty is judged wrongly.",
        "Characters other than ASCII are all the same symbol.",
    ],
)


@dataclass(frozen=True)
class Config:
    """Which network; the notebook's size, and the default's."""

    architecture: str = "default"
    notebook_state: int = 32
    state: int = 64
    dense: int = 32


QUICK_STATE = 48


@dataclass(frozen=True)
class PairData(Data[Config]):
    """The texts themselves beside their characters, in the same order."""

    learnt: Pairs
    """The pairs of the first epoch, which the baseline learns from."""
    held_out: Mapping[str, Pairs]
    """What they are -> pairs to be judged by; the first are `test`."""


def load(source: Path | None, preset: str, seed: int, architecture: str = "default") -> PairData:
    """A CSV or JSON Lines file, or generated pairs."""
    recipe = (NOTEBOOK_PRESETS if architecture == "notebook" else PRESETS)[preset]
    config = Config(architecture, state=QUICK_STATE) if preset == "quick" else Config(architecture)
    if source is not None:
        learnt, test = people.hold_out(people.read(source), source)
        rows = examples(learnt)
        return PairData(
            source.name, config, lambda _epoch: rows, examples(test), learnt, {"held-out pairs": test}, recipe=recipe
        )

    def generated(part: int, rows: int, *, unseen: bool = False) -> Pairs:
        return people.generate(rows, np.random.default_rng([seed, part]), unseen=unseen)

    test = generated(0, TEST_ROWS)
    return PairData(
        "generated names and addresses, fresh in each epoch",
        config,
        lambda epoch: examples(generated(2 + epoch, recipe.train_rows)),
        examples(test),
        generated(2, recipe.train_rows),
        {"names met in training": test, "new names": generated(1, TEST_ROWS, unseen=True)},
        recipe=recipe,
    )


def examples(pairs: Pairs, width: int | None = WIDTH) -> Examples:
    """Texts -> left and right (rows, width, 128) uint8, a quarter of float32's memory; same (rows, 1) float32."""
    return Examples(
        {"left": one_hot(encode(pairs.left, width)), "right": one_hot(encode(pairs.right, width))},
        {"same": pairs.same[:, None]},
    )


def encode(texts: Iterable[str], width: int | None = None) -> Array:
    """Texts -> numbers of symbols (texts, width) uint8, zeros on the right; `width`: the longest's, LONGEST at most."""
    rows = [[ord(c) if 0 < ord(c) < SYMBOLS else OTHER for c in text.lower()][:LONGEST] for text in texts]
    numbers = np.zeros((len(rows), width or max([1, *map(len, rows)])), np.uint8)
    for target, row in zip(numbers, rows, strict=True):
        target[: len(row)] = row[: len(target)]
    return numbers


def one_hot(numbers: Array) -> Array:
    """Numbers of symbols (…) -> (…, 128) uint8; padding is all zeros."""
    table = np.eye(SYMBOLS, dtype=np.uint8)
    table[PADDING] = 0
    return table[numbers]


def build_model(config: Config) -> keras.Model:
    """One of the two networks: each has one reader for both sides."""
    left, right = (keras.Input((None, SYMBOLS), name=side) for side in SIDES)
    notebook = config.architecture == "notebook"
    read = _last_state(config) if notebook else _reader(config)
    compared = (_side_by_side if notebook else _compared)(config, read(left), read(right))
    same = layers.Dense(1, activation="sigmoid", dtype="float32", name="same")(compared)
    return keras.Model({"left": left, "right": right}, {"same": same})


def _last_state(config: Config) -> keras.Model:
    text = keras.Input((None, SYMBOLS))
    return keras.Model(text, layers.LSTM(config.notebook_state)(layers.Masking()(text)), name="reader")


def _reader(config: Config) -> keras.Model:
    text = keras.Input((None, SYMBOLS))
    both_ways = layers.Bidirectional(layers.LSTM(config.state, return_sequences=True))(layers.Masking()(text))
    character = ops.max(text, axis=2, keepdims=True)  # 0 where there is padding
    characters = ops.maximum(ops.sum(character, axis=1), 1)
    mean = ops.sum(both_ways * character, axis=1) / characters
    greatest = ops.max(both_ways * character - 2 * (1 - character), axis=1)  # what an LSTM says is above -1
    return keras.Model(text, layers.concatenate([3 * mean, greatest]), name="reader")  # 3: means are smaller


def _side_by_side(_: Config, left: keras.KerasTensor, right: keras.KerasTensor) -> keras.KerasTensor:
    return layers.concatenate([left, right])


def _compared(config: Config, left: keras.KerasTensor, right: keras.KerasTensor) -> keras.KerasTensor:
    alike = layers.concatenate([ops.abs(left - right), left * right])
    return layers.Dense(config.dense, activation="relu")(alike)


def compile_model(model: keras.Model, recipe: Recipe, steps: int) -> None:
    """Set Adam and the loss; compiled by XLA, which halves the processor time of an LSTM."""
    rate = keras.optimizers.schedules.CosineDecay(recipe.learning_rate, steps)
    model.compile(
        keras.optimizers.Adam(rate, global_clipnorm=STEEPEST),
        loss="binary_crossentropy",
        metrics=["accuracy"],
        jit_compile=True,
    )


def evaluate(model: keras.Model, data: PairData) -> list[Score]:
    """Accuracy on each of the held-out sets, beside gradient boosting on measures of likeness."""
    from sklearn.ensemble import HistGradientBoostingClassifier  # half a second, and needed once

    boosted = HistGradientBoostingClassifier().fit(people.measures(data.learnt), data.learnt.same)
    scores = []
    for kind, pairs in data.held_out.items():
        guessed = _chances(model, examples(pairs, width=None).inputs)[:, 0] > 0.5
        baselines = {
            "gradient boosting on measures of likeness": float(boosted.score(people.measures(pairs), pairs.same))
        }
        scores.append(Score("same", f"accuracy, {kind}", accuracy(guessed, pairs.same > 0.5), baselines))
    return scores


def golden(model: keras.Model, data: PairData) -> dict[str, Arrays]:
    """A short pair that is judged rightly and surely, then the shortest, then odd texts."""
    pairs = next(iter(data.held_out.values()))
    chances = _chances(model, data.test.inputs)[:, 0]
    right = np.where(pairs.same > 0.5, chances, 1 - chances)
    lengths = np.array([len(a) + len(b) for a, b in zip(pairs.left, pairs.right, strict=True)])
    short = np.argsort(lengths, kind="stable")[: max(8, len(lengths) // 20)]
    chosen = pairs[[int(short[right[short].argmax()]), *np.resize(short, 8).tolist()]]
    odd = ("", "ZOË  Müller\t—\u2026 ２０, İstanbul 東京", "x" * (LONGEST + 9))
    return {
        "serving_default": {side: array.astype(np.float32) for side, array in examples(chosen, None).inputs.items()},
        "from_text": {
            "left": np.array([*chosen.left, *odd], object),
            "right": np.array([*chosen.right, *odd[::-1]], object),
        },
    }


def endpoints(model: keras.Model, config: Config) -> dict[str, Endpoint]:
    """`serving_default`: characters in. `from_text`: strings in."""

    def numeric(left: tf.Tensor, right: tf.Tensor) -> dict[str, tf.Tensor]:
        left, right = (tf.pad(side, [[0, 0], [0, 1], [0, 0]]) for side in (left, right))  # no text is no error
        return {"same": model({"left": left, "right": right}, training=False)["same"]}

    def readable(left: tf.Tensor, right: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"same": numeric(_graph_encode(left), _graph_encode(right))["same"][:, 0]}

    def reference_numeric(inputs: Arrays) -> Arrays:
        return {"same": _chances(model, inputs)}

    def reference_readable(inputs: Arrays) -> Arrays:
        return {"same": _chances(model, {side: one_hot(encode(inputs[side])) for side in SIDES})[:, 0]}

    characters = [tf.TensorSpec([None, None, SYMBOLS], tf.float32, name=side) for side in SIDES]
    strings = [tf.TensorSpec([None], tf.string, name=side) for side in SIDES]
    return {
        "serving_default": Endpoint(characters, numeric, reference_numeric),
        "from_text": Endpoint(strings, readable, reference_readable),
    }


def _graph_encode(texts: tf.Tensor) -> tf.Tensor:
    """`encode` and `one_hot` in TensorFlow: string [texts] -> float32 [texts, longest, 128]."""
    texts = tf.strings.unicode_transcode(texts, "UTF-8", "UTF-8", errors="replace")
    codes = tf.strings.unicode_decode(tf.strings.lower(texts, encoding="utf-8"), "UTF-8")[:, :LONGEST]
    known = tf.ragged.map_flat_values(lambda code: tf.where((code > 0) & (code < SYMBOLS), code, OTHER), codes)
    return tf.one_hot(known.to_tensor(-1), SYMBOLS)  # -1: zeros


def _chances(model: keras.Model, inputs: Any) -> Array:
    chances: Array = model.predict(inputs, batch_size=256, verbose=0)["same"]
    return chances
