"""SECURITY.md names options, settings and tests that there are, and a test for each row of its table."""

import re

import pytest
import typer

from signet.commands.app import app
from signet.serving.gateway.settings import Settings
from signet.serving.model_server.flags import Flags
from tests.servers import ROOT

TEXT = (ROOT / "SECURITY.md").read_text()
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in TEXT.split("## What each default protects")[1].split("## ")[0].splitlines()
    if line.startswith("| ") and not line.startswith(("| threat", "| ---"))
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_each_threat_has_an_answer_and_a_test_of_it(row):
    threat, default, _, proof = row
    assert threat
    assert default
    file, _, name = re.fullmatch(r"`([^`]+)`", proof)[1].partition("::")
    content = (ROOT / file).read_text()
    assert "def test_" in content
    assert not name or re.search(rf"def {name}\(", content), name


def test_options_and_settings_that_it_names_are_there():
    commands = typer.main.get_command(app).commands
    known = {option for each in (commands["serve"], commands["keys"].commands["add"]) for option in options(each)}
    known |= {f"--{name}" for name in Flags.__dataclass_fields__}
    named = set(re.findall(r"`(?:signet keys add )?(--[\w-]+)`", TEXT))
    assert named
    assert named <= known
    settings = {name.lower() for name in re.findall(r"`SIGNET_(\w+)`", TEXT)}
    assert settings
    assert settings <= Settings.model_fields.keys()


def options(command):
    return [option for parameter in command.get_params(typer.Context(command)) for option in parameter.opts]
