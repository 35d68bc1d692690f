"""Releases over gRPC, by both transports: whose request it is, and which side is asked for, are metadata; so is the version."""

import grpc
import numpy as np
import pytest

from signet.serving.releases import release as releases
from signet.serving.releases.release import Stage
from signet.serving.tensors.arrays import to_proto
from signet.serving.tensors.protos import predict_pb2
from tests import servers
from tests.serving.gateway.releases.house import House

PREDICT = "/tensorflow.serving.PredictionService/Predict"


def request(signature=""):
    message = predict_pb2.PredictRequest()
    message.model_spec.name, message.model_spec.signature_name = "m", signature
    message.inputs["a"].CopyFrom(to_proto(np.ones((1, 3), np.float32)))
    message.inputs["b"].CopyFrom(to_proto(np.ones((1, 2), np.float32)))
    return message


@pytest.mark.parametrize("transport", ["own", "grpcio"])
def test_metadata_says_whose_a_request_is_and_the_answer_says_which_version_it_got(tmp_path, transport):
    house = House(tmp_path, 1, 2)
    there = house.write(Stage.CANARY, 1, 2, 0.5)
    environment = {"SIGNET_GRPC_TRANSPORT": transport}
    with (
        servers.gateway("--models-dir", tmp_path, environment=environment) as (_, running),
        grpc.insecure_channel(servers.grpc_address(running)) as channel,
    ):
        call = channel.unary_unary(
            PREDICT, predict_pb2.PredictRequest.SerializeToString, predict_pb2.PredictResponse.FromString
        )

        def ask(**metadata):
            lines = [(name.replace("_", "-"), value) for name, value in metadata.items()]
            answer, done = call.with_call(request(), metadata=lines, timeout=30)
            told = dict(done.trailing_metadata())["x-signet-model-version"]
            assert int(told) == answer.model_spec.version.value
            return int(told)

        def refused(signature="", **metadata):
            lines = [(name.replace("_", "-"), value) for name, value in metadata.items()]
            with pytest.raises(grpc.RpcError) as caught:
                call(request(signature), metadata=lines, timeout=30)
            return caught.value

        servers.wait_until(lambda: ask(x_signet_release="stable") == 1, what="both versions")
        keys = [f"user-{number}" for number in range(30)]
        got = [ask(x_signet_key=key) for key in keys]
        assert got == [releases.route(there, key) for key in keys]
        assert set(got) == {1, 2}
        assert ask(x_request_id="abc-1") == releases.route(there, "abc-1")
        assert ask(x_signet_release="candidate") == 2
        wrong = refused(x_signet_release="newest")
        assert wrong.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert "expected stable or candidate" in wrong.details()
        failed = refused("none", x_signet_release="candidate")
        assert dict(failed.trailing_metadata())["x-signet-model-version"] == "2", (
            "an error says who made it, as over HTTP"
        )
