"""A folder of models that changes while it is served."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from signet.clients.client.http_client import Client
from tests import servers


@dataclass
class Changing:
    """A gateway that serves one model, `m`, whose versions are golden models put there one after the other."""

    url: str
    grpc: str
    """Its gRPC address."""
    folder: Path

    def put(self, version: int, golden: str) -> None:
        """Returns when the version is the one that answers."""
        aside = self.folder.parent.parent / f"{golden}-{version}"
        shutil.copytree(servers.GOLDEN_MODELS / golden / "1", aside)
        aside.rename(self.folder / str(version))
        with Client(self.url) as client:
            servers.wait_until(lambda: client.describe("m").number == version, what=f"version {version}")


@pytest.fixture
def changing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Changing]:
    """Serves three_out as version 1 of `m`."""
    folder = tmp_path / "models" / "m"
    shutil.copytree(servers.GOLDEN_MODELS / "three_out" / "1", folder / "1")
    monkeypatch.setenv("SIGNET_POLL_S", "0.05")
    with servers.gateway("--models-dir", folder.parent) as (url, running):
        yield Changing(url, servers.grpc_address(running), folder)
