"""The help of all commands, and what is asked before any of them: versions, variables, exit codes."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from signet.commands import variables
from signet.commands.app import app
from signet.serving.exit_codes import MEANINGS, ExitCode
from signet.serving.release import running_version
from tests.servers import ROOT

FOREIGN = {"model-server"}
"""Commands with a help of their own."""


def run(*arguments: str) -> str:
    """What is printed on a terminal of 80 columns."""
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, (done.output, done.exception)
    return done.output


def walk(command: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    if words and words[0] not in FOREIGN:
        yield words
    for name, sub_command in getattr(command, "commands", {}).items():
        yield from walk(sub_command, (*words, name))


COMMANDS = list(walk(typer.main.get_command(app)))


def context() -> Any:
    return typer.Context(typer.main.get_command(app))


def test_the_version_is_told():
    assert run("--version") == f"signet {running_version()}\n"


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_each_help_fits_80_columns_has_examples_and_is_the_same_by_three_ways(words):
    text = run(*words, "--help")
    assert text == run(*words, "-h") == run("help", *words)
    assert max(map(len, text.splitlines())) <= 80
    assert f"  signet {words[0]}" in text.partition("Examples:\n")[2]
    assert not re.search(r"\.\.\.$|[│╭]|Default: |\{[A-Z]", text, re.MULTILINE)


def test_wider_help_has_longer_lines_up_to_where_they_are_hard_to_read(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "300")
    typer.main.get_command(app).main(["score", "-h"], prog_name="signet", standalone_mode=False)
    assert 100 < max(map(len, capsys.readouterr().out.splitlines())) <= 120


def test_a_list_of_commands_cuts_nothing():
    for words in ((), ("keys",), ("release",)):
        text = run(*words, "-h")
        assert "..." not in text
        assert "Commands:\n" in text


def test_help_of_what_is_no_command_is_a_mistake():
    done = CliRunner().invoke(app, ["help", "predcit"])
    assert (done.exit_code, "Did you mean 'predict'" in done.output) == (2, True)
    assert CliRunner().invoke(app, ["help", "predict", "x"]).exit_code == 2


def test_help_of_the_model_server_is_its_own(capfd):
    done = CliRunner().invoke(app, ["help", "model-server"])
    assert done.exit_code == 0
    assert "--rest_api_port" in done.output + capfd.readouterr().out


def test_each_exit_code_is_told_in_the_help_and_in_the_readme():
    text = " ".join(run("--help").split())
    documents = "\n".join(path.read_text() for path in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")))
    assert set(MEANINGS) == set(ExitCode)
    for code, meaning in MEANINGS.items():
        assert f"{code:d} {meaning}" in text
        assert f"| {code:d} | {meaning} |" in documents


@pytest.mark.parametrize(("name", "value", "said"), [
    ("SIGNET_HTTPPORT", "9000", "the variable SIGNET_HTTPPORT is none that is read (did you mean SIGNET_HTTP_PORT?)"),
    ("SIGNET_HTPP_PORT", "1", "the variable SIGNET_HTPP_PORT is none that is read (did you mean SIGNET_HTTP_PORT?)"),
    ("SIGNET_URI", "http://a", "the variable SIGNET_URI is none that is read (did you mean SIGNET_URL?)"),
    ("SIGNET_XYZZY", "1", "the variable SIGNET_XYZZY is none that is read"),
])  # fmt: skip
def test_a_variable_that_nothing_reads_is_said(monkeypatch, name, value, said):
    monkeypatch.setenv(name, value)
    assert list(variables.unknown(context())) == [said]


@pytest.mark.parametrize(("name", "value"), [
    ("SIGNET_HTTP_PORT", "9000"),
    ("SIGNET_URL", "http://a"),
    ("SIGNET_KEY", "k"),
    ("SIGNET_CERTIFICATE_KEY", "k.pem"),
    ("SIGNET_RELEASE_BY", "me"),
    ("SIGNET_PORT", "tcp://10.0.0.1:8080"),
    ("SIGNET_PORT_8080_TCP_ADDR", "10.0.0.1"),
    ("SIGNET_GATEWAY_SERVICE_PORT_HTTP", "8080"),
])  # fmt: skip
def test_variables_that_are_read_and_those_of_kubernetes_are_not(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    assert list(variables.unknown(context())) == []


def test_a_misspelt_variable_is_said_on_stderr_and_the_command_goes_on(tmp_path):
    file = tmp_path / "keys.jsonl"
    done = CliRunner().invoke(app, ["keys", "add", "me", "--file", str(file)], env={"SIGNET_KYES": "x"})
    assert done.exit_code == 0
    assert done.stderr.startswith("signet: the variable SIGNET_KYES is none that is read (did you mean SIGNET_KEYS?)\n")
    assert "SIGNET_KYES" not in done.stdout
