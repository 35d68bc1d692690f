"""Bodies of strangers: malformed, cut off, doubled, far larger than they look. Each is refused in words, within its bounds."""

import random
import tracemalloc

import numpy as np
import pyarrow as pa
import pytest

from signet.serving.errors import InvalidInput, TooLarge
from signet.serving.offload import table_bodies
from signet.serving.tables import arrow_cells, form_parts
from signet.serving.tensors import dtypes
from signet.serving.tensors.signature import Signature, TensorSpec
from tests.serving.tables.test_round_trip import BOUNDARY, FORMS, MOST, form, parquet, stream

BY_NAME = {row.name: row for row in dtypes.ROWS}


def taking(**inputs: tuple[str, tuple[int | None, ...]]) -> Signature:
    specs = {name: TensorSpec(name, BY_NAME[dtype], shape, "") for name, (dtype, shape) in inputs.items()}
    return Signature("serving_default", specs, {})


PEOPLE = taking(age=("int32", (None, 1)), name=("string", (None,)))
ROWS = {"age": [33, 40], "name": ["Mary", "John"]}
TABLE = pa.table(ROWS)


def decode(kind: str, body: bytes, of: Signature = PEOPLE, most: int = MOST) -> dict[str, np.ndarray]:
    return table_bodies.decode(kind, body, FORMS[kind], of, None, most)


@pytest.mark.parametrize(
    ("kind", "body", "problem"),
    [
        ("csv", b"", "the CSV body is empty; expected a header"),
        ("csv", b"age,name\n", "has a header and no rows"),
        ("csv", b"age\n33\n", "the CSV body: missing input 'name'"),
        ("csv", b"age,nam\n33,Mary\n", "unknown input 'nam' (did you mean 'name'?)"),
        ("csv", b"age,name,age\n1,a,2\n", "the CSV body has two columns 'age'; each needs a name of its own"),
        ("csv", b",age,name\n0,33,Mary\n", "Is it the index of a data frame? Write it without: index=False"),
        ("csv", b"age,name\n33,Mary\n40\n", "row 2 of the CSV body has 1 cell, the header has 2"),
        ("csv", b"age,name\n33,Mary\n,John\n", "input 'age' has no value in row 2: column 'age' is empty there"),
        ("csv", b"age,name\n33.5,Mary\n", "'age'[0] is the number 33.5; the model takes whole numbers (int32)"),
        ("csv", b"age,name\n33,a\nold,b\n", "'age' is the text 'old' in row 2 of column 'age'; the model takes int32"),
        ("csv", b"age,name\n1_000,a\n", "is the text '1_000'"),
        ("csv", b'age,name\n"1],[2",a\n', "is the text '1],[2'"),
        ("csv", b"age,name\n99999999999,a\n", "int32 goes from -2147483648 to 2147483647"),
        ("csv", b'age,name\n33,"Mary\n', "the CSV body is broken at line"),
        ("csv", b"age,name\n33,M\xe9\n", "the CSV body is no utf-8: byte 0xe9 at offset 13"),
        ("form", form([("age", b"33"), ("name", b"a"), ("age", b"34")]), "'age' has 2, 'name' has 1"),
        ("form", form([("age", b"33")]), "the form: missing input 'name'"),
        ("form", form([("age", b"33"), ("name", b"a"), ('x"; filename="y', b"")]), "unknown input 'x\"; filename=\"y'"),
        ("form", form([("age", b"\xff\xd8"), ("name", b"a")]), "part 'age' is no text: byte 0xff at offset 0"),
        ("form", form([("age", b"[33"), ("name", b"a")]), "part 'age': JSON Parse error"),
        ("form", form([("age", b"33"), ("name", b"a")])[:-6], "the form is broken after 1 parts"),
        ("form", form([("age", b"33")]).replace(b"------b", b"------c"), "the form is broken after 0 parts"),
        ("form", b"------b--\r\n", "the form has no parts"),
        ("form", b"no form at all", "the form is broken after 0 parts"),
        ("form", form([("age", b"33")]).replace(b"form-data;", b"attachment;"), "the form is broken after 0 parts"),
        ("form", form([("age", b"33")]).replace(b'; name="age"', b""), "the form is broken after 0 parts"),
        ("form", form([("age", b"1")] * (form_parts.MOST_PARTS + 1)), "the form has too much"),
        (
            "form",
            form([("age", b"33")]).replace(b"\r\n\r\n", b"\r\nX-Long: " + b"x" * 5000 + b"\r\n\r\n"),
            "the form has too much",
        ),
        (
            "form",
            form([("age", b"33")]).replace(b"\r\n\r\n", b"\r\nContent-Transfer-Encoding: base64\r\n\r\n"),
            "part 'age' has the Content-Transfer-Encoding 'base64'",
        ),
        ("arrow", b"", "the Arrow stream is malformed"),
        ("arrow", b"\xff\xff\xff\xff\xff\xff\xff\x7f", "the Arrow stream is malformed"),
        ("arrow", stream(TABLE)[:400], "the Arrow stream is malformed"),
        ("parquet", b"PAR1", "the Parquet file is malformed"),
        ("parquet", parquet(TABLE)[:-20], "the Parquet file is malformed"),
        ("parquet", stream(TABLE), "the Parquet file is malformed"),
    ],
)
def test_what_is_wrong_is_said(kind, body, problem):
    with pytest.raises(InvalidInput) as refused:
        decode(kind, body)
    assert problem in str(refused.value)
    assert len(str(refused.value)) < 500


