"""What the remote backend does in which thread."""

import asyncio
import threading

from signet.serving.gateway.backends.remote import RemoteBackend
from signet.serving.gateway.backends.upstream import Upstream
from signet.serving.gateway.core.joining import Joining
from signet.serving.gateway.observability.metrics import Metrics
from signet.serving.gateway.settings import Settings
from signet.serving.models.models_folder import ModelsFolder
from signet.serving.process.supervision import Failures


def test_models_that_come_are_taken_in_by_the_loop_although_a_thread_sees_them(tmp_path, monkeypatch):
    threads = []
    set_models = RemoteBackend._set_models

    def noted(backend, models):
        threads.append(threading.get_ident())
        set_models(backend, models)

    monkeypatch.setattr(RemoteBackend, "_set_models", noted)

    async def main():
        upstream = Upstream([], Metrics("0"))
        joining = Joining(Settings(), Failures())
        backend = RemoteBackend([], upstream, 0.01, joining, ModelsFolder(tmp_path))
        await backend.start()
        try:
            (tmp_path / "digits" / "1").mkdir(parents=True)
            async with asyncio.timeout(30):
                while backend.models != ["digits"]:  # noqa: ASYNC110  # the poll tells nobody
                    await asyncio.sleep(0.01)
        finally:
            await backend.stop()

    asyncio.run(main())
    assert set(threads) == {threading.get_ident()}


def test_a_thread_that_waits_for_a_reload_no_longer_has_the_loop_end_it(monkeypatch):
    ended = []

    async def reload(upstream, config, timeout_s):
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            ended.append(threading.get_ident())
            raise

    monkeypatch.setattr(Upstream, "reload", reload)

    async def main():
        backend = RemoteBackend([], Upstream([], Metrics("0")), 60, Joining(Settings(), Failures()))
        await backend.start()
        try:
            assert await asyncio.to_thread(backend.reload, b"config", 0.01) == ["the gateway does not get to it"]
            async with asyncio.timeout(30):
                while not ended:  # noqa: ASYNC110  # nobody tells
                    await asyncio.sleep(0)
        finally:
            await backend.stop()

    asyncio.run(main())
    assert ended == [threading.get_ident()]
