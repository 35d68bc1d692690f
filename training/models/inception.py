"""Which digit is in a picture, by inception modules: four views of the same map, side by side.

    image (batch, 8, 8, 1) float32, 0 to 16 -> divided by 16 -> convolution 3x3, 64
        -> inception 4 x 64 -> inception 4 x 64 -> digit (batch, 10) float32, rows sum to 1

`--data scenes`: image (batch, 24, 24, 1), and the first convolution has stride 2. `--architecture notebook`: the
notebook's module, 4 x 128, straight on the picture. Most of its work is a 3x3 of 128 channels at the picture's full
size; the default halves a scene before, and does an eighth of the multiplications. Source: the notebook's inception
module (7.1.4), of which it makes no model; `blocks.py` says what is mended.
"""

from pathlib import Path

import keras
from keras import layers

from signet.training.data import digits
from signet.training.model import Data, Recipe
from signet.training.models import blocks, digit_pictures
from signet.training.models.digit_pictures import Config, compile_model, endpoints, evaluate, golden

__all__ = ["CARD", "PRESETS", "Config", "build_model", "compile_model", "endpoints", "evaluate", "golden", "load"]

RECIPES: digit_pictures.Recipes = {
    ("digits", "default"): {
        "quick": Recipe(epochs=15, batch_rows=64, learning_rate=2e-3),
        "full": Recipe(epochs=80, batch_rows=64, learning_rate=2e-3),
    },
    ("digits", "notebook"): {
        "quick": Recipe(epochs=12, batch_rows=64, learning_rate=2e-3),
        "full": Recipe(epochs=80, batch_rows=64, learning_rate=2e-3),
    },
    ("scenes", "default"): {
        "quick": Recipe(epochs=5, batch_rows=64, learning_rate=2e-3, train_rows=4_000),
        "full": Recipe(epochs=40, batch_rows=64, learning_rate=2e-3, train_rows=8_000),
    },
    ("scenes", "notebook"): {
        "quick": Recipe(epochs=2, batch_rows=64, learning_rate=2e-3, train_rows=1_500),
        "full": Recipe(epochs=15, batch_rows=64, learning_rate=2e-3, train_rows=8_000),
    },
}
PRESETS = RECIPES["digits", "default"]

CARD = digit_pictures.CARD


def load(source: Path | None, preset: str, seed: int, architecture: str = "default") -> Data[Config]:
    """Scikit-learn's digits, or scenes of them where `source` says so."""
    return digit_pictures.load(source, preset, seed, architecture, RECIPES)


def build_model(config: Config) -> keras.Model:
    """The network for pictures of this size."""
    image, x = digit_pictures.picture(config.side)
    if config.architecture == "notebook":
        x = blocks.inception(x)
    else:
        strides = 1 if config.side == digits.SIDE else 2
        x = layers.Conv2D(64, 3, strides=strides, padding="same", activation="relu")(x)
        x = blocks.inception(x, 64)
        x = blocks.inception(x, 64)
    return keras.Model({"image": image}, {"digit": digit_pictures.classified(x)})
