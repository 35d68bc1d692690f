"""The models there are: their names, known at once, and their modules, each of which imports TensorFlow."""

from collections.abc import Mapping, Sequence
from typing import Any

from signet.training.model import Model

NAMES = (
    "digits",
    "question_answering",
    "social_posts",
    "inception",
    "residual",
    "siamese_lstm",
    "two_cameras",
    "nested",
)
"""The models there are: the keys of `models()`, known without importing TensorFlow."""

DATA_SETS: Mapping[str, Sequence[str]] = {"inception": ("scenes",), "residual": ("scenes",)}
"""Model -> the generated data sets that --data names, beside the one it learns from without --data."""


def models() -> dict[str, Model[Any, Any]]:
    """Name -> module. Takes seconds the first time: it imports TensorFlow."""
    from signet.training.models import (
        digits,
        inception,
        nested,
        question_answering,
        residual,
        siamese_lstm,
        social_posts,
        two_cameras,
    )

    return {
        "digits": digits,
        "question_answering": question_answering,
        "social_posts": social_posts,
        "inception": inception,
        "residual": residual,
        "siamese_lstm": siamese_lstm,
        "two_cameras": two_cameras,
        "nested": nested,
    }
