"""TensorFlow Serving's gRPC services on the gateway's port, with each backend: the recorded answers and codes."""

from collections.abc import Iterator

import grpc
import pytest
from google.protobuf import json_format

from tests import servers
from tests.serving.model_server.test_golden_grpc import REPLAYED, REQUESTS, assert_recorded_answer, stubs_of


@pytest.fixture(scope="module", params=["embedded", "remote"])
def gateway_channel(request: pytest.FixtureRequest, recorded_server: tuple[str, str]) -> Iterator[grpc.Channel]:
    backend = () if request.param == "embedded" else ("--backend", recorded_server[0])
    arguments = (*backend, "--models-dir", servers.GOLDEN_MODELS)
    with (
        servers.gateway(*arguments, environment=servers.AS_RECORDED) as (_, running),
        grpc.insecure_channel(servers.grpc_address(running)) as channel,
    ):
        yield channel


@pytest.mark.parametrize("case", [case for case in REPLAYED if case["code"] == "OK"], ids=lambda case: case["name"])
def test_the_recorded_answer(case, gateway_channel):
    assert_recorded_answer(case, stubs_of(gateway_channel))


@pytest.mark.parametrize("case", [case for case in REPLAYED if case["code"] != "OK"], ids=lambda case: case["name"])
def test_the_recorded_code(case, gateway_channel):
    request = json_format.ParseDict(case["request"], REQUESTS[case["rpc"]]())
    with pytest.raises(grpc.RpcError) as caught:
        stubs_of(gateway_channel)[case["rpc"]](request, timeout=30)
    refused = case["rpc"] == "HandleReloadConfigRequest"  # by the gateway, whatever it says
    assert caught.value.code().name == ("PERMISSION_DENIED" if refused else case["code"]), caught.value.details()
    assert caught.value.details()
