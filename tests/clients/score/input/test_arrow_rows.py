"""Rows of Arrow tables: which arrays they make, what is bad, what is carried; and the tables that are written."""

import datetime
import decimal
import re
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from signet.clients.client import values
from signet.clients.score.chunk_scoring import score
from signet.clients.score.formats import Format
from signet.clients.score.input.arrow_rows import ArrowRows
from signet.clients.score.input.chunk import Chunk, Position
from signet.clients.score.input.csv_records import CsvRecords, Record
from signet.clients.score.input.sources import Source
from signet.clients.score.output import arrow_encoders
from signet.clients.score.plan import Plan, find, mapping
from signet.serving.errors import InvalidInput, Unsupported, UsageError
from signet.serving.tables.csv_dialect import Dialect
from signet.serving.tables.output_columns import output_columns
from signet.serving.tensors.signature import Signature, TensorSpec
from tests.clients.score.conftest import BY_NAME, signature, total

FLOATS = signature(x=("float", (None, 2)))


def plan(of: Signature, maps: Any = (), **options: Any) -> Plan:
    defaults = {"carry": None, "prefix": "", "flat": False, "format": Format("jsonl"), **options}
    return Plan(of, maps or mapping([], of), **defaults)


def chunk(content: Any, rows: int, kind: str = "parquet") -> Chunk:
    return Chunk(Source(f"in.{kind}", Format(kind), 100), Position(), Position(row=rows), content, 100)


def batch(of: Signature, columns: dict[str, Any], maps: Any = ()) -> ArrowRows:
    table = pa.table(columns)
    return ArrowRows(chunk(table, table.num_rows), plan(of, maps))


def csv(of: Signature, header: str, *records: str, maps: Any = ()) -> ArrowRows:
    names = header.split(",")
    dialect = Dialect(",", "utf-8", "double")
    found = CsvRecords(
        tuple(names), [Record(None, text + "\n", line, line, 0) for line, text in enumerate(records, 2)], dialect, ""
    )
    return ArrowRows(chunk(found, len(records), "csv"), plan(of, maps or find(mapping([], of), names, "in.csv")))


NESTED = [[1.0, 2.0], [3.0, 4.0]]


@pytest.mark.parametrize(
    "column",
    [
        pa.array(NESTED, pa.list_(pa.float32())),
        pa.array(NESTED, pa.list_(pa.float64())),
        pa.array(NESTED, pa.list_(pa.float32(), 2)),
        pa.array(NESTED, pa.large_list(pa.float32())),
        pa.array([[1, 2], [3, 4]], pa.list_(pa.int8())),
        pa.chunked_array([pa.array(NESTED[:1]), pa.array(NESTED[1:])]),
    ],
)
def test_lists_are_the_rows_of_an_array(column):
    ((places, arrays),) = batch(FLOATS, {"x": column}).groups()
    assert places == [0, 1]
    assert arrays["x"].dtype == np.float32
    assert arrays["x"].tolist() == NESTED


def test_a_slice_of_a_table_is_not_the_whole():
    table = pa.table({"x": [[9.0, 9.0], *NESTED, [9.0, 9.0]]}).slice(1, 2)
    ((_, arrays),) = ArrowRows(chunk(table, 2), plan(FLOATS)).groups()
    assert arrays["x"].tolist() == NESTED
    fixed = pa.table({"x": pa.array([[9.0, 9.0], *NESTED], pa.list_(pa.float32(), 2))}).slice(1, 2)
    ((_, arrays),) = ArrowRows(chunk(fixed, 2), plan(FLOATS)).groups()
    assert arrays["x"].tolist() == NESTED


def test_flat_lists_get_the_shape_of_the_input():
    image = signature(x=("float", (None, 2, 1, 1)))
    for column in (NESTED, [[[[1.0]], [[2.0]]], [[[3.0]], [[4.0]]]]):
        ((_, arrays),) = batch(image, {"x": column}).groups()
        assert arrays["x"].shape == (2, 2, 1, 1)
    ((_, arrays),) = batch(signature(x=("int32", (None, 1))), {"x": [5, 6]}).groups()
    assert arrays["x"].tolist() == [[5], [6]]
    ((_, arrays),) = batch(signature(x=("int32", (None,))), {"x": [[5], [6]]}).groups()
    assert arrays["x"].tolist() == [5, 6]


def test_columns_side_by_side_are_one_input():
    ((_, arrays),) = batch(FLOATS, {"a": [1, 3], "b": [2.0, 4.0]}, {"x": ("a", "b")}).groups()
    assert arrays["x"].tolist() == NESTED


