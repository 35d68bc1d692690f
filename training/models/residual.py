"""Which digit is in a picture, by residual blocks: each adds what it was given to what it makes of it.

    image (batch, 8, 8, 1) float32, 0 to 16 -> divided by 16 -> convolution 3x3, 32 -> identity 32 -> projected 64
        -> identity 64 -> projected 128 -> digit (batch, 10) float32, rows sum to 1

`--data scenes`: image (batch, 24, 24, 1), and a projected block of 32 halves it after the first convolution.
`--architecture notebook`: a convolution to 128 channels, which the notebook takes as given, then its two blocks,
identity and projected, of 128 channels each; on scenes most of its work is done at the picture's full size. Source:
the notebook's residual connections (7.1.4), of which it makes no model; `blocks.py` says what is mended.
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
        "full": Recipe(epochs=60, batch_rows=64, learning_rate=2e-3),
    },
    ("digits", "notebook"): {
        "quick": Recipe(epochs=9, batch_rows=64, learning_rate=1e-3),
        "full": Recipe(epochs=60, batch_rows=64, learning_rate=1e-3),
    },
    ("scenes", "default"): {
        "quick": Recipe(epochs=3, batch_rows=64, learning_rate=2e-3, train_rows=4_000),
        "full": Recipe(epochs=20, batch_rows=64, learning_rate=2e-3, train_rows=8_000),
    },
    ("scenes", "notebook"): {
        "quick": Recipe(epochs=1, batch_rows=64, learning_rate=1e-3, train_rows=1_000),
        "full": Recipe(epochs=5, batch_rows=64, learning_rate=1e-3, train_rows=8_000),
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
        x = layers.Conv2D(blocks.FILTERS, 3, padding="same", activation="relu")(x)
        x = blocks.identity_residual(x)
        x = blocks.projected_residual(x)
    else:
        x = layers.Conv2D(32, 3, padding="same", activation="relu")(x)
        if config.side > digits.SIDE:
            x = blocks.projected_residual(x, 32)
        x = blocks.identity_residual(x, 32)
        x = blocks.projected_residual(x, 64)
        x = blocks.identity_residual(x, 64)
        x = blocks.projected_residual(x, 128)
    return keras.Model({"image": image}, {"digit": digit_pictures.classified(x)})
