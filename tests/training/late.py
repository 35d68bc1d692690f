"""Modules that take seconds to import: a test that uses one imports it then, so that collecting tests stays quick.

keras = Late("keras")      ──keras.Input(…) in a test──▶ import keras
"""

from importlib import import_module
from typing import Any

from signet.training import keras_start


class Late:
    """A module by its name, imported when something of it is first asked for."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        if name.startswith(("_", "pytest")):  # pytest asks every object whether it is a test or a fixture
            raise AttributeError(name)
        keras_start.start()
        return getattr(import_module(self._name), name)


keras = Late("keras")
layers = Late("keras.layers")
tf = Late("tensorflow")


def model(name: str) -> Any:
    """The module of one of our models, or of a part of them."""
    return Late(f"signet.training.models.{name}")
