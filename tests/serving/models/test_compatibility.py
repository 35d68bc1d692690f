"""What callers of one version may expect of the next."""

import json

import numpy as np
import pytest

from signet.serving.models import compatibility
from signet.serving.models.compatibility import Contract
from signet.serving.tensors import dtypes
from signet.serving.tensors.signature import Signature, TensorSpec
from tests import servers

FLOAT, INT32, STRING = (dtypes.from_enum(number) for number in (1, 3, 7))


def tensors(specs):
    return {name: TensorSpec(name, dtype, shape, f"{name}:0") for name, (dtype, shape) in specs.items()}


def contract(inputs, outputs, name="serving_default", **options):
    return Contract({name: Signature(name, tensors(inputs), tensors(outputs), **options)})


PIXELS = {"pixels": (FLOAT, (None, 64))}
DIGIT = {"digit": (FLOAT, (None, 10))}
OLD = contract(PIXELS, DIGIT)


@pytest.mark.parametrize(
    ("new", "problem"),
    [
        (contract(PIXELS, DIGIT, "other"), "signature 'serving_default' is gone"),
        (contract({"image": PIXELS["pixels"]}, DIGIT), "input 'pixels' is gone"),
        (contract({**PIXELS, "scale": (FLOAT, (None,))}, DIGIT), "input 'scale' is new"),
        (contract(PIXELS, {"number": DIGIT["digit"]}), "output 'digit' is gone"),
        (contract({"pixels": (INT32, (None, 64))}, DIGIT), "input 'pixels' was float and is int32"),
        (contract(PIXELS, {"digit": (STRING, (None, 10))}), "output 'digit' was float and is string"),
        (contract({"pixels": (FLOAT, (None, 8, 8))}, DIGIT), "had shape (None, 64) and has (None, 8, 8)"),
        (contract(PIXELS, {"digit": (FLOAT, (None,))}), "output 'digit' had shape (None, 10) and has (None,)"),
        (contract(PIXELS, {"digit": (FLOAT, (None, 12))}), "output 'digit' had shape (None, 10) and has (None, 12)"),
        (contract(PIXELS, {"digit": (FLOAT, (None, None))}), "had shape (None, 10) and has (None, None)"),
        (contract(PIXELS, {"digit": (FLOAT, None)}), "had shape (None, 10) and has of any rank"),
        (contract({"pixels": (FLOAT, (None, 100))}, DIGIT), "had shape (None, 64) and has (None, 100)"),
        (contract({"pixels": (FLOAT, (1, 64))}, DIGIT), "had shape (None, 64) and has (1, 64)"),
        (contract(PIXELS, {**DIGIT, "label": (STRING, (None,))}), "each of 'predictions' was a bare value"),
        (contract(PIXELS, DIGIT, method_name="classify"), "its method was '' and is 'classify'"),
    ],
)
def test_what_breaks_callers(new, problem):
    broken = [change.text for change in compatibility.changes(OLD, new) if change.breaking]
    assert any(problem in text for text in broken), broken


TWO = contract({"words": (INT32, (None, None))}, {"age": (FLOAT, (None, None)), "kind": (FLOAT, (None, 2))})


@pytest.mark.parametrize(
    ("old", "new", "change"),
    [
        (OLD, OLD, None),
        (OLD, Contract({**OLD.signatures, **contract(PIXELS, DIGIT, "from_bytes").signatures}), "'from_bytes' is new"),
        (OLD, contract({"pixels": (FLOAT, (None, None))}, DIGIT), "has (None, None)"),
        (OLD, contract({"pixels": (FLOAT, None)}, DIGIT), "has of any rank"),
        (TWO, contract({"words": (INT32, (None, None))}, {"age": (FLOAT, (None, 1)), "kind": (FLOAT, (None, 2))}), "age"),
        (
            TWO,
            contract(
                {"words": (INT32, (None, None))},
                {"age": (FLOAT, (None, None)), "kind": (FLOAT, (None, 2)), "extra": (FLOAT, (None,))},
            ),
            "output 'extra' is new",
        ),
        (
            OLD,
            contract({**PIXELS, "scale": (FLOAT, ())}, DIGIT, defaults={"scale": np.float32(1)}),
            "input 'scale' is new, with a default",
        ),
    ],
)  # fmt: skip
def test_what_does_not(old, new, change):
    found = compatibility.changes(old, new)
    assert not any(each.breaking for each in found), found
    assert (change is None) == (not found)
    assert not change or change in str(found[0])


def test_a_class_with_another_name_breaks():
    old = Contract(OLD.signatures, {("serving_default", "digit"): ["cat", "dog"]})
    new = Contract(OLD.signatures, {("serving_default", "digit"): ["cat", "cow"]})
    (change,) = compatibility.changes(old, new)
    assert change.breaking
    assert str(change).endswith("class 1 of output 'digit' was called 'dog' and is called 'cow'")
    assert compatibility.changes(old, old) == []


def test_breaking_changes_come_first():
    new = Contract({**contract(PIXELS, {"digit": (INT32, (None, 10))}).signatures, **contract({}, {}, "a").signatures})
    assert [change.breaking for change in compatibility.changes(OLD, new)] == [True, False]


def test_contracts_are_read_from_saved_models(tmp_path):
    found = compatibility.read(servers.GOLDEN_MODELS / "two_in" / "1")
    assert compatibility.changes(found, found) == []
    assert all(signature.outputs for signature in found.signatures.values())
    assert compatibility.read(tmp_path) is None
    (tmp_path / "saved_model.pb").write_bytes(b"\xff")
    assert compatibility.read(tmp_path) is None


def test_labels_are_read_from_the_card(tmp_path):
    (tmp_path / "saved_model.pb").write_bytes(b"")
    extra = tmp_path / "assets.extra"
    extra.mkdir()
    card = {"signatures": {"s": {"inputs": {}, "outputs": {"a": {"labels": ["x", "y"]}, "b": {"labels": []}}}}}
    (extra / "model-card.json").write_text(json.dumps(card))
    assert compatibility.read(tmp_path).labels == {("s", "a"): ["x", "y"]}
    (extra / "model-card.json").write_text("[]")
    assert compatibility.read(tmp_path).labels == {}
