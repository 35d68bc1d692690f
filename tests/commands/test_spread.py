"""Options that are written beside the fields of a dataclass."""

import subprocess
import sys
from dataclasses import dataclass, field
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from signet.commands.spread import spread
from signet.serving.options import Option


@dataclass(frozen=True)
class Trip:
    to: Annotated[str, Option("Where it goes.", metavar="TO", is_argument=True)]
    days: Annotated[int, Option("How long.", min=1)] = 3
    by_train: Annotated[bool, Option("Not by air.")] = False
    stops: Annotated[list[str], Option("On the way.", flag="--stop")] = field(default_factory=list)
    purse: Annotated[str | None, Option("Who pays.", variable="PURSE")] = None
    notes: tuple[str, ...] = ()


def run(*arguments, **environment):
    app = typer.Typer(rich_markup_mode=None)
    given = []

    @app.command()
    @spread
    def go(trip: Trip, people: Annotated[int, typer.Option(help="How many.")] = 1) -> None:
        given.extend([trip, people])

    done = CliRunner().invoke(app, arguments, env=environment)
    return done, given


@pytest.mark.parametrize(("arguments", "trip", "people"), [
    (["Rome"], Trip("Rome"), 1),
    (["Rome", "--days", "5", "--by-train", "--people", "2"], Trip("Rome", 5, True), 2),
    (["--stop", "Bern", "Rome", "--stop", "Como"], Trip("Rome", stops=["Bern", "Como"]), 1),
])  # fmt: skip
def test_a_field_is_an_option_or_an_argument(arguments, trip, people):
    done, given = run(*arguments)
    assert done.exit_code == 0, done.output
    assert given == [trip, people]


def test_a_field_may_come_from_the_environment():
    assert run("Rome", PURSE="aunt")[1][0].purse == "aunt"


@pytest.mark.parametrize(("arguments", "problem"), [
    ([], "Missing argument 'TO'"),
    (["Rome", "--days", "0"], "Invalid value for '--days'"),
    (["Rome", "--notes", "x"], "No such option: --notes"),
    (["Rome", "--no-by-train"], "No such option: --no-by-train"),
])  # fmt: skip
def test_what_does_not_fit_is_refused(arguments, problem):
    done, given = run(*arguments)
    assert (done.exit_code, given) == (2, [])
    assert problem in done.output


def test_the_help_has_defaults_but_for_those_that_stand_for_something_else():
    text = " ".join(run("--help")[0].output.split())
    assert "How long. [default: 3; x>=1]" in text
    assert "On the way. --purse" in text


def test_the_help_of_signet_loads_what_its_options_need_and_no_more():
    code = "import sys, signet.commands.app; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"numpy", "httpx", "ssl", "rich", "google.protobuf", "orjson", "tensorflow"} & set(modules)


@dataclass(frozen=True)
class Meal:
    dish: Annotated[str, Option("What.", choices=("soup", "rice"), section="Kitchen", also="--food")] = "soup"
    spice: Annotated[str, Option("How hot.", choices=("mild", "hot"))] = ""


@pytest.mark.parametrize(("arguments", "meal"), [
    ([], Meal()),
    (["--dish", "rice", "--spice", "hot"], Meal("rice", "hot")),
    (["--food", "rice"], Meal("rice")),
])  # fmt: skip
def test_words_may_be_choices(arguments, meal):
    app, given = typer.Typer(rich_markup_mode=None), []

    @app.command()
    @spread
    def eat(meal: Meal) -> None:
        given.append(meal)

    assert CliRunner().invoke(app, arguments).exit_code == 0
    assert given == [meal]
    refused = CliRunner().invoke(app, ["--dish", "stone"])
    assert (refused.exit_code, "'stone'" in refused.output) == (2, True)
