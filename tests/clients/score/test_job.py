"""Jobs as a whole, against real gateways: every format, targets, bad rows, servers that are full, stop or change."""

import gzip
import io
import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from signet.clients.client import throttling
from signet.clients.client.http_client import Client
from signet.clients.score import score_progress, service_predictor
from signet.clients.score.options import ScoreOptions
from signet.clients.score.predictor import Connection
from signet.clients.score.preparing import usual_batch_rows
from signet.clients.score.score_progress import ScoreProgress
from signet.clients.score.service_predictor import ServicePredictor
from signet.serving.errors import ServingError, UsageError
from signet.serving.models import tfrecords
from signet.serving.tensors.protos import example_pb2
from tests import servers
from tests.answers import assert_all_close, assert_close
from tests.clients.fault_proxy import fault_proxy
from tests.clients.score.conftest import read_rows, run, signature, tree, write_rows

Make = Callable[..., ScoreOptions]


def lines(job: ScoreOptions, *texts: str) -> ScoreOptions:
    """The job, with a source that holds these lines."""
    Path(job.inputs[0]).write_text("".join(text + "\n" for text in texts))
    return job


def answers(job: ScoreOptions, *texts: str) -> list[dict[str, Any]]:
    """Score these lines into a file of lines, and read it."""
    job = replace(job, output=str(Path(job.output).with_name("out.jsonl")))
    run(lines(job, *texts) if texts else job)
    return read_rows(Path(job.output))


# Formats in and out


def test_rows_are_scored_in_order(job, gateway_url, tmp_path):
    write_rows(tmp_path / "in.jsonl", 100)
    found = answers(job(url=gateway_url))
    with Client(gateway_url) as client:
        expected = client.predict("three_out", {"x": [row["x"] for row in read_rows(tmp_path / "in.jsonl")]})
    assert [list(answer) for answer in found] == [["id", "p", "q", "r"]] * 100
    assert [answer["id"] for answer in found] == list(range(100))
    assert_all_close({name: [answer[name] for answer in found] for name in expected}, expected)


@pytest.mark.parametrize(("batch_rows", "concurrency"), [(1, 1), (7, 3), (1000, 4)])
def test_requests_of_any_size_give_the_same(job, batch_rows, concurrency):
    texts = [json.dumps({"id": i, "x": [float(i)] * (1 + i % 3)}) for i in range(60)]  # of three lengths
    found = answers(job(model="mixed", batch_rows=batch_rows, concurrency=concurrency), *texts)
    assert [answer["id"] for answer in found] == list(range(60))
    assert [len(answer["y"]) for answer in found] == [1 + i % 3 for i in range(60)]


def test_texts_and_bytes_are_scored(job):
    assert answers(job(model="mixed", signature="s"), '{"s": "é", "id": 1}', '"bare"', '{"b64": "/w=="}') == [
        {"id": 1, "echo": "é", "echo_bytes": {"b64": "w6k="}, "len": 2},
        {"echo": "bare", "echo_bytes": {"b64": "YmFyZQ=="}, "len": 4},
        {"echo": {"b64": "/w=="}, "echo_bytes": {"b64": "/w=="}, "len": 1},
    ]


OUTPUTS = ["out", "out.parquet", "out.arrow", "out.csv", "out.csv.gz", "out.jsonl", "out.jsonl.zst", "out.tfrecord"]


def read(path: Path) -> list[dict[str, Any]]:
    """Rows of a result with flat outputs, whatever its format."""
    name = path.name.removesuffix(".zst").removesuffix(".gz")
    if path.is_dir():
        import pyarrow.dataset as pa_dataset  # imports pandas

        return pa_dataset.dataset(path).to_table().to_pylist()
    data = path.read_bytes()
    data = gzip.decompress(data) if path.suffix == ".gz" else data
    if path.suffix == ".zst":
        data = pa.CompressedInputStream(pa.BufferReader(data), "zstd").read()
    if name.endswith(".parquet"):
        return pq.read_table(pa.BufferReader(data)).to_pylist()
    if name.endswith(".arrow"):
        return pa.ipc.open_file(data).read_all().to_pylist()
    if name.endswith(".csv"):
        return pa_csv.read_csv(pa.BufferReader(data)).to_pylist()
    if name.endswith(".tfrecord"):
        return [_row(example_pb2.Example.FromString(record)) for record in tfrecords.read(io.BytesIO(data))]
    return [json.loads(line) for line in data.splitlines()]


