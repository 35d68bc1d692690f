"""The wheels: enough for clients where there is no TensorFlow, on each Python; one has the helper. Locust runs on it."""

import csv
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from signet.serving.json_arrays import number_nests
from signet.serving.json_arrays.number_nests import LIBRARY
from tests import servers
from tests.deploy.pythons import RUNNING, offered
from tests.servers import GOLDEN_MODELS, ROOT

PROGRAMS = Path(sys.executable).parent
UV = PROGRAMS / "uv"


@pytest.fixture(scope="module")
def wheels(tmp_path_factory) -> list[Path]:
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, ROOT / "deploy/wheel.py", folder]
    printed = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout
    return [Path(line) for line in printed.splitlines()]


@pytest.fixture(scope="module")
def wheel(wheels) -> Path:
    return wheels[0]


def environment(folder: Path, *requirements: object, version: str = RUNNING) -> Path:
    """A new virtual environment with these and nothing else: its folder of programs."""
    subprocess.run([UV, "venv", "--quiet", "--python", offered()[version], folder], check=True, timeout=60)
    install(folder / "bin", *requirements)
    return folder / "bin"


def install(programs: Path, *requirements: object) -> None:
    arguments = ("install", "--quiet", *map(str, requirements))
    # uv takes a second where pip takes ten, but does not know an index that only pip's configuration names.
    if subprocess.run([UV, "pip", *arguments, "--python", programs / "python"], check=False, timeout=120).returncode:
        pip = [sys.executable, "-m", "pip", "--python", programs / "python"]
        subprocess.run([*pip, *arguments], check=True, timeout=240)


def run(program: Path, *arguments: object, cwd: Path, code: int = 0) -> str:
    # What is compiled is kept, or each start would compile every package of a new environment again.
    clean = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONDONTWRITEBYTECODE")}
    command = [program, *map(str, arguments)]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=100, env=clean)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stderr if code else done.stdout


def full_of_names(folder: Path) -> Path:
    """A user's own folders and files, called as this project's are."""
    for name in ("clients", "serving", "training", "tests", "deploy"):
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").write_text("raise ImportError('this is the user’s own')")
    (folder / "commands.py").write_text("raise ImportError('this is the user’s own')")
    return folder


def beside_a_clone(folder: Path) -> Path:
    """A folder that holds a clone of this project, and a module of the user's."""
    (folder / "signet").mkdir(parents=True)
    (folder / "clients.py").write_text("raise ImportError('this is the user’s own')")
    (folder / "signet" / "pyproject.toml").touch()
    for name in ("signet", "clients", "serving", "training"):
        (folder / "signet" / name).mkdir()
        (folder / "signet" / name / "__init__.py").write_text("raise ImportError('this is the clone')")
    return folder


def check_clients(programs: Path, url: str, address: str, folder: Path) -> None:
    """Both protocols and the command, from a folder."""
    (folder / "app.py").write_text(f"""if True:
        import sys
        import numpy as np
        from signet import Client, GrpcClient
        with Client({url!r}) as client, GrpcClient({address!r}) as direct:
            for each in (client, direct):
                print(each.predict("mixed", {{"s": ["a"]}}, signature="s")["echo"])
                print(each.predict("mixed", {{"x": np.ones((1, 5000))}})["y"].shape)
        print("tensorflow" in sys.modules)
    """)
    answers = ["['a']", "(1, 5000)"]
    assert run(programs / "python", "-W", "error", "app.py", cwd=folder).splitlines() == [*answers * 2, "False"]
    assert "two_in" in run(programs / "signet", "models", "--url", url, cwd=folder)
    assert "two_in" in run(programs / "python", "-m", "signet", "models", "--url", url, cwd=folder)


def test_the_wheel_is_pure_and_small(wheel):
    assert re.fullmatch(r"signet_serving-[\d.]+-py3-none-any\.whl", wheel.name)
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert not [name for name in names if name.endswith((".so", ".pyc"))]
    assert {
        "signet/py.typed",
        "signet/serving/gateway/page/static/index.html",
        "signet/serving/gateway/page/static/core/dom.js",
        "signet/serving/open_inference/open_inference_pb2.py",
        "signet/serving/tensors/protos.pyi",
    } <= set(names)
    assert not [name for name in names if re.match("tensorflow|tests", name)]  # TensorFlow's own folder stays its own
    assert wheel.stat().st_size < 2e6


