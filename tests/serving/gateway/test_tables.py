"""Predict with forms, CSV, Arrow and Parquet, in and out, once with each backend: the same numbers as with JSON."""

import asyncio
import io
import json
import subprocess
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from signet.serving.errors import InvalidInput, TooLarge
from signet.serving.gateway.http import body_types, tables
from signet.serving.http.messages import Request
from signet.serving.tensors import dtypes
from signet.serving.tensors.signature import Signature, TensorSpec
from tests.servers import GOLDEN_MODELS
from tests.serving.gateway import in_process
from tests.serving.gateway.crashing import crash
from tests.serving.gateway.in_process import InProcess, header
from tests.serving.tables.test_round_trip import form, parquet, stream

ARROW, PARQUET, CSV = (body_types.NAMES[form] for form in ("arrow", "parquet", "csv"))
FORM = "multipart/form-data; boundary=----b"
ROWS = [{"a": [1, 2, 3], "b": [4, 5]}, {"a": [0, 0.5, 1], "b": [2, 7]}]
TABLE = pa.table({name: [row[name] for row in ROWS] for name in ("a", "b")})
BODIES = {
    "application/json": json.dumps({"instances": ROWS}).encode(),
    FORM: form([(name, json.dumps(row[name]).encode()) for row in ROWS for name in row]),
    CSV: b"b_0,b_1,a_0,a_1,a_2\n4,5,1,2,3\n2,7,0,.5,1\n",
    ARROW: stream(TABLE),
    PARQUET: parquet(TABLE),
}
READERS = {
    "application/json": lambda body: json.loads(body)["predictions"],
    CSV: lambda body: pd.read_csv(io.BytesIO(body))[["output_0"]].to_numpy().tolist(),
    ARROW: lambda body: pa.ipc.open_stream(body).read_all()["output_0"].to_pylist(),
    PARQUET: lambda body: pq.read_table(io.BytesIO(body))["output_0"].to_pylist(),
}


def predict(url: str, path: str, content: bytes, sent: str | None = None, wanted: str = "*/*") -> httpx.Response:
    headers = {"Accept": wanted} | ({"Content-Type": sent} if sent else {})
    return httpx.post(f"{url}/v1/models/{path}", content=content, headers=headers, timeout=30)


def test_any_body_gets_any_answer(gateway_url):
    expected = predict(gateway_url, "two_in:predict", BODIES["application/json"]).json()["predictions"]
    for sent, content in BODIES.items():
        for wanted, read in READERS.items():
            answer = predict(gateway_url, "two_in:predict", content, sent, wanted)
            assert answer.status_code == 200, answer.text
            assert answer.headers["content-type"].partition(";")[0] == wanted
            assert answer.headers["x-signet-model-version"] == "1"
            np.testing.assert_allclose(read(answer.content), expected, rtol=1e-6)


def test_files_are_sent_by_curl(gateway_url, tmp_path):
    (tmp_path / "a.json").write_text("[1, 2, 3]\n")
    arguments = ["-F", f"a=@{tmp_path}/a.json", "-F", "b=[4, 5]", f"{gateway_url}/v1/models/two_in/versions/1:predict"]
    done = subprocess.run(["curl", "-s", *arguments], capture_output=True, check=True, text=True)
    np.testing.assert_allclose(json.loads(done.stdout)["predictions"], [[2.7005463]], rtol=1e-5)
    (tmp_path / "picture").write_bytes(bytes(range(256)))
    url = f"{gateway_url}/v1/models/mixed:predict?signature_name=s&output_filter=len"
    done = subprocess.run(
        ["curl", "-s", "-F", f"s=@{tmp_path}/picture", "-F", "s=two", url], capture_output=True, check=True, text=True
    )
    assert json.loads(done.stdout) == {"predictions": [256, 3]}


def test_the_query_says_what_a_json_body_says_itself(gateway_url):
    path = "mixed:predict?signature_name=f1"
    bare = predict(gateway_url, path, b"x\n0.0\n", CSV)
    assert json.loads(bare.text) == {"predictions": [{"div": np.inf, "log": -np.inf}]}
    assert b"null" in predict(gateway_url, f"{path}&non_finite=null", b"x\n0.0\n", CSV).content
    one = predict(gateway_url, f"{path}&output_filter=log&named_outputs=true&non_finite=string", b"x\n0.0\n", CSV)
    assert one.json() == {"predictions": [{"log": "-Infinity"}]}
    wrong = {
        "signature=s": "unknown parameter 'signature' (did you mean 'signature_name'?)",
        "signature_name=f1&signature_name=s": "has 'signature_name' twice",
        "non_finite=nan": "'non_finite' is 'nan'; expected one of bare, null, string",
        "signature_name=f1&output_filter=lgo": "no output 'lgo' (did you mean 'log'?)",
    }
    for query, problem in wrong.items():
        answer = predict(gateway_url, f"mixed:predict?{query}", b"x\n0.0\n", CSV)
        assert answer.status_code == 400
        assert problem in answer.json()["error"]
    asked = json.dumps({"signature_name": "f1", "instances": [0.0]}).encode()
    assert predict(gateway_url, path, asked, None, CSV).text == "div,log\r\nInfinity,-Infinity\r\n"


