"""Answers, signatures and clients as a terminal and a notebook show them."""

import pickle
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signet import Client
from signet.clients.client.answer import Answer
from signet.clients.client.calls import Version
from signet.clients.client.http_messages import Model
from signet.serving.tensors import dtypes
from signet.serving.tensors.signature import Signature, TensorSpec


def spec(name, dtype, shape):
    return TensorSpec(name, dtypes.from_numpy(np.dtype(dtype)) if dtype else None, shape, f"{name}:0")


ASK = Signature(
    "ask", {"text": spec("text", object, (None,))}, {"p": spec("p", "f4", (None, 3)), "odd": spec("odd", None, None)}
)


class Cells(HTMLParser):
    """The rows of the only table; raises for one that is not closed."""

    def __init__(self, html):
        super().__init__()
        self.rows, self.open = [], []
        self.feed(html)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        assert not attrs
        self.open.append(tag)
        if tag in ("tr", "caption"):
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1] == "caption":
            self.rows[-1].append(data)
        else:
            self.rows[-1][-1] += data


def test_an_answer_is_a_dictionary_that_knows_who_answered():
    answer = Answer({"p": np.zeros((2, 3), np.float32)}, "qa", 3)
    again = pickle.loads(pickle.dumps(answer))
    for one in (answer, again):
        assert (type(one), one.model, one.version, list(one)) == (Answer, "qa", 3, ["p"])
    assert Answer({"n": 1}) == {"n": 1}


def test_a_terminal_shows_an_answer_short():
    answer = Answer({"p": np.linspace(0, 1, 3000, dtype=np.float32).reshape(1000, 3), "text": np.array(["a"] * 1000)})
    shown = repr(answer)
    assert shown.startswith("{'p': array([[0.")
    assert "shape=(1000, 3)" in shown
    assert len(shown) < 400
    assert np.get_printoptions()["threshold"] == 1000


def test_a_notebook_shows_rows_by_output():
    answer = Answer(
        {"p": np.array([[0.5, 0.25]] * 12, np.float32), "who": np.array(["<b>", "x" * 99] * 6, object)}, "qa", 3
    )
    caption, head, first, second, *rest = Cells(answer._repr_html_()).rows
    assert caption == ["qa, version 3: 12 rows"]
    assert head == ["", "p: float32 (12, 2)", "who: text (12,)"]
    assert first == ["0", "0.5, 0.25", "<b>"]
    assert second[2] == "x" * 59 + "…"
    assert len(rest) == 9
    assert rest[-1] == ["…", "…", "…"]


@pytest.mark.parametrize(
    ("outputs", "rows"),
    [
        pytest.param({"n": np.array(7)}, [["n", "int64 ()", "7"]], id="a scalar"),
        pytest.param(
            {"a": np.arange(6), "b": np.zeros((2, 2))},
            [["a", "int64 (6,)", "0, 1, 2, 3, … (6)"], ["b", "float64 (2, 2)", "0, 0, 0, 0"]],
            id="no rows in common",
        ),
        pytest.param({}, [], id="nothing"),
    ],
)
def test_a_notebook_shows_what_has_no_rows(outputs, rows):
    shown = Cells(Answer(outputs)._repr_html_()).rows
    assert shown == [["output", "", "value"], *rows]


@given(
    st.text(), st.integers(0, 30), st.sampled_from([(), (1,), (0,), (5,), (2, 3)]), st.sampled_from("?bBhHiIlLefdFDO")
)
def test_every_answer_can_be_shown(name, rows, inner, dtype):
    answer = Answer({name: np.zeros((rows, *inner), dtype), "two": np.zeros(rows)}, name, rows)
    assert "\n" in repr(answer) or repr(answer)
    head = Cells(answer._repr_html_()).rows
    assert len(head[-1]) == (2 if name == "two" else 3)


def test_signatures_versions_and_models_are_told_by_names_and_shapes():
    line = "ask: text: string (None,) → p: float (None, 3), odd: unsupported of any rank"
    assert repr(ASK) == f"<Signature {line}>"
    assert repr(ASK.inputs["text"]) == "<TensorSpec text: string (None,)>"
    assert repr(Version("qa", 3, {"ask": ASK})) == f"<Version 3 of qa: {line}>"
    assert repr(Model("qa", (3, 1), {"ask": ASK})) == f"<Model qa, versions 3, 1; {line}>"
    assert repr(Model("qa", (), {}, "it is loading")) == "<Model qa, no version: it is loading>"


def test_signatures_versions_and_models_are_tables_in_a_notebook():
    rows = [
        ["signature", "", "name", "dtype", "shape"],
        ["ask", "input", "text", "string", "(None,)"],
        ["ask", "output", "p", "float", "(None, 3)"],
        ["ask", "output", "odd", "unsupported", "of any rank"],
    ]
    assert Cells(ASK._repr_html_()).rows == rows
    assert Cells(Version("qa", 3, {"ask": ASK})._repr_html_()).rows == [["qa, version 3"], *rows]
    assert Cells(Model("qa", (3, 1), {"ask": ASK})._repr_html_()).rows == [["qa, versions 3, 1"], *rows]


def test_a_client_says_where_it_sends_to_and_no_secret():
    with Client("http://user:pass@localhost:8080", key="signet_a_b") as client:
        assert repr(client) == "Client('http://localhost:8080')"
