"""Names of models and of their inputs and outputs: which can be, and which say something to those who call them."""

import re

from signet.training.model import BadOption

MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
TENSOR_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
GENERIC = re.compile(
    r"(inputs?|outputs?|args|kwargs|input_layer|tensor)(_\d+)*|keras_tensor.*|StatefulPartitionedCall.*"
)
"""Names that Keras or TensorFlow made up: nobody can tell from them what to send, and they change by themselves."""


def check_name(name: str) -> None:
    """Raise BadOption for what cannot be a model's name."""
    if not MODEL_NAME.fullmatch(name):
        raise BadOption(
            f"--name {name!r}: a model's name is a part of addresses: letters, digits, '_', '-', '.', "
            "a letter or digit first"
        )


def generic(name: str) -> bool:
    """Whether a tensor's name says nothing."""
    return GENERIC.fullmatch(name) is not None
