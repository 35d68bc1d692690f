"""The options of `signet serve` are the gateway's settings."""

import pytest
import typer
from typer.testing import CliRunner

from signet.commands.app import app
from signet.commands.settings_options import SECTIONS, parameters
from signet.serving.gateway import server
from signet.serving.gateway.settings import Settings, variable_of


@pytest.fixture
def served(monkeypatch):
    """The settings with which the gateway would start."""
    given: list[Settings] = []
    monkeypatch.setattr(server, "run", given.append)
    return given


def test_each_setting_has_one_section_and_one_option():
    names = [name for section in SECTIONS.values() for name in section]
    assert sorted(names) == sorted(Settings.model_fields)
    assert [parameter.name for parameter in parameters()] == names


def test_the_help_has_each_variable_and_default():
    text = " ".join(CliRunner().invoke(app, ["serve", "--help"], env={"COLUMNS": "100"}).output.split())
    for name, field in Settings.model_fields.items():
        assert field.description, name
        assert f"[env: {variable_of(name)}" in text
    assert "[env: SIGNET_HTTP_PORT; default: 8080; 0<=x<=65535]" in text
    assert "[env: SIGNET_MODELS_DIR; default: models]" in text
    assert "--log-level <debug|info|warning|error>" in text


def test_options_reach_the_settings_and_win(served):
    options = ["--models-dir", "s3://bucket/m", "--no-grpc", "--max-in-flight", "9", "--log-format", "json"]
    done = CliRunner().invoke(
        app, ["serve", *options], env={"SIGNET_MAX_IN_FLIGHT": "8", "SIGNET_HTTP_PORT": "9", "SIGNET_PROCESSES": "1"}
    )
    assert done.exit_code == 0, (done.output, done.exception)
    (settings,) = served
    assert (settings.model_store, settings.grpc, settings.log_format) == ("s3://bucket/m", False, "json")
    assert (settings.max_in_flight, settings.http_port) == (9, 9)


@pytest.mark.parametrize(("arguments", "environment", "problem"), [
    (["--http-port", "99999"], {}, "Invalid value for '--http-port'"),
    (["--log-format", "xml"], {}, "Invalid value for '--log-format'"),
    ([], {"SIGNET_HTTP_PORT": "99999"}, "--http-port (SIGNET_HTTP_PORT) is '99999': expected less than or equal to 65535"),
    ([], {"SIGNET_DRAIN_S": "soon"}, "--drain-s (SIGNET_DRAIN_S) is 'soon': expected a valid number"),
    ([], {"SIGNET_LOG_LEVEL": "all"}, "--log-level (SIGNET_LOG_LEVEL) is 'all': expected 'debug', 'info', 'warning' or"),
    (["--request-log-sample", "0"], {}, "--request-log-sample (SIGNET_REQUEST_LOG_SAMPLE) is '0.0': expected greater than 0"),
    (["--processes", "some"], {}, "--processes (SIGNET_PROCESSES) is 'some'; expected a number from 1 to 256, or auto"),
])  # fmt: skip
def test_a_mistake_names_the_option_and_the_variable(served, arguments, environment, problem):
    done = CliRunner().invoke(app, ["serve", *arguments], env=environment)
    said = str(done.exception) if not done.output else done.output
    assert problem in " ".join(said.split())
    code = done.exit_code if isinstance(done.exception, SystemExit) else done.exception.exit_code
    assert (code, served) == (2, [])


def test_words_are_completed():
    command = typer.main.get_command(app).commands["serve"]
    context = typer.Context(command)
    level = next(parameter for parameter in command.get_params(context) if parameter.name == "log_level")
    assert [item.value for item in level.shell_complete(context, "w")] == ["warning"]
