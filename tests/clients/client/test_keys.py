"""Clients show the key of a gateway, to it alone, and tell nobody else."""

import pickle
from http.server import BaseHTTPRequestHandler

import pytest

from signet.clients.client import connecting
from signet.clients.client.grpc_client import GrpcClient
from signet.clients.client.http_client import Client
from signet.serving.errors import Forbidden, NotFound, ServingError, Unauthenticated, UsageError
from signet.serving.gateway.access import key_file, tokens
from tests import servers

X = {"x": [[1.0, 2.0, 3.0, 4.0]]}


def test_the_key_is_sent_beside_what_is_another_s_business(monkeypatch):
    monkeypatch.setenv("SIGNET_KEY", "signet_env\n")
    monkeypatch.setenv("SIGNET_TOKEN", "mesh")
    assert dict(connecting.access().headers) == {"Authorization": "Bearer mesh", "X-API-Key": "signet_env"}
    assert dict(connecting.access(key="given").headers)["X-API-Key"] == "given"
    assert "X-API-Key" not in dict(connecting.access(key="").headers)
    assert dict(connecting.access({"x-api-key": "own"}).headers)["x-api-key"] == "own"


@pytest.mark.parametrize("key", ["two words", "a\nb", "é", 5])
def test_what_cannot_be_sent_is_refused_and_not_shown(key):
    with pytest.raises(UsageError) as error:
        connecting.access(key=key)
    assert str(key) not in str(error.value)


def test_a_key_comes_from_a_file(tmp_path):
    path = tmp_path / "key"
    path.write_text("signet_file\n")
    shown = connecting.of_options([], "", "", "", str(path))
    assert dict(shown.headers)["X-API-Key"] == "signet_file"
    assert "signet_file" not in repr(shown)
    for text in ("", "secret of two words"):
        path.write_text(text)
        with pytest.raises(UsageError, match="holds no key alone") as error:
            connecting.key_in(path)
        assert "secret" not in str(error.value)
    with pytest.raises(UsageError, match="cannot be read"):
        connecting.key_in(tmp_path / "none")


def test_no_redirect_takes_the_key_elsewhere():
    seen = []

    class Elsewhere(BaseHTTPRequestHandler):
        def do_GET(self):
            seen.append(dict(self.headers))
            self.send_response(200)
            self.end_headers()

    with servers.http_server(Elsewhere) as elsewhere:

        class Redirects(BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(307)
                self.send_header("Location", elsewhere)
                self.end_headers()

        with servers.http_server(Redirects) as url, Client(url, key="signet_k") as client, pytest.raises(ServingError):
            client.models()
    assert not seen


def test_a_gateway_with_keys_answers_who_shows_one(tmp_path):
    made = {}
    for name, models in (("all", "*"), ("one", ["three_out"])):
        made[name] = tokens.create()
        key_file.add(tmp_path / "keys", made[name], name=name, models=models)
    with servers.gateway("--models-dir", servers.GOLDEN_MODELS, "--keys", tmp_path / "keys") as (url, running):
        for cls, place in ((Client, url), (GrpcClient, servers.grpc_address(running))):
            with cls(place, key=made["one"].token) as client:
                assert client.predict("three_out", X)["p"].shape[0] == 1
                assert [model.name for model in client.models()] == ["three_out"]
                with pytest.raises(Forbidden, match="the key 'one' is not for the model 'two_in'"):
                    client.predict("two_in", X)
                with pickle.loads(pickle.dumps(client)) as copy:
                    assert copy.describe("three_out").number == 1
                assert made["one"].token not in repr(client)
            for key, said in (("", "show a key"), (tokens.create().token, "none of this service")):
                with cls(place, key=key) as client, pytest.raises(Unauthenticated, match=said) as error:
                    client.predict("three_out", X)
                assert error.value.retry_after_s is None
                assert not key or key[20:] not in str(error.value)
            with cls(place, key=made["all"].token) as client, pytest.raises(NotFound, match="Served models: clsreg"):
                client.predict("nothing", X)
