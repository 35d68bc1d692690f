import json
import re
import shutil
import subprocess
import tomllib

import pytest
import yaml

from serving.gateway.settings import Settings
from serving.model_server import flags
from tests.deploy import dockerfile
from tests.servers import ROOT

FILE = ROOT / "deploy/compose.yaml"
SERVICES = yaml.safe_load(FILE.read_text())["services"]
SERVERS = {"model-server": "cpu", "model-server-gpu": "gpu"}
HELP = next(
    case["stdout"]
    for case in json.loads((ROOT / "tests/golden/tfserving/cli.json").read_text())["cases"]
    if case["name"] == "help"
)
"""What `tensorflow_model_server --help` prints."""


def ports(service):
    """Container port -> published address and port, where the variables are not set."""
    plain = [re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", port) for port in service["ports"]]
    return {int(port.rpartition(":")[2]): port.rpartition(":")[0] for port in plain}


def mounts(service):
    """Folder in the container -> folder here."""
    for mount in service["volumes"]:
        source, target, mode = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", mount).split(":")
        assert mode == "ro"
        yield target, (FILE.parent / source).resolve()


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_may_do_little_and_writes_nowhere(name):
    service = SERVICES[name]
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["init"]


@pytest.mark.parametrize("name", SERVICES)
def test_ports_are_published_on_this_machine_only(name):
    assert ports(SERVICES[name]) == {port: f"127.0.0.1:{port}" for port in ports(SERVICES[name])}


def test_images_have_pinned_tags():
    images = {name: service["image"] for name, service in SERVICES.items()}
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert images == {
        "model-server": "tensorflow/serving:2.20.0",
        "model-server-gpu": "tensorflow/serving:2.20.0-gpu",
        "gateway": f"signet-gateway:{version}",
    }


def test_the_exporter_is_not_newer_than_the_server():
    engine = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["engine"]
    assert "tensorflow==2.20.0" in engine


@pytest.mark.parametrize("name", SERVERS)
def test_flags_are_those_of_tensorflow_serving_and_of_ours(name):
    service = SERVICES[name]
    assert service["entrypoint"] == ["tensorflow_model_server"]
    types = dict(re.findall(r"^\t--(\w+)=.*?\t(\w+)\t", HELP, re.MULTILINE))
    shapes = {"int32": r"\d+", "int64": r"\d+", "bool": "true|false", "string": r"\S+"}
    for argument in service["command"]:
        flag, value = re.fullmatch(r"--(\w+)=(.+)", argument).groups()
        assert re.fullmatch(shapes[types[flag]], value), argument
    assert flags.parse(service["command"])[1] == []


@pytest.mark.parametrize("name", SERVERS)
def test_files_that_flags_name_are_mounted(name):
    folders = dict(mounts(SERVICES[name]))
    values = [argument.partition("=")[2] for argument in SERVICES[name]["command"]]
    for value in values:
        if value.startswith("/"):
            folder, _, file = value.rpartition("/")
            assert (folders[folder] / file).is_file()
    assert folders["/models"] == ROOT / "models"


@pytest.mark.parametrize("name", SERVERS)
def test_a_model_server_is_healthy_when_its_published_port_is_open(name):
    service = SERVICES[name]
    assert f"--port={next(iter(ports(service)))}" in service["command"]
    assert re.search(r"/dev/tcp/127\.0\.0\.1/(\d+)", service["healthcheck"]["test"][-1])[1] == "8500"


def test_a_profile_chooses_the_model_server_and_cpu_is_the_default():
    assert {name: service["profiles"] for name, service in SERVICES.items() if "profiles" in service} == {
        name: [profile] for name, profile in SERVERS.items()
    }
    assert (FILE.parent / ".env").read_text() == "COMPOSE_PROFILES=cpu\n"


def test_the_gpu_is_reserved_and_its_memory_grows():
    service = SERVICES["model-server-gpu"]
    (device,) = service["deploy"]["resources"]["reservations"]["devices"]
    assert device == {"driver": "nvidia", "count": 1, "capabilities": ["gpu"]}
    assert service["environment"] == {"TF_FORCE_GPU_ALLOW_GROWTH": "true"}
    differs = {key for key in service if service[key] != SERVICES["model-server"].get(key)}
    assert differs == {"image", "profiles", "environment", "deploy"}


def test_the_gateway_is_built_from_its_target():
    build = SERVICES["gateway"]["build"]
    assert (FILE.parent / build["context"] / "Dockerfile").resolve() == ROOT / "Dockerfile"
    assert build["target"] in dockerfile.stages()
    assert list(ports(SERVICES["gateway"])) == [*map(int, dockerfile.last("gateway", "EXPOSE").split())]


def test_the_gateway_has_a_backend_and_knows_its_models(monkeypatch):
    for name, value in SERVICES["gateway"]["environment"].items():
        monkeypatch.setenv(name, value)
        assert name.removeprefix("SIGNET_").lower() in Settings.model_fields
    settings = Settings()
    for name in SERVERS:
        (alias,) = SERVICES[name]["networks"]["default"]["aliases"]
        assert settings.addresses == [f"{alias}:{next(iter(ports(SERVICES[name])))}"]
    folder = dict(mounts(SERVICES["gateway"]))[str(settings.model_config_file.parent)]
    assert (folder / settings.model_config_file.name).is_file()
    grace_s = int(SERVICES["gateway"]["stop_grace_period"].removesuffix("s"))
    assert grace_s > settings.drain_s + settings.shutdown_s


def test_the_gateway_starts_after_the_model_server_that_the_profile_chose():
    after = {"condition": "service_healthy", "required": False}
    assert SERVICES["gateway"]["depends_on"] == dict.fromkeys(SERVERS, after)


def has_compose() -> bool:
    command = ["docker", "compose", "version"]
    return (
        shutil.which("docker") is not None and not subprocess.run(command, capture_output=True, check=False).returncode
    )


@pytest.mark.skipif(not has_compose(), reason="`docker compose` is not installed; the file is parsed all the same")
@pytest.mark.parametrize(("profile", "server"), [([], "model-server"), (["--profile", "gpu"], "model-server-gpu")])
def test_compose_itself_reads_the_file(profile, server):
    command = ["docker", "compose", "--file", FILE, *profile, "config", "--services"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) == {"gateway", server}