@pytest.mark.parametrize(
    "column",
    [
        ["a", "é"],
        pa.array(["a", "é"], pa.large_string()),
        [b"a", "é".encode()],
        pa.array(["a", "é"]).dictionary_encode(),
    ],
)
def test_texts_are_bytes(column):
    ((_, arrays),) = batch(signature(s=("string", (None,))), {"s": column}).groups()
    assert arrays["s"].tolist() == [b"a", "é".encode()]


def test_rows_that_do_not_fit_are_bad_and_others_go_on():
    rows = batch(
        signature(x=("float", (None, 2)), k=("int8", (None,))),
        {"x": [[1.0, 2.0], None, [1.0], [1.0, None], [3.0, 4.0], [5.0, 6.0]], "k": [1, 2, 3, 4, 500, 6]},
    )
    ((places, arrays),) = rows.groups()
    assert places == [0, 5]
    assert arrays["x"].tolist() == [[1, 2], [5, 6]]
    assert arrays["k"].tolist() == [1, 6]
    assert rows.bad.keys() == {1, 2, 3, 4}
    assert rows.bad[1] == "input 'x' has no value: the column 'x' is null"
    assert rows.bad[2] == "input 'x' has shape (1,); the model takes (2,)"
    assert "input 'x'[1] is null" in rows.bad[3]
    assert "500" in rows.bad[4]
    assert rows.where(1) == "row 2"
    assert rows.original(2) == {"x": [1.0], "k": 3}


def test_rows_of_different_lengths_go_in_groups():
    rows = batch(signature(x=("int32", (None, None))), {"x": [[1], [2, 3], [4], []]})
    found = [(places, arrays["x"].tolist()) for places, arrays in rows.groups()]
    assert found == [([0, 2], [[1], [4]]), ([1], [[2, 3]]), ([3], [[]])]


def test_a_type_that_is_not_the_models_is_each_rows_mistake():
    rows = batch(FLOATS, {"x": ["a", "b"]})
    assert rows.groups() == []
    assert rows.bad[0] == "input 'x' is the text 'a'; the model takes float"
    assert batch(signature(x=("int32", (None,))), {"x": [1.5]}).groups() == []


# CSV


def test_text_is_read_as_the_numbers_that_it_writes():
    ((_, arrays),) = csv(FLOATS, "x_0,x_1", "1,2", "3e0, 4.0 ").groups()
    assert arrays["x"].tolist() == NESTED
    ((_, arrays),) = csv(FLOATS, "x", '"[1, 2]"', '"[3, 4]"').groups()
    assert arrays["x"].tolist() == NESTED


def test_records_that_are_broken_are_bad():
    rows = csv(
        signature(x=("int32", (None,))), "x,t", "1,a", "2", "3,a,b", "x,a", ",a", "6,\udcff", "99999999999,a", '8,"a,b"'
    )
    ((places, arrays),) = rows.groups()
    assert places == [0, 7]
    assert arrays["x"].tolist() == [1, 8]
    assert rows.carried(places) == [{"t": "a"}, {"t": "a,b"}]
    assert rows.bad[1] == "it has 1 cell, the header has 2"
    assert rows.bad[2] == "it has 3 cells, the header has 2"
    assert rows.bad[3] == "input 'x' is the text 'x'; the model takes int32"
    assert rows.bad[4] == "input 'x' is the text ''; the model takes int32"
    assert rows.bad[5] == "the column 't' holds the byte 0xff, which is no utf-8; say --encoding"
    assert rows.original(2) == "3,a,b"
    assert rows.original(5) == {"b64": "Niz/"}
    assert rows.bad[6] == "input 'x' is the text '99999999999'; the model takes int32"
    assert rows.where(2) == "line 4"


def test_what_csv_carries_stays_text():
    rows = csv(FLOATS, "zip,x_0,x_1", "007,1,2", ",3,4")
    assert rows.carried([0, 1]) == [{"zip": "007"}, {"zip": ""}]


# Carried values as JSON


def test_decimals_are_numbers():
    cents = decimal.Decimal("1.50")
    for column in (
        pa.array([[cents, 2], [3, 4]], pa.list_(pa.decimal128(10, 2))),
        pa.array([[1, 2], [3, 4]], pa.list_(pa.decimal128(10, 0))),
    ):
        ((_, arrays),) = batch(FLOATS, {"x": column}).groups()
        assert arrays["x"].tolist()[1] == [3, 4]
    rows = batch(FLOATS, {"x": pa.array([[cents, 2], None, [cents]], pa.list_(pa.decimal128(10, 2)))})
    assert [places for places, _ in rows.groups()] == [[0]]
    ((_, arrays),) = batch(signature(x=("int64", (None,))), {"x": pa.array([2**53 + 1], pa.decimal128(18, 0))}).groups()
    assert arrays["x"].tolist() == [2**53 + 1]
    rows = batch(signature(x=("float", (None,))), {"x": [decimal.Decimal("1.50"), None]})
    rows.groups()
    assert values.dumps(rows.original(0)) == b'{"x":1.50}'


