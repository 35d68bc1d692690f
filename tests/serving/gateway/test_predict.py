"""Predict over HTTP, once with each backend: the same answers, the same errors."""

import gzip
import json
import zlib

import httpx
import numpy as np
import pytest

TWO_IN = {"a": [1, 2, 3], "b": [4, 5]}


def post(url: str, path: str, body: object, **options: object) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return httpx.post(f"{url}/v1/models/{path}", content=content, timeout=30, **options)


def test_rows_and_columns_get_the_recorded_numbers(gateway_url):
    rows = post(gateway_url, "two_in:predict", {"instances": [TWO_IN, TWO_IN]})
    assert rows.status_code == 200
    assert rows.headers["content-type"] == "application/json"
    assert rows.headers["x-signet-model-version"] == "1"
    np.testing.assert_allclose(rows.json()["predictions"], [[2.7005463], [2.7005463]], rtol=1e-5)
    columns = post(gateway_url, "two_in:predict", {"inputs": {"a": [[1, 2, 3]], "b": [[4, 5]]}})
    np.testing.assert_allclose(columns.json()["outputs"], [[2.7005463]], rtol=1e-5)


def test_several_outputs_come_by_name(gateway_url):
    rows = post(gateway_url, "three_out:predict", {"instances": [[0, 1, 2, 3], [4, 5, 6, 7]]}).json()["predictions"]
    columns = post(gateway_url, "three_out:predict", {"inputs": [[0, 1, 2, 3], [4, 5, 6, 7]]}).json()["outputs"]
    assert [set(row) for row in rows] == [{"p", "q", "r"}] * 2
    for name in ("p", "q", "r"):
        np.testing.assert_allclose([row[name] for row in rows], columns[name], rtol=1e-6)
    np.testing.assert_allclose(columns["p"][0], [0.15860587, 0.030008767, 0.81138545], rtol=1e-5)


def test_versions_signatures_and_strings(gateway_url):
    assert post(gateway_url, "two_in/versions/1:predict", {"instances": [TWO_IN]}).status_code == 200
    answer = post(gateway_url, "mixed:predict", {"signature_name": "s", "instances": ["ab", {"b64": "/w=="}]})
    assert answer.json()["predictions"] == [
        {"echo": {"b64": "YWI="}, "echo_bytes": {"b64": "YWI="}, "len": 2},  # one element is not UTF-8
        {"echo": {"b64": "/w=="}, "echo_bytes": {"b64": "/w=="}, "len": 1},
    ]


@pytest.mark.parametrize("signature", ["hf", "bf"])
def test_16_bit_floats_are_numbers(gateway_url, signature):
    answer = post(gateway_url, "mixed:predict", {"signature_name": signature, "instances": [0.5, 2]})
    assert answer.status_code == 200, answer.text
    assert all(isinstance(value, float) for value in answer.json()["predictions"])


def test_numbers_beyond_json_are_written_bare(gateway_url):
    answer = post(gateway_url, "mixed:predict", {"signature_name": "f1", "instances": [0.0]})
    assert json.loads(answer.text)["predictions"][0] == {"div": float("inf"), "log": float("-inf")}


def test_a_scalar_signature_is_asked_in_columns(gateway_url):
    answer = post(gateway_url, "mixed:predict", {"signature_name": "scalar", "inputs": 1.5})
    assert answer.json() == {"outputs": 3.0}
    assert post(gateway_url, "mixed:predict", {"signature_name": "scalar", "instances": [1.5]}).status_code == 400


def test_an_empty_batch_goes_through(gateway_url):
    assert post(gateway_url, "three_out:predict", {"inputs": []}).json()["outputs"] == {"p": [], "q": [], "r": []}


