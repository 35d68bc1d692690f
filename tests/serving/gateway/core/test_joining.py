"""Which verdict a signature gets, and from where: a setting, its card, or by asking it."""

import threading
from types import SimpleNamespace

import numpy as np
import pytest
from pydantic import ValidationError

from signet.serving.errors import NotFound, Unavailable
from signet.serving.gateway.core import joining as joinings
from signet.serving.gateway.core.joining import Gone, Joining, verdicts
from signet.serving.gateway.settings import Settings
from signet.serving.models.model_card import Card
from signet.serving.process.supervision import Failures
from signet.serving.tensors import dtypes
from signet.serving.tensors.signature import Signature, TensorSpec

ALONE = {"signatures": {"one": {"batched": False, "golden_rows": 8}}}
PROVEN = {"signatures": {"one": {"batched": True, "golden_rows": 8}}}


def spec(name: str, *shape: int | None) -> dict[str, TensorSpec]:
    return {name: TensorSpec(name, dtypes.from_enum(1), shape, f"{name}:0")}


def lease(card=None):
    signatures = {
        "one": Signature("one", spec("x", None, 2), spec("y", None)),
        "whole": Signature("whole", spec("x", None, 2), spec("y")),
        "__saved_model_init_op": Signature("__saved_model_init_op", {}, spec("y")),
    }
    return SimpleNamespace(name="m", version=3, signatures=signatures, card=Card(card or {}), joining={})


def sums(signature, inputs):
    return {"y": inputs["x"].sum(1)}


@pytest.fixture
def decided(monkeypatch):
    """decided(settings, lease, ask): what is told of the signature `one` when it is known."""
    monkeypatch.setattr(joinings, "_PAUSE_S", 0.0)
    made = []

    def decide(settings, version, ask=sums):
        known = threading.Event()
        joining = Joining(Settings(**settings), Failures())
        made.append(joining)
        tell = joining._tell

        def telling(lease, signature, verdict):
            tell(lease, signature, verdict)
            if signature.name == "one":
                known.set()

        joining._tell = telling
        joining.decide(version, ask)
        assert known.wait(30)
        return verdicts(version)["one"]

    yield decide
    for joining in made:
        joining.stop()


@pytest.mark.parametrize(
    ("settings", "card", "expected"),
    [
        ({"batch_models": "m=off"}, PROVEN, (False, "batch_models says off")),
        ({"batch_models": "n=off, m=on"}, {}, (True, "batch_models says on")),
        ({"batch_max_rows": 1, "batch_models": "m=on"}, PROVEN, (False, "batch_max_rows is 1")),
        ({}, PROVEN, (True, "its card says that rows were answered alone as in a batch")),
        ({}, ALONE, (False, "its card says that requests go alone")),
        ({}, {}, (True, "6 rows were answered alone as in batches of up to 64 rows")),
        ({"batch_max_rows": 9}, {}, (True, "6 rows were answered alone as in batches of up to 9 rows")),
    ],
)
def test_a_setting_wins_then_the_card_then_what_the_model_answers(decided, settings, card, expected):
    version = lease(card)
    assert (decided(settings, version).joined, verdicts(version)["one"].why) == expected
    assert verdicts(version)["whole"].why == "not every input and output has a first dimension that is free"
    assert list(verdicts(version)) == ["one", "whole"]


def test_until_a_model_has_answered_it_is_not_known():
    version = lease()
    assert (verdicts(version)["one"].joined, verdicts(version)["one"].why) == (
        False,
        "not known yet: the model is being asked",
    )


def test_a_model_that_cannot_be_asked_now_is_asked_again_and_then_left_alone(decided):
    answers = [Unavailable("away"), Unavailable("away")]

    def ask(signature, inputs):
        if answers:
            raise answers.pop()
        return sums(signature, inputs)

    assert decided({}, lease(), ask).joined

    def away(signature, inputs):
        raise Unavailable("away")

    assert decided({}, lease(), away).why == "not proven: it could not be asked: away"


def test_a_probe_that_breaks_proves_nothing_and_the_next_one_is_made(decided):
    def broken(signature, inputs):
        raise ZeroDivisionError

    assert decided({}, lease(), broken).why == "not proven: the probe failed; the gateway's log says more"
    assert decided({}, lease()).joined


def test_a_version_that_has_gone_gets_no_verdict_and_those_after_it_do():
    joining = Joining(Settings(), Failures())
    gone, there = lease(), lease()
    done = threading.Event()

    def leave(signature, inputs):
        raise Gone

    def ask(signature, inputs):
        done.set()
        return sums(signature, inputs)

    joining.decide(gone, leave)
    joining.decide(there, ask)
    assert done.wait(30)
    joining.stop()
    assert "one" not in gone.joining


def test_a_model_that_misses_something_is_refused_rows_as_any_other(decided):
    def ask(signature, inputs):
        raise NotFound("no such key in the table")

    assert decided({}, lease(), ask).why.startswith("not proven: the model took 0 of the rows that were tried")


def test_a_probe_that_takes_too_long_is_not_made_again(decided, monkeypatch):
    monkeypatch.setattr(joinings, "_PROBE_S", -1.0)
    assert decided({}, lease()).why == "not proven: its questions took more than -1 seconds"


def test_rows_that_depend_on_each_other_go_alone(decided):
    verdict = decided({}, lease(), lambda _, inputs: {"y": np.cumsum(inputs["x"].sum(1))})
    assert (verdict.joined, verdict.why) == (False, "output 'y' of a row is another among 2 rows")


@pytest.mark.parametrize("text", ["m", "m=", "=on", "m=yes", "m:on"])
def test_wrong_switches_are_named(text):
    with pytest.raises(ValidationError, match="expected MODEL=on or MODEL=off"):
        Settings(batch_models=f"n=on,{text}")
