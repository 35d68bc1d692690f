"""Names that a shell completes."""

import json
import socket
from http.server import BaseHTTPRequestHandler
from types import SimpleNamespace
from typing import Any

import pytest
import typer

from signet.clients.load_test.plan.dialects import DIALECTS
from signet.clients.load_test.plan.load_plan import PROTOCOLS
from signet.commands import completing
from signet.commands.app import app
from tests import servers


@pytest.fixture
def url():
    """A server with two models that asks for a key."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):  # http.server calls it
            ok = self.path == "/v1/models" and self.headers["X-API-Key"] == "k"
            self.send_response(200 if ok else 401)
            self.end_headers()
            self.wfile.write(json.dumps({"models": ["digits", "dogs"], "details": []} if ok else {}).encode())

        def log_message(self, *_):
            pass

    with servers.http_server(Handler) as address:
        yield address.removeprefix("http://")


@pytest.fixture
def folder(tmp_path):
    for name in ("cats/1", "dogs/1", ".writing"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "digits.txt").touch()
    return tmp_path


def words(command: str, incomplete: str, parameter: str = "", **given: Any) -> list[str]:
    """What is offered for a parameter of `signet COMMAND`; the first argument unless it is named."""
    found: Any = typer.main.get_command(app)
    for word in command.split():
        found = found.commands[word]
    context = typer.Context(found)
    context.params.update(given)
    asked = [one for one in found.get_params(context) if one.name == parameter or not parameter]
    return [item.value for item in asked[0].shell_complete(context, incomplete)]


@pytest.mark.parametrize("command", ["predict", "score", "load"])
def test_models_of_the_server_are_offered(monkeypatch, url, command):
    monkeypatch.setenv("SIGNET_KEY", "k")
    assert words(command, "d", url=url) == ["digits", "dogs"]
    monkeypatch.setenv("SIGNET_URL", url)
    assert words(command, "di") == ["digits"]


@pytest.mark.parametrize("place", ["refused", "nobody", "no URL at all", "https://127.0.0.1:1"])
def test_without_an_answer_those_of_the_folder_are(url, folder, place):
    place = {"refused": url, "nobody": "127.0.0.1:1"}.get(place, place)
    assert words("predict", "", url=place, models_dir=folder) == ["cats", "dogs"]


def test_a_server_that_does_not_answer_is_not_waited_for(folder):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"127.0.0.1:{silent.getsockname()[1]}"
        assert words("predict", "c", url=url, models_dir=folder) == ["cats"]


@pytest.mark.parametrize("command", ["drift", "release status", "release check"])
def test_commands_on_a_folder_offer_its_models(monkeypatch, folder, command):
    monkeypatch.setenv("SIGNET_MODELS_DIR", str(folder))
    assert words(command, "") == ["cats", "dogs"]
    assert words(command, "", models_dir=folder / "none") == []


@pytest.mark.parametrize(("command", "parameter", "incomplete", "offered"), [
    ("train", "names", "s", ["siamese_lstm", "social_posts"]),
    ("train", "names", "al", ["all"]),
    ("train", "preset", "", ["quick", "full"]),
    ("train", "architecture", "n", ["notebook"]),
    ("export", "scores", "", ["probability", "logit"]),
    ("score", "engine", "r", ["ray"]),
    ("score", "non_finite", "", ["bare", "null", "string"]),
    ("score", "quoting", "d", ["double"]),
    ("score", "format", "csv", ["csv", "csv.gz", "csv.zst"]),
    ("load", "protocol", "grpc", ["grpc", "grpc-v2"]),
    ("load", "arrivals", "", ["poisson", "fixed"]),
])  # fmt: skip
def test_choices_are_offered(command, parameter, incomplete, offered):
    assert words(command, incomplete, parameter) == offered


def test_protocols_are_those_that_there_are():
    assert tuple(DIALECTS) == PROTOCOLS


def test_a_completion_needs_no_client():
    ctx = SimpleNamespace(params={"url": "127.0.0.1:1", "models_dir": "/none"})
    assert completing.served(ctx, "") == []