def test_the_other_wheel_has_the_helper_for_each_python_and_is_for_such_machines(wheels, tmp_path):
    pure, other = wheels
    assert re.fullmatch(r"signet_serving-[\d.]+-py3-none-linux_\w+\.whl", other.name)
    with zipfile.ZipFile(pure) as first, zipfile.ZipFile(other) as second:
        added = set(second.namelist()) - set(first.namelist())
        assert added == {f"signet/serving/json_arrays/{LIBRARY}"}
        helper = second.extract(f"signet/serving/json_arrays/{LIBRARY}", tmp_path)
    assert number_nests._load(Path(helper))


@pytest.mark.parametrize("version", offered())
def test_clients_run_on_each_python_beside_any_folders(wheel, embedded_gateway, tmp_path, version):
    url, address = embedded_gateway
    programs = environment(tmp_path / "venv", wheel, version=version)
    code = f"""if True:
        import asyncio
        import socket
        import sys
        from signet import AsyncClient, Client, errors
        with Client({url!r}) as client:
            print(client.predict("mixed", {{"s": ["a"]}}, signature="s")["echo"])
        async def both():
            async with AsyncClient({url!r}) as client:
                asked = [client.predict("mixed", {{"x": [[1.0] * 4]}}) for _ in range(2)]
                print([answer["y"].shape for answer in await asyncio.gather(*asked)])
            with socket.create_server(("127.0.0.1", 0)) as silent:
                async with AsyncClient("http://127.0.0.1:%d" % silent.getsockname()[1]) as client:
                    try:
                        await client.predict("mixed", {{"x": [[1.0] * 4]}}, timeout_s=0.2)
                    except errors.DeadlineExceeded as error:
                        print("did not answer within 0.2 s" in str(error))
        asyncio.run(both())
        print({{"tensorflow", "grpc", "fastapi"}} & set(sys.modules))
    """
    printed = run(programs / "python", "-W", "error", "-c", code, cwd=tmp_path).splitlines()
    assert printed == ["['a']", "[(1, 4), (1, 4)]", "True", "set()"]
    packages = run(UV, "pip", "list", "--python", programs / "python", cwd=tmp_path)
    assert not re.search("tensor|grpcio|fastapi|simdjson|rapidjson|rich|typer", packages)
    said = run(programs / "signet", "models", cwd=tmp_path, code=1)
    assert said == "signet: `signet models` needs typer: pip install 'signet-serving[cli]'\n"

    install(programs, f"signet-serving[cli,grpc] @ {wheel.as_uri()}")
    check_clients(programs, url, address, full_of_names(tmp_path / "names"))
    check_clients(programs, url, address, beside_a_clone(tmp_path / "clone"))
    if version == "3.10":
        said = run(programs / "signet", "serve", cwd=tmp_path, code=1)
        assert re.fullmatch(r"signet: `signet serve` needs Python 3\.11 or newer; this is 3\.10\.\d+\n", said)
        return
    for arguments, extra in ((("load", "two_in"), "load"), (("serve",), "gateway")):
        said = run(programs / "signet", *arguments, cwd=tmp_path, code=1)
        hint = rf"signet: `signet {arguments[0]}` needs \w+: pip install 'signet-serving\[{extra}\]'\n"
        assert re.fullmatch(hint, said)


@pytest.mark.parametrize("surroundings", [full_of_names, beside_a_clone])
def test_the_editable_install_is_found_beside_any_folders(embedded_gateway, tmp_path, surroundings):
    check_clients(PROGRAMS, *embedded_gateway, surroundings(tmp_path / "folder"))


def test_extras_bring_the_load_test_and_a_swarm(wheel, embedded_gateway, tmp_path, monkeypatch):
    url, address = embedded_gateway
    programs = environment(tmp_path / "venv", f"signet-serving[load] @ {wheel.as_uri()}", "locust")
    for protocol, where in (("v1", url), ("grpc", address)):
        arguments = ("load", "two_in", "--url", where, "--protocol", protocol, "--rate", 50, "--seconds", 0.2)
        assert "good/s" in run(programs / "signet", *arguments, "--warmup-s", 0, cwd=tmp_path)
    models = ("--models", "two_in=3,mixed:s", "--rows", 2, "--models-dir", GOLDEN_MODELS)
    swarm = ("--headless", "--users", 4, "--spawn-rate", 4, "--run-time", "6s", "--processes", 2, "--csv", "swarm")
    command = (programs / "locust", "-f", ROOT / "deploy/locustfile.py", *models, *swarm)
    key_of_the_swarm = run(PROGRAMS / "signet", "keys", "add", "swarm", cwd=tmp_path).strip()
    asks = ("--models-dir", GOLDEN_MODELS, "--keys", tmp_path / "keys.jsonl")
    monkeypatch.setenv("SIGNET_KEY", key_of_the_swarm)
    with servers.gateway(*asks) as (asking, _):
        run(*command, "--host", asking, cwd=tmp_path)
    table = csv.DictReader((tmp_path / "swarm_stats.csv").read_text().splitlines())
    rows = {row["Name"]: row for row in table}
    assert int(rows["two_in"]["Request Count"]) > int(rows["mixed:s"]["Request Count"]) > 0
    assert int(rows["Aggregated"]["Failure Count"]) == 0


