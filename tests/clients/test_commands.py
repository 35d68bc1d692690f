"""`signet predict`, `models` and `score` as a user meets them."""

import contextlib
import io
import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from rich.console import Console

from signet import cli as program
from signet.clients import commands
from signet.clients.client.connecting import NOTHING
from signet.clients.client.http_messages import Model
from signet.clients.commands import outputs_text, read_inputs
from signet.serving.errors import UsageError
from signet.serving.tensors import dtypes
from signet.serving.tensors.signature import Signature, TensorSpec
from tests.clients.fault_proxy import fault_proxy
from tests.servers import ROOT, SIGNET


@dataclass
class Done:
    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def signet(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """The command in this process, which is quicker than one of its own."""

    def run(*arguments: object, stdin: str = "") -> Done:
        monkeypatch.setattr(sys, "argv", ["signet", *map(str, arguments)])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
        with pytest.raises(SystemExit) as caught:
            program.main()
        return Done(int(caught.value.code or 0), *capsys.readouterr())

    return run


TWO_IN = '{"a": [[1, 2, 3]], "b": [[1, 2]]}'


def test_predict_prints_the_outputs_by_name(gateway_url):
    arguments = ("predict", "two_in", "--inputs", TWO_IN, "--url", gateway_url)
    done = subprocess.run([*SIGNET, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["output_0"][0] == pytest.approx([-0.2904302])


def test_inputs_come_from_a_file_or_standard_input(signet, tmp_path, embedded_url):
    path = tmp_path / "inputs.json"
    path.write_text('{"s": ["é", {"b64": "/w=="}]}')
    for option, stdin in ((f"@{path}", ""), ("-", path.read_text())):
        done = signet(
            "predict",
            "mixed",
            "--signature",
            "s",
            "--version",
            1,
            "--inputs",
            option,
            "--url",
            embedded_url,
            stdin=stdin,
        )
        assert done.stdout == (
            '{\n  "echo": ["é",{"b64":"/w=="}],\n  "echo_bytes": [{"b64":"w6k="},{"b64":"/w=="}],\n  "len": [2,1]\n}\n'
        )


def test_models_gives_a_pipe_whole_lines(signet, gateway_url):
    done = signet("models", "--url", gateway_url.removeprefix("http://"))
    assert done.returncode == 0
    first, *lines = [line.split("\t") for line in done.stdout.splitlines()]
    assert first == ["model", "versions", "signature", "inputs", "outputs"]
    assert ["two_in", "1", "serve", "a: float (None, 3); b: float (None, 2)", "output_0: float (None, 1)"] in lines
    assert all(len(line) == 5 and line[0] for line in lines)


def test_models_gives_programs_json(signet, gateway_url):
    done = signet("models", "--url", gateway_url, "--json")
    model = next(model for model in json.loads(done.stdout) if model["name"] == "two_in")
    assert (model["versions"], model["problem"]) == ([1], None)
    assert model["signatures"]["serve"]["inputs"]["b"] == {"dtype": "float", "shape": [None, 2]}


LONG = Signature(
    "gender_probabilities",
    {"question": TensorSpec("question", dtypes.from_numpy(np.dtype(np.int64)), (None, None), "q:0")},
    {
        "answer_to_the_question": TensorSpec(
            "answer_to_the_question", dtypes.from_numpy(np.dtype(np.float32)), (None, 22), "a:0"
        )
    },
)


@pytest.mark.parametrize("width", [80, 120])
def test_names_are_whole_on_narrow_and_wide_terminals(monkeypatch, capsys, width):
    served = [Model("question_answering", (12, 11), {LONG.name: LONG}), Model("away", (), {}, "it does not load")]
    monkeypatch.setattr(
        commands.Client, "of", lambda *_: contextlib.nullcontext(SimpleNamespace(models=lambda: served))
    )
    monkeypatch.setattr(
        commands, "console", lambda width=width: Console(width=width, force_terminal=True, color_system=None)
    )
    commands.models("http://localhost", NOTHING)
    text = capsys.readouterr().out
    for name in ("question_answering", "12, 11", LONG.name, "question: int64 (None, None)", "it does not load"):
        assert name in text
    assert "answer_to_the_question: float (None, 22)" in text
    assert max(map(len, text.splitlines())) <= width


def test_predict_asks_for_some_outputs_of_a_labelled_version_and_says_how_long_it_took(signet, embedded_url):
    inputs = ("--inputs", '{"x": [[1, 2, 3, 4]]}', "--url", embedded_url)
    done = signet("predict", "three_out", *inputs, "--outputs", "q, r", "--timing")
    assert json.loads(done.stdout).keys() == {"q", "r"}
    assert re.fullmatch(r"answered by version 1 in [\d.]+ ms, connection and signature included\n", done.stderr)
    refused = signet("predict", "three_out", *inputs, "--label", "stable")
    assert (refused.returncode, "stable" in refused.stderr) == (1, True)


def test_score_says_what_it_did(signet, tmp_path, embedded_url):
    (tmp_path / "in.jsonl").write_text('{"id": 1, "x": [1, 2, 3, 4]}\n')
    arguments = ("score", "three_out", tmp_path / "in.jsonl", tmp_path / "out.jsonl", "--url", embedded_url)
    done = signet(*arguments)
    assert re.fullmatch(
        r"1 rows scored by version 1 of 'three_out' in [\d.]+ s \([\d,]+ rows/s\): .*out\.jsonl\n", done.stdout
    )
    assert json.loads((tmp_path / "out.jsonl").read_text()).keys() == {"id", "p", "q", "r"}
    done = signet(*arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert "out.jsonl exists; choose another name" in done.stderr


NOBODY = "http://127.0.0.1:1"


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (
            ("models", "--url", NOBODY),
            f"cannot reach {NOBODY}: [Errno 111] Connection refused; `signet serve` starts a server",
        ),
        (("models", "--url", "ftp://localhost"), "the URL is 'ftp://localhost'; expected http://HOST:PORT"),
        (("predict", "two_in", "--inputs", TWO_IN, "--url", NOBODY), f"cannot reach {NOBODY}"),
        (("predict", "two_im", "--inputs", TWO_IN), "(did you mean 'two_in'?). Served models: "),
        (
            ("predict", "two_in", "--inputs", TWO_IN, "--version", 9),
            "Specific(two_in, 9). Versions of 'two_in' that answer: 1 (request ",
        ),
        (("predict", "two_in", "--inputs", TWO_IN, "--signature", "serv"), "(did you mean 'serve'?)"),
        (
            ("predict", "two_in", "--inputs", '{"a": [[1, 2, 3]]}'),
            "missing input 'b'. Signature 'serving_default' takes",
        ),
        (("predict", "two_in", "--inputs", '{"a": [[1]], "b": [[1]]}'), "input 'a' has shape (1, 1); the model takes"),
        (("predict", "two_in", "--inputs", "{a"), "--inputs is not JSON: Expecting property name"),
        (("predict", "two_in", "--inputs", "[1]"), "--inputs holds no object; expected the inputs by name"),
        (("predict", "two_in", "--inputs", "@/no/file"), "/no/file cannot be read: No such file or directory"),
        (("predict", "two_in", "--inputs", "-"), "standard input is not JSON"),
        (("score", "two_in", "/no/in", "/no/out"), "/no/in does not exist"),
    ],
)
def test_mistakes_end_with_a_sentence(signet, arguments, problem, embedded_url):
    done = signet(*arguments, *(() if "--url" in arguments else ("--url", embedded_url)))
    asked = any(word in problem for word in ("reach", "did you", "Specific", "missing input", "has shape"))
    tried = asked or arguments[0] == "score"
    assert (done.returncode, done.stdout) == (1 if tried else 2, "")
    assert done.stderr.startswith("signet: ")
    assert done.stderr.count("\n") == 1
    assert problem in done.stderr


@pytest.mark.parametrize("command", ["predict", "models", "score"])
def test_help_says_what_a_command_does(signet, command):
    done = signet(command, "--help")
    assert done.returncode == 0
    assert "http://localhost:8080" in done.stdout


def test_outputs_are_json_with_a_line_for_each():
    assert read_inputs('{"x": [NaN]}').keys() == {"x"}
    assert outputs_text({}) == "{\n\n}"
    with pytest.raises(UsageError, match="is not JSON"):
        read_inputs("")


def test_a_folder_is_no_file(tmp_path: Path):
    with pytest.raises(UsageError, match="cannot be read: Is a directory"):
        read_inputs(f"@{tmp_path}")


COMMANDS = {
    "predict": ("two_in", "--inputs", TWO_IN),
    "models": (),
    "score": ("two_in", "in.jsonl", "out.jsonl"),
    "load": ("two_in", "--bodies", "signature", "--rate", 20, "--seconds", 0.2, "--warmup-s", 0, "--json", "run.json"),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_shows_who_asks(command, signet, embedded_url, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in.jsonl").write_text('{"a": [1, 2, 3], "b": [1, 2]}\n')
    with fault_proxy(embedded_url) as proxy:
        for url, token in ((proxy.url, "s3cret"), (proxy.url.replace("//", "//me:s3cret@"), "")):
            monkeypatch.setenv("SIGNET_URL", url)
            monkeypatch.setenv("SIGNET_TOKEN", token)
            (tmp_path / "out.jsonl").unlink(missing_ok=True)
            done = signet(command, *COMMANDS[command], "--header", "X-Team: a")
            assert done.returncode == 0, done.stderr
            wanted = "Bearer s3cret" if token else "Basic bWU6czNjcmV0"
            assert {headers.get("authorization") for _, headers in proxy.seen} == {wanted}
            assert {headers["x-team"] for _, headers in proxy.seen} == {"a"}
            assert not any("@" in headers["host"] for _, headers in proxy.seen)
            proxy.seen.clear()
            written = [path.read_text() for path in tmp_path.iterdir()]
            assert not any("s3cret" in text for text in [done.stdout, done.stderr, *written])


def test_options_for_certificates_are_held_against_the_files(signet, tmp_path):
    for command, arguments in COMMANDS.items():
        done = signet(command, *arguments, "--url", "https://127.0.0.1:1", "--ca-file", tmp_path / "no.pem")
        assert (done.returncode, "Traceback" in done.stderr) == (1 if command == "score" else 2, False)
        if command != "score":
            assert "no.pem does not exist; expected a PEM file" in done.stderr
        done = signet(command, *arguments, "--certificate-key", "own.key")
        assert done.stderr == signet(command, *arguments, "--key", "own.key").stderr
        assert "--certificate-key is that of a --certificate, which is not given" in done.stderr
        done = signet(command, *arguments, "--header", "s3cret")
        assert done.stderr == "signet: --header has no ':'; expected 'NAME: VALUE'\n"
