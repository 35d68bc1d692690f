"""The wheel: pure Python, and enough for clients where there is no TensorFlow. The Locust file runs on it."""

import csv
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.servers import GOLDEN_MODELS, ROOT

UV = Path(sys.executable).parent / "uv"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, ROOT / "deploy/wheel.py", folder]
    printed = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout
    return Path(printed.strip())


def environment(folder: Path, *requirements: object) -> Path:
    """A new virtual environment with these and nothing else: its folder of programs."""
    subprocess.run([UV, "venv", "--quiet", "--python", sys.executable, folder], check=True, timeout=60)
    install = ("install", "--quiet", *map(str, requirements))
    python = folder / "bin" / "python"
    # uv takes a second where pip takes ten, but does not know an index that only pip's configuration names.
    if subprocess.run([UV, "pip", *install, "--python", python], check=False, timeout=120).returncode:
        subprocess.run([sys.executable, "-m", "pip", "--python", python, *install], check=True, timeout=240)
    return folder / "bin"


def run(program: Path, *arguments: object, cwd: Path, code: int = 0) -> str:
    clean = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    command = [program, *map(str, arguments)]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=100, env=clean)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stderr if code else done.stdout


def test_the_wheel_is_pure_and_small(wheel):
    assert wheel.name.endswith("-py3-none-any.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert not [name for name in names if name.endswith((".so", ".pyc"))]
    assert {"signet/py.typed", "signet/serving/open_inference/open_inference_pb2.py"} <= set(names)
    assert not [name for name in names if re.match("tensorflow|tests", name)]  # TensorFlow's own folder stays its own
    assert wheel.stat().st_size < 2e6


def test_the_http_client_needs_neither_tensorflow_nor_grpc(wheel, embedded_url, tmp_path):
    programs = environment(tmp_path / "venv", wheel)
    code = f"""if True:
        import sys
        import numpy as np
        from signet import Client
        with Client({embedded_url!r}) as client:
            print(client.predict("mixed", {{"s": ["a"]}}, signature="s")["echo"])
            print(client.predict("mixed", {{"x": np.ones((1, 5000))}})["y"].shape)
        print({{"tensorflow", "grpc", "fastapi"}} & set(sys.modules))
    """
    assert run(programs / "python", "-W", "error", "-c", code, cwd=tmp_path).split("\n") == [
        "['a']",
        "(1, 5000)",
        "set()",
        "",
    ]
    table = run(programs / "signet", "models", "--url", embedded_url, cwd=tmp_path)
    assert "two_in" in table
    for arguments, extra in ((("load", "two_in"), "load"), (("serve",), "gateway")):
        said = run(programs / "signet", *arguments, cwd=tmp_path, code=1)
        assert re.fullmatch(
            rf"signet: `signet {arguments[0]}` needs \w+: pip install 'signet-serving\[{extra}\]'\n", said
        )
    packages = run(UV, "pip", "list", "--python", programs / "python", cwd=tmp_path)
    assert not re.search("tensor|grpcio|fastapi", packages)


def test_extras_bring_grpc_the_load_test_and_a_swarm(wheel, embedded_gateway, tmp_path):
    url, address = embedded_gateway
    programs = environment(tmp_path / "venv", f"signet-serving[grpc,load] @ {wheel.as_uri()}", "locust")
    code = f"""if True:
        import sys
        from signet import GrpcClient
        with GrpcClient({address!r}) as client:
            print(client.predict("mixed", {{"s": ["a"]}}, signature="s")["echo"])
        print("tensorflow" in sys.modules)
    """
    assert run(programs / "python", "-W", "error", "-c", code, cwd=tmp_path).split("\n") == ["['a']", "False", ""]
    for protocol, where in (("v1", url), ("grpc", address)):
        arguments = ("load", "two_in", "--url", where, "--protocol", protocol, "--rate", 50, "--seconds", 0.2)
        assert "good/s" in run(programs / "signet", *arguments, "--warmup-s", 0, cwd=tmp_path)
    models = ("--models", "two_in=3,mixed:s", "--rows", 2, "--models-dir", GOLDEN_MODELS)
    swarm = ("--headless", "--users", 4, "--spawn-rate", 4, "--run-time", "6s", "--processes", 2, "--csv", "swarm")
    run(programs / "locust", "-f", ROOT / "deploy/locustfile.py", *models, *swarm, "--host", url, cwd=tmp_path)
    table = csv.DictReader((tmp_path / "swarm_stats.csv").read_text().splitlines())
    rows = {row["Name"]: row for row in table}
    assert int(rows["two_in"]["Request Count"]) > int(rows["mixed:s"]["Request Count"]) > 0
    assert int(rows["Aggregated"]["Failure Count"]) == 0
