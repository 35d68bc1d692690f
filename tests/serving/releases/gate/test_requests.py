"""What both versions are asked."""

import json

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from signet.serving.models.distribution import Reference, describe
from signet.serving.releases.gate import golden, requests
from signet.serving.tensors import dtypes
from tests.serving.gateway.request_log.made import signature

SHOP = signature(
    {"x": ("float", (None, 2)), "n": ("int32", (None,)), "t": ("string", (None,))}, {"y": ("float", (None,))}
)


@given(
    st.sampled_from([row.name for row in dtypes.ROWS]),
    st.lists(st.sampled_from([None, 1, 3]), max_size=3),
    st.booleans(),
    st.integers(0, 5),
)
def test_what_is_made_up_fits_every_signature(name, inner, batched, seed):
    shape = ((None,) if batched else ()) + tuple(inner)
    made = signature({"x": (name, shape)}, {"y": ("float", shape or (None,))})
    for request in requests.make(made, [], [], 20, seed):
        assert made.check(request.inputs)["x"].dtype == made.inputs["x"].dtype.numpy
        assert not request.plausible


def test_the_same_seed_makes_the_same_requests():
    one, again, other = (requests.make(SHOP, [], [], 32, seed) for seed in (1, 1, 2))
    assert all(np.array_equal(a.inputs["x"], b.inputs["x"]) for a, b in zip(one, again, strict=True))
    assert not all(np.array_equal(a.inputs["x"], b.inputs["x"]) for a, b in zip(one, other, strict=True))
    assert {request.source for request in one} == {"random", "zeros"}


def test_what_is_made_up_lies_where_the_card_has_seen_inputs(tmp_path):
    chance = np.random.default_rng(0)
    columns = {
        "x[0]": describe(chance.uniform(-3, -1, 100)),
        "x[1]": describe(chance.uniform(-9, -8, 100)),
        "n": describe(np.arange(100.0)),
        "t": describe(np.array(["red", "blue"] * 50, object)),
    }
    card = {"signatures": {SHOP.name: {"reference": Reference(100, columns).to_json()}}}
    (tmp_path / "assets.extra").mkdir()
    (tmp_path / "assets.extra" / "model-card.json").write_text(json.dumps(card))
    asked = [request for request in requests.make(SHOP, [tmp_path], [], 64, 0) if request.source == "random"]
    x, n = (np.concatenate([request.inputs[name] for request in asked]) for name in ("x", "n"))
    assert -9 <= x.min() < -5 < x.max() <= -1
    assert 50 < n.max() <= 99
    assert {text for request in asked for text in request.inputs["t"].tolist()} == {b"red", b"blue"}


def test_rows_that_examples_repeat_are_asked_once(tmp_path):
    """Else ten rows, sent as 1, 8 and 32, would be as convincing as fifty."""
    folders = [tmp_path / "1", tmp_path / "2"]
    for number, folder in enumerate(folders):
        (folder / "assets.extra").mkdir(parents=True)
        rows = {"x": [[1, 2], [3, 4], [1, 2], [5, number]], "n": [1, 2, 1, 3], "t": ["a", "b", "a", "c"]}
        (folder / "assets.extra" / "golden.json").write_text(json.dumps({"signatures": {SHOP.name: {"inputs": rows}}}))
    asked = [one.inputs["x"].tolist() for one in requests.make(SHOP, folders, [], 8, 0) if one.source == "golden"]
    assert asked == [[[1, 2], [3, 4], [5, 0]], [[5, 1]]]


def test_recorded_rows_are_cut_into_requests_and_what_does_not_fit_is_left_out():
    texts = np.array([b"a"] * 100, object)
    fits = {"x": np.ones((100, 2), np.float32), "n": np.ones(100, np.int32), "t": texts}
    asked = requests.make(SHOP, [], [fits, {**fits, "n": np.ones(100, np.int64)}, {"x": fits["x"]}], 8, 0)
    assert [request.rows for request in asked if request.source == "recorded"] == [64, 36]


def test_golden_answers_are_held_against_those_of_the_export(tmp_path):
    example = {"outputs": {"y": [1.0, 2.0], "t": [{"b64": "YQ=="}, "b"], "big": {}}, "rtol": 1e-3, "atol": 1e-3}
    example["outputs"]["big"] = {"shape": [2, 3], "sample": {"indices": [0, 5], "values": [1.0, 6.0]}}
    right = {
        "y": np.array([1.0, 2.0005], np.float32),
        "t": np.array([b"a", b"b"], object),
        "big": np.arange(1.0, 7.0).reshape(2, 3),
    }
    assert dict(golden.problems(right, example)) == {}
    wrong = {"y": np.array([1.0, np.nan], np.float32), "t": np.array([b"a", b"a"], object), "big": right["big"] + 1}
    assert dict(golden.problems(wrong, example)) == {
        "y": "is not finite, and was",
        "t": "is another one in 1 of 2 values",
        "big": "differs by up to 1 (rtol 0.001, atol 0.001)",
    }
    assert dict(golden.problems({"y": np.ones(3, np.float32)}, example)) == {"y": "has shape (3,), and had (2,)"}
    (tmp_path / "assets.extra").mkdir()
    for text in (
        "",
        "[]",
        '{"signatures": {"s": {"outputs": []}}}',
        '{"signatures": {"s": {"outputs": {}, "random": true}}}',
    ):
        (tmp_path / "assets.extra" / "golden.json").write_text(text)
        assert golden.expected(tmp_path, "s") is None
