"""The rows of Parquet and Arrow over HTTP, as the page's table asks for them."""

import asyncio
import gzip
import json

import jsonschema_rs
import pyarrow as pa
import pytest

from signet.serving.gateway.page import row_routes
from signet.serving.http.server import Request
from tests.servers import GOLDEN_MODELS
from tests.serving.gateway.crashing import crash, hang
from tests.serving.gateway.in_process import InProcess, gateway, header
from tests.serving.tables.test_round_trip import parquet, stream

PARQUET, ARROW = b"application/vnd.apache.parquet", b"application/vnd.apache.arrow.stream"
TABLE = pa.table({"id": ["a", "b"], "x": [[1.0, 2.0], [3.0, 4.0]], "place": [{"y": 1}] * 2})


@pytest.fixture(scope="module")
def running():
    with gateway(models_dir=GOLDEN_MODELS) as running:
        yield running


def rows(running: InProcess, body: bytes, kind: bytes = PARQUET, model: bytes = b"two_in") -> tuple[int, dict]:
    answer = running.ask("POST", b"/v1/models/%b/rows" % model, body, {b"content-type": kind})
    return answer.status, json.loads(answer.body)


def test_rows_come_as_the_document_says(running):
    document = json.loads(running.ask("GET", b"/openapi.json").body)
    schema = {"$ref": "#/components/schemas/FileRows", "components": document["components"]}
    for body, kind in ((parquet(TABLE), PARQUET), (stream(TABLE), ARROW)):
        code, told = rows(running, body, kind)
        assert code == 200
        jsonschema_rs.validator_for(schema).validate(told)
        assert told == {
            "columns": ["id", "x"],
            "rows": [{"id": "a", "x": [1.0, 2.0]}, {"id": "b", "x": [3.0, 4.0]}],
            "left_out": ["place"],
        }


@pytest.mark.parametrize(
    ("body", "kind", "model", "code", "problem"),
    [
        (parquet(TABLE), PARQUET, b"two_out", 404, "two_out"),
        (b"id,x\n1,2\n", b"text/csv", b"two_in", 415, "this is csv"),
        (b"PAR1", PARQUET, b"two_in", 400, "malformed"),
        (parquet(pa.table({"x": range(10_001)})), PARQUET, b"two_in", 413, "10001 rows"),
        (b"PAR1" + bytes(row_routes.MOST_BYTES), PARQUET, b"two_in", 413, "16,777,220 bytes"),
    ],
)
def test_what_cannot_be_read_is_told(running, body, kind, model, code, problem):
    found, told = rows(running, body, kind, model)
    assert (found, problem in told["error"]) == (code, True), told


def test_a_file_that_crashes_its_reader_harms_nobody_else(running, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(row_routes.table_bodies, "rows", crash)
        assert rows(running, parquet(TABLE)) == (
            400,
            {"error": "the file is malformed: the process that read it has crashed"},
        )
    assert rows(running, parquet(TABLE))[0] == 200


def posted(body: bytes, more: dict[bytes, bytes] | None = None) -> Request:
    return Request("POST", b"/v1/models/two_in/rows", {b"content-type": PARQUET, **(more or {})}, body, "1.1", True)


def test_a_packed_file_is_unpacked_within_the_same_bounds(running):
    packed = {b"content-encoding": b"gzip"}
    for body, more, code in (
        (gzip.compress(parquet(TABLE)), packed, 200),
        (gzip.compress(bytes(row_routes.MOST_BYTES + 1)), packed, 413),
        (parquet(TABLE), packed, 400),
        (parquet(TABLE), {b"content-encoding": b"br"}, 415),
    ):
        answer = running.ask("POST", b"/v1/models/two_in/rows", body, {b"content-type": PARQUET, **more})
        assert answer.status == code, answer.body


def test_files_are_read_in_turn_and_in_time_and_only_so_many_wait(monkeypatch):
    monkeypatch.setattr(row_routes.table_bodies, "rows", hang)

    async def asked(running: InProcess) -> list[tuple[int, str, str | None]]:
        answers = await asyncio.gather(*(running.answer(posted(parquet(TABLE))) for _ in range(9)))
        assert not running.gateway.offload._busy
        return [(one.status, json.loads(one.body)["error"], header(one, "Retry-After")) for one in answers]

    with gateway(models_dir=GOLDEN_MODELS, request_timeout_s=0.3) as running:
        *waited, refused = running._runner.run(asked(running))
    assert set(waited) == {(504, "the file was not read within 0.3 seconds", None)}
    assert refused == (429, "8 files wait to be read; try again in a few seconds", "1")
