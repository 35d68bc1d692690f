"""What the module of a model offers: the types that training, reports and exports share.

    load -> Data ── build_model, compile_model ──▶ fit ──▶ evaluate -> Scores
                                                     └───▶ endpoints -> the SavedModel's signatures

A module such as `training/models/digits.py` is a `Model`: mypy checks it against the protocol below, in `models/registry.py`.
This file imports no TensorFlow.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from signet.serving.errors import UsageError

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

Array = NDArray[Any]
Arrays = dict[str, Array]


class BadOption(UsageError):
    """An option of `signet train` has a value that cannot be meant."""


class BadData(UsageError):
    """A data file does not hold what the model learns from. The message names file and line."""


@dataclass(frozen=True)
class Examples:
    """Rows to learn from or to be judged by: named inputs, named targets, the same number of rows in each."""

    inputs: Arrays
    targets: Arrays

    @property
    def rows(self) -> int:
        """How many rows each array has."""
        return len(next(iter(self.targets.values())))

    def __getitem__(self, rows: slice | Array) -> Examples:
        """The chosen rows: a slice, or an array of row numbers."""
        return Examples(
            {name: array[rows] for name, array in self.inputs.items()},
            {name: array[rows] for name, array in self.targets.items()},
        )


ConfigT = TypeVar("ConfigT")


@dataclass(frozen=True)
class Data(Generic[ConfigT]):
    """What a model learns from, and the held-out rows that it is judged by."""

    source: str
    """Where the rows come from, for people: 'scikit-learn digits', 'qa1_train.txt'."""
    config: ConfigT
    """All that `build_model` and `endpoints` need to know: a dataclass of JSON values."""
    epoch: Callable[[int], Examples]
    """The rows of epoch n, n from 0. The same number each time; a generator may give fresh ones."""
    test: Examples
    """Held-out rows: never learnt from, and never chosen by."""
    recipe: Recipe | None = field(default=None, kw_only=True)
    """Where these rows, or this architecture, need another one than the preset's."""


@dataclass(frozen=True)
class Recipe:
    """How long and how fast a preset learns."""

    epochs: int
    batch_rows: int
    learning_rate: float
    """The first step's; the rate falls to zero along a half cosine."""
    train_rows: int = 0
    """Rows an epoch where they are generated; real data comes as it is."""
    patience: int = 0
    """Early stopping: after so many epochs in a row that were not the best so far; 0: never."""
    by_accuracy: bool = False
    """The best epoch is that of the greatest accuracy on the validation rows, instead of the least loss."""


@dataclass(frozen=True)
class Score:
    """One figure on the held-out rows, beside what it has to be compared with."""

    output: str
    metric: str
    value: float
    baselines: Mapping[str, float] = field(default_factory=dict)
    """Name -> the same metric of something simple on the same rows."""
    ceiling: float | None = None
    """The best that anything can reach on these rows, where it is known."""


@dataclass(frozen=True)
class Endpoint:
    """One signature of the export."""

    inputs: Sequence[tf.TensorSpec]
    """Shape, dtype and name of each input of the signature."""
    graph: Callable[..., dict[str, tf.Tensor]]
    """Traced into the SavedModel; takes the inputs in their order, gives named outputs."""
    reference: Callable[[Arrays], Arrays]
    """What the graph has to answer, computed by the Keras model and numpy."""
    tables: Sequence[Any] = ()
    """Lookup tables that `graph` uses; the SavedModel has to hold on to them."""


@dataclass(frozen=True)
class Meaning:
    """What one tensor of a signature holds, for people who have only the card."""

    text: str
    unit: str = ""
    values: str = ""
    """The values that occur, such as '0 to 16'."""
    labels: Sequence[str] | Callable[[Any], Sequence[str]] = ()
    """What its classes are called, in the order of the last axis; or how to get that from the model's config."""


@dataclass(frozen=True)
class Card:
    """What the export says about a model beside what it can find out itself."""

    purpose: str
    data: str
    inputs: Mapping[str, Meaning]
    """By name; by `signature/name` where a signature means something else by it."""
    outputs: Mapping[str, Meaning]
    limits: Sequence[str]
    """What it cannot do, and what it must not be used for."""
    pad_value: int = 0
    """What rows of inputs with a free length are filled up with."""


DataT = TypeVar("DataT", bound=Data[Any])


class Model(Protocol[DataT, ConfigT]):
    """A module of `training/` that describes one model. Its name is the model's name everywhere."""

    @property
    def PRESETS(self) -> Mapping[str, Recipe]:  # noqa: N802
        """The recipes of the presets quick and full, by name."""

    @property
    def CARD(self) -> Card:  # noqa: N802
        """What the export says about the model."""

    @property
    def Config(self) -> Callable[..., ConfigT]:  # noqa: N802
        """The dataclass that `build_model` takes; made again from JSON by the export."""

    def load(self, source: Path | None, preset: str, seed: int, architecture: str = "default") -> DataT:
        """Read `source`, or generate. Raises BadData, with file and line.

        `source` may also be a name in `registry.DATA_SETS`. A model with one network has no use for `architecture`; others
        put it into the config.
        """

    def build_model(self, config: ConfigT) -> keras.Model:
        """The network with named inputs and outputs, not compiled."""

    def compile_model(self, model: keras.Model, recipe: Recipe, steps: int) -> None:
        """Set optimizer, losses and metrics; `steps`: batches in the whole run."""

    def evaluate(self, model: keras.Model, data: DataT) -> list[Score]:
        """Judge the model by the held-out rows."""

    def golden(self, model: keras.Model, data: DataT) -> dict[str, Arrays]:
        """Signature -> inputs of at least 8 rows that the export is checked with; the first row is a demonstration."""

    def endpoints(self, model: keras.Model, config: ConfigT) -> dict[str, Endpoint]:
        """Signature -> its graph; `serving_default` is one of them."""


def accuracy(predicted: Array, truth: Array) -> float:
    """The share of entries that are predicted rightly."""
    return float(np.mean(predicted == truth))