def _row(example: Any) -> dict[str, Any]:
    return {
        name: getattr(feature, feature.WhichOneof("kind")).value[0]
        for name, feature in example.features.feature.items()
    }


@pytest.mark.parametrize("output", OUTPUTS)
def test_results_of_every_format_hold_the_same(output, job, tmp_path):
    write_rows(tmp_path / "in.jsonl", 50)
    expected = answers(job(flat=True))
    assert list(expected[0]) == ["id", "p_0", "p_1", "p_2", "q", "r_0", "r_1"]
    (tmp_path / "out.jsonl").unlink()
    done = run(job(output=str(tmp_path / output), flat=True, part_rows=16))
    assert (done.rows, done.bad) == (50, 0)
    found = read(tmp_path / output)
    assert [row["id"] for row in found] == list(range(50))
    for got, wanted in zip(found, expected, strict=True):
        assert_all_close(got, wanted)
    if (tmp_path / output).is_dir():
        names = [f"part-0000{i}.parquet" for i in range(4)]
        assert sorted(tree(tmp_path / output)) == ["_manifest.json", *names]
    else:
        assert sorted(path.name for path in tmp_path.iterdir()) == ["in.jsonl", output]


@pytest.mark.parametrize(
    "source", ["out.parquet", "out.arrow", "out.csv", "out.csv.gz", "out.jsonl.zst", "out.tfrecord"]
)
def test_sources_of_every_format_hold_the_same(source, job, tmp_path):
    """What one job writes another reads: the outputs of the one are carried along by the other, and x is an input."""
    values = np.random.default_rng(0).random((50, 4)).astype(np.float32)
    texts = [
        json.dumps({"s": i + 1, **{f"x_{k}": float(str(v)) for k, v in enumerate(row)}}) for i, row in enumerate(values)
    ]
    first = job(model="mixed", signature="fail", maps=("x=s",), output=str(tmp_path / source))
    run(lines(first, *texts))
    second = job(inputs=[first.output], output=str(tmp_path / "second.parquet"), carry="y", maps=(*X_COLUMNS,))
    run(second)
    found = pq.read_table(second.output).to_pylist()
    with Client(second.url) as client:
        expected = client.predict("three_out", {"x": values})
    assert_close([row["p"] for row in found], expected["p"])
    assert len(found) == 50


X_COLUMNS = ("x=x_0,x_1,x_2,x_3",)


def test_csv_has_a_column_for_each_number(job, tmp_path):
    write_rows(tmp_path / "in.jsonl", 3)
    run(job(output=str(tmp_path / "out.csv"), prefix="my_"))
    header = (tmp_path / "out.csv").read_text().splitlines()[0]
    assert header == '"id","my_p_0","my_p_1","my_p_2","my_q","my_r_0","my_r_1"'
    run(job(output=str(tmp_path / "parts"), format="csv", part_rows=1, batch_rows=1))
    assert (tmp_path / "parts" / "part-00002.csv").read_text().count("\n") == 2  # each part has the header


def test_an_empty_source_gives_an_empty_result(job, tmp_path):
    assert answers(lines(job())) == []
    run(job())
    assert pq.read_table(tmp_path / "out" / "part-00000.parquet").schema.names == ["p", "q", "r"]


