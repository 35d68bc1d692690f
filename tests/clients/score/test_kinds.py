"""Every type of Arrow and any JSON, carried and as an input: a value, a dead letter or a sentence, never a traceback."""

import datetime
import decimal
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from signet.clients.score.chunk_scoring import score
from signet.clients.score.formats import Format
from signet.clients.score.input import arrow_rows, json_rows
from signet.clients.score.input.chunk import Chunk, Position
from signet.clients.score.input.lines import TextLine
from signet.clients.score.input.sources import Source
from signet.clients.score.output import arrow_encoders, parts
from signet.clients.score.plan import Plan, mapping
from signet.serving.errors import SignetError
from tests.clients.score.conftest import signature

CENTS = decimal.Decimal("1.50")
NUMBERS = [
    *(pa.int8(), pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64(), pa.float16(), pa.float32(), pa.float64()),
    *(pa.date32(), pa.date64(), pa.time32("s"), pa.time32("ms"), pa.time64("us"), pa.time64("ns")),
    *(pa.duration("s"), pa.duration("ns"), pa.timestamp("s"), pa.timestamp("ms", "Europe/Berlin")),
    *(pa.timestamp("ns"), pa.timestamp("us", "+02:00"), pa.bool_(), pa.null()),
]
TEXTS = [pa.string(), pa.large_string(), pa.string_view(), pa.binary(), pa.large_binary(), pa.binary_view()]
DECIMALS = [pa.decimal32(5, 2), pa.decimal64(5, 2), pa.decimal128(5, 2), pa.decimal256(50, 2)]
NESTED = [
    (pa.list_(pa.int64()), [1]), (pa.large_list(pa.int64()), [1]), (pa.list_(pa.int64(), 2), [1, 2]),
    (pa.list_(pa.string_view()), ["a"]), (pa.list_(pa.decimal128(5, 2)), [CENTS]), (pa.list_(pa.float16()), [1.5]),
    (pa.struct([("a", pa.int64())]), {"a": 1}), (pa.struct([]), {}), (pa.map_(pa.string(), pa.int64()), [("k", 1)]),
    (pa.map_(pa.binary(), pa.decimal128(5, 1)), [(b"k", CENTS)]),
    (pa.list_(pa.timestamp("ns")), [datetime.datetime(2024, 1, 1)]), (pa.list_view(pa.int64()), [1]),
    (pa.struct([("t", pa.time64("ns"))]), {"t": datetime.time(1)}),
]  # fmt: skip
COLUMNS = [
    *(pa.array([{"bool": True, "null": None}.get(str(kind), 1), None], kind) for kind in NUMBERS),
    *(pa.array(["a", None], pa.string()).cast(kind) for kind in TEXTS),
    *(pa.array([CENTS, None], kind) for kind in DECIMALS),
    *(pa.array([value, None], kind) for kind, value in NESTED),
    pa.array([2**64 - 1, 1], pa.uint64()),
    pa.array([float("nan"), float("inf")]),
    pa.array([b"ab", None], pa.binary(2)),
    pa.array(["a", None]).dictionary_encode(),
    pa.array([1, None]).dictionary_encode(),
    pa.array([10**18, None], pa.timestamp("s")),  # a year that no calendar has
    pa.array([2**62, None], pa.duration("ns")),
    pa.array([pa.MonthDayNano([1, 2, 3]), None]),
    pa.ExtensionArray.from_storage(pa.uuid(), pa.array([b"0" * 16, None], pa.binary(16))),
    pa.ExtensionArray.from_storage(pa.json_(), pa.array(['{"a":1}', None])),
    pa.ExtensionArray.from_storage(pa.bool8(), pa.array([1, None], pa.int8())),
    pa.RunEndEncodedArray.from_arrays([2], ["a"]),
    pa.UnionArray.from_sparse(pa.array([0, 1], pa.int8()), [pa.array([1, 2]), pa.array(["a", "b"])]),
]


