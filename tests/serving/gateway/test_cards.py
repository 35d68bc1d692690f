"""Cards live and die with the versions that they are about, with each backend."""

import asyncio
import json
import shutil
from contextlib import asynccontextmanager
from pathlib import Path

from signet.serving.gateway.backends.addresses import Address
from signet.serving.gateway.backends.embedded import EmbeddedBackend
from signet.serving.gateway.backends.remote import RemoteBackend
from signet.serving.gateway.backends.upstream import Upstream
from signet.serving.gateway.core.joining import Joining, verdicts
from signet.serving.gateway.observability.metrics import Metrics
from signet.serving.gateway.settings import Settings
from signet.serving.models.model_card import FILE
from signet.serving.models.model_config import ModelConfig, VersionPolicy
from signet.serving.models.model_status import State
from signet.serving.process.concurrency import settled
from signet.serving.process.supervision import Failures
from tests.servers import GOLDEN_MODELS


def write_card(version: Path, digest: str) -> None:
    file = version / FILE
    file.parent.mkdir(parents=True, exist_ok=True)
    proven = {"serving_default": {"batched": True, "golden_rows": 8}}
    file.write_text(json.dumps({"digest": {"sha256": digest}, "signatures": proven}))


def add(base: Path, digest: str) -> None:
    shutil.copytree(GOLDEN_MODELS / "three_out" / "1", base / ".writing")
    write_card(base / ".writing", digest)
    (base / ".writing").rename(base / "1")


async def digest(backend) -> str:
    lease = await settled(backend.lease("three_out", None))
    try:
        return lease.card.digest
    finally:
        lease.release()


def test_a_version_replaced_under_its_number_has_the_new_ones_card(tmp_path):
    base = tmp_path / "three_out"
    base.mkdir()
    add(base, "old")

    async def main():
        models = [ModelConfig("three_out", base, VersionPolicy())]
        backend = EmbeddedBackend(models, Settings(poll_s=0.02), Failures())
        await backend.start()
        repository = backend._repository
        assert await digest(backend) == "old"
        shutil.rmtree(base / "1")
        assert await asyncio.to_thread(repository.wait, lambda served: not served.versions("three_out"), 30)
        add(base, "new")
        assert await asyncio.to_thread(repository.wait, lambda served: served.versions("three_out"), 30)
        assert await digest(backend) == "new"
        assert [status.state for status in repository.statuses("three_out")] == [State.AVAILABLE]
        await backend.stop()

    asyncio.run(main())


@asynccontextmanager
async def remote(address: str, folder: Path):
    upstream = Upstream([Address(address)], Metrics("test"))
    backend = RemoteBackend(["three_out"], upstream, 60.0, Joining(Settings(), Failures()), models_dir=folder)
    await backend.start()
    try:
        yield backend
    finally:
        await backend.stop()


def test_a_card_that_comes_after_its_version_is_found(tmp_path, model_server_address):
    async def main():
        async with remote(model_server_address, tmp_path) as backend:
            assert await digest(backend) == ""
            (tmp_path / "three_out" / "1" / FILE).parent.mkdir(parents=True)
            (tmp_path / "three_out" / "1" / FILE).write_text('{"digest": ')  # as if it were being copied
            await backend.refresh("three_out")
            assert await digest(backend) == ""
            write_card(tmp_path / "three_out" / "1", "abc")
            await backend.refresh("three_out")
            assert await digest(backend) == "abc"
            verdict = verdicts(await settled(backend.lease("three_out", None)))["serving_default"]
            assert (verdict.joined, verdict.why) == (True, "its card says that rows were answered alone as in a batch")

    asyncio.run(main())