@pytest.mark.parametrize("name", ["in.parquet", "in.arrow", "stream.arrow", "in.csv", "in.tsv"])
def test_a_file_without_rows_gives_a_result_of_the_same_columns(name, job, tmp_path):
    source = tmp_path / name
    table = pa.table({"id": pa.array([], pa.int64()), "x": pa.array([], pa.list_(pa.float32()))})
    if name.endswith("sv"):
        source.write_text("id,x\n".replace(",", "\t" if name == "in.tsv" else ","))
    elif name == "in.parquet":
        pq.write_table(table, source)
    else:
        opened = pa.ipc.new_stream if name == "stream.arrow" else pa.ipc.new_file
        with opened(str(source), table.schema) as file:
            file.write_table(table)
    assert run(job(inputs=[str(source)], output=str(tmp_path / "out.parquet"))).rows == 0
    assert pq.read_schema(tmp_path / "out.parquet").names == ["id", "p", "q", "r"]
    with pytest.raises(UsageError, match="has no column 'v' for the input 'x'"):
        run(job(inputs=[str(source)], output=str(tmp_path / "other.jsonl"), maps=("x=v",)))


def test_pipes_on_both_sides(job, tmp_path, monkeypatch):
    texts = write_rows(tmp_path / "in.jsonl", 20).read_bytes()
    expected = answers(job())
    out = io.BytesIO()
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(texts)))
    monkeypatch.setattr(sys, "stdout", SimpleNamespace(buffer=out))
    assert run(job(inputs=["-"], output="-")).rows == 20
    assert [json.loads(line) for line in out.getvalue().splitlines()] == expected


def test_the_rows_of_a_request_hang_on_their_size():
    assert usual_batch_rows(signature(x=("float", (None, 64)))) == 1024
    assert usual_batch_rows(signature(x=("int32", (None, 500)))) == 128
    assert usual_batch_rows(signature(x=("float", (None, 128, 128, 3)))) == 8
    assert usual_batch_rows(signature(x=("int32", (None, None)))) == 256
    assert usual_batch_rows(signature(x=("string", (None,)))) == 64


# Mistakes


@pytest.mark.parametrize(
    ("options", "texts", "problem"),
    [
        ({}, ["[1, 2, 3, 4]"] * 20 + ["[1, 2]"], "line 21: input 'x' has shape (2,); the model takes (4,)"),
        ({}, ["[1, 2, 3, 4]", "", "{"], "line 3: it is not JSON: Expecting property name"),
        ({"model": "mixed", "signature": "fail"}, ["1", "2", "-3", "-4"], "line 3: "),
        ({"model": "three_ou"}, ["[1]"], "three_ou (did you mean 'three_out'?)"),
        ({"signature": "no"}, ["[1]"], "model 'three_out' has no signature 'no'"),
        ({"version": 7}, ["[1]"], "version 7 of 'three_out', which this job is pinned to, is not served any more"),
        (
            {"model": "mixed", "signature": "scalar"},
            ["1"],
            "signature 'scalar' of model 'mixed' has no rows in x: float ()",
        ),
        ({"model": "mixed", "signature": "rank0out"}, ["[1, 2]"], "has no rows in n: int32 ()"),
        ({"url": "http://127.0.0.1:1"}, ["1"], "cannot reach http://127.0.0.1:1"),
        ({"inputs": ["/no/in.jsonl"]}, [], "/no/in.jsonl does not exist"),
        ({"output": "/no/out.jsonl"}, ["1"], "the folder /no does not exist, so /no/out.jsonl cannot be written"),
        ({"output": "/dev/null.jsonl/x"}, ["1"], "the folder /dev/null.jsonl does not exist"),
        ({"output": "out.jsonl", "format": "csv"}, ["1"], "out.jsonl ends as jsonl, but --format is 'csv'"),
        ({"format": "xls"}, ["1"], "--format is 'xls'; expected jsonl, csv"),
        ({"carry": "", "maps": ("x=v",)}, ['{"x": 1}'], "line 1: it has no key 'v', which --map names"),
        ({"carry": "ids"}, ['{"x": [1, 2, 3, 4], "id": 1}'] * 9, "has a key 'ids' to carry (did you mean 'id'?)"),
        ({"output": "out.jsn"}, ["1"], "out.jsn ends as no result does (did you mean 'jsonl'?)"),
        ({"output": "-", "format": "parquet"}, ["1"], "--format is 'parquet', which OUTPUT - cannot have"),
        ({"output": "-", "max_bad": 3}, ["1"], "with OUTPUT - there is no place for bad rows"),
        ({}, ['{"x": [1, 2, 3, 4], "p": 1}'], "has a key 'p', as has the answer; give the outputs another --prefix"),
    ],
)
def test_what_cannot_be_scored_is_explained_and_leaves_nothing(job, options, texts, problem, tmp_path):
    (tmp_path / "in.jsonl").write_text("".join(text + "\n" for text in texts))
    with pytest.raises(Exception, match=re.escape(problem)) as caught:
        run(job(patience_s=0.1, **options))
    assert caught.value.exit_code in (1, 2, 3, 4)
    assert [path.name for path in tmp_path.iterdir()] == ["in.jsonl"]


