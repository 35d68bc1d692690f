"""Imports point one way, and TensorFlow stays where it belongs."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers import ROOT

FORBIDDEN = {
    "serving/*.py": {
        "signet.training",
        "signet.clients",
        "signet.cli",
        "signet.serving.engine",
        "signet.serving.gateway",
        "signet.serving.model_server",
    },
    "serving/engine": {
        "signet.training",
        "signet.clients",
        "signet.cli",
        "signet.serving.gateway",
        "signet.serving.model_server",
        "fastapi",
    },
    "serving/gateway": {"signet.training", "signet.clients", "signet.cli", "signet.serving.model_server", "tensorflow"},
    "serving/model_server": {"signet.training", "signet.clients", "signet.cli", "signet.serving.gateway", "tensorflow"},
    "clients": {"signet.training", "signet.serving.gateway", "signet.serving.model_server", "tensorflow"},
    "training": {"signet.clients", "signet.serving.engine", "signet.serving.gateway", "signet.serving.model_server"},
}


def imports(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


@pytest.mark.parametrize("place", FORBIDDEN)
def test_imports_point_one_way(place):
    files = list(ROOT.glob(place)) if "*" in place else list((ROOT / place).rglob("*.py"))
    assert files
    for path in files:
        for name in imports(path):
            wrong = [bad for bad in FORBIDDEN[place] if name == bad or name.startswith(bad + ".")]
            assert not wrong, f"{path.relative_to(ROOT)} imports {name}"


def test_only_one_file_of_the_gateway_imports_the_engine():
    users = {
        path.name for path in (ROOT / "serving/gateway").rglob("*.py") for name in imports(path) if "engine" in name
    }
    assert users == {"embedded.py"}


def in_a_new_process(code: str) -> str:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.mark.parametrize(
    "module",
    [
        "signet.serving.protos",
        "signet.serving.gateway.app",
        "signet.serving.gateway.remote",
        "signet.serving.gateway.embedded",
        "signet.serving.engine.repository",
    ],
)
def test_serving_never_imports_tensorflow(module):
    assert in_a_new_process(f"import {module}, sys; print('tensorflow' in sys.modules)") == "False"


def test_only_the_messages_of_tensorflow_are_loaded_in_remote_mode():
    code = """if True:
        import signet.serving.gateway.remote, sys
        files = [getattr(m, "__file__", None) for name, m in sys.modules.items() if name.startswith("tensorflow.")]
        print(*filter(None, files))
    """
    files = [Path(file).name for file in in_a_new_process(code).split()]
    assert files
    assert all(name.endswith("_pb2.py") or name == "__init__.py" for name in files), files


@pytest.mark.parametrize(
    "order", ["import signet.serving.protos, tensorflow", "import tensorflow, signet.serving.protos"]
)
def test_tensorflow_itself_can_be_imported_before_and_after(order):
    code = f"{order}\nfrom signet.serving.protos import predict_pb2\nimport tensorflow as tf\nprint(int(tf.constant(1) + 1))"
    assert in_a_new_process(code) == "2"
