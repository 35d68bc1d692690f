"""Fixtures that several folders of tests use."""

from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from tests import servers


@pytest.fixture(scope="session")
def golden_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str, servers.Program]]:
    """A model server with the golden models: its gRPC address, its REST URL and the program."""
    config = servers.write_model_config(tmp_path_factory.mktemp("config") / "models.config", servers.GOLDEN_MODELS)
    with servers.both_apis(f"--model_config_file={config}") as server:
        yield server


@pytest.fixture(scope="session")
def recorded_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """A model server with the golden models as they were recorded: its gRPC address and its REST URL."""
    config = servers.write_model_config(tmp_path_factory.mktemp("config") / "models.config", servers.GOLDEN_MODELS)
    with servers.both_apis(f"--model_config_file={config}", environment=servers.AS_RECORDED) as (address, url, _):
        yield address, url


@pytest.fixture(scope="session")
def model_server_address(golden_server: tuple[str, str, servers.Program]) -> str:
    """The gRPC address of a model server with the golden models."""
    return golden_server[0]


@pytest.fixture(scope="session")
def embedded_gateway() -> Iterator[tuple[str, str]]:
    """A gateway with the embedded engine and the golden models: its URL and its gRPC address."""
    with servers.gateway("--models-dir", servers.GOLDEN_MODELS) as (url, running):
        yield url, servers.grpc_address(running)


@pytest.fixture(scope="session")
def remote_gateway(model_server_address: str) -> Iterator[tuple[str, str]]:
    """A gateway in front of the model server: its URL and its gRPC address."""
    arguments = ("--backend", model_server_address, "--models-dir", servers.GOLDEN_MODELS)
    with servers.gateway(*arguments) as (url, running):
        yield url, servers.grpc_address(running)


@pytest.fixture(scope="session")
def embedded_url(embedded_gateway: tuple[str, str]) -> str:
    """The URL of a gateway with the embedded engine and the golden models."""
    return embedded_gateway[0]


@pytest.fixture(scope="session")
def remote_url(remote_gateway: tuple[str, str]) -> str:
    """The URL of a gateway in front of the model server."""
    return remote_gateway[0]


@pytest.fixture(params=["embedded", "remote"])
def gateway(request: pytest.FixtureRequest) -> tuple[str, str]:
    """A gateway, once with each backend, for both must give the same answers: its URL and its gRPC address."""
    url, address = request.getfixturevalue(f"{request.param}_gateway")
    return str(url), str(address)


@pytest.fixture
def gateway_url(gateway: tuple[str, str]) -> str:
    """Its URL alone."""
    return gateway[0]


@pytest.fixture
def gateway_channel(gateway: tuple[str, str]) -> Iterator[grpc.Channel]:
    """A channel to its gRPC port."""
    with grpc.insecure_channel(gateway[1]) as channel:
        yield channel


@pytest.fixture
def golden_models() -> Path:
    """The models that TensorFlow Serving's answers were recorded with."""
    return servers.GOLDEN_MODELS