@pytest.mark.parametrize(("encoding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_compressed_bodies_are_read(gateway_url, encoding, pack):
    body = pack(json.dumps({"instances": [TWO_IN]}).encode())
    assert post(gateway_url, "two_in:predict", body, headers={"content-encoding": encoding}).status_code == 200


WRONG = {
    "unknown model": ("two_inn:predict", {"instances": [TWO_IN]}, 404, "(did you mean 'two_in'?). Served models:"),
    "unknown version": ("two_in/versions/9:predict", {"instances": [TWO_IN]}, 404, "Specific(two_in, 9)"),
    "huge version": (f"two_in/versions/{2**63}:predict", {"instances": [TWO_IN]}, 404, "Specific(two_in,"),
    "version of 20 digits": (
        f"two_in/versions/{10**19}:predict",
        {"instances": [TWO_IN]},
        400,
        "expected a whole number",
    ),
    "negative version": ("two_in/versions/-1:predict", {"instances": [TWO_IN]}, 400, "the version is '-1'; expected a"),
    "unknown signature": (
        "two_in:predict",
        {"signature_name": "serve_default", "instances": [TWO_IN]},
        400,
        "model 'two_in' has no signature 'serve_default' (did you mean 'serving_default'?)",
    ),
    "missing input": ("two_in:predict", {"instances": [{"a": [1, 2, 3]}]}, 400, "missing input 'b'. Signature"),
    "extra input": ("two_in:predict", {"instances": [{**TWO_IN, "c": 1}]}, 400, "unknown input 'c'"),
    "misspelt input": ("three_out:predict", {"inputs": {"X": [[1, 2, 3, 4]]}}, 400, "takes: x: float (None, 4)"),
    "wrong dtype": ("two_in:predict", {"instances": [{"a": [1, 2, "3"], "b": [4, 5]}]}, 400, "'a'[0][2] is the string"),
    "wrong shape": ("three_out:predict", {"instances": [[1, 2]]}, 400, "has shape (1, 2); the model takes (None, 4)"),
    "ragged rows": ("three_out:predict", {"instances": [[1, 2, 3, 4], [1]]}, 400, "rows of different lengths"),
    "different row counts": ("two_in:predict", {"inputs": {"a": [[1, 2, 3]], "b": []}}, 400, "'a' has 1, 'b' has 0"),
    "broken JSON": ("two_in:predict", b'{"instances": [', 400, "JSON Parse error: Invalid value. at offset: 15"),
    "empty body": ("two_in:predict", b"", 400, "JSON Parse error: The document is empty"),
    "not an object": ("two_in:predict", b"[]", 400, "the body is a list"),
    "a fault of the model": (
        "mixed:predict",
        {"signature_name": "fail", "instances": [-1.0]},
        400,
        "x must be positive",
    ),
    "a 10 MB body": ("three_out:predict", b'{"instances": [' + b"1," * 5_000_000 + b"1]}", 400, "has shape (5000001,)"),
    "deep nesting": ("three_out:predict", b'{"instances": ' + b"[" * 100_000, 400, "JSON Parse error"),
    "not gzip": ("two_in:predict", b"plain", 400, "not gzip"),
    "an unknown encoding": ("two_in:predict", b"plain", 415, "Content-Encoding 'br' is not known"),
}
ENCODINGS = {"not gzip": "gzip", "an unknown encoding": "br"}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_requests_get_a_status_and_a_message_that_help(gateway_url, case):
    path, body, status, message = WRONG[case]
    headers = {"content-encoding": ENCODINGS[case]} if case in ENCODINGS else {}
    answer = post(gateway_url, path, body, headers=headers)
    assert (answer.status_code, answer.json().keys()) == (status, {"error"})
    assert message in answer.json()["error"]
    assert len(answer.json()["error"]) < 1000
    assert post(gateway_url, "two_in:predict", {"instances": [TWO_IN]}).status_code == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/models/two_in:predict"),
        ("PUT", "/v1/models/two_in:predict"),
        ("POST", "/v1/models/two_in:explain"),
        ("GET", "/nope"),
    ],
)
def test_wrong_routes_list_the_right_ones(gateway_url, method, path):
    answer = httpx.request(method, gateway_url + path)
    assert answer.status_code in (404, 405)
    if "explain" in path or method != "GET" or path == "/nope":
        assert "POST /v1/models/MODEL[/versions/N|/labels/LABEL]:predict" in answer.json()["error"]


def test_bodies_of_unknown_models_are_not_a_label(gateway_url):
    for i in range(20):
        post(gateway_url, f"stranger{i}:predict", {"instances": [1]})
    text = httpx.get(f"{gateway_url}/metrics").text
    assert "stranger" not in text
    assert 'model="unknown"' in text
