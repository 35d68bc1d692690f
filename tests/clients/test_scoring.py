"""Scoring files: the steps as tables, the whole against real gateways, servers that stop and bad rows."""

import io
import json
import os
import re
import signal
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from clients import progress as progress_module
from clients.gateway_client import Client
from clients.progress import Progress
from clients.scoring import BadRow, Job, Line, Row, chunks, group, parse, patiently, score, scored_lines
from serving.dtypes import ROWS
from serving.errors import Cancelled, InvalidInput, Overloaded, TooLarge, Unavailable, UsageError
from serving.signature import Signature, TensorSpec
from tests import servers

BY_NAME = {row.name: row for row in ROWS}


def signature(outputs: str = "y", **inputs: tuple[str, tuple[int | None, ...]]) -> Signature:
    specs = {name: TensorSpec(name, BY_NAME[dtype], shape, "") for name, (dtype, shape) in inputs.items()}
    return Signature("sig", specs, {name: TensorSpec(name, BY_NAME["float"], (None,), "") for name in outputs})


X = signature(x=("float", (None, None)))
AB = signature(a=("float", (None, 2)), b=("string", (None,)))


# Steps


def test_lines_that_are_blank_are_left_out_and_counted():
    lines = [b"1\n", b"\n", b"2\n", b" \r\n", b"3"]
    assert list(chunks(lines, 2)) == [[Line(1, b"1\n"), Line(3, b"2\n")], [Line(5, b"3")]]
    assert list(chunks([], 2)) == []


@pytest.mark.parametrize(
    ("text", "of", "inputs", "carried"),
    [
        ('{"id": 7, "x": [1, 2]}', X, {"x": [1, 2]}, {"id": 7}),
        ('\ufeff{"x": [1]}\r\n', X, {"x": [1]}, {}),
        ("[1, 2]", X, {"x": [1, 2]}, {}),
        ('"text"', X, {"x": "text"}, {}),
        ('{"b64": "YQ=="}', X, {"x": {"b64": "YQ=="}}, {}),
        ('{"b": "é", "a": [1, 2], "ok": true, "none": null}', AB, {"a": [1, 2], "b": "é"}, {"ok": True, "none": None}),
    ],
)
def test_lines_become_rows(text, of, inputs, carried):
    row = parse(Line(1, text.encode()), of)
    assert (row.inputs, row.carried) == (inputs, carried)


@pytest.mark.parametrize(
    ("text", "of", "problem"),
    [
        (b'{"x": [1}', X, "line 3: it is not JSON: Expecting ',' delimiter at character 8"),
        (b"\xff\n", X, "line 3: it is not JSON: 'utf-8' codec can't decode byte 0xff"),
        (b'{"id": 1, "xx": [1]}', X, "line 3: missing input 'x'; unknown inputs 'id', 'xx' (did you mean 'x'?)"),
        (b"[1, 2]", AB, "line 3: it is no object; expected one with the inputs 'a', 'b'"),
        (b'{"b64": "YQ=="}', AB, "line 3: missing inputs 'a', 'b'; unknown input 'b64'"),
    ],
)
def test_lines_that_are_no_rows_are_explained(text, of, problem):
    with pytest.raises(BadRow, match=re.escape(problem)):
        parse(Line(3, text), of)


def rows(*inputs: Any) -> list[Row]:
    return [Row(number, {"x": value}, {}, has_booleans=True) for number, value in enumerate(inputs, 1)]


