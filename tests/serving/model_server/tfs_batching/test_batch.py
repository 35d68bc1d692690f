"""Joining tensors and cutting outputs, by TensorFlow Serving's rules: literal in, literal out."""

import re

import numpy as np
import pytest

from signet.serving.errors import FailedPrecondition, Internal, InvalidInput
from signet.serving.model_server.tfs_batching.batch import cut, merge, rows_of, split


def x(*rows, dtype=np.int32):
    return {"x:0": np.array(rows, dtype)}


@pytest.mark.parametrize(
    ("parts", "rows", "pad", "expected"),
    [
        ([x(1, 2)], 2, False, [1, 2]),
        ([x(1), x(2, 3)], 3, False, [1, 2, 3]),
        ([x(1), x(2, 3)], 5, False, [1, 2, 3, 2, 2]),  # the first row of the last request
        ([x([1, 2]), x([3, 4])], 3, True, [[1, 2], [3, 4], [3, 4]]),
        ([x([1]), x([2, 3, 4]), x([5, 6])], 3, True, [[1, 1, 1], [2, 3, 4], [5, 6, 5]]),  # each with its own first
        ([x([[1], [2]]), x([[3, 4]])], 2, True, [[[1, 1], [2, 1]], [[3, 4], [3, 3]]]),
        ([x(b"a", dtype=object), x(b"bc", dtype=object)], 3, False, [b"a", b"bc", b"bc"]),
        ([x([b"a"], dtype=object), x([b"b", b"c"], dtype=object)], 2, True, [[b"a", b"a"], [b"b", b"c"]]),
        ([x(), x()], 0, True, []),
    ],
)
def test_requests_become_one_call(parts, rows, pad, expected):
    merged = merge(parts, rows, pad)["x:0"]
    assert merged.tolist() == expected
    assert merged.dtype == parts[0]["x:0"].dtype


@pytest.mark.parametrize(
    ("parts", "pad", "error", "problem"),
    [
        (
            [x([1]), x([1, 2])],
            False,
            FailedPrecondition,
            "Tensors with name 'x:0' from different tasks have different ",
        ),
        ([x(1), x([1])], False, FailedPrecondition, "from different tasks have different shapes"),
        ([x(1), x([1])], True, FailedPrecondition, "from different tasks have different ranks"),
        ([x(1), x(1.0, dtype=np.float32)], False, Internal, "different data types. Got int32 and float."),
        ([{"x:0": np.zeros((1, 0))}, {"x:0": np.zeros((1, 2))}], True, InvalidInput, "Got empty tensor in batch"),
        ([{"x:0": np.zeros((1,) * 7)}], True, InvalidInput, "Only tensors with rank from 1 to 6 can be padded."),
    ],
)
def test_what_cannot_be_joined(parts, pad, error, problem):
    with pytest.raises(error, match=re.escape(problem)):
        merge(parts, sum(len(part["x:0"]) for part in parts), pad)


@pytest.mark.parametrize(
    ("inputs", "problem"),
    [
        ({"a": np.zeros((2, 3)), "b": np.zeros(())}, "input tensors must have at least one dimension"),
        ({"a": np.zeros((2, 3)), "b": np.zeros(3)}, "input tensors must have equal 0th-dimension size"),
        ({}, "must have at least one input tensor"),
    ],
)
def test_requests_without_rows_are_refused(inputs, problem):
    with pytest.raises(InvalidInput, match=problem):
        rows_of(inputs)


def test_outputs_are_cut_by_the_rows_of_the_requests_and_padding_is_dropped():
    outputs = {"y": np.arange(8).reshape(4, 2), "z": np.arange(4)}
    first, second = split(outputs, [1, 2], 4)
    assert (first["y"].tolist(), first["z"].tolist()) == ([[0, 1]], [0])
    assert (second["y"].tolist(), second["z"].tolist()) == ([[2, 3], [4, 5]], [1, 2])
    assert cut({"y": np.arange(3)}, [3])[0]["y"].tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("output", "problem"),
    [
        (np.float32(1), "Batched output tensor has 0 dimensions"),
        (np.zeros(3), "Batched output tensor's 0th dimension does not equal the sum"),
    ],
)
def test_outputs_without_a_row_for_each_are_refused(output, problem):
    with pytest.raises(FailedPrecondition, match=problem):
        split({"good": np.zeros(4), "y": np.asarray(output)}, [1, 2], 4)
