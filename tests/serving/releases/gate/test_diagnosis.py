"""Usual mistakes are told apart from what training does: numpy stands for both versions."""

import numpy as np
import pytest

from signet.serving.releases.gate import diagnosis
from signet.serving.releases.gate.asked import Asked
from signet.serving.releases.gate.requests import Request
from tests.serving.gateway.request_log.made import signature

MADE = signature({"a": ("float", (None, 16)), "b": ("float", (None, 16))}, {"y": ("float", (None, 5))})
CHANCE = np.random.default_rng(4)
ONE, OTHER = CHANCE.normal(0, 1, (16, 5)), CHANCE.normal(0, 1, (16, 5))
BIAS = CHANCE.normal(0, 0.5, 5)


def network(change=lambda inputs: inputs, sure=1.0, seed=0):
    noise = np.random.default_rng(seed).normal(0, 0.05, (16, 5))

    def run(inputs):
        seen = change(inputs)
        scores = sure * (seen["a"] @ (ONE + noise) + seen["b"] @ (OTHER - noise) + BIAS)
        raised = np.exp(scores - scores.max(axis=1, keepdims=True))
        return {"y": (raised / raised.sum(axis=1, keepdims=True)).astype(np.float32)}

    return run


@pytest.mark.parametrize(
    ("candidate", "mistake"),
    [
        (network(seed=1), ""),
        (network(seed=1, sure=0.2), ""),
        (network(seed=1, sure=3), ""),
        (network(lambda inputs: {**inputs, "a": inputs["a"] * 255}, seed=1), "'a' is divided by 255"),
        (network(lambda inputs: {"a": inputs["b"], "b": inputs["a"]}, seed=1), "inputs 'a' and 'b' were swapped"),
        (
            network(lambda inputs: {**inputs, "b": inputs["b"].reshape(-1, 4, 4).swapaxes(1, 2).reshape(-1, 16)}, seed=1),
            "input 'b' were transposed",
        ),
    ],
)  # fmt: skip
def test_a_mistake_is_found_and_less_or_more_training_is_none(candidate, mistake):
    chance = np.random.default_rng(9)
    inputs = {name: chance.random((200, 16)).astype(np.float32) for name in ("a", "b")}
    asked = [Asked(Request(MADE, "golden", inputs), network()(inputs), candidate(inputs))]
    found = diagnosis.explanation(diagnosis.Outputs(MADE, asked, frozenset()), "y", candidate, [])
    assert (mistake in found.mistake) if mistake else not found.mistake