def test_a_signature_without_rows_has_one_row_of_a_table(gateway_url):
    path = "mixed:predict?signature_name=scalar"
    assert predict(gateway_url, path, form([("x", b"1.5")]), FORM).json() == {"outputs": 3.0}
    assert predict(gateway_url, path, b"x\n1.5\n", CSV, CSV).text == "y\r\n3.0\r\n"
    answer = predict(gateway_url, path, b"x\n1.5\n2.5\n", CSV)
    assert answer.json() == {"error": "input 'x' has 2 rows; the signature takes no rows: send one for all of it"}


def test_large_tables_are_read_beside_the_event_loop(gateway_url):
    rows = np.random.default_rng(0).random((8_000, 4), np.float32)
    names = [f"x_{i}" for i in range(4)]
    frame = pd.DataFrame(rows, columns=names)
    expected = predict(gateway_url, "three_out:predict", json.dumps({"instances": rows.tolist()}).encode()).json()
    first = [row["p"] for row in expected["predictions"]]
    bodies = {
        CSV: frame.to_csv(index=False).encode(),
        ARROW: stream(pa.Table.from_pandas(frame)),
        PARQUET: frame.to_parquet(),
        FORM: form([("x", json.dumps(row).encode()) for row in rows[:1000].tolist()]),
    }
    for sent, body in bodies.items():
        answer = predict(gateway_url, "three_out:predict", body, sent, CSV)
        assert answer.status_code == 200, answer.text[:300]
        found = pd.read_csv(io.BytesIO(answer.content))[["p_0", "p_1", "p_2"]].to_numpy()
        np.testing.assert_allclose(found, first[: len(found)], rtol=1e-5)
        assert len(found) == (1000 if sent == FORM else 8_000)


@pytest.fixture(scope="module")
def alone() -> Iterator[InProcess]:
    """A gateway in this process."""
    with in_process.gateway(models_dir=GOLDEN_MODELS, max_body_bytes=4_000_000) as started:
        yield started


def ask(gateway: InProcess, body: bytes, sent: str = "", wanted: str = "", path: bytes = b"two_in:predict") -> Any:
    headers = {b"content-type": sent.encode(), b"accept": wanted.encode()}
    return gateway.ask("POST", b"/v1/models/" + path, body, {name: value for name, value in headers.items() if value})


def test_what_is_json_is_read_as_json_whatever_it_is_called(alone):
    for sent in ("image/png", FORM, CSV, ARROW, "text/plain", "x", "application/vnd.tool+json"):
        assert ask(alone, BODIES["application/json"], sent).status == 200


def test_other_types_are_refused_with_those_there_are(alone):
    answer = ask(alone, b"\x89PNG", "image/png")
    every = ", ".join(body_types.NAMES.values())
    assert answer.status == 415
    assert json.loads(answer.body)["error"] == f"Content-Type 'image/png' is not read; expected one of {every}"
    assert header(answer, "Accept") == every
    near = ask(alone, b"x", "application/vnd.apache.arrow.streem")
    assert b"(did you mean 'application/vnd.apache.arrow.stream'?)" in near.body
    headless = ask(alone, b"1,2\n", "text/csv; header=absent")
    assert (headless.status, b"the first line has to name the inputs" in headless.body) == (400, True)
    assert b"the charset is 'klingon'" in ask(alone, b"a,b\n1,2\n", "text/csv; charset=klingon").body


