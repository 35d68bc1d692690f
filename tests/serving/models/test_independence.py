"""Whether rows may share a call, found out with functions in a model's place."""

import itertools

import ml_dtypes
import numpy as np
import pytest

from signet.serving.errors import InvalidInput, Unavailable
from signet.serving.models import independence
from signet.serving.models.independence import probe
from signet.serving.tensors import dtypes
from signet.serving.tensors.signature import Signature, TensorSpec

FLOAT, INT, TEXT, BOOL = (dtypes.from_enum(number) for number in (1, 3, dtypes.STRING, 10))


def signature(dtype=FLOAT, *inner: int | None) -> Signature:
    spec = TensorSpec("x", dtype, (None, *inner), "x:0")
    return Signature("s", {"x": spec}, {"y": TensorSpec("y", dtype, (None,), "y:0")})


def model(function):
    """function(x) -> y; remembers how often and with how many rows it is called."""

    def run(inputs):
        run.rows.append(len(inputs["x"]))
        return {"y": np.asarray(function(inputs["x"]))}

    run.rows = []
    return run


def softmax(x):
    powers = np.exp(x - x.max(0))
    return powers / powers.sum(0)


def noisy_sum(x):
    """As kernels are: another order of summing, another last digit, by the number of rows."""
    return (x.astype(np.float32) * np.float32(1 + 1e-7 * len(x))).sum(1)


random = np.random.default_rng(0)
counter = itertools.count()


@pytest.mark.parametrize(
    ("function", "joined"),
    [
        (lambda x: x.sum(1), True),
        (noisy_sum, True),
        (lambda x: noisy_sum(x).astype(np.float16), True),
        (lambda x: noisy_sum(x).astype(ml_dtypes.bfloat16), True),
        (lambda x: np.where(x.sum(1) > 9, np.nan, x.sum(1)), True),
        (lambda x: np.where(x.sum(1) > 9, np.inf, x.sum(1)), True),
        (lambda x: x.astype(np.int64), True),
        (softmax, False),
        (lambda x: np.sort(x, 0), False),
        (lambda x: np.argsort(x.sum(1)), False),
        (lambda x: x - x.mean(0), False),
        (lambda x: x.cumsum(0), False),
        (lambda x: (x - x.mean(0)) / (x.std(0) + 1e-3), False),
        (lambda x: x * random.random(x.shape), False),
        (lambda x: x + next(counter), False),
        (lambda x: x * len(x), False),
        (lambda x: x * (1 + (len(x) > 40)), False),
        (lambda x: x + np.arange(len(x))[:, None], False),
        (lambda x: np.unique(x, axis=0), False),
        (lambda x: x[::-1], False),
        (lambda x: x.sum(), False),
        (lambda x: x[:1], False),
        (lambda x: np.zeros(len(x)), False),
        (lambda x: x.mean(1) + 1e-3 * x.mean(), False),
    ],
)
def test_functions_whose_rows_depend_on_each_other_are_found_out(function, joined):
    run = model(function)
    verdict = probe(run, signature(FLOAT, 4))
    assert verdict.joined is joined, verdict
    assert len(run.rows) < 40
    if joined:
        assert max(run.rows) == 64
        assert verdict.why == "6 rows were answered alone as in batches of up to 64 rows"


def test_what_is_not_found_out_is_not_joined():
    def never(x):
        raise InvalidInput("not this one")

    def alike(x):
        return np.full(len(x), 7.0)

    for function, why in (
        (never, "not proven: the model took 0 of"),
        (alike, "not proven: all 6 rows that were tried"),
    ):
        verdict = probe(model(function), signature(FLOAT, 4))
        assert (verdict.joined, verdict.why.startswith(why)) == (False, True)
    large = signature(FLOAT, 1 << 24)
    assert probe(model(alike), large).why == "not proven: input 'x' is too large for a row to be made up"
    unknown = Signature("s", {"x": TensorSpec("x", None, (None,), "x:0")}, {})
    assert probe(model(alike), unknown).why == "not proven: no row can be made up for input 'x'"


@pytest.mark.parametrize(
    ("dtype", "accepts"),
    [
        (FLOAT, lambda x: (x >= 0).all()),
        (FLOAT, lambda x: np.isin(x, (0, 1)).all()),
        (INT, lambda x: (x > 0).all() and (x < 4).all()),
        (BOOL, lambda x: True),
        (TEXT, lambda x: all(text.isalpha() for text in x.reshape(-1))),
        (TEXT, lambda x: all(text.startswith(b"\x89PNG\r\n") for text in x.reshape(-1))),
    ],
)
def test_a_refused_draw_is_drawn_anew(dtype, accepts):
    def picky(x):
        if not accepts(x):
            raise InvalidInput("not this one")
        return x

    assert probe(model(picky), signature(dtype)).joined


def test_rows_at_hand_come_first_and_others_have_their_shape():
    seen = []

    def function(x):
        seen.append(x)
        if x.shape[1:] != (5,):
            raise InvalidInput("a word has five letters")
        return x.sum(1)

    at_hand = [{"x": np.arange(15, dtype=np.float32).reshape(3, 5)}]
    assert probe(model(function), signature(FLOAT, None), at_hand).joined
    assert [x.tolist() for x in seen[:2]] == [[[0, 1, 2, 3, 4]], [[5, 6, 7, 8, 9]]]
    assert {x.shape[1:] for x in seen} == {(5,)}


def test_rows_that_are_refused_together_are_not_joined():
    def function(x):
        if len(x) > 2:
            raise InvalidInput("too many")
        return x

    assert probe(model(function), signature()).why == "3 rows that are answered alone are refused together: too many"


def test_a_model_that_cannot_be_asked_is_another_matter():
    def function(x):
        raise Unavailable("gone")

    with pytest.raises(Unavailable):
        probe(model(function), signature())


def test_large_rows_make_no_large_batches():
    run = model(lambda x: x[:, 0])
    assert probe(run, signature(FLOAT, 1 << 19)).joined
    assert max(run.rows) * (4 << 19) <= independence._MAX_BYTES