def test_a_result_that_exists_is_kept_unless_told_otherwise(job, tmp_path):
    out = tmp_path / "out.jsonl"
    out.write_text("precious")
    with pytest.raises(UsageError, match=r"out\.jsonl exists; choose another name, or replace it with --overwrite"):
        answers(job(), "[1, 2, 3, 4]")
    with pytest.raises(UsageError, match="line 1: it is not JSON"):
        answers(job(overwrite=True), "nonsense")
    assert out.read_text() == "precious"
    assert len(answers(job(overwrite=True), "[1, 2, 3, 4]")) == 1
    with pytest.raises(UsageError, match="is the source itself"):
        run(job(output=str(tmp_path / "in.jsonl"), overwrite=True))


def test_a_result_that_is_a_link_is_written_where_it_leads(job, tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "out.jsonl").symlink_to("other/real.jsonl")
    assert len(answers(job(), "[1, 2, 3, 4]")) == 1
    assert (tmp_path / "out.jsonl").is_symlink()
    assert len(read_rows(tmp_path / "other" / "real.jsonl")) == 1


def test_a_folder_of_something_else_is_left_alone(job, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "letter").write_text("precious")
    for overwrite in (False, True):
        with pytest.raises(UsageError, match="out is not empty and holds no scoring job"):
            run(lines(job(overwrite=overwrite), "[1, 2, 3, 4]"))
    with pytest.raises(UsageError, match=r"letter is a file; for a folder of parts choose another name"):
        run(job(output=str(tmp_path / "out" / "letter")))


# Bad rows


@pytest.mark.parametrize("output", ["out", "out.csv"])
def test_bad_rows_go_to_the_dead_letters(job, tmp_path, output):
    texts = [json.dumps({"id": i, "x": [i, 0, 0, 0][: 4 - (i % 10 == 3)]}) for i in range(40)]
    texts[25] = "nonsense"
    made = job(output=str(tmp_path / output), max_bad=5, part_rows=8)
    done = run(lines(made, *texts))
    assert (done.rows, done.bad) == (35, 5)
    assert [row["id"] for row in read(tmp_path / output)] == [i for i in range(40) if i % 10 != 3 and i != 25]
    letters = read_rows(Path(done.letters))
    assert [letter["at"] for letter in letters] == ["line 4", "line 14", "line 24", "line 26", "line 34"]
    assert letters[0]["reason"] == "input 'x' has shape (3,); the model takes (4,)"
    assert letters[0]["row"] == {"id": 3, "x": [3, 0, 0]}
    assert letters[3]["row"] == "nonsense"
    names = {name for name in tree(tmp_path) if "dead" in name}
    assert names == {str(Path(done.letters).relative_to(tmp_path))}


def test_too_many_bad_rows_end_the_job_which_can_go_on(job, tmp_path):
    texts = [json.dumps({"x": [1, 0, 0, 0][: 4 - (i % 10 == 3)]}) for i in range(40)]
    made = lines(job(max_bad=2, part_rows=8, concurrency=1), *texts)
    with pytest.raises(
        UsageError, match=r"3 rows cannot be scored, --max-bad is 2; the last was .* line 24: "
    ) as caught:
        run(made)
    assert caught.value.exit_code == 4
    done = run(replace(made, max_bad=-1))
    assert (done.rows, done.bad, done.new_rows) == (36, 4, 22)  # two parts, of 14 good rows, were there


# Servers that are full, stop, or change


