"""The recorded life of a model's versions: the same folders appear and go, the same answers come."""

import json
import shutil
from pathlib import Path

import grpc
import httpx
import pytest
from google.protobuf import text_format

from signet.serving.tensors.protos import model_management_pb2, model_service_pb2_grpc
from tests import servers

STEPS = json.loads((Path(__file__).parents[2] / "golden" / "tfserving" / "lifecycle.json").read_text())["steps"]
SETTLE_S = 30.0


class Folder:
    """The base path, and what the recorded actions do to it."""

    def __init__(self, path: Path, source: Path) -> None:
        self.path, self._source = path, source

    def add(self, version: int, name: str = "") -> None:
        shutil.copytree(self._source / str(version), self.path / ".writing")
        (self.path / ".writing").rename(self.path / (name or str(version)))

    def add_broken(self) -> None:
        (self.path / "4").mkdir()
        (self.path / "4" / "saved_model.pb").write_bytes(b"broken")

    def act(self, action: str) -> None:
        actions = {
            "add version 2 (with a warmup request file)": lambda: self.add(2),
            "add directory 03": lambda: self.add(3, "03"),
            "add broken version 4": self.add_broken,
            "remove directory 4": lambda: shutil.rmtree(self.path / "4"),
            "remove directory 03 (newest)": lambda: shutil.rmtree(self.path / "03"),
            "add non-numeric directory": (self.path / "abc").mkdir,
            "remove all version directories": lambda: [shutil.rmtree(p) for p in self.path.iterdir()],
            "add version 5": lambda: self.add(5),
        }
        actions[action]()


@pytest.fixture
def life(tmp_path, times_models):
    folder = Folder(tmp_path / "m", times_models)
    folder.path.mkdir()
    folder.add(1)
    flags = (f"--model_base_path={folder.path}", "--model_name=m", "--max_num_load_retries=0")
    port = servers.free_port()
    with servers.model_server(*flags, f"--rest_api_port={port}") as (address, running):
        running.read_until("Exporting HTTP/REST API")
        with grpc.insecure_channel(address) as channel, httpx.Client(timeout=30) as client:
            yield folder, f"http://127.0.0.1:{port}", client, model_service_pb2_grpc.ModelServiceStub(channel)


def test_the_recorded_life(life):
    folder, url, client, stub = life
    for step in STEPS:
        action = step["action"]
        if isinstance(action, dict):
            if action["name"] == "policy all":
                folder.add(6)
                folder.add(7)
            reload(stub, action, folder.path)
        elif action.startswith("health"):
            continue  # the flag of the health service has its own test
        elif action != "start with version 1":
            folder.act(action)
        for call in step["calls"]:
            expect(client, url, call, action)


def reload(stub, action, base: Path) -> None:
    request = model_management_pb2.ReloadConfigRequest()
    text_format.Parse(action["reload_config"].replace("/base/life/m", str(base)), request.config)
    if action["result"]["code"] == "OK":
        assert stub.HandleReloadConfigRequest(request, timeout=60).status.error_code == 0
        return
    with pytest.raises(grpc.RpcError) as caught:
        stub.HandleReloadConfigRequest(request, timeout=60)
    assert (caught.value.code().name, caught.value.details()) == (action["result"]["code"], action["result"]["message"])


def expect(client: httpx.Client, url: str, call: dict[str, object], action: object) -> None:
    """The recorded answer comes within the time to settle."""
    seen = None

    def as_recorded() -> bool:
        nonlocal seen
        answer = client.request(call["method"], url + call["path"], content=call["body_sent"])
        seen = (answer.status_code, value(answer.text))
        return seen == (call["status"], value(call["body"]))

    try:
        servers.wait_until(as_recorded, SETTLE_S)
    except AssertionError:
        pytest.fail(f"after {action}: {call['method']} {call['path']} gives {seen}, recorded: {call['body']}")


def value(text: str) -> object:
    """A body as a value; the order of keys is not stable."""
    return json.loads(text) if text else None
