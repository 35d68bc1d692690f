"""Strings for an input of numbers: who sends them is told of the signature that takes strings, over each protocol."""

import re
import shutil

import httpx
import numpy as np
import pytest

from signet.clients.client.grpc_client import GrpcClient
from signet.clients.client.http_client import Client
from signet.serving.errors import InvalidInput
from signet.serving.tensors import dtypes
from signet.serving.tensors.protos import saved_model_pb2
from signet.serving.tensors.signature import Signature, TensorSpec, with_text_hint
from tests import servers

HINT = "; signature 'from_text' takes strings for it"


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """`mixed`, with a signature whose input `x` takes strings; and as it is."""
    folder = tmp_path_factory.mktemp("models")
    for name in ("texts", "numbers"):
        shutil.copytree(servers.GOLDEN_MODELS / "mixed" / "1", folder / name / "1")
    path = folder / "texts" / "1" / "saved_model.pb"
    saved = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    signatures = saved.meta_graphs[0].signature_def
    signatures["from_text"].CopyFrom(signatures["s"])
    signatures["from_text"].inputs["x"].CopyFrom(signatures["from_text"].inputs.pop("s"))
    path.write_bytes(saved.SerializeToString())
    return folder


def test_each_protocol_tells_of_it(models):
    tensor = {"name": "x", "datatype": "BYTES", "shape": [1, 1], "data": ["Where?"]}
    with servers.gateway("--models-dir", models) as (url, running):
        for model, hint in (("texts", HINT), ("numbers", "")):
            body = {"inputs": {"x": [["Where?"]]}}
            said = httpx.post(f"{url}/v1/models/{model}:predict", json=body).json()["error"]
            assert said == "input 'x'[0][0] is the string \"Where?\"; the model takes numbers (float)" + hint
            said = httpx.post(f"{url}/v2/models/{model}/infer", json={"inputs": [tensor]}).json()["error"]
            assert said == "input 'x' has datatype 'BYTES'; the model takes FP32" + hint
            for client in (Client(url), GrpcClient(servers.grpc_address(running))):
                with client, pytest.raises(InvalidInput) as caught:
                    client.predict(model, {"x": [["Where?"]]})
                assert str(caught.value).endswith(hint or "the model takes numbers (float)")
        assert not re.search("absl|MLIR|WARNING", running.output), "TensorFlow's lines look like faults"
        with Client(url) as client:
            assert client.predict("texts", {"x": ["Where?"]}, signature="from_text")["len"].tolist() == [6]


def spec(name, dtype):
    return TensorSpec(name, dtypes.from_enum(dtype), (None,), f"{name}:0")


@pytest.mark.parametrize(("error", "other", "hint"), [
    (InvalidInput.text("x", "no"), spec("x", dtypes.STRING), HINT),
    (InvalidInput.text("x", "no"), spec("y", dtypes.STRING), ""),
    (InvalidInput.text("x", "no"), spec("x", 1), ""),
    (InvalidInput("no"), spec("x", dtypes.STRING), ""),
])  # fmt: skip
def test_only_a_signature_that_takes_them_is_named(error, other, hint):
    signatures = {
        "serving_default": Signature("serving_default", {"x": spec("x", 1)}, {}),
        "from_text": Signature("from_text", {other.name: other}, {}),
    }
    assert str(with_text_hint(error, "serving_default", signatures)) == f"no{hint}"
    assert str(with_text_hint(error, "serving_default", signatures)) == f"no{hint}"  # and once


def test_a_signature_is_not_named_for_itself():
    signatures = {"from_text": Signature("from_text", {"x": spec("x", dtypes.STRING)}, {})}
    assert str(with_text_hint(InvalidInput.text("x", "no"), "from_text", signatures)) == "no"


def test_the_gateways_own_check_of_tensors_says_it_too():
    with pytest.raises(InvalidInput) as caught:
        spec("x", 1).check(np.array(["a"]))
    assert caught.value.text_for == "x"