USER = """
import asyncio
from collections.abc import Mapping

import numpy as np

import signet
from signet import NEVER, AsyncClient, Client, GrpcClient, Retry, errors

client = Client("http://localhost:8080", timeout_s=5, retry=Retry(attempts=2), headers={"x-team": "blue"})
reveal_type(client.predict("digits", {"pixels": np.zeros((1, 64), np.float32)}, outputs=["digit"]))
reveal_type(client.models()[0].signatures)
reveal_type(client.describe("digits", label="stable").number)
reveal_type(client.signature("digits").inputs["pixels"].shape)

with GrpcClient("localhost:8081", retry=NEVER) as direct:
    reveal_type(direct)
    reveal_type(direct.predict("digits", {"pixels": [[0] * 64]}, version=3))
    reveal_type(direct.status("digits")[0].version)


async def both() -> Mapping[str, object]:
    async with AsyncClient(token="secret") as asked:
        reveal_type(asked)
        await asked.wait_ready(3.0, model="digits")
        return await asked.predict("digits", {"pixels": np.zeros((1, 64))})


def explained() -> str:
    try:
        asyncio.run(both())
    except errors.Overloaded as error:
        reveal_type(error.retry_after_s)
    except signet.errors.ServingError as error:
        return f"{error.http_status} {error.grpc_code}: {error}"
    return ""


client.predict("digits", {}, timeout="soon")
client.forecast("digits")
signet.Clientele
"""
REVEALED = [
    r"(signet\.clients\.client\.answer\.)?Answer",
    r"(typing\.)?Mapping\[(builtins\.)?str, (signet\.serving\.tensors\.signature\.)?Signature\]",
    r"(builtins\.)?int",
    r"(Union\[)?(builtins\.)?tuple\[.*int.*None.*\].*None\]?",
    r"(signet\.clients\.client\.grpc_client\.)?GrpcClient",
    r"(signet\.clients\.client\.answer\.)?Answer",
    r"(builtins\.)?int",
    r"(signet\.clients\.client\.\w+\.)?AsyncClient",
    r"(Union\[)?(builtins\.)?float.*None\]?",
]


@pytest.mark.parametrize(
    ("checker", "reveals", "mistake"),
    [
        (["mypy", "--strict", "--python-executable"], r'Revealed type is "(.*)"', r"app\.py:(\d+): error: "),
        (["pyright", "--pythonpath"], r'Type of ".*" is "(.*)"', r"app\.py:(\d+):\d+ - error: "),
    ],
)
def test_those_who_use_the_wheel_get_types(wheel, tmp_path, checker, reveals, mistake):
    programs = environment(tmp_path / "venv", f"signet-serving[grpc] @ {wheel.as_uri()}")
    folder = full_of_names(tmp_path / "project")
    (folder / "app.py").write_text(USER)
    (folder / "pyrightconfig.json").write_text('{"typeCheckingMode": "strict"}')
    said = run_checker([sys.executable, "-m", *checker, programs / "python", "app.py"], folder)
    found = re.findall(reveals, said)
    assert len(found) == len(REVEALED), said
    assert [pattern for pattern, text in zip(REVEALED, found, strict=True) if not re.fullmatch(pattern, text)] == [], (
        said
    )
    lines = USER.split("\n")
    assert {lines[int(number) - 1] for number in re.findall(mistake, said)} == set(lines[-4:-1]), said


def run_checker(command: list[object], folder: Path) -> str:
    return subprocess.run(
        list(map(str, command)), cwd=folder, capture_output=True, text=True, check=False, timeout=240
    ).stdout
