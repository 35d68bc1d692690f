"""The whole journey as a newcomer goes it: every command of the README and of the pages in docs/, on real servers."""

import json
import os
import re
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from textwrap import indent

import httpx
import pyarrow.parquet as pq
import pytest

from examples import first_run
from tests import notebooks, programs, servers
from tests.certificates import Authority
from tests.servers import ROOT, Program

pytestmark = pytest.mark.timeout(900)  # the first run trains three models

QUICK = first_run.NAMES
ELSEWHERE = {
    "releases": "tests/test_releases_page.py",
    "tutorial": "tests/test_notebooks.py",
    "typed-clients": "tests/third_party/test_typed_clients.py",
}
"""Pages whose commands and code another test runs."""
PAGES = {
    path.stem: path.read_text()
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    if path.stem not in ELSEWHERE
}
README = PAGES["README"]


def blocks(language: str, text: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def commands(text: str) -> list[str]:
    """The lines of a page, without remarks."""
    return [line.split("   #")[0] for block in blocks("sh", text) for line in block.strip().splitlines()]


OWN = commands(section := README.split("## Your own model")[1].split("\n## ")[0])
(OWN_MODEL,) = blocks("python", section)
"""A model of the reader's own, from the wheel to its answer; it has a test of its own."""
GUARDED = [line for page in ("access", "tls") for line in commands(PAGES[page])]
"""About a gateway with keys, in the clear and over TLS; they have a test of their own."""
COMMANDS = [
    line
    for line in dict.fromkeys(line for text in PAGES.values() for line in commands(text))
    if line not in OWN + GUARDED
]
SERVERS = [line for line in COMMANDS if re.match(r"make|signet (serve|model-server)", line)]
"""They do not end by themselves; each has a test below."""
FILES = [line for line in COMMANDS if line.startswith("echo") or "--json" in line]
"""They write what the others read."""
PYTHON = [block for text in PAGES.values() for block in blocks("python", text) if block != OWN_MODEL]


@dataclass
class Running:
    """`make run`, and where it answers."""

    url: str
    program: Program
    models: Path


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """`make run` with an empty models folder: serves, and trains the three quick presets, for an epoch each."""
    models = tmp_path_factory.mktemp("journey") / "models"
    with make_run(models, "EPOCHS=1") as started:
        yield started


@contextmanager
def make_run(models: Path, *variables: str) -> Iterator[Running]:
    """`make run` on a free port, until it has printed its three commands: at the start, or as models answer."""
    port = servers.free_port()
    environment = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}
    process = subprocess.Popen(
        ["make", "run", f"HTTP_PORT={port}", f"MODELS_DIR={models}", *variables],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        env={**environment, "PYTHONUNBUFFERED": "1", "SIGNET_GRPC_PORT": "0"},
    )
    try:
        program = Program(process)
        program.read_until("Signet is (ready )?at", timeout_s=60)
        program.read_until(r"(?s)(curl -s .*?\n\n.*?){3}", timeout_s=600)
        yield Running(f"http://localhost:{port}", program, models)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def shell(command: str, at: Running, folder: Path) -> str:
    """A line of a page, against this server, in a folder where it can write."""
    if command.startswith("curl"):
        programs.need("curl")
    done = run(command.replace("http://localhost:8080", at.url), at.url, folder)
    # Whether a limit of a load test is kept is a matter of the machine.
    codes = (0, 1) if " --slo " in command and "good/s" in done.stdout else (0,)
    assert done.returncode in codes, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


