"""Fixtures that several folders of tests use."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import servers


@pytest.fixture(scope="session")
def golden_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str, servers.Program]]:
    """A model server with the golden models: its gRPC address, its REST URL and the program."""
    config = servers.write_model_config(tmp_path_factory.mktemp("config") / "models.config", servers.GOLDEN_MODELS)
    with servers.both_apis(f"--model_config_file={config}") as server:
        yield server


@pytest.fixture(scope="session")
def model_server_address(golden_server: tuple[str, str, servers.Program]) -> str:
    """The gRPC address of a model server with the golden models."""
    return golden_server[0]


@pytest.fixture(scope="session")
def embedded_url() -> Iterator[str]:
    """The URL of a gateway with the embedded engine and the golden models."""
    with servers.gateway("--models-dir", servers.GOLDEN_MODELS) as (url, _):
        yield url


@pytest.fixture(scope="session")
def remote_url(model_server_address: str) -> Iterator[str]:
    """The URL of a gateway in front of the model server."""
    arguments = ("--backend", model_server_address, "--models-dir", servers.GOLDEN_MODELS)
    with servers.gateway(*arguments) as (url, _):
        yield url


@pytest.fixture(params=["embedded", "remote"])
def gateway_url(request: pytest.FixtureRequest) -> str:
    """A gateway, once with each backend: both must give the same answers."""
    return str(request.getfixturevalue(f"{request.param}_url"))


@pytest.fixture
def golden_models() -> Path:
    """The models that TensorFlow Serving's answers were recorded with."""
    return servers.GOLDEN_MODELS