def taken(table: Any, of: Any, output: str, path: Path) -> tuple[int, int]:
    """Rows that were scored and written, and bad ones; a sentence is as good."""
    chunk = Chunk(Source("in.parquet", Format("parquet"), 100), Position(), Position(row=2), table, 100)
    plan = Plan(of, mapping([], of), None, "", False, Format(output))
    try:
        if output != "jsonl":
            plan = arrow_rows.fitted([chunk], plan)
            arrow_encoders.check_carried(plan)
        done = score(chunk, plan, lambda arrays: {"y": np.zeros(len(arrays["x"]), np.float32)})
        with parts.part_writer(plan, path, True) as part:
            part.append(done.block)
    except SignetError as error:
        assert str(error)  # noqa: PT017
        return 0, 0
    assert all(json.loads(line) for line in done.letters.lines)
    return done.written, len(done.letters.lines)


@pytest.mark.parametrize("output", ["jsonl", "csv", "parquet", "arrow", "tfrecord"])
def test_a_column_of_any_type_is_carried_or_refused_with_a_sentence(output, tmp_path):
    of = signature(x=("float", (None, 2)))
    refused = 0
    for column in COLUMNS:
        for second in ([3.0, 4.0], [3.0]):
            found = taken(pa.table({"v": column, "x": [[1.0, 2.0], second]}), of, output, tmp_path / "out")
            assert found in ((2, 0), (1, 1), (0, 0))
            refused += found == (0, 0)
    assert refused <= {"jsonl": 2, "csv": 2, "parquet": 8, "arrow": 0}.get(output, 2 * len(COLUMNS) - 20)


@pytest.mark.parametrize("dtype", ["float", "half", "double", "int32", "uint8", "int64", "bool", "string"])
def test_an_input_of_any_type_is_taken_or_a_dead_letter(dtype, tmp_path):
    for shape in ((None,), (None, 2), (None, None)):
        for column in COLUMNS:
            written, bad = taken(pa.table({"x": column}), signature(x=(dtype, shape)), "jsonl", tmp_path / "out")
            assert written + bad == 2


LEAVES = st.sampled_from(
    ["1", "0.1", "1.5e300", "1e400", "true", "null", '"a"', '"\\ud83d"', '"é"', "NaN", "-Infinity", "{}", "[]"]
    + [str(number) for number in (2**53 + 1, 2**63, 2**64, -(2**63) - 1, 10**30)]
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda parts: f"[{','.join(parts)}]"),
        st.dictionaries(st.sampled_from("ab"), inner, max_size=2).map(
            lambda parts: "{" + ",".join(f'"{key}":{value}' for key, value in parts.items()) + "}"
        ),
    ),
    max_leaves=5,
)
ROWS = st.builds(
    lambda x, v: f'{{"x":{x},"v":{v}}}', st.sampled_from(["[1,2]", "[1,2]", "[1]", "null", "[1e400,NaN]"]), VALUES
)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    texts=st.lists(st.one_of(ROWS, VALUES), min_size=1, max_size=5),
    output=st.sampled_from(["jsonl", "csv", "parquet", "arrow", "tfrecord"]),
    non_finite=st.sampled_from(["bare", "null", "string"]),
)
def test_lines_of_any_json_are_values_dead_letters_or_a_sentence(texts, output, non_finite, tmp_path):
    lines = [TextLine(number, text.encode()) for number, text in enumerate(texts, 1)]
    chunk = Chunk(Source("in.jsonl", Format("jsonl"), 100), Position(), Position(row=len(lines)), lines, 100)
    of = signature(x=("float", (None, 2)))
    plan = Plan(of, mapping([], of), None, "", False, Format(output), non_finite)
    try:
        if output != "jsonl":
            plan = json_rows.fitted([chunk], plan)
        done = score(chunk, plan, lambda arrays: {"y": np.zeros(len(arrays["x"]), np.float32)})
        with parts.part_writer(plan, tmp_path / "out", True) as part:
            part.append(done.block)
    except SignetError as error:
        assert output != "jsonl", error  # noqa: PT017
        return
    assert done.written + len(done.letters.lines) == len(lines)
    if output == "jsonl":
        kept = [json.loads(line) for line in done.block.splitlines()]
        good = [json.loads(text) for text in texts if isinstance(json.loads(text), dict)]
        carried = [json.dumps(row["v"]) for row in kept if "v" in row]
        assert non_finite != "bare" or set(carried) <= {json.dumps(row.get("v")) for row in good}
        assert non_finite == "bare" or b":NaN" not in done.block
