"""Names for the classes of a stranger's model: `OUTPUT_label` beside the scores.

    scores (…, k), k > 1   ─▶ the class with the highest score
    scores (…, 1)          ─▶ two classes: above 0.5 the second if it is a probability, above 0 if it is a logit

Which of the two a single number is, the last activation tells: `sigmoid` makes probabilities, none at all (`linear`)
and `tanh` leave numbers whose sign decides. Where it cannot be told, `--scores` has to say it. The answers that
the export is verified by come from another rule than the graph's: of the two classes' scores the higher one.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import tensorflow as tf

from signet.training.export.errors import BadModel
from signet.training.model import Array, Arrays, BadOption, Meaning

Scores = Literal["probability", "logit"]
"""What a single number that tells two classes is."""

_BY_ACTIVATION: dict[str, Scores] = {
    "sigmoid": "probability",
    "hard_sigmoid": "probability",
    "hard_sigmoid_of_keras_2": "probability",
    "linear": "logit",
    "tanh": "logit",
}
_THRESHOLD = {"probability": 0.5, "logit": 0.0}
_PASSED_ON = frozenset({"Reshape", "Flatten", "Dropout", "Identity", "Permute", "Squeeze", "Cast", "GetItem"})
"""Layers and operations that leave each number as it is: the activation is that of what comes before them."""


def activation(tensor: Any) -> str:
    """The name of the function that made a KerasTensor's numbers, such as `sigmoid`; empty where it is not known."""
    while True:
        history = tensor._keras_history
        operation = history.operation
        kind = type(operation).__name__
        inner = getattr(operation, "outputs", None)
        if inner and hasattr(operation, "layers") and history.tensor_index < len(inner):
            tensor = inner[history.tensor_index]
            continue
        operation = getattr(operation, "layer", operation)  # of TimeDistributed and its like
        function = getattr(operation, "activation", None)
        name = getattr(function, "__name__", "")
        passes = kind in _PASSED_ON or (kind == "Activation" and name == "linear")
        before = operation._inbound_nodes[0].input_tensors if passes and operation._inbound_nodes else []
        if len(before) != 1:
            return name or (kind.lower() if kind in ("Sigmoid", "Tanh") else "")
        tensor = before[0]


def assigned(wanted: Mapping[str, Sequence[str]], shapes: Mapping[str, Sequence[int]]) -> dict[str, list[str]]:
    """Labels by output; those without a name go to the only output with so many classes. Raises BadOption."""
    labels_of = {}
    for name, labels in wanted.items():
        fitting = [output for output, shape in shapes.items() if _classes(shape) == len(labels)]
        known = ", ".join(f"{output} ({_classes(shape)} classes)" for output, shape in shapes.items())
        if name and name not in shapes:
            raise BadOption(f"--labels: there is no output {name!r}; the outputs are {known}")
        if (name and name not in fitting) or not fitting:
            raise BadOption(f"--labels: there are {len(labels)} labels; the outputs are {known}")
        if not name and len(fitting) > 1:
            raise BadOption(
                f'--labels: {len(labels)} labels fit {" and ".join(fitting)}; JSON says which: {{"{fitting[0]}": […]}}'
            )
        output = name or fitting[0]
        if f"{output}_label" in shapes:
            raise BadOption(f"--labels: the model has an output {output}_label already")
        labels_of[output] = list(labels)
    return labels_of


def _classes(shape: Sequence[int]) -> int:
    """How many classes an output tells apart: one number tells two."""
    if len(shape) < 2:
        return 0
    return 2 if shape[-1] == 1 else shape[-1]


def score_rules(
    labels: Mapping[str, Sequence[str]], answers: Arrays, activations: Mapping[str, str], asked: Scores | None
) -> dict[str, Scores]:
    """What the single numbers of outputs with labels are. Raises BadOption and BadModel where that does not hold.

    answers: of the example rows. activations: by output, as far as they are known. asked: `--scores`.
    """
    rules: dict[str, Scores] = {}
    for name in labels:
        if answers[name].shape[-1] != 1:
            continue
        rule = asked or _BY_ACTIVATION.get(activations.get(name, ""))
        if rule is None:
            made = activations.get(name, "")
            raise BadOption(
                f"--labels: whether {name!r}, one number for two classes, is a probability or a logit cannot be told "
                f"from {f'its activation, {made}' if made else 'the model'}; "
                "--scores probability takes the second class above 0.5, --scores logit above 0"
            )
        low, high = float(np.min(answers[name])), float(np.max(answers[name]))
        if rule == "probability" and not (low >= 0 and high <= 1):
            raise BadModel(
                f"--labels: {name!r} is to be a probability, but example rows get {low:.3g} to {high:.3g}; "
                "--scores logit takes the second class above 0"
            )
        rules[name] = rule
    return rules


def in_graph(
    outputs: Mapping[str, tf.Tensor], labels: Mapping[str, Sequence[str]], rules: Mapping[str, Scores]
) -> dict[str, tf.Tensor]:
    """The labels of each output as a server computes them: {"mood_label": (n,) string}."""
    named = {}
    for name, classes in labels.items():
        scores = outputs[name]
        second = tf.cast(scores[..., 0] > _THRESHOLD[rules[name]], tf.int64) if name in rules else None
        named[f"{name}_label"] = tf.gather(tf.constant(classes), tf.argmax(scores, -1) if second is None else second)
    return named


def expected(
    outputs: Mapping[str, Array], labels: Mapping[str, Sequence[str]], rules: Mapping[str, Scores]
) -> dict[str, Array]:
    """The labels of each output in numpy: the class with the highest score, the first of equals, also where there are two."""
    named = {}
    for name, classes in labels.items():
        scores = outputs[name]
        if name in rules:
            second = scores[..., 0].astype(float)
            first = 1.0 - second if rules[name] == "probability" else -second
            scores = np.stack([first, second], axis=-1)
        named[f"{name}_label"] = np.array(classes, object)[scores.argmax(axis=-1)]
    return named


def meanings(labels: Mapping[str, Sequence[str]], rules: Mapping[str, Scores]) -> dict[str, Meaning]:
    """What the card says of outputs with labels, and of the labels."""
    meaning_of = {}
    for name, classes in labels.items():
        if name in rules:
            what = "chance" if rules[name] == "probability" else "logit"
            # `labels` of a card has a name for each place of the last axis; here there is one place for two classes.
            meaning_of[name] = Meaning(f"{what} of {classes[1]!r}; else {classes[0]!r}")
            meaning_of[f"{name}_label"] = Meaning(f"{classes[1]!r} where `{name}` is above {_THRESHOLD[rules[name]]:g}")
        else:
            meaning_of[name] = Meaning("scores of the classes", labels=list(classes))
            meaning_of[f"{name}_label"] = Meaning(f"the class with the highest `{name}`")
    return meaning_of