def run(line: str, url: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    """A line of a page in the folder, by the programs of `.venv`, for a gateway at this URL."""
    environment = {**os.environ, "SIGNET_URL": url, "PATH": f"{ROOT / '.venv/bin'}:{os.environ['PATH']}"}
    return subprocess.run(
        ["bash", "-euc", line], cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=200
    )


@pytest.mark.long
def test_the_first_run_as_it_is_printed_learns_what_the_quick_preset_learns(tmp_path):
    with make_run(tmp_path / "models"):
        for name in QUICK:
            metrics = json.loads((tmp_path / "models" / name / "1" / "assets.extra" / "metrics.json").read_text())
            assert metrics["best_epoch"] > 1
            assert all(score["value"] > 0.5 for score in metrics["scores"] if score["metric"] == "accuracy"), metrics


def test_the_notebook_of_clients_asks_the_models_of_the_first_run(running, tmp_path):
    grpc = re.findall(r"gRPC: (localhost:\d+)", running.program.output)[0]
    places = {"http://localhost:8080": running.url, "localhost:8500": grpc}
    said = notebooks.run(notebooks.CLIENT, tmp_path, places)
    for words in (
        "<Version 1 of question_answering",
        "did you mean 'pixels'?",
        "NotFound: ",
        "dict_keys(['digit'])",
        "\n20",
    ):
        assert words in said, said


def test_the_first_run_prints_three_commands_that_work(running, tmp_path):
    lines = re.findall(r"^  (curl .*)$", running.program.output, re.MULTILINE)
    assert [re.search(r"models/(\w+):predict", line)[1] for line in lines] == list(QUICK)
    told = r"^(\w+) answers now, after \d+ s; (?:waiting for (.+)|all do)\. Try:"
    assert re.findall(told, running.program.output, re.MULTILINE) == [
        ("digits", "question_answering and social_posts"),
        ("question_answering", "social_posts"),
        ("social_posts", ""),
    ]
    answers = {}
    for name, command in zip(QUICK, lines, strict=True):
        answers[name] = json.loads(shell(command, running, tmp_path))["predictions"][0]
    golden = json.loads((running.models / "question_answering/1/assets.extra/golden.json").read_text())["signatures"]
    assert answers["question_answering"]["answer"] == golden["from_text"]["outputs"]["answer"][0]
    assert 0 < answers["question_answering"]["answer_probability"] <= 1
    assert answers["social_posts"].keys() == {"age", "income", "income_probability", "gender", "gender_probability"}
    assert sum(answers["digits"]) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("command", [line for line in COMMANDS if line not in SERVERS and not line.startswith("echo")])
def test_each_command_of_readme_and_docs(command, running, tmp_path):
    for line in FILES:
        if line != command and ("load-compare" in command or ("score" in command and line.startswith("echo"))):
            shell(line, running, tmp_path)
    output = shell(command, running, tmp_path)
    assert output.strip()
    if command.startswith("curl"):
        assert not json.loads(output).get("error")
    if " score " in command:
        row = scored_row(command, output, tmp_path)
        assert row["id"] == 7
        assert isinstance(row["answer"], str)


def scored_row(command: str, output: str, folder: Path) -> dict[str, object]:
    """The only row that a line of a page scores."""
    if " - - " in command:
        return json.loads(output)
    if "answers.jsonl" in command:
        return json.loads((folder / "answers.jsonl").read_text())
    (row,) = pq.read_table(folder / "answers").to_pylist()
    return row


def test_a_row_of_pixels_needs_no_mapping(running, tmp_path):
    (tmp_path / "in.jsonl").write_text(json.dumps({"id": 7, "pixels": [0] * 64}) + "\n")
    shell("signet score digits in.jsonl out.jsonl", running, tmp_path)
    row = json.loads((tmp_path / "out.jsonl").read_text())
    assert (row["id"], len(row["digit"])) == (7, 10)


@pytest.mark.parametrize("code", PYTHON)
def test_the_python_of_readme_and_docs(code, running, tmp_path):
    code = code.replace("http://localhost:8080", running.url)
    if "localhost:8081" in code:
        code = code.replace("localhost:8081", running.program.read_until(r"gRPC: (localhost:\d+)")[1])
    if "\nprint(await " in code:  # a cell of a notebook
        code = f"import asyncio\n\nasync def cell():\n{indent(code, '    ')}\nasyncio.run(cell())"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()


def test_the_typescript_of_the_readme(running, tmp_path):
    """With the types taken away, of which there are none."""
    programs.need("node")
    (code,) = blocks("ts", README)
    (tmp_path / "ask.mjs").write_text(code.replace("http://localhost:8080", running.url))
    done = subprocess.run(["node", tmp_path / "ask.mjs"], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert len(re.findall(r"\d\.\d+", done.stdout)) == 10


def test_a_model_of_ones_own(running, tmp_path):
    """From the code of the README to an answer of a server that runs: its folder is looked at again and again."""
    wheel, install, code, serve, ask = OWN
    assert (wheel, serve) == ("make wheel", "signet serve")
    release = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    file, extra = re.fullmatch(r"pip install 'dist/(.*)\[(\w+)\]'", install).groups()
    assert (
        file == f"{release['name'].replace('-', '_')}-{release['version']}-py3-none-any.whl"
    )  # as deploy/wheel.py makes it
    assert extra in release["optional-dependencies"]
    (tmp_path / code.split()[1]).write_text(OWN_MODEL)
    (tmp_path / "models").symlink_to(running.models)
    done = run(code, "", tmp_path)
    assert done.stdout.split()[-1].endswith("models/customers/1"), done.stdout + done.stderr
    servers.wait_until(lambda: "customers" in first_run.served(int(running.url.rpartition(":")[2])), 30, "the model")
    said = json.loads(section.split("\n    {")[1].splitlines()[0].join(["{", ""]))
    (row,) = json.loads(shell(ask, running, tmp_path))["predictions"]
    assert row.keys() == said["predictions"][0].keys() == {"churn", "value"}
    assert 0 < row["churn"][0] < 1


def test_the_golden_examples_come_back_over_http(running):
    for name in QUICK:
        path = running.models / name / "1" / "assets.extra" / "golden.json"
        for signature, golden in json.loads(path.read_text())["signatures"].items():
            body = {"signature_name": signature, "inputs": golden["inputs"]}
            answer = httpx.post(f"{running.url}/v1/models/{name}:predict", json=body, timeout=30).json()["outputs"]
            outputs = answer if len(golden["outputs"]) > 1 else {next(iter(golden["outputs"])): answer}
            for output, expected in golden["outputs"].items():
                close(outputs[output], expected, golden["rtol"], golden["atol"])


def close(got: object, expected: object, rtol: float, atol: float) -> None:
    if isinstance(expected, list):
        assert len(got) == len(expected)
        for one, other in zip(got, expected, strict=True):
            close(one, other, rtol, atol)
    elif isinstance(expected, float):
        assert got == pytest.approx(expected, rel=rtol, abs=atol)
    else:
        assert got == expected


def test_the_server_lines_of_the_readme(running):
    """`signet serve --backend` in front of `signet model-server`, beside `make run`; ports changed."""
    model_server, serve = [line for line in SERVERS if line.startswith("signet")]
    taken = re.findall(r"port[= ](\d+)", f"{model_server} {serve}")
    assert len(set(taken)) == len(taken) == 4
    assert not {"8080", "8081"} & set(taken)
    arguments = model_server.split()[2:]
    assert arguments[:2] == ["--port=8500", "--rest_api_port=8501"]
    rest_port, base = servers.free_port(), arguments[3].replace("$PWD/models", str(running.models))
    with servers.model_server(f"--rest_api_port={rest_port}", arguments[2], base) as (address, server):
        server.read_until("Exporting HTTP/REST API")
        assert servers.get(f"http://127.0.0.1:{rest_port}/v1/models/digits").status_code == 200
        options = serve.replace("localhost:8500", address).split(" --http-port")[0].split()[2:]
        with servers.gateway(*options) as (url, _):
            body = {"instances": [[0] * 64]}
            assert httpx.post(f"{url}/v1/models/digits:predict", json=body).status_code == 200
            assert httpx.get(f"{url}/readyz").json() | {"why": []} == {
                "ready": True,
                "draining": False,
                "models": ["digits"],
                "missing": [],
                "why": [],
            }


@contextmanager
def guarded(line: str, models: Path, folder: Path) -> Iterator[tuple[str, Program]]:
    """A server line of the README that names files, which are in the folder; on free ports, with an admin port."""
    arguments = [str(folder / word) if (folder / word).is_file() else word for word in line.split()[2:]]
    with servers.gateway(*arguments, "--models-dir", models, "--admin-port", "0") as (url, program):
        yield url.replace("127.0.0.1", "localhost"), program


def answered(line: str, url: str, folder: Path) -> str:
    """What a line of a page about keys prints."""
    done = run(re.sub(r" --url \S+", "", line), url, folder)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_lines_about_keys_and_tls(running, tmp_path):
    """A key is made, and shown to a gateway in the clear, then to one over TLS."""
    add, serve, models, serve_tls, models_tls = GUARDED
    answered(add, "", tmp_path)
    with guarded(serve, running.models, tmp_path) as (url, program):
        assert httpx.get(f"{url}/v1/models").status_code == 401
        assert "digits" in answered(models, url, tmp_path)
        names = metrics_at(f"http://{servers.admin_address(program)}")
    # Those of a gateway with keys are all there are, but for what a store of models adds.
    told = set(re.findall(r"^\| `(signet_\w+)`", PAGES["metrics"], re.MULTILINE))
    assert told - names == {"signet_model_store_synced_timestamp_seconds"}
    assert names <= told
    authority = Authority()
    pair = authority.signs(tmp_path, "tls")
    authority.written(tmp_path)
    assert {path.name for path in (pair.certificate, pair.key)} == {"tls.crt", "tls.key"}
    with guarded(serve_tls, running.models, tmp_path) as (url, _):
        assert url.startswith("https:")
        assert "digits" in answered(models_tls, url, tmp_path)


def test_a_second_run_trains_nothing_and_ctrl_c_stops_cleanly(running):
    with make_run(running.models) as again:
        assert "epoch" not in again.program.output.lower()
        os.killpg(again.program.process.pid, signal.SIGINT)
        rest, _ = again.program.process.communicate(timeout=30)
        assert "Traceback" not in rest
        assert again.program.process.returncode in (0, 2, 130, -signal.SIGINT)  # make's own ways of saying it
    assert [child.name for child in (running.models / "digits").iterdir()] == ["1"]


@pytest.mark.parametrize("page", ELSEWHERE)
def test_the_test_of_another_page_is_there(page):
    test = (ROOT / ELSEWHERE[page]).read_text()
    assert re.search(rf"\b{page}\b", test)
    assert "def test_" in test


def test_the_two_commands_are_targets_of_the_makefile():
    assert [line for line in SERVERS if line.startswith("make")] == ["make run", "make test"]
    for target in re.findall(r"`make ([a-z-]+)`", "".join(PAGES.values())):
        assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE), target


def metrics_at(url: str) -> set[str]:
    """The names of the metrics that a gateway tells."""
    return set(re.findall(r"^# TYPE (signet_\w+)", httpx.get(f"{url}/metrics").text, re.MULTILINE))
