"""Rows of JSON lines: read, held against the signature, written again."""

import re
from dataclasses import replace
from typing import Any

import pytest

from signet.clients.score.chunk_scoring import ScoredChunk, score
from signet.clients.score.formats import Format
from signet.clients.score.input.chunk import Chunk, Position
from signet.clients.score.input.json_rows import JsonRows, parse
from signet.clients.score.input.lines import TextLine
from signet.clients.score.input.sources import Source
from signet.clients.score.plan import Plan, mapping
from signet.serving.errors import InvalidInput, TooLarge, UsageError
from tests.clients.score.conftest import signature, total

X = signature(x=("float", (None, None)))
AB = signature(a=("float", (None, 2)), b=("string", (None,)))


def plan(of=X, maps=(), **options: Any) -> Plan:
    return Plan(of, mapping(maps, of), options.get("carry"), options.get("prefix", ""), False, Format("jsonl"))


def lines(*texts: str) -> list[TextLine]:
    return [TextLine(number, text.encode()) for number, text in enumerate(texts, 1)]


def scored(texts: list[TextLine], predict=total, how: Plan | None = None) -> ScoredChunk:
    source = Source("in.jsonl", Format("jsonl"), 100)
    return score(Chunk(source, Position(), Position(row=len(texts)), texts, 100), how or plan(), predict)


def letters(done: ScoredChunk) -> str:
    return b"".join(done.letters.lines).decode()


@pytest.mark.parametrize(
    ("text", "of", "document"),
    [
        ('{"id": 7, "x": [1, 2]}', X, {"id": 7, "x": [1, 2]}),
        ("[1, 2]", X, {"x": [1, 2]}),
        ('"text"', X, {"x": "text"}),
        ('{"b64": "YQ=="}', X, {"x": {"b64": "YQ=="}}),
        ('{"b": "é", "a": [1, 2], "ok": true}', AB, {"a": [1, 2], "b": "é", "ok": True}),
    ],
)
def test_lines_become_rows(text, of, document):
    assert parse(text.encode(), plan(of)) == document


@pytest.mark.parametrize(
    ("text", "of", "problem"),
    [
        (b'{"x": [1}', X, "it is not JSON: Expecting ',' delimiter at character 8"),
        (b"\xff\n", X, "it is not JSON: 'utf-8' codec can't decode byte 0xff"),
        (b'{"id": 1, "xx": [1]}', X, "missing input 'x'; unknown inputs 'id', 'xx' (did you mean 'x'?)"),
        (b"[1, 2]", AB, "it is no object; expected one with the inputs"),
        (b'{"b64": "YQ=="}', AB, "missing inputs 'a', 'b'; unknown input 'b64'"),
    ],
)
def test_lines_that_are_no_rows_are_explained(text, of, problem):
    with pytest.raises(InvalidInput, match=re.escape(problem)):
        parse(text, plan(of))


def test_inputs_lie_where_the_mapping_says():
    how = plan(maps=["x=v"])
    assert scored(lines('{"v": [1, 2], "x": 0}'), how=how).block == b'{"x":0,"y":3.0}\n'
    how = plan(maps=["x=u,v"], carry=())
    assert scored(lines('{"u": 1, "v": 2, "id": 3}'), how=how).block == b'{"y":3.0}\n'
    assert "\"it has no key 'v', which --map names\"" in letters(scored(lines('{"u": 1}'), how=how))


def groups(*values: str) -> list[tuple[list[int], Any]]:
    batch = JsonRows(lines(*values), plan())
    return [(places, arrays["x"].tolist()) for places, arrays in batch.groups()]


def test_rows_of_equal_shapes_go_together():
    assert groups("[1, 2]", "[3, 4]") == [([0, 1], [[1, 2], [3, 4]])]
    assert groups("[1, 2]", "[3]", "[4, 5]", "[]", "[6]") == [
        ([0, 2], [[1, 2], [4, 5]]),
        ([1, 4], [[3], [6]]),
        ([3], [[]]),
    ]


@pytest.mark.parametrize(
    ("values", "place", "problem"),
    [
        (("[1, 2]", '[3, "a"]'), 1, "input 'x'[1] is the string \"a\"; the model takes numbers (float)"),
        (("[1, 2]", "3"), 1, "input 'x' has shape (); the model takes (None,)"),
        (("[1, true]",), 0, "input 'x'[1] is the boolean true; the model takes numbers (float)"),
        (("[1, [2]]", "[1]"), 0, "input 'x'[1] is a list"),
    ],
)
def test_rows_that_do_not_fit_are_bad(values, place, problem):
    batch = JsonRows(lines(*values), plan())
    batch.groups()
    assert list(batch.bad) == [place]
    assert problem in batch.bad[place]


