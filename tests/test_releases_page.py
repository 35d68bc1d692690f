"""The walk through `docs/releases.md`, as it stands there: real trainings, a real gateway, real requests."""

import json
import os
import re
import shlex
import subprocess
from itertools import pairwise
from pathlib import Path

import httpx
import pytest
import typer

from signet.commands.app import app
from tests import servers
from tests.servers import ROOT, SIGNET, wait_until

PAGE = (ROOT / "docs/releases.md").read_text()
COMMANDS = [line for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()]
PIXELS = [[0.0] * 64]


def answered(client: httpx.Client, key: str) -> int:
    """The version that answers a caller."""
    answer = client.post(
        "/v1/models/digits:predict", json={"inputs": {"pixels": PIXELS}}, headers={"X-Signet-Key": key}
    )
    assert answer.status_code == 200, answer.text
    return int(answer.headers["X-Signet-Model-Version"])


def shown(client: httpx.Client, count: int) -> None:
    """Send requests of ever new callers until the candidate has had so many, of its own or as copies."""
    for caller in range(50_000):
        answered(client, f"caller {caller}")
        if caller % 50 == 0:
            (replica,) = client.get("/v1/models/digits/release").json()["replicas"]
            step = replica["evidence"]["steps"][-1]
            if max(step["candidate"]["requests"], step["copies"]["copies"] if not step["share"] else 0) >= count:
                return
    raise AssertionError("the candidate is shown too few")


def told(url: str) -> int:
    """The generation that the server follows."""
    release = httpx.get(f"{url}/v1/models/digits/release").json()["replicas"][0]["release"]
    return release["generation"] if release else 0


def available(url: str) -> list[int]:
    """The versions that the server has."""
    versions: list[int] = httpx.get(f"{url}/v1/models/digits/release").json()["replicas"][0]["available"]
    return versions


def ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz").status_code == 200
    except httpx.TransportError:
        return False


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_of_the_page_is_one_that_there_is(line: str) -> None:
    """What each does is for the long test: this one reads names, arguments and options, and runs nothing."""
    name, *words = shlex.split(line.partition("#")[0])
    command = typer.main.get_command(app)
    context = None
    assert name == "signet"
    while isinstance(command, typer.core.TyperGroup):
        with command.make_context(name, list(words), parent=context) as context:
            name, command, words = command.resolve_command(context, [*context._protected_args, *context.args])
        assert command is not None
    command.make_context(name, list(words), parent=context)  # raises for what it does not know


@pytest.mark.long  # trains three times
@pytest.mark.timeout(600)
def test_every_command_of_the_page_does_what_it_says(tmp_path: Path) -> None:
    port = servers.free_port()
    url = f"http://localhost:{port}"
    file = tmp_path / "models" / "digits" / "release.json"
    refused = []

    def run(line: str) -> None:
        command, _, remark = line.partition("#")
        words = shlex.split(command.replace("http://localhost:8080", url))
        assert words[0] == "signet"
        done = subprocess.run(
            [*SIGNET, *words[1:]],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert (done.returncode != 0) == (remark.strip().startswith("refused")), (line, done.stdout, done.stderr)
        if done.returncode:
            refused.append(done.stdout + done.stderr)

    serve = COMMANDS.index("signet serve")
    for line in COMMANDS[:serve]:
        run(line)
    with (
        servers.program(
            *("serve", "--models-dir", tmp_path / "models", "--http-port", str(port)),
            environment={"SIGNET_POLL_S": "0.1"},
        ),
        httpx.Client(base_url=url) as client,
    ):
        wait_until(lambda: ready(url), what="the gateway")
        assert answered(client, "me") == 1
        shares = []
        for line in COMMANDS[serve + 1 :]:
            now = json.loads(file.read_text())
            if "status digits" in line and "--url" not in line:
                wait_until(
                    lambda: json.loads(file.read_text())["stage"] == "rolled_back", what="the gate", timeout_s=120
                )
            if "promote" in line:
                wait_until(lambda now=now: told(url) >= now["generation"], what="what was changed last")
                wait_until(lambda now=now: now["candidate"] in available(url), what="the candidate")
                if now["stage"] != "gate" and "refused" not in line:
                    shown(client, 120)
            run(line)
            now = json.loads(file.read_text())
            wait_until(lambda now=now: told(url) >= now["generation"], what="the change")
            with_new = {key for key in map(str, range(10)) if answered(client, key) == 3}
            assert now["share"] or now["stable"] == 3 or not with_new
            shares.append(with_new)
        assert all(before <= after for before, after in pairwise(shares))
        assert len(shares[-1]) == 10
    history = [json.loads(line) for line in file.with_name("release-history.jsonl").read_text().splitlines()]
    assert [(one["stage"], one["share"], one["stable"]) for one in history] == [
        *(("done", 0, 1), ("gate", 0, 1), ("rolled_back", 0, 1), ("gate", 0, 1), ("shadow", 0, 1)),
        *(("canary", 0.05, 1), ("canary", 0.5, 1), ("done", 0, 3)),
    ]
    assert "scores: output 'digit': accuracy on held-out rows is 0." in refused[0]
    assert "output 'digit': the class changes in" in refused[0]
    assert "not enough is seen yet" in refused[1]
    assert len(refused) == 2
    assert history[2]["by"] == "signet"
    assert history[2]["reason"].startswith("the gate: scores: output 'digit': accuracy")
