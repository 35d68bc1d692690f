"""Arrow and Parquet as rows of JSON: every type that has a word there, none lost in silence, and nothing without bounds."""

import base64
import io
import json
import math
from datetime import UTC, date, datetime
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import feather

from signet.serving.errors import InvalidInput, TooLarge
from signet.serving.tables import arrow_rows
from tests.serving.tables.test_round_trip import parquet, stream

MOST = 1 << 26
WHEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def file(table: pa.Table) -> bytes:
    out = io.BytesIO()
    feather.write_feather(table, out)
    return out.getvalue()


FORMS = {"stream": ("arrow", stream), "file": ("arrow", file), "parquet": ("parquet", parquet)}


def read(table: pa.Table, name: str = "parquet", most_rows: int = 10_000, most_bytes: int = MOST) -> dict:
    form, written = FORMS[name]
    return json.loads(arrow_rows.read(written(table), form, most_rows, most_bytes))


@pytest.mark.parametrize("name", FORMS)
def test_each_type_is_what_json_has_for_it(name):
    table = pa.table(
        {
            "id": [2**60, 1],
            "x": pa.array([0.1, math.nan], pa.float32()),
            "w": pa.array([None, -math.inf]),
            "ok": [True, None],
            "price": [Decimal("1.5"), None],
            "text": ["<b>", ""],
            "blob": [b"\xff", None],
            "words": [["to", "be"], []],
            "grid": [[[1.0, 2.0]], None],
            "colour": pa.array(["red", "red"]).dictionary_encode(),
            "when": [WHEN, None],
            "day": [date(2026, 1, 2), None],
            "nothing": pa.nulls(2),
            "address": [{"town": "Bonn"}, None],
        }
    )
    told = read(table, name)
    assert told["left_out"] == ["address"]
    assert told["columns"] == table.column_names[:-1]
    first, second = told["rows"]
    blob = base64.b64encode(b"\xff").decode()
    assert first == {
        "id": 2**60, "x": 0.1, "w": None, "ok": True, "price": 1.5, "text": "<b>", "blob": {"b64": blob},
        "words": ["to", "be"], "grid": [[1.0, 2.0]], "colour": "red", "when": "2026-01-02 03:04:05.000000",
        "day": "2026-01-02", "nothing": None,
    }  # fmt: skip
    missing = dict.fromkeys(("ok", "price", "blob", "grid", "when", "day", "nothing"))
    assert second == {"id": 1, "x": "NaN", "w": "-Infinity", "text": "", "words": [], "colour": "red", **missing}


@given(
    st.lists(
        st.tuples(st.integers(-(2**63), 2**63 - 1), st.floats(), st.text(st.characters(exclude_categories=["Cs"]))),
        min_size=1,
        max_size=5,
    )
)
def test_whatever_is_in_it_comes_out(rows):
    columns = dict(zip(("i", "f", "s"), map(list, zip(*rows, strict=True)), strict=True))
    table = pa.table({"i": pa.array(columns["i"], pa.int64()), "f": pa.array(columns["f"]), "s": columns["s"]})
    found = [(row["i"], float(row["f"]), row["s"]) for row in read(table)["rows"]]
    assert repr(found) == repr(rows)  # NaN and -0.0, too


def test_what_is_too_much_is_refused():
    with pytest.raises(TooLarge, match="4 rows; here it may have 3"):
        read(pa.table({"x": range(4)}), most_rows=3)
    with pytest.raises(TooLarge, match="more than 3 rows"):
        read(pa.table({"x": range(4)}), "stream", most_rows=3)
    with pytest.raises(TooLarge, match="more than 1,000 bytes"):
        read(pa.table({"x": ["a" * 2000]}), most_bytes=1000)
    repeated = pa.DictionaryArray.from_arrays(pa.array([0] * 100, pa.int8()), ["a" * 1000])
    with pytest.raises(TooLarge, match="more than 10,000 bytes"):
        read(pa.table({"x": repeated}), "stream", most_bytes=10_000)
    with pytest.raises(TooLarge, match="more than 2,097,152 values"):
        read(pa.table({"x": [[True] * 300_000] * 7}))
    with pytest.raises(TooLarge, match="more than 100,000 bytes as JSON"):
        read(pa.table({"a long name" * 1_000: range(100)}), most_bytes=100_000)
    with pytest.raises(TooLarge, match="more than 10,000 bytes as JSON"):
        read(pa.table({"x": ["\x01" * 1_000] * 9}), most_bytes=10_000)  # six times as long


def test_many_batches_of_many_empty_columns_are_too_much(monkeypatch):
    batch = pa.record_batch({f"x{place}": pa.array([], pa.int8()) for place in range(5_000)})
    out = io.BytesIO()
    with pa.ipc.new_stream(out, batch.schema) as writer:
        for _ in range(5):
            writer.write_batch(batch)
    monkeypatch.setattr(arrow_rows, "_MOST_ELEMENTS", 20_000)
    with pytest.raises(TooLarge, match="more than 20,000 values"):
        arrow_rows.read(out.getvalue(), "arrow", 10_000, MOST)


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"PAR1 and no more", "malformed"),
        (parquet(pa.table({"x": range(9)}))[:-20], "malformed"),
        (parquet(pa.table({"x": pa.array([], pa.int8())})), "no rows"),
        (parquet(pa.table([[1], [2]], names=["a", "a"])), "2 columns, 1 names"),
    ],
)
def test_what_is_no_table_is_told(body, problem):
    with pytest.raises(InvalidInput, match=problem):
        arrow_rows.read(body, "parquet", 100, MOST)