@pytest.mark.parametrize("kind", ["arrow", "parquet"])
@pytest.mark.parametrize(
    ("columns", "problem"),
    [
        ({"age": [33, 40]}, "missing input 'name'"),
        ({**ROWS, "id": [1, 2]}, "unknown input 'id'"),
        ({"age": [33, None], "name": ["a", "b"]}, "input 'age' has no value in row 2: column 'age' is null there"),
        ({"age": [[33], [None]], "name": ["a", "b"]}, "column 'age' has a null in one of its lists"),
        ({"age": [33.0, 40.0], "name": ["a", "b"]}, "column 'age' is double; input 'age' takes int32"),
        ({"age": ["33", "40"], "name": ["a", "b"]}, "column 'age' is string; input 'age' takes int32"),
        (
            {"age": [{"x": 1}, {"x": 2}], "name": ["a", "b"]},
            "column 'age' is struct<x: int64>; input 'age' takes int32",
        ),
        ({"age": [33, 40], "name": [1, 2]}, "column 'name' is int64; input 'name' takes string"),
        ({"age": [2**40, 0], "name": ["a", "b"]}, "int32 goes from -2147483648 to 2147483647"),
        ({"age": [[33, 34], [40, 41]], "name": ["a", "b"]}, "input 'age' has shape (2, 2); the model takes (None, 1)"),
        ({"age": pa.array([], pa.int32()), "name": pa.array([], pa.string())}, "has no rows"),
        ({"age": pa.nulls(2), "name": ["a", "b"]}, "column 'age' is null; input 'age' takes int32"),
    ],
)
def test_columns_that_do_not_fit_are_named(kind, columns, problem):
    with pytest.raises(InvalidInput) as refused:
        decode(kind, (stream if kind == "arrow" else parquet)(pa.table(columns)))
    assert problem in str(refused.value)


def test_two_columns_of_one_name_are_refused():
    table = pa.table([pa.array([1]), pa.array([2]), pa.array(["a"])], names=["age", "age", "name"])
    for kind, body in (("arrow", stream(table)), ("parquet", parquet(table))):
        with pytest.raises(InvalidInput, match="has two columns 'age'"):
            decode(kind, body)


def test_lists_nested_very_deeply_are_refused():
    kind = pa.int32()
    for _ in range(40):
        kind = pa.list_(kind)
    with pytest.raises(InvalidInput, match="nested deeper than 32"):
        decode("arrow", stream(pa.table({"x": pa.nulls(1, kind)})), taking(x=("int32", None)))


def shared_views(count: int, text: bytes) -> pa.Array:
    """So many texts, all of which are the same bytes of memory."""
    view = np.zeros((count, 4), np.int32)
    view[:, 0], view[:, 1] = len(text), np.frombuffer(text[:4], np.int32)[0]
    return pa.Array.from_buffers(pa.string_view(), count, [None, pa.py_buffer(view.tobytes()), pa.py_buffer(text)])


LONG = b"x" * 100_000
REPEATED = {
    "dictionary": pa.DictionaryArray.from_arrays(pa.array(np.zeros(1000, np.int8)), [LONG.decode()]),
    "views": shared_views(1000, LONG),
    "lists of views": pa.ListArray.from_arrays(pa.array([0, 500, 1000], pa.int32()), shared_views(1000, LONG)),
}


@pytest.mark.parametrize("kind", REPEATED)
def test_what_says_the_same_again_and_again_counts_as_often(kind):
    """A hundred megabytes, of which a stream that shares them has a tenth of one."""
    body = stream(pa.table({"x": REPEATED[kind]}))
    assert len(body) < 200_000
    of = taking(x=("string", (None, None) if "lists" in kind else (None,)))
    with pytest.raises(TooLarge, match="more than 10000000 bytes when decoded"):
        decode("arrow", body, of, 10_000_000)
    found = decode("arrow", stream(pa.table({"x": REPEATED[kind][:1]})), of)  # which is not as often
    assert set(found["x"].reshape(-1).tolist()) == {LONG}


@pytest.mark.parametrize("options", [{}, {"use_dictionary": False, "compression": "zstd"}])
def test_a_parquet_file_that_becomes_large_is_refused_before_it_is_all_there(options):
    table = pa.table({"x": pa.array(np.zeros(4_000_000, np.int64))})
    body = parquet(table, **options)
    assert len(body) < 100_000
    before = pa.total_allocated_bytes()
    tracemalloc.start()
    with pytest.raises(TooLarge, match="more than 5000000 bytes when decoded"):
        decode("parquet", body, taking(x=("int64", (None,))), 5_000_000)
    assert tracemalloc.get_traced_memory()[1] < 10_000_000
    tracemalloc.stop()
    assert pa.total_allocated_bytes() - before < 10_000_000


