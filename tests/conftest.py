"""Fixtures that several folders of tests use; each test's marker; what a unit test may cost."""

import sys
import time
from collections.abc import Generator, Iterator
from pathlib import Path

import grpc
import pytest
from hypothesis import settings

from tests import kinds, servers, trained_by_presets

# A machine that is busy with other things is no fault of a test's.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")
settings.register_profile("quick", settings.get_profile("unhurried"), max_examples=20)  # make quick


def pytest_addoption(parser: pytest.Parser) -> None:
    """What `make quick` alone asks for: a time is no verdict where a test runs beside others, on whatever machine."""
    parser.addoption(
        "--unit-budget",
        type=float,
        metavar="SECONDS",
        help="fail a unit test that takes more processor time than this, without its fixtures",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Make the kinds of tests known as markers."""
    for name, meaning in kinds.KINDS.items():
        config.addinivalue_line("markers", f"{name}: {meaning}")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test as unit, server, train or outside, unless it says itself which it is."""
    for item in items:
        if isinstance(item, pytest.Function) and not any(map(item.get_closest_marker, kinds.KINDS)):
            fixtures = [found.func for several in item._fixtureinfo.name2fixturedefs.values() for found in several]
            item.add_marker(kinds.kind(item.nodeid, [item.function, *fixtures]))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Note what collecting has imported: a test looks at it."""
    session.config.stash[kinds.COLLECTED] = frozenset(sys.modules)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Fail a unit test that costs too much, where a budget is set: hundreds of them make the loop of a minute."""
    budget_s = item.config.getoption("--unit-budget")
    started = time.process_time()
    result = yield
    spent_s = time.process_time() - started
    is_unit = item.get_closest_marker("unit") and not item.get_closest_marker("long")
    if is_unit and budget_s is not None and spent_s > budget_s:
        pytest.fail(
            f"{spent_s:.1f} s of processor time, and a unit test may take {budget_s:g}: make it smaller, "
            "or mark it as `server`, which leaves it out of `make quick`",
            pytrace=False,
        )
    return result


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
    """The URL of that gateway, once with each backend."""
    return gateway[0]


@pytest.fixture
def gateway_channel(gateway: tuple[str, str]) -> Iterator[grpc.Channel]:
    """A channel to the gRPC port of that gateway, once with each backend."""
    with grpc.insecure_channel(gateway[1]) as channel:
        yield channel


@pytest.fixture
def golden_models() -> Path:
    """The models that TensorFlow Serving's answers were recorded with."""
    return servers.GOLDEN_MODELS


@pytest.fixture(scope="session")
def trained_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with digits and question_answering, trained by the quick presets. Never write into it."""
    return trained_by_presets.trained(tmp_path_factory, trained_by_presets.SMALL)


@pytest.fixture(scope="session")
def trained_url(trained_models: Path) -> Iterator[str]:
    """The URL of a gateway that serves them."""
    with servers.gateway("--models-dir", trained_models) as (url, _):
        yield url


@pytest.fixture(scope="session")
def all_trained_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a gateway that serves all eight models, trained by the quick presets: minutes, for `long` tests."""
    folder = trained_by_presets.trained(tmp_path_factory, trained_by_presets.ALL)
    with servers.gateway("--models-dir", folder) as (url, _):
        yield url
