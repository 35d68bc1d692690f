"""Probes and metrics on a port of their own, while the main event loop stands still."""

import shutil
import socket

import httpx

from signet.serving.gateway.http import admin
from signet.serving.gateway.http.admin import AdminServer
from tests.servers import GOLDEN_MODELS
from tests.serving.gateway import in_process


def test_probes_answer_while_the_main_loop_stands_still_but_not_for_ever(tmp_path, monkeypatch):
    shutil.copytree(GOLDEN_MODELS / "mlp", tmp_path / "mlp")
    with in_process.gateway(models_dir=tmp_path) as running:  # whose loop turns only while it is asked
        listener = socket.create_server(("127.0.0.1", 0))
        server = AdminServer(running.gateway.probes, listener)
        server.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        try:
            assert httpx.get(f"{url}/livez").status_code == 200
            monkeypatch.setattr(admin, "STANDSTILL_S", -1.0)
            assert httpx.get(f"{url}/livez").status_code == 503
            assert httpx.get(f"{url}/readyz").status_code == 200
            assert "signet_build_info" in httpx.get(f"{url}/metrics").text
            running.gateway.drain()
            assert httpx.get(f"{url}/readyz").json()["draining"] is True
        finally:
            server.stop()
