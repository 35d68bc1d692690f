"""The gRPC client against a real model server."""

import re
import shutil
import socket
from collections.abc import Iterator

import numpy as np
import pytest

from signet.clients.client.grpc_client import GrpcClient
from signet.clients.client.grpc_messages import build_predict, build_status
from signet.clients.client.http_client import Client
from signet.serving.errors import DeadlineExceeded, FailedPrecondition, InvalidInput, NotFound, Unavailable
from signet.serving.models.model_status import State
from tests import servers


@pytest.fixture
def client(model_server_address) -> Iterator[GrpcClient]:
    with GrpcClient(model_server_address) as client:
        yield client


def test_requests_name_model_version_signature_and_outputs():
    call = build_predict("m", {"x": np.float32([1])}, 2.0, selector=3, signature="sig", outputs=["y"])
    assert (call.method, call.timeout_s) == ("Predict", 2.0)
    assert call.request.model_spec.name == "m"
    assert call.request.model_spec.version.value == 3
    assert call.request.model_spec.signature_name == "sig"
    assert list(call.request.output_filter) == ["y"]
    assert call.request.inputs["x"].tensor_content == np.float32([1]).tobytes()
    assert not build_status("m", 1.0).request.model_spec.HasField("version")


def test_both_clients_give_the_same(client, embedded_url):
    with Client(embedded_url) as gateway:
        for model, inputs, signature in (
            ("three_out", {"x": [[1, 2, 3, 4]]}, None),
            ("two_in", {"a": np.ones((2, 3)), "b": [[1, 2], [3, 4]]}, None),
            ("mixed", {"s": ["é", b"a", ""]}, "s"),
            ("mixed", {"x": 2}, "scalar"),
            ("mixed", {"b": [True, False]}, "b"),
        ):
            outputs = client.predict(model, inputs, signature=signature)
            expected = gateway.predict(model, inputs, signature=signature)
            assert list(outputs) == list(expected)
            for name, array in outputs.items():
                assert array.dtype == expected[name].dtype
                if array.dtype == object:
                    assert array.tolist() == expected[name].tolist()
                else:
                    np.testing.assert_allclose(array, expected[name], rtol=1e-6)


@pytest.mark.parametrize("signature", ["hf", "bf"])
def test_dtypes_that_json_has_not_travel(client, signature):
    array = client.predict("mixed", {"x": [1, 2.5]}, signature=signature)["y"]
    assert array.dtype == client.signature("mixed", signature).outputs["y"].dtype.numpy
    assert array.shape == (2,)


def test_some_of_the_outputs_can_be_asked_for(client):
    assert client.predict("three_out", {"x": [[1, 2, 3, 4]]}, outputs=["r", "p"]).keys() == {"p", "r"}


def test_messages_may_be_larger_than_grpc_allows_by_default(client):
    x = np.ones((1, 2_000_000), np.float32)  # 8 MB
    assert client.predict("mixed", {"x": x})["y"].shape == x.shape


@pytest.mark.parametrize(
    ("model", "inputs", "options", "cls", "problem"),
    [
        ("nope", {}, {}, NotFound, "nope"),
        ("two_in", {}, {"version": 9}, NotFound, "two_in"),
        ("two_in", {}, {"signature": "serv"}, FailedPrecondition, "has no signature 'serv' (did you mean 'serve'?)"),
        ("two_in", {"a": [[1, 2, 3]]}, {}, InvalidInput, "missing input 'b'"),
        ("two_in", {"a": [[1, 2, 3]], "b": [[1]]}, {}, InvalidInput, "input 'b' has shape (1, 1)"),
        (
            "two_in",
            {"a": [[1, 2, 3]], "b": [[1, 2]]},
            {"outputs": ["output_1"]},
            InvalidInput,
            "signature 'serving_default' has no output 'output_1' (did you mean 'output_0'?); it has 'output_0'",
        ),
        ("mixed", {"x": [-1.0]}, {"signature": "fail"}, InvalidInput, "x must be positive"),
    ],
)
def test_mistakes_are_errors_that_name_them(client, model, inputs, options, cls, problem):
    with pytest.raises(cls, match=re.escape(problem)):
        client.predict(model, inputs, **options)
    assert client.predict("two_in", {"a": [[1, 2, 3]], "b": [[1, 2]]}).keys() == {"output_0"}


def test_states_are_told(client):
    (status,) = client.status("two_in")
    assert (status.version, status.state) == (1, State.AVAILABLE)
    with pytest.raises(NotFound, match="nope"):
        client.status("nope")
    client.wait_ready(model="two_in")
    with pytest.raises(Unavailable, match=r"is not ready after 0\.1 s: .*nope"):
        client.wait_ready(0.1, model="nope")


def test_a_newer_version_is_understood(tmp_path):
    folder = tmp_path / "models" / "m"
    shutil.copytree(servers.GOLDEN_MODELS / "three_out" / "1", folder / "1")
    arguments = ("--model_name=m", f"--model_base_path={folder}", "--file_system_poll_wait_seconds=1")
    with servers.model_server(*arguments) as (address, _), GrpcClient(address) as client, GrpcClient(address) as other:
        inputs = {"x": [[1, 2, 3, 4]]}
        assert client.predict("m", inputs).keys() == {"p", "q", "r"}
        shutil.copytree(servers.GOLDEN_MODELS / "mixed" / "1", tmp_path / "2")
        (tmp_path / "2").rename(folder / "2")
        servers.wait_until(lambda: other.describe("m").number == 2, what="version 2")
        assert client.predict("m", inputs).keys() == {"y"}
        assert client.signature("m").outputs.keys() == {"y"}
        with pytest.raises(InvalidInput, match="missing input 'x'; unknown input 'y'"):
            client.predict("m", {"y": [[1.0]]})


def test_nobody_listens():
    address = f"127.0.0.1:{servers.free_port()}"
    with GrpcClient(address) as client:
        with pytest.raises(Unavailable, match=f"cannot reach {address}: "):
            client.status("m")
        with pytest.raises(Unavailable, match=rf"{address} is not ready after 0\.1 s: cannot reach"):
            client.wait_ready(0.1, model="m")


def test_a_server_that_is_silent():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        with GrpcClient(address) as client, pytest.raises((DeadlineExceeded, Unavailable), match=address):
            client.predict("m", {}, timeout_s=0.2)


def test_waits_for_a_server_that_starts(golden_models):
    port = servers.free_port()
    arguments = ("--model_name=two_in", f"--model_base_path={golden_models / 'two_in'}")
    with GrpcClient(f"127.0.0.1:{port}") as client, servers.program("model-server", f"--port={port}", *arguments):
        client.wait_ready(60, model="two_in")
        assert client.status("two_in")