@pytest.mark.parametrize("kind", [pa.string_view(), pa.binary_view(), pa.run_end_encoded(pa.int32(), pa.string())])
def test_texts_in_views_are_texts(kind):
    plain = pa.array(["a", "a"], pa.binary() if kind == pa.binary_view() else pa.string())
    column = pa.RunEndEncodedArray.from_arrays([2], ["a"]) if pa.types.is_run_end_encoded(kind) else plain.cast(kind)
    rows = batch(signature(s=("string", (None,))), {"s": column, "t": column})
    ((places, arrays),) = rows.groups()
    assert arrays["s"].tolist() == [b"a", b"a"]
    assert len(rows.carried(places)) == 2


def test_a_null_text_is_a_bad_row():
    rows = batch(signature(s=("string", (None,))), {"s": ["a", None, "c"]})
    ((places, arrays),) = rows.groups()
    assert (places, arrays["s"].tolist()) == ([0, 2], [b"a", b"c"])
    assert rows.bad == {1: "input 's' has no value: the column 's' is null"}


def test_times_of_nanoseconds_are_written_in_full():
    nanoseconds = 1_704_067_200_123_456_789
    columns = {
        "t": pa.array([nanoseconds, None], pa.timestamp("ns", "UTC")),
        "u": pa.array([nanoseconds // 1000 * 1000, None], pa.timestamp("ns")),
        "c": pa.array([1, None], pa.time64("ns")),
        "d": pa.array([1_500, None], pa.duration("ns")),
        "l": pa.array([[1000], None], pa.list_(pa.timestamp("ns"))),
        "x": NESTED,
    }
    first, second = batch(FLOATS, columns).carried([0, 1])
    assert first == {
        "t": "2024-01-01T00:00:00.123456789+00:00",
        "u": "2024-01-01T00:00:00.123456",
        "c": "00:00:00.000000001",
        "d": "0:00:00.000001500",
        "l": [datetime.datetime(1970, 1, 1, 0, 0, 0, 1)],
    }
    assert set(second.values()) == {None}
    for late in (pa.array([10**18], pa.timestamp("s")), pa.array([10**9], pa.date32())):
        with pytest.raises(UsageError, match=r"the column 't' is .* and holds a time that cannot be written in JSON"):
            batch(FLOATS, {"t": late, "x": NESTED[:1]}).carried([0])


@pytest.mark.parametrize(
    ("how", "text"), [("bare", "NaN, -Infinity"), ("null", "null,null"), ("string", '"NaN","-Infinity"')]
)
def test_what_is_not_finite_is_written_as_chosen(how, text):
    table = pa.table({"f": [float("nan"), float("-inf")], "x": NESTED})
    arrays = {"y": np.float32([[np.nan, -np.inf], [1, 2]])}
    done = score(chunk(table, 2), plan(outputs(y=("float", (None, 2))), non_finite=how), lambda _: arrays)
    assert done.block.decode().splitlines()[0] == f'{{"f":{text.split(",")[0]},"y":[{text}]}}'


def test_columns_of_a_later_file_are_held_against_the_first():
    how = plan(FLOATS, format=Format("parquet"), schema=pa.schema([("id", pa.int64())]))
    for columns, problem in [({"id": [1], "n": [2]}, "has a column 'n', which"), ({}, "has other columns")]:
        made = ArrowRows(chunk(pa.table({**columns, "x": NESTED[:1]}), 1), how)
        with pytest.raises(UsageError, match=problem):
            made.carried_table([0])


def test_values_of_all_kinds_are_written_as_json():
    columns = {
        "f": pa.array([0.1, float("nan")], pa.float32()),
        "l": [[1.0, float("inf")], [-float("inf")]],
        "b": [b"a", None],
        "d": [datetime.date(2026, 11, 25), None],
        "n": [decimal.Decimal("1.50"), None],
        "s": [{"k": 1}, None],
        "x": NESTED,
    }
    carried = batch(FLOATS, columns).carried([0, 1])
    assert b"\n".join(map(values.dumps, carried)).decode().splitlines() == [
        '{"f":0.1,"l":[1.0,Infinity],"b":{"b64":"YQ=="},"d":"2026-11-25","n":"1.50","s":{"k":1}}',
        '{"f":NaN,"l":[-Infinity],"b":null,"d":null,"n":null,"s":null}',
    ]


# What is written


def outputs(**specs: tuple[str, tuple[int | None, ...] | None]) -> Signature:
    made = {name: TensorSpec(name, BY_NAME[dtype], shape, "") for name, (dtype, shape) in specs.items()}
    return Signature("sig", FLOATS.inputs, made)


def written(of: Signature, flat: bool, **arrays: Any) -> Any:
    table = pa.table({"id": [1, 2], "x": NESTED})
    how = plan(of, flat=flat, format=Format("arrow"), schema=pa.schema([("id", pa.int64())]))
    block = score(chunk(table, 2), how, lambda _: {name: np.array(value) for name, value in arrays.items()}).block
    assert block.schema == arrow_encoders.schema(how)
    block.validate(full=True)
    return block


DIGITS = outputs(digit=("float", (None, 2)), age=("double", (None, 1)), best=("int64", (None,)))
ARRAYS = {"digit": np.float32([[1, 2], [3, 4]]), "age": [[5.0], [6.0]], "best": [7, 8]}


def test_outputs_are_nested_columns_or_flat_ones():
    assert written(DIGITS, False, **ARRAYS).to_pylist() == [
        {"id": 1, "digit": [1, 2], "age": [5], "best": 7},
        {"id": 2, "digit": [3, 4], "age": [6], "best": 8},
    ]
    assert written(DIGITS, True, **ARRAYS).to_pylist() == [
        {"id": 1, "digit_0": 1, "digit_1": 2, "age": 5, "best": 7},
        {"id": 2, "digit_0": 3, "digit_1": 4, "age": 6, "best": 8},
    ]


def test_outputs_of_any_shape_and_type_are_columns():
    of = outputs(
        deep=("int32", (None, 2, 1)), free=("half", (None, None)), s=("string", (None,)), s_bytes=("string", (None,)),
        yes=("bool", (None,)),
    )  # fmt: skip
    made = written(
        of, False, deep=np.int32([[[1], [2]], [[3], [4]]]), free=np.float16([[1], [2]]), yes=[True, False],
        s=np.array([b"a", b"\xff"], object), s_bytes=np.array([b"a", b"\xff"], object),
    )  # fmt: skip
    assert made.to_pylist() == [
        {"id": 1, "deep": [[1], [2]], "free": [1], "s": "a", "s_bytes": b"a", "yes": True},
        {"id": 2, "deep": [[3], [4]], "free": [2], "s": "\ufffd", "s_bytes": b"\xff", "yes": False},
    ]


def test_rows_of_several_groups_come_back_in_their_order():
    of = Signature(
        "sig", {"x": TensorSpec("x", BY_NAME["float"], (None, None), "")}, outputs(y=("float", (None,))).outputs
    )
    table = pa.table({"id": [1, 2, 3, 4], "x": [[1.0], [2.0, 3.0], None, [4.0]]})
    how = plan(of, format=Format("arrow"), schema=pa.schema([("id", pa.int64())]))
    done = score(chunk(table, 4), how, total)
    assert done.block.to_pylist() == [{"id": 1, "y": 1}, {"id": 2, "y": 5}, {"id": 4, "y": 4}]
    assert len(done.letters.lines) == 1


@pytest.mark.parametrize(
    ("of", "flat", "kind", "problem"),
    [
        (outputs(y=("float", (None, None))), True, UsageError, "output 'y' of shape (None, None) has no fixed number"),
        (outputs(y=("float", (None, 101, 100))), True, UsageError, "would become 10100 columns, the most is 10000"),
        (outputs(y=("float", None)), False, UsageError, "output 'y' has no known rank"),
        (outputs(y=("complex64", (None,))), False, Unsupported, "output 'y' is complex64 that has no column type"),
    ],
)
def test_outputs_that_are_no_columns_are_explained(of, flat, kind, problem):
    with pytest.raises(kind, match=re.escape(problem)):
        arrow_encoders.schema(plan(of, flat=flat, schema=pa.schema([])))


def test_flat_names_are_those_that_make_an_input():
    names = [column.name for column in output_columns(outputs(y=("float", (None, 2, 2))), "my_", True)]
    assert names == ["my_y_0_0", "my_y_0_1", "my_y_1_0", "my_y_1_1"]


def test_a_refused_row_of_a_table_is_found():
    def picky(arrays):
        if (arrays["x"] == 3).any():
            raise InvalidInput("three")
        return total(arrays)

    how = plan(FLOATS, schema=pa.schema([]), format=Format("parquet"))
    done = score(chunk(pa.table({"x": NESTED}), 2), how, picky)
    assert done.block.to_pylist() == [{"y": 3}]
    assert done.letters.lines[0].startswith(
        b'{"source":"in.parquet","at":"row 2","reason":"three","row":{"x":[3.0,4.0]}}'
    )