def test_rows_of_equal_shapes_go_together():
    ((places, arrays),) = group(rows([1, 2], [3, 4]), X)
    assert places == [0, 1]
    assert arrays["x"].tolist() == [[1, 2], [3, 4]]

    groups = group(rows([1, 2], [3], [4, 5], [], [6]), X)
    assert [(places, arrays["x"].tolist()) for places, arrays in groups] == [
        ([0, 2], [[1, 2], [4, 5]]),
        ([1, 4], [[3], [6]]),
        ([3], [[]]),
    ]


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        (([1, 2], [3, "a"]), "line 2: input 'x'[1] is the string \"a\"; the model takes numbers (float)"),
        (([1, 2], 3), "line 2: input 'x' has shape (); the model takes (None,)"),
        (([1, True],), "line 1: input 'x'[1] is the boolean true; the model takes numbers (float)"),
        (([1, [2]], [1]), "line 1: input 'x'[1] is a list"),
    ],
)
def test_rows_that_do_not_fit_are_named(values, problem):
    with pytest.raises(BadRow, match=re.escape(problem)):
        group(rows(*values), X)


def total(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """A model: the sum of each row."""
    return {"y": arrays["x"].sum(axis=1)}


def lines(*texts: str) -> list[Line]:
    return [Line(number, text.encode()) for number, text in enumerate(texts, 1)]


def test_answers_come_after_what_is_carried_in_the_order_of_the_rows():
    scored = scored_lines(lines('{"x": [1, 2], "id": "a"}', '{"id": "b", "x": [3]}', '{"x": [4, 5]}'), X, "", total)
    assert scored == b'{"id":"a","y":3.0}\n{"id":"b","y":3.0}\n{"y":9.0}\n'
    assert scored_lines(lines('{"x": [1], "y": 5}'), X, "my_", total) == b'{"y":5,"my_y":1.0}\n'


@pytest.mark.parametrize(
    ("carried", "written"),
    [
        ('"id": 123456789012345678901234567890', '"id":123456789012345678901234567890'),
        ('"n": {"é": [1.5, 18446744073709551616]}', '"n":{"é": [1.5, 18446744073709551616]}'),
        ('"n": NaN', '"n":NaN'),
        ('"s": "\\ud800", "t": "\\u00e9"', '"s":"\\ud800","t":"é"'),
    ],
)
def test_what_is_carried_stays_what_it_is(carried, written):
    text = '{"x": [1], ' + carried + "}"
    expected = "{" + written + ',"y":1.0}\n'
    assert scored_lines(lines(text), X, "", total).decode().replace('"t":"\\u00e9"', '"t":"é"') == expected


def test_answers_that_are_not_finite_are_written_bare():
    assert scored_lines(lines("[NaN]", "[1]", "[Infinity]"), X, "", total) == b'{"y":NaN}\n{"y":1.0}\n{"y":Infinity}\n'


def test_a_key_that_the_answer_has_too_is_refused():
    with pytest.raises(
        BadRow, match=re.escape("line 2: it has a key 'y', as has the answer; give the outputs another")
    ):
        scored_lines(lines('{"x": [1]}', '{"x": [1], "y": 5}'), X, "", total)


def test_the_row_that_the_server_refuses_is_found():
    calls = []

    def picky(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        calls.append(len(arrays["x"]))
        if (arrays["x"] < 0).any():
            raise InvalidInput("below zero")
        return total(arrays)

    with pytest.raises(BadRow, match="line 3: below zero"):
        scored_lines(lines("[1]", "[2]", "[-3]", "[-4]"), X, "", picky)
    assert calls == [4, 1, 1, 1]


def test_a_server_that_refuses_only_company_gets_rows_alone():
    def shy(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        if len(arrays["x"]) > 1:
            raise InvalidInput("too many")
        return total(arrays)

    assert scored_lines(lines("[1]", "[2]"), X, "", shy) == b'{"y":1.0}\n{"y":2.0}\n'


def test_too_much_for_one_request_says_what_to_do():
    def small(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        raise TooLarge("the most is 5 bytes")

    with pytest.raises(UsageError, match=r"lines 1 to 2 are too much .* 5 bytes; choose a smaller --batch-rows"):
        scored_lines(lines("[1]", "[2]"), X, "", small)
    with pytest.raises(BadRow, match="line 1: the most is 5 bytes"):
        scored_lines(lines("[1]"), X, "", small)


def test_an_answer_without_rows_is_refused():
    with pytest.raises(UsageError, match=re.escape("output 'y' has shape () for 2 rows")):
        scored_lines(lines("[1]", "[2]"), X, "", lambda _: {"y": np.float32(1)})


def test_an_overloaded_server_is_asked_again_after_growing_pauses():
    errors: list[Exception] = [Overloaded("full"), Unavailable("away"), Overloaded("full"), Overloaded("full")]
    pauses: list[float] = []
    notes: list[str] = []

    def ask() -> dict[str, np.ndarray]:
        if errors:
            raise errors.pop(0)
        return {}

    def pause(seconds: float) -> bool:
        pauses.append(seconds)
        return False

    assert patiently(ask, 60, pause, notes.append) == {}
    assert notes == ["waiting: full", "waiting: away", "waiting: full", "waiting: full"]
    for seconds, longest in zip(pauses, (0.1, 0.2, 0.4, 0.8), strict=True):
        assert longest / 2 <= seconds <= longest


def test_patience_ends():
    def ask() -> dict[str, np.ndarray]:
        raise Overloaded("full")

    with pytest.raises(Overloaded, match="full; gave up after 0 s"):
        patiently(ask, 0, lambda _: False, lambda _: None)
    with pytest.raises(Cancelled):
        patiently(ask, 60, lambda _: True, lambda _: None)


# The whole


@pytest.fixture
def job(tmp_path: Path, embedded_url: str) -> Job:
    return Job("three_out", tmp_path / "in.jsonl", tmp_path / "out.jsonl", embedded_url, batch_rows=8)


def run(job: Job, *texts: str) -> list[dict[str, Any]]:
    """Write the source, score it, read the target."""
    job.source.write_text("".join(text + "\n" for text in texts))
    score(job, Console(file=io.StringIO()))
    return [json.loads(line) for line in job.target.read_text().splitlines()]


def test_a_file_is_scored_in_order(job, gateway_url):
    job = replace(job, url=gateway_url)
    values = np.random.default_rng(0).random((100, 4)).round(3)
    answers = run(job, *(json.dumps({"id": i, "x": row.tolist()}) for i, row in enumerate(values)))
    with Client(gateway_url) as client:
        expected = client.predict("three_out", {"x": values})
    assert [list(answer) for answer in answers] == [["id", "p", "q", "r"]] * 100
    assert [answer["id"] for answer in answers] == list(range(100))
    for name, array in expected.items():
        np.testing.assert_allclose([answer[name] for answer in answers], array, rtol=1e-5)


@pytest.mark.parametrize(("batch_rows", "concurrency"), [(1, 1), (7, 3), (1000, 4)])
def test_requests_of_any_size_give_the_same(job, batch_rows, concurrency):
    texts = [json.dumps({"id": i, "x": [float(i)] * (1 + i % 3)}) for i in range(60)]  # of three lengths
    job = replace(job, model="mixed", batch_rows=batch_rows, concurrency=concurrency)
    answers = run(job, *texts)
    assert [answer["id"] for answer in answers] == list(range(60))
    assert [len(answer["y"]) for answer in answers] == [1 + i % 3 for i in range(60)]
    assert answers[4]["y"] == [answers[4]["y"][0]] * 2


def test_texts_and_bytes_are_scored(job):
    job = replace(job, model="mixed", signature="s")
    assert run(job, '{"s": "é", "id": 1}', '"bare"', '{"b64": "/w=="}') == [
        {"id": 1, "echo": "é", "echo_bytes": {"b64": "w6k="}, "len": 2},
        {"echo": "bare", "echo_bytes": {"b64": "YmFyZQ=="}, "len": 4},
        {"echo": "\ufffd", "echo_bytes": {"b64": "/w=="}, "len": 1},
    ]


def test_an_empty_file_gives_an_empty_file(job):
    assert run(job) == []


@pytest.mark.parametrize(
    ("options", "texts", "problem"),
    [
        ({}, ["[1, 2, 3, 4]"] * 20 + ["[1, 2]"], "line 21: input 'x' has shape (2,); the model takes (4,)"),
        ({}, ["[1, 2, 3, 4]", "", "{"], "line 3: it is not JSON: Expecting property name"),
        ({"model": "mixed", "signature": "fail"}, ["1", "2", "-3", "-4"], "line 3: "),
        ({"model": "three_ou"}, ["[1]"], "three_ou (did you mean 'three_out'?)"),
        ({"signature": "no"}, ["[1]"], "model 'three_out' has no signature 'no'"),
        (
            {"model": "mixed", "signature": "scalar"},
            ["1"],
            "signature 'scalar' of model 'mixed' has no rows in x: float ()",
        ),
        ({"model": "mixed", "signature": "rank0out"}, ["[1, 2]"], "has no rows in n: int32 ()"),
        ({"model": "mixed", "signature": "hf"}, ["1"], "input 'x' is half, which JSON cannot carry"),
        ({"url": "http://127.0.0.1:1"}, ["1"], "cannot reach http://127.0.0.1:1"),
        ({"source": Path("/no/in.jsonl")}, [], "/no/in.jsonl does not exist"),
        ({"source": Path("/")}, [], "/ is a folder"),
        ({"target": Path("/no/out.jsonl")}, ["1"], "the folder /no does not exist, so /no/out.jsonl cannot be written"),
        ({"target": Path("/dev/null"), "overwrite": True}, ["1"], "/dev/null is not a file"),
    ],
)
def test_what_cannot_be_scored_is_explained_and_leaves_nothing(job, options, texts, problem):
    job.source.write_text("".join(text + "\n" for text in texts))
    job = replace(job, **options)
    with pytest.raises(Exception, match=re.escape(problem)) as caught:
        score(job, Console(file=io.StringIO()))
    assert caught.value.exit_code == 1
    if job.source.is_file():
        assert [path.name for path in job.source.parent.iterdir()] == ["in.jsonl"]


def test_a_target_that_exists_is_kept_unless_told_otherwise(job):
    job.target.write_text("precious")
    with pytest.raises(UsageError, match=r"out\.jsonl exists; choose another name, or replace it with --overwrite"):
        run(job, "[1, 2, 3, 4]")
    with pytest.raises(UsageError, match="line 1: it is not JSON"):
        run(replace(job, overwrite=True), "nonsense")
    assert job.target.read_text() == "precious"
    assert len(run(replace(job, overwrite=True), "[1, 2, 3, 4]")) == 1
    with pytest.raises(UsageError, match="is the source itself"):
        run(replace(job, target=job.source, overwrite=True), "[1, 2, 3, 4]")


def test_rows_are_written_while_others_are_still_to_come(job):
    os.mkfifo(job.source)
    done: list[int] = []
    thread = threading.Thread(target=lambda: done.append(score(job, Console(file=io.StringIO())).rows))
    thread.start()
    with job.source.open("w") as pipe:
        for _ in range(1000):
            pipe.write("[1, 2, 3, 4]\n")
        pipe.flush()

        def written() -> bool:
            return any(path.stat().st_size for path in job.target.parent.glob(".out.jsonl.writing-*"))

        servers.wait_until(written, what="the first rows")
        assert not job.target.exists()
        pipe.write("[1, 2, 3, 4]\n")
    thread.join()
    assert done == [1001]
    assert len(job.target.read_text().splitlines()) == 1001


# Servers that are full, stop, or change


def test_a_full_server_loses_no_row(job, monkeypatch):
    monkeypatch.setenv("SIGNET_MAX_IN_FLIGHT", "1")
    with servers.gateway("--models-dir", servers.GOLDEN_MODELS) as (url, _):
        answers = run(
            replace(job, url=url, concurrency=4, batch_rows=2),
            *(json.dumps({"id": i, "x": [i, 0, 0, 0]}) for i in range(100)),
        )
        metrics = servers.get(f"{url}/metrics").text
    assert [answer["id"] for answer in answers] == list(range(100))
    assert re.search(r'signet_requests_total\{code="RESOURCE_EXHAUSTED".* [1-9]', metrics)


def test_a_server_that_starts_again_loses_no_row(job, tmp_path):
    port = servers.free_port()
    arguments = ("serve", "--http-port", str(port), "--models-dir", servers.GOLDEN_MODELS)
    texts = [json.dumps({"id": i, "x": [i, 0, 0, 0]}) + "\n" for i in range(400)]
    os.mkfifo(job.source)
    job = replace(job, url=f"http://127.0.0.1:{port}")
    done: list[int] = []
    thread = threading.Thread(target=lambda: done.append(score(job, Console(file=io.StringIO())).rows))
    with servers.program(*arguments) as first:
        first.read_until("ready at")
        thread.start()
        with job.source.open("w") as pipe:
            pipe.writelines(texts[:200])
            pipe.flush()
            first.stop(signal.SIGKILL)
            with servers.program(*arguments) as second:
                pipe.writelines(texts[200:])
                pipe.close()
                second.read_until("ready at")
                thread.join()
    assert done == [400]
    assert [json.loads(line)["id"] for line in job.target.read_text().splitlines()] == list(range(400))


def test_a_file_is_scored_by_one_version_or_not_at_all(job, changing):
    os.mkfifo(job.source)
    job = replace(job, model="m", url=changing.url)
    problems: list[str] = []

    def scoring() -> None:
        try:
            score(job, Console(file=io.StringIO()))
        except UsageError as error:
            problems.append(str(error))

    thread = threading.Thread(target=scoring)
    thread.start()
    with job.source.open("w") as pipe:  # opens when the scoring does, which knows its version by then
        changing.put(2, "mixed")
        with Client(changing.url) as client:
            servers.wait_until(lambda: client.models()[0].versions == (2,), what="the end of version 1")
        pipe.write("[1, 2, 3, 4]\n")
    thread.join()
    assert problems == ["version 1 of 'm', with which this file was begun, is no longer served; there is 2 now"]
    assert not job.target.exists()


def test_ctrl_c_leaves_nothing(job):
    os.mkfifo(job.source)
    arguments = ("score", "three_out", job.source, job.target, "--url", job.url)
    with servers.program(*arguments) as running, job.source.open("w") as pipe:
        pipe.writelines("[1, 2, 3, 4]\n" for _ in range(5000))
        pipe.flush()
        servers.wait_until(lambda: list(job.target.parent.glob(".out.jsonl.writing-*")), what="the first rows")
        assert running.stop(signal.SIGINT) != 0
    assert "Traceback" not in running.output
    assert [path.name for path in job.target.parent.iterdir()] == ["in.jsonl"]


# Progress


def test_a_terminal_shows_a_bar_with_rate_and_time_left():
    console = Console(file=io.StringIO(), force_terminal=True, width=120)
    with Progress(console, "digits", 1000) as progress:
        progress.advance(64, 250)
        progress.note("waiting: full")
    text = console.file.getvalue()
    assert "25%" in text
    assert "64 rows" in text
    assert "rows/s; waiting: full" in text


def test_without_a_terminal_there_is_a_line_now_and_then(monkeypatch):
    console = Console(file=io.StringIO(), width=20)
    with Progress(console, "digits", 1000) as progress:
        progress.advance(64, 250)
        assert console.file.getvalue() == ""
        monkeypatch.setattr(progress_module, "LINE_EVERY_S", 0)
        progress.advance(64, 250)
    assert re.fullmatch(r"digits: 128 rows, [\d,]+ rows/s, \d+ s left\n", console.file.getvalue())
