import json
import os
import re
import socket
import subprocess
import sys
import threading
import tomllib
from importlib.metadata import distribution
from pathlib import Path

import httpx
import pytest
import typer

from signet.commands.app import app
from signet.serving.gateway.settings import Settings
from signet.serving.model_server.flags import Flags
from tests.deploy import dockerfile
from tests.deploy.locks import pins
from tests.servers import ROOT, Program

IMAGES = ("gateway", "model-server", "training")


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_starts_a_command_of_signet_as_nobody_special(image):
    program, *arguments = dockerfile.command(image)
    assert program == "signet"
    assert set(arguments) <= typer.main.get_command(app).commands.keys()
    assert dockerfile.last(image, "USER") == "10001:10001"


def test_training_trains_unless_told_otherwise():
    assert dockerfile.command("training", "CMD")[0] in typer.main.get_command(app).commands


def test_every_stage_comes_from_the_base_that_one_argument_names():
    below = re.findall(r"^FROM (\S+)", dockerfile.TEXT, re.MULTILINE)
    assert set(below) - {*dockerfile.stages()} == {"${BASE}", "scratch"}
    assert dockerfile.arguments()["BASE"] == "docker.io/library/python:3.11-slim-bookworm"


def test_labels_say_what_an_image_is():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert dockerfile.arguments()["VERSION"] == version
    for image in IMAGES:
        labels = dict(re.findall(r"org\.opencontainers\.image\.([\w.]+)=(\S+)", dockerfile.last(image, "LABEL")))
        assert labels.keys() == {"title", "description", "version", "revision", "base.name"}
        assert labels["version"] == "${VERSION}"