def test_a_full_server_loses_no_row(job, monkeypatch, tmp_path):
    monkeypatch.setenv("SIGNET_MAX_IN_FLIGHT", "1")
    write_rows(tmp_path / "in.jsonl", 100)
    with servers.gateway("--models-dir", servers.GOLDEN_MODELS) as (url, _):
        found = answers(job(url=url, batch_rows=2))
        metrics = servers.get(f"{url}/metrics").text
    assert [answer["id"] for answer in found] == list(range(100))
    assert re.search(r'signet_requests_total\{code="RESOURCE_EXHAUSTED".* [1-9]', metrics)


def scoring(job: ScoreOptions) -> tuple[threading.Thread, list[Any]]:
    """A thread that does the job; the list gets its summary or its error."""
    done: list[Any] = []

    def work() -> None:
        try:
            done.append(run(job))
        except UsageError as error:
            done.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    return thread, done


def test_a_server_that_starts_again_loses_no_row(job, tmp_path):
    port = servers.free_port()
    arguments = ("serve", "--http-port", str(port), "--models-dir", servers.GOLDEN_MODELS)
    texts = [json.dumps({"id": i, "x": [i, 0, 0, 0]}) + "\n" for i in range(400)]
    os.mkfifo(tmp_path / "in.jsonl")
    made = job(url=f"http://127.0.0.1:{port}", output=str(tmp_path / "out.jsonl"))
    with servers.program(*arguments) as first:
        first.read_until("ready at")
        thread, done = scoring(made)
        with (tmp_path / "in.jsonl").open("w") as pipe:
            pipe.writelines(texts[:200])
            pipe.flush()
            first.stop(signal.SIGKILL)
            with servers.program(*arguments) as second:
                pipe.writelines(texts[200:])
                pipe.close()
                second.read_until("ready at")
                thread.join()
    assert done[0].rows == 400
    assert [row["id"] for row in read_rows(tmp_path / "out.jsonl")] == list(range(400))


def test_rows_are_scored_by_one_version_or_not_at_all(job, changing, tmp_path):
    os.mkfifo(tmp_path / "in.jsonl")
    thread, done = scoring(job(model="m", url=changing.url, patience_s=0.3))
    with (tmp_path / "in.jsonl").open("w") as pipe:  # opens when the job does, which is pinned by then
        changing.put(2, "mixed")
        with Client(changing.url) as client:
            servers.wait_until(lambda: client.models()[0].versions == (2,), what="the end of version 1")
        pipe.write("[1, 2, 3, 4]\n")
    thread.join()
    assert done[0].exit_code == 3
    assert str(done[0]) == (
        "version 1 of 'm', which this job is pinned to, is not served any more; there is 2 now. What was scored is "
        "kept: have it served again, by model_version_policy { specific { versions: 1 } } or latest { num_versions: 2 } "
        "in the model config file, and run the same command; gave up after 0.3 s"
    )


def test_requests_name_their_job_and_are_not_merged(job, tmp_path):
    write_rows(tmp_path / "in.jsonl", 4)
    with fault_proxy(job().url) as proxy:
        run(job(url=proxy.url))
    (headers,) = [headers for path, headers in proxy.seen if path.endswith(":predict")]
    assert headers["x-signet-batching"] == "off"
    assert re.fullmatch(r"score-[0-9a-f]{16}", headers["x-signet-job"])


def test_a_busy_server_is_left_alone_for_as_long_as_it_says(job, tmp_path):
    write_rows(tmp_path / "in.jsonl", 64)
    with fault_proxy(job().url, busy=[1]) as proxy:
        done = run(job(url=proxy.url, concurrency=1))
    assert done.rows == 64
    assert done.seconds > 1
    assert len([path for path, _ in proxy.seen if path.endswith(":predict")]) == 9