@pytest.mark.parametrize(
    ("accept", "given"),
    [
        ("application/json, text/plain, */*", "application/json"),
        ("text/html, */*;q=0.8", "application/json"),
        ("text/csv, application/json;q=0.9", CSV),
        ("text/csv;q=0.5, application/json", "application/json"),
        (f"text/*, {ARROW}", "application/vnd.apache.arrow.stream"),
        (f"{PARQUET}, {ARROW}", PARQUET),
        (f"{ARROW}, {PARQUET}", ARROW),
        ("text/*", CSV),
        ("application/*", "application/json"),
        ("application/json;q=0, */*", CSV),
        ("application/x-parquet", PARQUET),
        ("text/csv;q=high, application/json;q=0.1", "application/json"),
    ],
)
def test_the_best_liked_answer_is_given(alone, accept, given):
    answer = ask(alone, BODIES["application/json"], "", accept)
    assert answer.status == 200
    assert str(header(answer, "Content-Type")).partition(";")[0] == given


@pytest.mark.parametrize(
    "accept", ["text/html", "application/json;q=0", "image/*", "application/vnd.apache.avro", "*/*;q=0"]
)
def test_what_cannot_be_given_is_refused_before_the_model_runs(alone, accept):
    answer = ask(alone, BODIES["application/json"], "", accept)
    assert answer.status == 406
    assert json.loads(answer.body)["error"].startswith(
        f"Accept is {accept!r}; answers are application/json, text/csv, "
    )


def test_without_pyarrow_the_extra_is_named(alone, monkeypatch):
    monkeypatch.setattr(body_types, "_is_there", lambda form: form not in ("arrow", "parquet"))
    body_types.wanted.cache_clear()
    sent = ask(alone, BODIES[ARROW], ARROW)
    assert sent.status == 415
    needs = f"{ARROW} needs pyarrow: pip install 'signet-serving[tables]'; this server reads application/json, "
    assert json.loads(sent.body)["error"].startswith(needs)
    wanted = ask(alone, BODIES["application/json"], "", PARQUET)
    assert wanted.status == 406
    assert f"({PARQUET} needs pyarrow: pip install 'signet-serving[tables]')" in json.loads(wanted.body)["error"]
    assert ask(alone, BODIES[CSV], CSV, f"{ARROW}, text/csv;q=0.5").status == 200
    body_types.wanted.cache_clear()


def test_a_body_that_crashes_its_reader_harms_nobody_else(alone, monkeypatch):
    """As Arrow's own reader does by malformed streams, unless they are validated."""
    monkeypatch.setattr(tables.table_bodies, "decode", crash)
    answer = ask(alone, BODIES[ARROW], ARROW)
    assert answer.status == 400
    assert json.loads(answer.body)["error"] == f"the body is malformed as {ARROW}: the process that read it has crashed"
    monkeypatch.undo()
    assert ask(alone, BODIES[ARROW], ARROW).status == 200


def test_a_bomb_is_refused_by_what_it_becomes(alone):
    body = parquet(pa.table({f"x_{i}": pa.array(np.zeros(2_000_000, np.float32)) for i in range(4)}))
    assert len(body) < 100_000
    answer = ask(alone, body, PARQUET, path=b"three_out:predict")
    assert answer.status == 413
    assert b"has more than 4000000 bytes when decoded" in answer.body


def test_whatever_happens_the_budget_gets_its_bytes_back(alone):
    budget = alone.gateway._services.budget
    before = budget.held_bytes
    for sent, body in BODIES.items():
        assert ask(alone, body, sent, PARQUET).status == 200
        assert ask(alone, body[:25], sent).status == 400
    assert budget.held_bytes == before


def test_a_caller_who_leaves_takes_the_reading_back(alone):
    """The worker that reads is ended; the next request gets one."""

    async def leave() -> None:
        request = Request(
            "POST", b"/v1/models/two_in:predict", {b"content-type": ARROW.encode()}, BODIES[ARROW], "1.1", True
        )
        task = asyncio.ensure_future(alone.answer(request))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    alone._runner.run(leave())
    assert alone.gateway.inference.idle
    assert ask(alone, BODIES[ARROW], ARROW).status == 200


def test_pictures_for_a_signature_of_numbers_are_led_to_the_one_of_bytes():
    def signature(name: str, dtype: int) -> Signature:
        specs = {side: TensorSpec(side, dtypes.from_enum(dtype), (None,), "") for side in ("left", "right")}
        return Signature(name, specs, {})

    numbers, files = signature("serving_default", 1), signature("from_bytes", dtypes.STRING)
    both = {"serving_default": numbers, "from_bytes": files}
    said = "bad. Signature 'from_bytes' takes these inputs as strings: ?signature_name=from_bytes"
    assert str(tables.hinted(InvalidInput("bad"), both, numbers)) == said
    assert str(tables.hinted(InvalidInput("bad"), both, files)) == "bad"
    assert str(tables.hinted(TooLarge("bad"), both, numbers)) == "bad"