def test_many_rows_of_nothing_are_refused():
    body = parquet(pa.table({"x": pa.array(np.zeros(3_000_000, np.bool_))}))
    with pytest.raises(TooLarge, match="has 3000000 rows"):
        decode("parquet", body, taking(x=("bool", (None,))), 1_000_000)


@pytest.mark.parametrize("kind", FORMS)
def test_any_body_is_taken_or_refused(kind):
    """Changed in places: what comes out are rows of the signature's, or an error in words; nothing else is raised."""
    draw = random.Random(20)
    good = {
        "form": form([("age", b"33"), ("name", b"Mary"), ("age", b"40"), ("name", b"John")]),
        "csv": b'age,name\r\n33,Mary\r\n40,"John ""J"""\r\n',
        "arrow": stream(TABLE),
        "parquet": parquet(TABLE),
    }[kind]
    for _ in range(300):
        body = bytearray(good)
        for _ in range(draw.choice((1, 2, 8))):
            at = draw.randrange(len(body))
            body[at : at + draw.choice((0, 1, 4))] = draw.choice(
                (b"", b"\xff", b"\0", b"\xff\xff\xff\x7f", b'"', b"\r\n")
            )
        try:
            arrays = decode(kind, bytes(body))
        except (InvalidInput, MemoryError):
            continue
        assert arrays.keys() == PEOPLE.inputs.keys()
        PEOPLE.check(arrays)


@pytest.mark.parametrize(
    "content_type", ["multipart/form-data", "multipart/form-data; boundary=", f"{BOUNDARY}{'x' * 80}"]
)
def test_a_form_without_its_boundary_is_refused(content_type):
    with pytest.raises(InvalidInput, match="lacks its boundary"):
        form_parts.parts(form([("age", b"1")]), content_type)


@pytest.mark.parametrize("boundary", ['"----b"', "----b; charset=utf-8", '"----b" ; x=y'])
def test_a_boundary_may_be_quoted_and_stand_before_others(boundary):
    (part,) = form_parts.parts(form([("age", b"1")]), f"multipart/form-data; boundary={boundary}")
    assert (part.name, part.content) == ("age", b"1")


def test_a_part_says_itself_that_it_is_json():
    body = form([("age", b"33"), ("name", b'{"b64": "/w=="}')])
    assert decode("form", body)["name"].tolist() == [b'{"b64": "/w=="}']
    said = body.replace(b'name="name"\r\n', b'name="name"; filename="n"\r\nContent-Type: application/json\r\n')
    assert decode("form", said)["name"].tolist() == [b"\xff"]


def test_numbers_as_people_write_them():
    of = taking(x=("float", (None,)), n=("int64", (None,)), ok=("bool", (None,)))
    found = decode("csv", b"x;n;ok\n.5;+7;True\n-1.;007;0\nnan;-1;false\n 1e3 ; 2 ;1\n", of)
    np.testing.assert_array_equal(found["x"], np.float32([0.5, -1, np.nan, 1000]))
    assert found["n"].tolist() == [7, 7, -1, 2]
    assert found["ok"].tolist() == [True, False, False, True]


def test_texts_mean_the_same_as_in_files_that_are_scored():
    of = taking(x=("double", (None,)), n=("int16", (None,)), ok=("bool", (None,)))
    cells = {"x": ["1", "2.5", "-1e-3", ".5", "NaN", "inf"], "n": ["1", "-3", "007"], "ok": ["true", "FALSE", "1", "0"]}
    for name, texts in cells.items():
        one = taking(**{name: (of.inputs[name].dtype.name, (None,))})
        body = f"{name}\n" + "\n".join(texts) + "\n"
        scored = arrow_cells.whole_column(pa.array(texts), of.inputs[name])
        np.testing.assert_array_equal(decode("csv", body.encode(), one)[name], scored)


def test_extension_types_are_what_they_store():
    tensors = pa.FixedShapeTensorArray.from_numpy_ndarray(np.arange(8, dtype=np.float32).reshape(2, 2, 2))
    found = decode("arrow", stream(pa.table({"x": tensors})), taking(x=("float", (None, 2, 2))))
    assert found["x"].tolist() == [[[0, 1], [2, 3]], [[4, 5], [6, 7]]]


def test_dictionaries_and_views_of_data_frames_are_read():
    categories = pa.array(["a", "b", "a"]).dictionary_encode()
    views = pa.array(["short", "a text that is longer than twelve bytes", ""], pa.string_view())
    lists = pa.array([["a"], ["b"], ["c"]]).cast(pa.list_(pa.string_view()))
    of = taking(c=("string", (None,)), v=("string", (None,)), w=("string", (None, None)))
    found = decode("arrow", stream(pa.table({"c": categories, "v": views, "w": lists})), of)
    assert found["c"].tolist() == [b"a", b"b", b"a"]
    assert found["v"].tolist() == [b"short", b"a text that is longer than twelve bytes", b""]
    assert found["w"].tolist() == [[b"a"], [b"b"], [b"c"]]
