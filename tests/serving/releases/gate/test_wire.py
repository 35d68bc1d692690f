"""Messages between the gate and a version's process: what goes in comes out, and what is no message does no harm."""

import socket
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from signet.serving.releases.gate import wire
from signet.serving.tensors import dtypes

NUMBERS = [row.numpy for row in dtypes.ROWS if not row.is_string]


def sent(facts, arrays):
    one, other = socket.socketpair()
    with one, other:
        writing = threading.Thread(target=wire.send, args=(one, facts, arrays))
        writing.start()
        try:
            return wire.receive(other, 10)
        finally:
            writing.join()


@given(
    st.sampled_from(NUMBERS), hnp.array_shapes(min_dims=0, max_dims=3, min_side=0), st.binary(min_size=8, max_size=64)
)
def test_numbers_arrive_bit_by_bit(dtype, shape, content):
    size = int(np.prod(shape)) * dtype.itemsize
    raw = (content * (size // len(content) + 1))[:size]
    if dtype.kind == "b":
        raw = bytes(byte & 1 for byte in raw)
    array = np.frombuffer(raw, dtype).reshape(shape)
    facts, arrays = sent({"do": "run"}, {"x": array})
    assert facts == {"do": "run"}
    assert arrays["x"].dtype == dtype
    assert arrays["x"].shape == shape
    assert arrays["x"].tobytes() == raw


@given(st.lists(st.binary(max_size=20), max_size=12))
def test_texts_arrive_as_bytes(texts):
    array = np.empty(len(texts), object)
    array[:] = texts
    _, arrays = sent({}, {"text": array})
    assert arrays["text"].tolist() == texts


@given(st.binary(max_size=200))
def test_what_is_no_message_is_said_to_be_none(content):
    one, other = socket.socketpair()
    with one, other:
        one.sendall(content)
        one.close()
        with pytest.raises(wire.Closed):
            wire.receive(other, 10)


def test_who_says_nothing_is_late():
    one, other = socket.socketpair()
    with one, other, pytest.raises(wire.Late):
        wire.receive(other, 0.01)
