import json
import os
import re
import subprocess
import tomllib
from pathlib import Path

import compose_spec
import httpx
import pytest
import yaml

from signet.serving.gateway.settings import Settings
from signet.serving.model_server import flags
from tests import programs, servers
from tests.deploy import dockerfile
from tests.servers import ROOT

FILE = ROOT / "deploy/compose.yaml"
WHOLE = yaml.safe_load(FILE.read_text())
SERVICES = WHOLE["services"]
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
SERVERS = {"model-server": "cpu", "model-server-gpu": "gpu"}
MAKE_KEYS = {"keys", "keys-embedded"}
"""They make a file of keys, and end."""
STAY = [name for name in SERVICES if name not in MAKE_KEYS]
HELP = next(
    case["stdout"]
    for case in json.loads((ROOT / "tests/golden/tfserving/cli.json").read_text())["cases"]
    if case["name"] == "help"
)
"""What `tensorflow_model_server --help` prints."""


def plain(text):
    """A text with the defaults of its variables."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)


def ports(service):
    """Container port -> published address and port, where the variables are not set."""
    published = [plain(port) for port in service["ports"]]
    return {int(port.rpartition(":")[2]): port.rpartition(":")[0] for port in published}


def mounts(service):
    """Folder in the container -> folder here."""
    for mount in service["volumes"]:
        source, target, *mode = plain(mount).split(":")
        if source in WHOLE["volumes"]:
            continue
        assert mode == ["ro"], "only volumes are written to"
        yield target, (FILE.parent / source).resolve()


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_may_do_little_and_writes_nowhere(name):
    service = SERVICES[name]
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["init"]


@pytest.mark.parametrize("name", STAY)
def test_ports_are_published_on_this_machine_only(name):
    assert ports(SERVICES[name]) == {port: f"127.0.0.1:{port}" for port in ports(SERVICES[name])}


@pytest.mark.parametrize("name", STAY)
def test_a_service_says_when_it_is_healthy(name):
    in_the_image = name == "gateway" and dockerfile.command("gateway", "HEALTHCHECK")
    assert in_the_image or SERVICES[name]["healthcheck"]["start_period"]


@pytest.mark.parametrize("name", SERVICES)
def test_what_is_mounted_is_here(name):
    for _, source in mounts(SERVICES[name]):
        assert source == ROOT / "models" or source.exists()


def test_images_have_pinned_tags():
    images = {name: service["image"] for name, service in SERVICES.items()}
    assert images == {
        "model-server": "tensorflow/serving:2.20.0",
        "model-server-gpu": "tensorflow/serving:2.20.0-gpu",
        "gateway": f"signet-gateway:{VERSION}",
        "keys": f"signet-gateway:{VERSION}",
        "gateway-embedded": f"signet-model-server:{VERSION}",
        "keys-embedded": f"signet-model-server:{VERSION}",
        "prometheus": "prom/prometheus:v3.5.0",
        "grafana": "grafana/grafana:12.1.0",
    }


def test_the_exporter_is_not_newer_than_the_server():
    engine = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["engine"]
    assert any(requirement.startswith("tensorflow==2.20.0;") for requirement in engine)


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


def test_a_profile_chooses_what_runs_the_models_and_cpu_is_the_default():
    profiles = {name: service["profiles"] for name, service in SERVICES.items() if "profiles" in service}
    assert profiles == {
        "model-server": ["cpu"],
        "model-server-gpu": ["gpu"],
        "gateway": ["cpu", "gpu"],
        "keys": ["cpu", "gpu"],
        "gateway-embedded": ["embedded"],
        "keys-embedded": ["embedded"],
    }
    assert (FILE.parent / ".env").read_text() == "COMPOSE_PROFILES=cpu\n"


def test_the_gpu_is_reserved_and_its_memory_grows():
    service = SERVICES["model-server-gpu"]
    (device,) = service["deploy"]["resources"]["reservations"]["devices"]
    assert device == {"driver": "nvidia", "count": 1, "capabilities": ["gpu"]}
    assert service["environment"] == {"TF_FORCE_GPU_ALLOW_GROWTH": "true"}
    differs = {key for key in service if service[key] != SERVICES["model-server"].get(key)}
    assert differs == {"image", "profiles", "environment", "deploy", "volumes"}


def test_batching_is_tuned_for_the_gpu():
    cpu, gpu = (dict(mounts(SERVICES[name])) for name in ("model-server", "model-server-gpu"))
    assert gpu == {**cpu, "/etc/tf-serving/batching.config": FILE.parent / "tf-serving/gpu/batching.config"}


@pytest.mark.parametrize(("name", "target"), [("gateway", "gateway"), ("gateway-embedded", "model-server")])
def test_a_gateway_is_built_from_its_target(name, target):
    service = SERVICES[name]
    assert (FILE.parent / service["build"]["context"] / "Dockerfile").resolve() == ROOT / "Dockerfile"
    assert service["build"]["target"] == target
    assert target in dockerfile.stages()
    assert list(ports(service)) == [*map(int, dockerfile.last("gateway", "EXPOSE").split())]
    program, *arguments = service.get("entrypoint") or dockerfile.command(target)
    assert (program, arguments) == ("signet", ["serve"])


def settings_of(name, monkeypatch):
    for variable, value in SERVICES[name]["environment"].items():
        monkeypatch.setenv(variable, value)
        assert variable.removeprefix("SIGNET_").lower() in Settings.model_fields
    return Settings()


@pytest.mark.parametrize("name", ["gateway", "gateway-embedded"])
def test_a_gateway_knows_its_models_and_has_the_time_that_its_end_takes(name, monkeypatch):
    settings = settings_of(name, monkeypatch)
    folder = dict(mounts(SERVICES[name]))[str(settings.model_config_file.parent)]
    assert (folder / settings.model_config_file.name).is_file()
    grace_s = int(SERVICES[name]["stop_grace_period"].removesuffix("s"))
    assert grace_s > settings.drain_s + settings.shutdown_s
    assert SERVICES[name]["networks"]["default"]["aliases"] == ["gateway"]


def test_the_gateway_has_a_backend(monkeypatch):
    settings = settings_of("gateway", monkeypatch)
    for name in SERVERS:
        (alias,) = SERVICES[name]["networks"]["default"]["aliases"]
        assert settings.addresses == [f"{alias}:{next(iter(ports(SERVICES[name])))}"]


def test_without_tensorflow_serving_the_gateway_has_the_models_itself(monkeypatch):
    assert not settings_of("gateway-embedded", monkeypatch).backend
    assert dict(mounts(SERVICES["gateway-embedded"]))["/models"] == ROOT / "models"


def test_one_starts_after_the_other():
    after = {"condition": "service_healthy", "required": False}
    made = {"condition": "service_completed_successfully"}
    assert SERVICES["gateway"]["depends_on"] == {"keys": made, **dict.fromkeys(SERVERS, after)}
    assert SERVICES["gateway-embedded"]["depends_on"] == {"keys-embedded": made}
    assert SERVICES["prometheus"]["depends_on"] == dict.fromkeys(["gateway", "gateway-embedded"], after)
    assert SERVICES["grafana"]["depends_on"] == {"prometheus": {"condition": "service_healthy"}}


def test_prometheus_reads_what_is_there():
    service = SERVICES["prometheus"]
    folders = dict(mounts(service))
    (file,) = [argument.partition("=")[2] for argument in service["command"] if "config.file" in argument]
    path = folders[str(Path(file).parent)] / Path(file).name
    configuration = yaml.safe_load(path.read_text())
    assert all((path.parent / name).is_file() for name in configuration["rule_files"])
    gateway, server = configuration["scrape_configs"]
    (target,) = gateway["static_configs"][0]["targets"]
    admin_ports = {SERVICES[name]["environment"]["SIGNET_ADMIN_PORT"] for name in ("gateway", "gateway-embedded")}
    assert {target} == {f"gateway:{port}" for port in admin_ports}  # where no key is asked for
    assert int(target.rpartition(":")[2]) not in ports(SERVICES["gateway"])
    (names,) = server["dns_sd_configs"]
    assert (names["names"], names["port"]) == (["model-server"], int(flag("model-server", "rest_api_port")))
    monitoring = (FILE.parent / "tf-serving/monitoring.config").read_text()
    assert server["metrics_path"] == re.search(r'path: "(.*)"', monitoring)[1]
    programs.need("promtool")
    done = subprocess.run(["promtool", "check", "config", path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def flag(service, name):
    (value,) = [a.partition("=")[2] for a in SERVICES[service]["command"] if a.startswith(f"--{name}=")]
    return value


def test_grafana_shows_the_dashboard_by_that_prometheus():
    folders = dict(mounts(SERVICES["grafana"]))
    provisioning = folders["/etc/grafana/provisioning"]
    (source,) = yaml.safe_load((provisioning / "datasources/prometheus.yaml").read_text())["datasources"]
    assert source["url"] == f"http://prometheus:{next(iter(ports(SERVICES['prometheus'])))}"
    assert source["isDefault"]
    (provider,) = yaml.safe_load((provisioning / "dashboards/signet.yaml").read_text())["providers"]
    (dashboard,) = folders[provider["options"]["path"]].glob("*.json")
    assert json.loads(dashboard.read_text())["uid"] == "signet"
    assert "/d/signet" in FILE.read_text()


def test_a_compose_parser_reads_the_file():
    """compose-spec refuses fields that the Compose Specification does not know. It reads neither merges nor variables."""
    parsed = compose_spec.PyCompose.from_yaml(yaml.safe_dump(yaml.safe_load(plain(FILE.read_text()))))
    assert set(parsed.service_names()) == SERVICES.keys()
    with pytest.raises(ValueError, match="healthchek"):
        compose_spec.PyCompose.from_yaml("services: {gateway: {image: x, healthchek: {}}}")


@pytest.mark.parametrize(
    ("profile", "models"),
    [
        ("cpu", {"model-server", "gateway", "keys"}),
        ("gpu", {"model-server-gpu", "gateway", "keys"}),
        ("embedded", {"gateway-embedded", "keys-embedded"}),
    ],
)
def test_a_profile_starts_what_it_says(profile, models):
    """By the file's words: Compose itself is in no registry of packages that the tests could name."""
    chosen = {name for name, service in SERVICES.items() if profile in service.get("profiles", [profile])}
    assert chosen == {"prometheus", "grafana", *models}


