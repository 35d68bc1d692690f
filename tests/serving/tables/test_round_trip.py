"""Every form of body holds any tensors as JSON does: all dtypes, several inputs, rows of any rank, ragged, text, bytes."""

import base64
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from signet.serving.errors import InvalidInput
from signet.serving.offload import table_bodies
from signet.serving.rest_dialect import json_codec
from signet.serving.rest_dialect.json_codec import Layout
from signet.serving.tables import columns, csv_text
from signet.serving.tensors import dtypes
from signet.serving.tensors.padding import PaddingRule
from signet.serving.tensors.signature import Signature, TensorSpec

MOST = 1 << 26
BOUNDARY = "multipart/form-data; boundary=----b"
FORMS = {"form": BOUNDARY, "csv": "utf-8", "arrow": "", "parquet": ""}
NAMES = ("left camera", "x", 'q"uo,te', "y_bytes")
ROW_SIZES = st.lists(st.integers(1, 3), max_size=3)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)


def form(parts: list[tuple[str, bytes]]) -> bytes:
    """A form of parts in their order, with names as browsers write them."""
    written = []
    for name, content in parts:
        escaped = name.replace('"', "%22").encode()
        written.append(b'------b\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n' % (escaped, content))
    return b"".join(written) + b"------b--\r\n"


def array(draw: st.DrawFn, dtype: dtypes.DType, shape: tuple[int, ...]) -> np.ndarray:
    if dtype.is_string:
        elements = st.binary(max_size=4) if draw(st.booleans()) else TEXTS.map(str.encode)
        out = np.empty(shape, object)
        for place in np.ndindex(shape):
            out[place] = draw(elements.filter(lambda value: not value.startswith(b'{"b64"')))
        return out
    wide = np.dtype(np.float32) if dtype.name == "bfloat16" else dtype.numpy
    elements = st_numpy.from_dtype(wide, allow_nan=False, allow_subnormal=False)
    return draw(st_numpy.arrays(wide, shape, elements=elements)).astype(dtype.numpy)


@st.composite
def tensors(draw: st.DrawFn, *, complex_too: bool = False) -> tuple[dict[str, TensorSpec], dict[str, np.ndarray]]:
    """Named tensors, and what a signature says of them: sizes are fixed or free, and there are rows or none."""
    known = [row for row in dtypes.ROWS if complex_too or row.numpy.kind != "c"]
    rows = draw(st.one_of(st.none(), st.integers(1, 3)))
    specs, arrays = {}, {}
    for i, name in enumerate(draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=3, unique=True))):
        dtype = draw(st.sampled_from(known))
        inner = tuple([] if rows is None and not i else draw(ROW_SIZES))
        shape = inner if rows is None else (rows, *inner)
        free = draw(st.booleans())
        sizes = tuple(None if free else size for size in inner)
        specs[name] = TensorSpec(name, dtype, sizes if rows is None else (None, *sizes), "")
        arrays[name] = array(draw, dtype, shape)
    return specs, arrays