def test_answers_come_after_what_is_carried_in_the_order_of_the_rows():
    done = scored(lines('{"x": [1, 2], "id": "a"}', '{"id": "b", "x": [3]}', '{"x": [4, 5]}'))
    assert done.block == b'{"id":"a","y":3.0}\n{"id":"b","y":3.0}\n{"y":9.0}\n'
    assert scored(lines('{"x": [1], "y": 5}'), how=plan(prefix="my_")).block == b'{"y":5,"my_y":1.0}\n'
    assert scored(lines('{"x": [1], "id": 5, "t": 1}'), how=plan(carry=("t",))).block == b'{"t":1,"y":1.0}\n'


@pytest.mark.parametrize(
    ("carried", "written"),
    [
        ('"id": 123456789012345678901234567890', '"id":123456789012345678901234567890'),
        ('"n": {"é": [1.5, 18446744073709551616]}', '"n":{"é": [1.5, 18446744073709551616]}'),
        ('"n": NaN', '"n":NaN'),
        ('"s": "\\ud800", "t": "\\u00e9"', '"s":"\\ud800","t":"é"'),
    ],
)
def test_what_is_carried_stays_what_it_is(carried, written):
    expected = "{" + written + ',"y":1.0}\n'
    assert scored(lines('{"x": [1], ' + carried + "}")).block.decode().replace('"t":"\\u00e9"', '"t":"é"') == expected


def test_answers_that_are_not_finite_are_written_bare():
    assert scored(lines("[NaN]", "[1]", "[Infinity]")).block == b'{"y":NaN}\n{"y":1.0}\n{"y":Infinity}\n'


def test_bad_rows_are_kept_with_their_place_and_reason():
    done = scored(lines('{"id": 1, "x": [1]}', '{"id": 2, "x": ["a"]}', "{", '{"x": [4], "y": NaN}'))
    assert done.block == b'{"id":1,"y":1.0}\n'
    assert (done.rows, len(done.letters.lines)) == (4, 3)
    assert done.letters.first.startswith("in.jsonl line 2: input 'x'[0] is the string")
    first, second, third = done.letters.lines
    assert first.startswith(b'{"source":"in.jsonl","at":"line 2","reason":"input \'x\'[0] is the string')
    assert first.endswith(b'"row":{"id": 2, "x": ["a"]}}\n')
    assert second.endswith(b'"row":"{"}\n')
    assert b"it has a key 'y', as has the answer; give the outputs another --prefix" in third
    assert third.endswith(b'"row":{"x": [4], "y": NaN}}\n')


def test_the_row_that_the_server_refuses_is_found_by_halving():
    calls = []

    def picky(arrays):
        calls.append(len(arrays["x"]))
        if (arrays["x"] < 0).any():
            raise InvalidInput("below zero")
        return total(arrays)

    done = scored(lines("[1]", "[2]", "[-3]", "[4]", "[5]", "[6]", "[7]", "[8]"), picky)
    assert done.block.count(b"\n") == 7
    assert done.letters.first == "in.jsonl line 3: below zero"
    assert calls == [8, 4, 2, 2, 1, 1, 4]


def test_what_is_too_much_for_one_request_goes_in_smaller_ones():
    def small(arrays):
        if len(arrays["x"]) > 1:
            raise TooLarge("the most is 5 bytes")
        return total(arrays)

    assert scored(lines("[1]", "[2]"), small).block == b'{"y":1.0}\n{"y":2.0}\n'


def test_an_answer_without_rows_is_refused():
    with pytest.raises(UsageError, match=re.escape("output 'y' has shape () for 2 rows")):
        scored(lines("[1]", "[2]"), lambda arrays: {"y": arrays["x"].sum()})


def test_carried_keys_that_do_not_fit_the_first_rows_are_bad():
    import pyarrow as pa

    how = replace(plan(), schema=pa.schema([("id", pa.int64())]))
    batch = JsonRows(lines('{"id": 1, "x": [1]}', '{"id": "a", "x": [1]}', '{"x": [1]}', '{"z": 1, "x": [1]}'), how)
    assert batch.bad.keys() == {1, 3}
    assert "its key 'id' is not int64, as in the first rows" in batch.bad[1]
    assert "it has a key 'z', which the first rows lack" in batch.bad[3]
    assert batch.carried_table([0, 2]).to_pylist() == [{"id": 1}, {"id": None}]


def test_a_line_that_is_no_text_is_kept_as_it_came():
    done = scored([TextLine(1, b'{"x": [1], "t": "\xff"}\n')])
    assert '"row":{"b64":"eyJ4IjogWzFdLCAidCI6ICL/In0="}' in letters(done)


def test_a_whole_number_beside_nan_is_written_as_it_was_read():
    done = scored(lines('{"x": [NaN], "id": 18446744073709551616}'))
    assert done.block == b'{"id":18446744073709551616,"y":NaN}\n'