def test_what_the_client_holds_back_is_sent_later(job, tmp_path, monkeypatch):
    """Refused as often as it is, the client refuses most of the job's requests itself: each row comes once all the same."""
    monkeypatch.setattr(service_predictor, "BUSY_S", 0.005)
    monkeypatch.setattr(service_predictor, "_HELD_S", 0.01)
    window = (0.3, time.monotonic, random.random)
    monkeypatch.setattr(throttling.AcceptWindow.__init__, "__defaults__", window)
    made: list[ServicePredictor] = []
    begin = ServicePredictor.__init__
    monkeypatch.setattr(ServicePredictor, "__init__", lambda self, *told: (made.append(self), begin(self, *told))[1])
    write_rows(tmp_path / "in.jsonl", 64)
    with fault_proxy(job().url, busy=[0] * 12) as proxy:
        assert run(job(url=proxy.url)).rows == 64
    assert [row["id"] for row in pq.read_table(tmp_path / "out").to_pylist()] == list(range(64))
    assert len([path for path, _ in proxy.seen if path.endswith(":predict")]) == 12 + 8
    assert made[0].throttled > 0


def test_time_held_back_is_not_taken_from_the_patience(job, monkeypatch):
    """As often as the client holds a request back, it is given up for the server's refusals alone."""
    monkeypatch.setattr(service_predictor, "BUSY_S", 0.005)
    monkeypatch.setattr(service_predictor, "_HELD_S", 0.02)
    held: list[float] = []

    def chance() -> float:
        held.append(0.0)
        return 1.0 if len(held) % 40 == 0 else 0.0

    monkeypatch.setattr(throttling.AcceptWindow.__init__, "__defaults__", (throttling.WINDOW_S, time.monotonic, chance))
    with fault_proxy(job().url, busy=[0, 0]) as proxy:
        connection = Connection(proxy.url, "three_out", 1, "serving_default", "score-1", 1, None, patience_s=0.25)
        predictor = ServicePredictor(connection, lambda _: None)
        assert predictor.predict({"x": np.ones((1, 4), np.float32)})
        predictor.close()
    assert len(held) == 80  # forty times 15 ms before each of two requests


@pytest.mark.parametrize("retry_after_s", [0, 3600])
def test_patience_ends_with_a_server_that_is_always_busy(retry_after_s, job, tmp_path):
    write_rows(tmp_path / "in.jsonl", 8)
    with (
        fault_proxy(job().url, busy=[retry_after_s] * 1000) as proxy,
        pytest.raises(ServingError, match=r"busy; gave up after 0\.2 s") as caught,
    ):
        run(job(url=proxy.url, patience_s=0.2))
    assert caught.value.exit_code == 1


def test_a_reader_that_goes_away_ends_the_job_without_a_word(job, tmp_path):
    write_rows(tmp_path / "in.jsonl", 2000)
    made = job(output="-")
    command = [*servers.SIGNET, "score", made.model, *made.inputs, "-", "--url", made.url]
    with subprocess.Popen(
        command, cwd=servers.ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as scoring:
        assert scoring.stdout.readline()
        scoring.stdout.close()
        assert scoring.stderr.read() == ""
        assert scoring.wait() == 141


def test_the_rate_is_kept(job, tmp_path):
    write_rows(tmp_path / "in.jsonl", 64)
    done = run(job(rows_per_s=64))
    assert done.seconds > 0.75  # the first 8 rows at once, 56 more in 7/8 s


# Progress


def test_a_terminal_shows_a_bar_with_rate_and_time_left():
    console = Console(file=io.StringIO(), force_terminal=True, width=120)
    with ScoreProgress(console, "digits", 1000) as progress:
        progress.resume(100, 250)
        progress.advance(64, 250)
        progress.note("waiting: full")
    text = console.file.getvalue()
    assert "50%" in text
    assert "164 rows" in text
    assert "rows/s; waiting: full" in text


def test_without_a_terminal_there_is_a_line_now_and_then(monkeypatch):
    console = Console(file=io.StringIO(), width=20)
    with ScoreProgress(console, "digits", 1000) as progress:
        progress.advance(64, 250)
        assert console.file.getvalue() == ""
        monkeypatch.setattr(score_progress, "LINE_EVERY_S", 0)
        progress.advance(64, 250)
    assert re.fullmatch(r"digits: 128 rows, [\d,]+ rows/s, \d+ s left\n", console.file.getvalue())
