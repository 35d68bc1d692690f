"""Clients are light: no TensorFlow, and gRPC only where it is used."""

import ast
import subprocess
import sys

from tests.servers import ROOT


def in_a_new_process(code: str) -> str:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.strip()


def test_clients_never_import_tensorflow():
    paths = sorted((ROOT / "clients").rglob("[!_]*.py"))
    modules = ", ".join(".".join(path.relative_to(ROOT).with_suffix("").parts) for path in paths)
    assert in_a_new_process(f"import {modules}, sys; print('tensorflow' in sys.modules)") == "False"


def test_grpc_is_imported_only_where_it_is_used():
    users = set()
    for path in (ROOT / "clients").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
            if any(name.split(".")[0] == "grpc" for name in names):
                users.add(path.name)
    assert users == {"grpc_client.py", "grpc_target.py"}


def test_signet_offers_the_clients_when_they_are_asked_for():
    code = """if True:
        import sys
        import signet
        assert "httpx" not in sys.modules
        from signet import AsyncClient, Client
        assert Client.__module__ == AsyncClient.__module__ == "clients.gateway_client"
        assert "tensorflow" not in sys.modules
        assert not hasattr(signet, "nothing")
        print("ok")
    """
    assert in_a_new_process(code) == "ok"


def test_a_call_with_real_answers_imports_no_tensorflow(embedded_url, model_server_address):
    code = f"""if True:
        import sys
        from clients.grpc_client import GrpcClient
        from signet import Client
        with Client({embedded_url!r}) as client, GrpcClient({model_server_address!r}) as direct:
            for each in (client, direct):
                print(*each.predict("mixed", {{"s": ["a"]}}, signature="s"))
        print("tensorflow" in sys.modules)
    """
    assert in_a_new_process(code).split("\n") == ["echo echo_bytes len", "echo echo_bytes len", "False"]