def same(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert found.keys() == expected.keys()
    for name, one in expected.items():
        assert found[name].dtype == one.dtype
        assert found[name].shape == one.shape
        assert found[name].tolist() == one.tolist()


def by_json(specs: dict[str, TensorSpec], arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    written = json.loads(json_codec.encode(arrays, Layout.COLUMNS, named=True))["outputs"]
    body = json_codec.parse(json.dumps({"inputs": written}).encode())
    return json_codec.decode(body, Signature("s", specs, {}))


def as_form(specs: dict[str, TensorSpec], arrays: dict[str, np.ndarray]) -> bytes:
    """A part a row: bytes as they are, all else as JSON."""
    rows, row_specs = columns.rows_out(arrays, specs)
    parts = []
    for name, array in rows.items():
        for row in array:
            if array.dtype == object and columns.takes_single(row_specs[name], len(array)):
                parts.append((name, row if isinstance(row, bytes) else row.item()))
            else:
                text = json_codec.encode({name: np.asarray(row, array.dtype)}, Layout.COLUMNS)
                parts.append((name, text.removeprefix(b'{"outputs":').removesuffix(b"}")))
    return form(parts)


@given(tensors())
@settings(max_examples=20)
def test_every_body_gives_the_tensors_that_json_gives(drawn):
    specs, arrays = drawn
    same(by_json(specs, arrays), arrays)
    signature = Signature("s", specs, specs)
    for kind, parameter in FORMS.items():
        body = as_form(specs, arrays) if kind == "form" else table_bodies.encode(kind, arrays, specs, "bare")
        same(table_bodies.decode(kind, body, parameter, signature, None, MOST), arrays)


@given(tensors(complex_too=True))
@settings(max_examples=20)
def test_arrow_and_parquet_hold_complex_numbers_too(drawn):
    specs, arrays = drawn
    for kind in ("arrow", "parquet"):
        body = table_bodies.encode(kind, arrays, specs, "bare")
        same(table_bodies.decode(kind, body, "", Signature("s", specs, specs), None, MOST), arrays)


WORDS = Signature("s", {"x": TensorSpec("x", dtypes.from_enum(1), (None, None), "")}, {})
FILL = PaddingRule(0, {"x": (1,)})


@pytest.mark.parametrize("kind", FORMS)
def test_ragged_rows_are_filled_up_or_refused_as_in_json(kind):
    import pyarrow as pa

    rows = [[1.5, 2.0, 3.0], [4.0]]
    table = pa.table({"x": rows})
    made = {
        "form": lambda: form([("x", json.dumps(row).encode()) for row in rows]),
        "csv": lambda: b'x\n"[1.5, 2.0, 3.0]"\n[4.0]\n',
        "arrow": lambda: stream(table),
        "parquet": lambda: parquet(table),
    }[kind]()
    found = table_bodies.decode(kind, made, FORMS[kind], WORDS, FILL, MOST)
    assert found["x"].tolist() == [[1.5, 2, 3], [4, 0, 0]]
    with pytest.raises(InvalidInput) as refused:
        table_bodies.decode(kind, made, FORMS[kind], WORDS, None, MOST)
    with pytest.raises(InvalidInput) as by_rows:
        json_codec.decode(json_codec.parse(json.dumps({"instances": [{"x": row} for row in rows]}).encode()), WORDS)
    assert str(refused.value) == str(by_rows.value)


def stream(table: pa.Table) -> bytes:
    import pyarrow as pa

    out = pa.BufferOutputStream()
    with pa.ipc.new_stream(out, table.schema) as writer:
        writer.write_table(table)
    return out.getvalue().to_pybytes()


def parquet(table: pa.Table, **options: object) -> bytes:
    import pyarrow as pa

    out = pa.BufferOutputStream()
    pq.write_table(table, out, **options)
    return out.getvalue().to_pybytes()


@pytest.mark.parametrize("policy", ["bare", "string", "null"])
def test_numbers_that_are_not_finite_come_back_or_are_empty(policy):
    specs = {"x": TensorSpec("x", dtypes.from_enum(1), (None, 2), "")}
    arrays = {"x": np.float32([[np.nan, np.inf], [-np.inf, 0.1]])}
    text = csv_text.written(arrays, specs, policy)
    cells = [",", ",0.1"] if policy == "null" else ["NaN,Infinity", "-Infinity,0.1"]
    assert text.decode().split("\r\n") == ["x_0,x_1", *cells, ""]
    if policy != "null":
        np.testing.assert_array_equal(csv_text.read(text, "", Signature("s", specs, {}), None)["x"], arrays["x"])


def test_bytes_in_csv_are_base64():
    specs = {"picture": TensorSpec("picture", dtypes.from_enum(dtypes.STRING), (None,), "")}
    content = bytes(range(256))
    text = b"picture\n" + json.dumps({"b64": base64.b64encode(content).decode()}).replace('"', '""').join('""').encode()
    assert csv_text.read(text, "", Signature("s", specs, {}), None)["picture"].tolist() == [content]
