"""What is written as one version: a model with all that its export says and proves, whoever made it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import keras

from signet.training.model import Arrays, Card, Endpoint

RTOL = 1e-4
ATOL = 1e-5


@dataclass(frozen=True)
class Exportable:
    """A model, and how it is to be called."""

    name: str
    model: keras.Model
    config: Any
    """The model's own configuration, which labels of the card may depend on."""
    endpoints: Mapping[str, Endpoint]
    golden: Mapping[str, Arrays]
    card: Card
    rtol: float = RTOL
    atol: float = ATOL
    reference: Mapping[str, Arrays] = field(default_factory=dict)
    """Signature -> rows like those that callers send, where there are enough: how they and the answers are distributed goes into
    the card."""
    rounds_lengths: bool = False
    """Whether the graph itself pads: then padding must change no answer."""
    batched: bool = True
    """Whether each row has to be answered as if it were alone, so that servers may join those of several callers."""
    random: bool = False
    """Whether the same rows get other answers each time."""
