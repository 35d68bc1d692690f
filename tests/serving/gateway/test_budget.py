"""One budget of bytes for HTTP and gRPC of a gateway."""

import shutil
import socket
from pathlib import Path

import grpc
import pytest

from signet.serving.gateway.observability.metrics import SHED
from tests import servers
from tests.servers import GOLDEN_MODELS
from tests.serving.gateway import in_process

X = b'{"instances": [[1, 1, 1, 1]]}'


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A folder with one model."""
    shutil.copytree(GOLDEN_MODELS / "three_out", tmp_path / "three_out")
    return tmp_path


def test_what_is_held_is_told_and_let_go(models):
    with in_process.gateway(models_dir=models) as running:
        seen = []
        submit = running.gateway.inference.submit

        def noting(*arguments: object) -> object:
            seen.append(running.gateway.budget.held_bytes)
            return submit(*arguments)

        running.gateway.inference.submit = noting
        assert running.ask("POST", b"/v1/models/three_out:predict", X).status == 200
        assert seen == [len(X)]
        text = running.ask("GET", b"/metrics").body.decode()
    assert "signet_buffered_bytes 0.0" in text
    assert all(f'signet_shed_total{{reason="{reason}"}} 0.0' in text for reason in SHED)


def test_a_message_for_which_there_is_no_room_is_refused_over_grpc(models, monkeypatch):
    """While a body that has begun over HTTP holds all there may be."""
    monkeypatch.setenv("SIGNET_MAX_BUFFERED_BYTES", "100000")
    with servers.gateway("--models-dir", models) as (url, running):
        host, port = url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=30) as connection:
            connection.sendall(
                b"POST /v1/models/m:predict HTTP/1.1\r\nHost: x\r\nContent-Length: 99999\r\n\r\n" + bytes(99998)
            )
            servers.wait_until(
                lambda: "signet_buffered_bytes 1000" in servers.get(f"{url}/metrics").text, what="the body"
            )
            with grpc.insecure_channel(servers.grpc_address(running)) as channel:
                predict = channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
                with pytest.raises(grpc.RpcError) as refused:
                    predict(b"x" * 5, timeout=30)
        assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        servers.wait_until(lambda: 'reason="bytes"} 1.0' in servers.get(f"{url}/metrics").text, what="the count")
        assert "signet_buffered_bytes 0.0" in servers.get(f"{url}/metrics").text