@pytest.mark.parametrize("name", sorted(MAKE_KEYS))
def test_keys_are_made_on_the_volume_that_a_gateway_reads_without_writing_to_it(name):
    service, gateway = SERVICES[name], SERVICES[name.replace("keys", "gateway")]
    assert (service["image"], service["build"]) == (gateway["image"], gateway["build"])
    assert service["volumes"] == ["keys:/keys"]
    assert "keys:/keys:ro" in gateway["volumes"]
    assert (service["network_mode"], service["restart"]) == ("none", "no")
    assert dockerfile.settings("runtime")["SIGNET_KEYS"] == "/keys/keys.jsonl"
    assert "--mode=0700 /keys" in dockerfile.last("gateway", "RUN")


def test_the_first_start_makes_one_key_and_a_gateway_as_in_the_image_asks_for_it(tmp_path):
    """The words of compose.yaml and the variables of the Dockerfile, without containers: /keys lies elsewhere."""
    service = SERVICES["keys"]
    keys = tmp_path / "keys.jsonl"
    image = {**dockerfile.settings("runtime"), "SIGNET_KEYS": str(keys)}
    command = [*servers.SIGNET, *service["entrypoint"][1:], *service["command"]]

    def made():
        environment = {**os.environ, **image}
        done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=True)
        return done.stdout.strip(), keys.read_bytes()

    (token, first), again = made(), made()
    assert token
    assert again == ("", first)  # a second start changes nothing, and shows nothing
    assert token.encode() not in first
    variables = {**SERVICES["gateway-embedded"]["environment"], **image, "SIGNET_ADMIN_PORT": "0"}
    del variables["SIGNET_MODEL_CONFIG_FILE"]
    with servers.gateway("--models-dir", servers.GOLDEN_MODELS, environment=variables) as (url, running):
        body = {"instances": [{"a": [1, 2, 3], "b": [4, 5]}]}
        asked = {"json": body, "timeout": 30}
        assert httpx.post(f"{url}/v1/models/two_in:predict", **asked).status_code == 401
        bearer = {"Authorization": f"Bearer {token}"}
        assert httpx.post(f"{url}/v1/models/two_in:predict", headers=bearer, **asked).status_code == 200
        assert servers.get(f"{url}/readyz").status_code == 200
        assert servers.get(f"{url}/metrics").status_code == 401
        assert servers.get(f"http://{servers.admin_address(running)}/metrics").status_code == 200
