"""Records as Arrow, and through a stream and a Parquet file back to what they were."""

import math

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from signet.serving.gateway.request_log import tables
from signet.serving.gateway.request_log.shipping import to_parquet
from signet.serving.gateway.request_log.streams import Stream
from signet.serving.models.request_columns import FACTS, OUTPUT, REQUEST, Logged, of_metadata
from signet.serving.tensors.dtypes import ROWS
from tests.serving.gateway.request_log.made import a_plan, record, scored, signature

SCORED = [row for row in ROWS if not row.name.startswith("complex")]


def written(folder, records, binary=frozenset()):
    """The Parquet file that a stream of the records becomes."""
    batch = tables.batch(records, binary)
    stream = Stream(folder, "m/3/x.parquet", batch.schema, 0.0)
    stream.append(batch)
    stream.close()
    target = folder / "made.parquet"
    rows = to_parquet(stream.path, target)
    assert rows == batch.num_rows
    stream.path.unlink()
    return target


@st.composite
def requests(draw, rows_of):
    """A signature of one input and one output of any dtype and shape, and arrays of some requests of one shape."""
    dtype = draw(st.sampled_from(rows_of))
    # No 0 before the last axis: of such rows a list does not tell how many empty ones it would hold.
    inner = [*draw(st.lists(st.integers(1, 3), max_size=2)), *draw(st.lists(st.integers(0, 3), max_size=1))]
    declared = tuple(draw(st.sampled_from([size, None])) for size in inner)
    counts = draw(st.lists(st.integers(1, 3), min_size=1, max_size=3))

    def array(rows):
        shape = (rows, *inner)
        if dtype.is_string:
            texts = draw(st.lists(st.binary(max_size=5), min_size=math.prod(shape), max_size=math.prod(shape)))
            made = np.empty(math.prod(shape), object)
            made[:] = texts
            return made.reshape(shape)
        bits = draw(arrays_of.arrays(np.uint8, math.prod(shape) * dtype.numpy.itemsize))
        return (bits % 2).astype(bool).reshape(shape) if dtype.name == "bool" else bits.view(dtype.numpy).reshape(shape)

    kind = (dtype.name, (None, *declared))
    given = signature({"x": kind}, {"y": kind})
    return given, [(array(rows), array(rows), rows) for rows in counts]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("tables")


def same(one, other):
    if one.dtype == object:
        return one.tolist() == other.tolist()
    return one.dtype == other.dtype and np.array_equal(one, other, equal_nan=one.dtype.kind in "fcV")


@settings(max_examples=60, deadline=None)
@given(case=requests(SCORED))
def test_every_dtype_and_shape_is_scored_again_as_it_was(folder, case):
    made, sent = case
    plan = a_plan(made)
    records = [record(plan, {"x": x}, {"y": y}, rows) for x, y, rows in sent]
    path = written(folder, records, frozenset(["x", OUTPUT + "y"]))
    expected = [row for x, _, _ in sent for row in x]
    found = [row["x"] for row in scored(path, made)]
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert same(np.asarray(one), np.asarray(other))


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_a_complex_number_is_its_two_parts(folder, dtype):
    made = signature({"x": (dtype, (None, 2))}, {"y": (dtype, (None,))})
    x, y = np.array([[1 + 2j, 3 - 4j]], dtype), np.array([5j], dtype)
    table = pq.read_table(written(folder, [record(a_plan(made), {"x": x}, {"y": y}, 1)]))
    assert table["x"].to_pylist() == [[[1, 2], [3, -4]]]
    assert table["output.y"].to_pylist() == [[0, 5]]


def test_a_signature_without_rows_is_one_row_a_request(folder):
    made = signature({"x": ("float", (2,)), "k": ("int32", ())}, {"y": ("float", ())})
    plan = a_plan(made)
    arrays = {"x": np.array([1, 2], np.float32), "k": np.array(3, np.int32)}
    records = [record(plan, arrays, {"y": np.array(4, np.float32)}, 1) for _ in range(2)]
    table = pq.read_table(written(folder, records))
    assert table.select(["x", "k", "output.y"]).to_pylist() == [{"x": [1, 2], "k": 3, "output.y": 4}] * 2


def test_a_tensor_of_any_rank_is_typed_by_what_came(folder):
    made = signature({"x": ("float", None)}, {"y": ("int64", None)})
    arrays = {"x": np.ones((2, 1), np.float32)}
    table = pq.read_table(written(folder, [record(a_plan(made), arrays, {"y": np.array(7)}, 1)]))
    assert table.select(["x", "output.y"]).to_pylist() == [{"x": [[1], [1]], "output.y": 7}]


def test_facts_stand_beside_each_row_and_the_file_says_whose_they_are(folder):
    made = signature({"x": ("float", (None,))}, {"y": ("float", (None,))})
    plan = a_plan(made)
    records = [record(plan, {"x": np.ones(n, np.float32)}, {"y": np.ones(n, np.float32)}, n, n) for n in (2, 1)]
    file = pq.ParquetFile(written(folder, records))
    assert of_metadata(file.schema_arrow.metadata) == Logged("m", 3, "serving_default")
    rows = file.read().to_pylist()
    assert [REQUEST + fact for fact in FACTS] == file.schema_arrow.names[2:]
    assert [(row["request.id"], row["request.row"], row["request.key"]) for row in rows] == [
        ("id-2", 0, "bob"),
        ("id-2", 1, "bob"),
        ("id-1", 0, "bob"),
    ]
    assert rows[0]["request.time"].timestamp() == 1e9 + 2
    assert file.metadata.row_group(0).column(0).compression == "ZSTD"


def test_what_is_hidden_or_was_not_asked_for_is_null_of_the_same_type(folder):
    made = signature(
        {"x": ("float", (None, 2)), "t": ("string", (None,))}, {"y": ("half", (None, None)), "z": ("bool", (None,))}
    )
    plan = a_plan(made, "m.t,m.output.z")
    x = np.ones((2, 2), np.float32)
    y = np.ones((2, 3), np.float16)
    some = tables.batch([record(plan, {"x": x}, {}, 2)], frozenset())
    all_ = tables.batch([record(plan, {"x": x}, {"y": y}, 2)], frozenset())
    assert some.schema.equals(all_.schema)
    assert some["t"].null_count == some["output.y"].null_count == 2
    assert some["t"].type == pa.string()
    assert some["output.y"].type == pa.list_(pa.float16())


def test_bytes_that_are_no_text_are_told(folder):
    made = signature({"t": ("string", (None,)), "t_bytes": ("string", (None,))}, {})
    value = np.array([b"\xff"], object)
    with pytest.raises(tables.NoText) as raised:
        tables.batch([record(a_plan(made), {"t": value, "t_bytes": value}, {}, 1)], frozenset())
    assert raised.value.column == "t"
    batch = tables.batch([record(a_plan(made), {"t": value, "t_bytes": value}, {}, 1)], frozenset(["t"]))
    assert batch["t"].to_pylist() == batch["t_bytes"].to_pylist() == [b"\xff"]