def test_hadolint_finds_no_fault():
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([hadolint, ROOT / "Dockerfile"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_every_image_says_how_it_is_or_why_not():
    assert dockerfile.command("gateway", "HEALTHCHECK")[0] == dockerfile.command("model-server", "HEALTHCHECK")[0]
    assert dockerfile.last("training", "HEALTHCHECK") == "NONE"  # it ends by itself


def test_the_model_servers_health_check_asks_its_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert ask_port(port) == 0
    assert ask_port(port) != 0


def ask_port(port: int) -> int:
    command = [word.replace("8500", str(port)) for word in dockerfile.command("model-server", "HEALTHCHECK")]
    return subprocess.run([sys.executable, *command[1:]], capture_output=True, check=False).returncode


def test_the_list_of_packages_names_each_with_its_hashes(tmp_path):
    """deploy/sbom.py on a virtual environment with two packages of the gateway's lock file."""
    site = tmp_path / "lib/python3.11/site-packages"
    site.mkdir(parents=True)
    for name in ("orjson", "typing_extensions"):
        (info,) = {file.parts[0] for file in distribution(name).files if file.parts[0].endswith(".dist-info")}
        (site / info).symlink_to(distribution(name).locate_file(info))
    locks = [ROOT / "deploy/gateway.lock", ROOT / "deploy/model-server.lock"]
    command = [sys.executable, ROOT / "deploy/sbom.py", tmp_path, *locks, "tensorflow"]
    listed = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert (listed["bomFormat"], listed["specVersion"]) == ("CycloneDX", "1.5")
    pinned = {**pins("deploy/model-server.lock"), **pins("deploy/gateway.lock")}
    assert [entry["name"] for entry in listed["components"]] == ["orjson", "tensorflow", "typing-extensions"]
    for entry in listed["components"]:
        version, hashes = pinned[entry["name"]]
        assert entry["version"] == version
        assert entry["purl"] == f"pkg:pypi/{entry['name']}@{version}"
        assert {digest["content"] for digest in entry["hashes"]} == hashes
    (orjson, *_) = listed["components"]
    assert orjson["licenses"]


def test_packages_are_installed_by_hash():
    installs = re.findall(r"pip install (.*)", dockerfile.TEXT)
    assert installs
    assert all("--require-hashes" in line or "--no-index --no-deps" in line for line in installs)


def test_the_gateway_listens_where_its_image_says():
    variables = {key.removeprefix("SIGNET_").lower(): value for key, value in dockerfile.settings("gateway").items()}
    settings = Settings(**variables)
    assert dockerfile.last("gateway", "EXPOSE").split() == [str(settings.http_port), str(settings.grpc_port)]
    assert int(variables["http_port"]) == Settings.model_fields["http_port"].default
    assert int(variables["grpc_port"]) == Settings.model_fields["grpc_port"].default
    assert variables["host"] == "0.0.0.0"
    assert (variables["keys"], settings.insecure) == ("/keys/keys.jsonl", False)


def test_the_model_server_listens_where_its_image_says():
    assert dockerfile.last("model-server", "EXPOSE").split()[0] == str(Flags().port)


@pytest.mark.parametrize("image", IMAGES)
def test_variables_are_settings(image):
    names = {name.removeprefix("SIGNET_").lower() for name in dockerfile.settings(image)}
    assert names <= Settings.model_fields.keys()


def test_what_is_copied_exists_and_reaches_the_build():
    kept = re.findall(r"^!(.*)", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    copies = {rest for stage in dockerfile.stages().values() for word, rest in stage if word == "COPY"}
    for source in {source for rest in copies if "--from=" not in rest for source in rest.split()[:-1]}:
        assert (ROOT / source).exists()
        assert source.partition("/")[0] in kept or any(Path(source).match(pattern) for pattern in kept), source


# ---- The files that only images use


@pytest.fixture(scope="module")
def gateway_packages(tmp_path_factory) -> Path:
    """A site-packages of what the gateway's lock names, and TensorFlow's message files."""
    site = tmp_path_factory.mktemp("site")
    for name in pins("deploy/gateway.lock"):
        package = distribution(name)
        for top in {file.parts[0] for file in package.files} - {"..", "__pycache__"}:
            if not (site / top).exists():
                (site / top).symlink_to(package.locate_file(top))
    subprocess.run(
        [sys.executable, ROOT / "deploy/message_files.py", site],
        check=True,
        capture_output=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    return site


def test_the_message_files_are_few_and_hold_no_tensorflow(gateway_packages):
    files = [path for name in ("tensorflow", "tensorflow_serving") for path in (gateway_packages / name).rglob("*.*")]
    assert all(re.fullmatch(r".*_pb2(_grpc)?\.py|__init__\.py", path.name) for path in files)
    assert 50 < len(files) < 200
    assert sum(path.stat().st_size for path in files) < 2e6
    assert not (gateway_packages / "tensorflow" / "__init__.py").exists()


def test_the_gateway_runs_on_its_lock_and_the_message_files_alone(gateway_packages, model_server_address):
    arguments = ["serve", f"--backend={model_server_address}", "--models=two_in", "--http-port=0", "--grpc-port=0"]
    with subprocess.Popen(
        [sys.executable, "-S", "-m", "signet", *arguments],  # -S: not this environment's site-packages
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{gateway_packages}"},
    ) as process:
        program = Program(process)
        try:
            port = program.read_until(r"ready at http://localhost:(\d+)")[1]
            url = f"http://127.0.0.1:{port}/v1/models/two_in:predict"
            answer = httpx.post(url, json={"instances": [{"a": [1, 2, 3], "b": [4, 5]}]})
            assert answer.json() == {"predictions": [[pytest.approx(2.70054603)]]}
            assert program.stop() == 0
        finally:
            process.kill()


@pytest.mark.parametrize(
    ("answer", "code", "said"),
    [
        (b'HTTP/1.1 200 OK\r\n\r\n{"ready":true}', 0, 'HTTP/1.1 200 OK {"ready":true}\n'),
        (
            b'HTTP/1.1 503 Service Unavailable\r\n\r\n{"ready":false}',
            1,
            'HTTP/1.1 503 Service Unavailable {"ready":false}\n',
        ),
        (b"", 1, " \n"),
    ],
)
def test_the_health_check_asks_readyz(answer, code, said):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        requests = []

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                requests.append(connection.recv(1000))
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        done = health_check(listener.getsockname()[1])
        thread.join()
    assert (done.returncode, done.stdout) == (code, said)
    assert requests == [b"GET /readyz HTTP/1.0\r\n\r\n"]


def test_the_health_check_says_that_nobody_answers():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    done = health_check(port)
    assert done.returncode == 1
    assert done.stderr.startswith(f"0.0.0.0:{port} does not answer")


def test_the_health_check_is_the_images():
    program, script = dockerfile.command("gateway", "HEALTHCHECK")
    assert program == "python"
    assert (ROOT / "deploy" / Path(script).name).is_file()


def health_check(port: int) -> subprocess.CompletedProcess[str]:
    variables = {**os.environ, **dockerfile.settings("gateway"), "SIGNET_HTTP_PORT": str(port)}
    script = ROOT / "deploy/healthcheck.py"
    return subprocess.run([sys.executable, script], env=variables, capture_output=True, text=True, check=False)
