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
