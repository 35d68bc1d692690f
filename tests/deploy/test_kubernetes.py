"""Every overlay renders, fits the schemas of two Kubernetes versions, and says what the code says."""

import re
from itertools import product
from pathlib import Path

import httpx
import jsonschema
import kubernetes_validate
import pytest
import yaml

from signet.serving.gateway.backends import addresses
from signet.serving.gateway.settings import Settings
from signet.serving.model_server import flags
from signet.serving.models import model_config
from tests.deploy import dockerfile
from tests.deploy.kubernetes_files import CUSTOM, FOLDER, OVERLAYS, Object, containers, of_kind, pod_specs, render
from tests.deploy.prometheus_files import DASHBOARD
from tests.deploy.test_compose import HELP, VERSION
from tests.servers import ROOT

VERSIONS = ("1.30", "1.35")
"""The oldest Kubernetes that these files are for (containers that start before others and go on), and a recent one."""
COMPOSE = yaml.safe_load((ROOT / "deploy/compose.yaml").read_text())["services"]
DEPLOYMENTS = {"embedded": ["gateway"], "kserve": []}
"""Overlay -> its Deployments, where they are not both."""
EVERYWHERE = [(overlay, name) for overlay in OVERLAYS for name in DEPLOYMENTS.get(overlay, ["gateway", "model-server"])]
GATEWAYS = [overlay for overlay, name in EVERYWHERE if name == "gateway"]
REMOTE = [overlay for overlay, name in EVERYWHERE if name == "model-server"]
KEYS = "gateway-keys"
"""The Secret that whoever runs the cluster makes, as deploy/README.md says."""
RUNTIME = yaml.safe_load((FOLDER / "overlays/kserve/serving-runtime.yaml").read_text())["spec"]


def is_core(found: Object) -> bool:
    group = found["apiVersion"].rpartition("/")[0]
    return "." not in group or group.endswith(".k8s.io")


# ---- Schemas


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_deployments_are_those_that_are_looked_at_here(overlay):
    assert list(pod_specs(overlay)) == [name for where, name in EVERYWHERE if where == overlay]


@pytest.mark.parametrize(("overlay", "version"), list(product(OVERLAYS, VERSIONS)))
def test_kubernetes_takes_every_core_object(overlay, version):
    for found in render(overlay):
        if is_core(found):
            kubernetes_validate.validate(found, version, strict=True)  # also fails when it has no schema


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_custom_resources_have_no_field_but_known_ones(overlay):
    for found in render(overlay):
        if not is_core(found):
            assert found.keys() == {"apiVersion", "kind", "metadata", "spec"}
            jsonschema.validate(found["spec"], CUSTOM[found["apiVersion"], found["kind"]])


@pytest.mark.parametrize("version", VERSIONS)
def test_the_containers_of_kserves_runtime_are_containers(version):
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "spec": {"containers": RUNTIME["containers"]}}
    kubernetes_validate.validate(pod, version, strict=True)


@pytest.mark.parametrize(
    ("overlay", "kinds"),
    [
        ("cpu", "HorizontalPodAutoscaler PersistentVolumeClaim"),
        ("gpu", "HorizontalPodAutoscaler PersistentVolumeClaim"),
        ("embedded", "HorizontalPodAutoscaler PersistentVolumeClaim"),
        ("keda", "ScaledObject PersistentVolumeClaim"),
        ("s3", "HorizontalPodAutoscaler"),
        ("tls", "HorizontalPodAutoscaler PersistentVolumeClaim Certificate"),
    ],
)
def test_an_overlay_holds_what_a_platform_team_looks_for(overlay, kinds):
    always = "Namespace Deployment Service ConfigMap ServiceAccount PodDisruptionBudget NetworkPolicy ServiceMonitor"
    assert {found["kind"] for found in render(overlay)} == {*always.split(), "PrometheusRule", *kinds.split()}


# ---- What is true of every pod


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_everything_lies_in_a_namespace_whose_pods_are_restricted(overlay):
    (namespace,) = of_kind(overlay, "Namespace").values()
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    rest = [found for found in render(overlay) if found["kind"] != "Namespace"]
    assert {found["metadata"]["namespace"] for found in rest} == {namespace["metadata"]["name"]}


@pytest.mark.parametrize(("overlay", "name"), EVERYWHERE)
def test_a_pod_keeps_to_the_restricted_standard(overlay, name):
    spec = pod_specs(overlay)[name]
    assert spec["securityContext"]["runAsNonRoot"]
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert str(spec["securityContext"]["runAsUser"]) == dockerfile.last("gateway", "USER").partition(":")[0]
    assert not spec.get("hostNetwork")
    assert not spec["automountServiceAccountToken"]
    assert {next(key for key in volume if key != "name") for volume in spec["volumes"]} <= {
        *("configMap", "emptyDir", "persistentVolumeClaim", "secret"),
    }
    for container in containers(spec):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }


def test_kserves_pods_keep_to_it_too():
    for container in RUNTIME["containers"]:
        assert container["securityContext"]["runAsNonRoot"]
        assert container["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert not container["securityContext"]["allowPrivilegeEscalation"]


@pytest.mark.parametrize(("overlay", "name"), EVERYWHERE)
def test_a_container_says_what_it_needs_and_a_pod_is_spread(overlay, name):
    spec = pod_specs(overlay)[name]
    for container in containers(spec):
        assert {"cpu", "memory"} <= container["resources"]["requests"].keys()
        assert "memory" in container["resources"]["limits"]
    keys = {constraint["topologyKey"] for constraint in spec["topologySpreadConstraints"]}
    assert keys == {"topology.kubernetes.io/zone", "kubernetes.io/hostname"}
    for constraint in spec["topologySpreadConstraints"]:
        assert constraint["labelSelector"]["matchLabels"] == {"app.kubernetes.io/name": name}


@pytest.mark.parametrize(("overlay", "name"), EVERYWHERE)
def test_objects_of_one_name_choose_the_same_pods(overlay, name):
    labels = {"app.kubernetes.io/name": name}
    deployment = of_kind(overlay, "Deployment")[name]["spec"]
    assert deployment["selector"]["matchLabels"] == labels
    assert labels.items() <= deployment["template"]["metadata"]["labels"].items()
    assert of_kind(overlay, "Service")[name]["spec"]["selector"] == labels
    assert of_kind(overlay, "PodDisruptionBudget")[name]["spec"]["selector"]["matchLabels"] == labels
    assert of_kind(overlay, "NetworkPolicy")[name]["spec"]["podSelector"]["matchLabels"] == labels
    assert deployment["template"]["spec"]["serviceAccountName"] in of_kind(overlay, "ServiceAccount")


@pytest.mark.parametrize(("overlay", "name"), EVERYWHERE)
def test_what_is_mounted_exists(overlay, name):
    spec = pod_specs(overlay)[name]
    volumes = {volume["name"]: volume for volume in spec["volumes"]}
    for volume in volumes.values():
        if "configMap" in volume:
            assert volume["configMap"]["name"] in of_kind(overlay, "ConfigMap")
        if "persistentVolumeClaim" in volume:
            assert volume["persistentVolumeClaim"]["claimName"] in of_kind(overlay, "PersistentVolumeClaim")
        if "secret" in volume:
            signed = {found["spec"]["secretName"] for found in of_kind(overlay, "Certificate").values()}
            assert volume["secret"]["secretName"] in {KEYS, *signed}
            assert volume["secret"]["defaultMode"] == 0o440, "the pod's group reads it, and nobody else"
    for container in containers(spec):
        assert {mount["name"] for mount in container["volumeMounts"]} <= volumes.keys()
        for source in container.get("envFrom", []):
            assert source["configMapRef"]["name"] in of_kind(overlay, "ConfigMap")


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_changed_config_map_gets_a_new_name_and_so_a_rollout(overlay):
    for name in of_kind(overlay, "ConfigMap").keys() - {"grafana-dashboard"}:
        assert re.fullmatch(r"[a-z-]+-[0-9a-z]{10}", name)


# ---- Ports, variables, paths, flags


def gateway_settings(overlay: str) -> Settings:
    """What the gateway of an overlay reads from its environment."""
    (container,) = pod_specs(overlay)["gateway"]["containers"]
    (source,) = container["envFrom"]
    variables = of_kind(overlay, "ConfigMap")[source["configMapRef"]["name"]]["data"]
    assert all(name.startswith("SIGNET_") for name in variables)
    return Settings(**{name.removeprefix("SIGNET_").lower(): value for name, value in variables.items()})


@pytest.mark.parametrize("overlay", GATEWAYS)
def test_variables_are_settings_and_point_at_what_is_there(overlay):
    settings = gateway_settings(overlay)  # an unknown one is refused
    spec = pod_specs(overlay)["gateway"]
    folders = {mount["mountPath"]: mount["name"] for mount in spec["containers"][0]["volumeMounts"]}
    volume = next(v for v in spec["volumes"] if v["name"] == folders[str(settings.model_config_file.parent)])
    files = of_kind(overlay, "ConfigMap")[volume["configMap"]["name"]]["data"]
    assert settings.model_config_file.name in files
    if overlay == "embedded":
        assert not settings.backend
        bases = {model.base_path.parent for model in model_config.read(ROOT / "deploy/tf-serving/models.config")}
        assert {str(base) for base in bases} <= folders.keys()
    else:
        (name,) = addresses.parse(settings.addresses)
        assert isinstance(name, addresses.Name), "dns:///, for every pod's address"
        host, port = name.host, name.port
        service = of_kind(overlay, "Service")[host]["spec"]
        assert service["clusterIP"] == "None"
        assert port in {entry["port"] for entry in service["ports"]}


@pytest.mark.parametrize("overlay", GATEWAYS)
def test_the_gateways_ports_are_those_it_listens_on(overlay):
    (container,) = pod_specs(overlay)["gateway"]["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    settings = gateway_settings(overlay)
    assert ports == {"http": settings.http_port, "grpc": settings.grpc_port, "admin": settings.admin_port}
    exposed = dockerfile.last("gateway", "EXPOSE").split()
    assert all(str(ports[name]) in exposed for name in ("http", "grpc"))
    services = of_kind(overlay, "Service")
    assert [port["targetPort"] for port in services["gateway"]["spec"]["ports"]] == ["http", "admin"]
    headless = services["gateway-grpc"]["spec"]
    assert headless["clusterIP"] == "None"
    assert [(port["port"], port["targetPort"]) for port in headless["ports"]] == [(ports["grpc"], "grpc")]
    assert headless["selector"] == services["gateway"]["spec"]["selector"]
    calls, scrapes = of_kind(overlay, "NetworkPolicy")["gateway"]["spec"]["ingress"]
    assert {port["port"] for port in calls["ports"]} == {ports["http"], ports["grpc"]}
    assert {port["port"] for port in scrapes["ports"]} == {ports["admin"]}
    prometheus = of_kind("cpu", "NetworkPolicy")["model-server"]["spec"]["ingress"][1]["from"]
    assert scrapes["from"] == prometheus  # it asks for no key


@pytest.mark.parametrize("overlay", GATEWAYS)
def test_a_gateway_asks_for_the_keys_of_a_secret_that_nobody_could_know(overlay):
    """Its name, and that of the file in it, are those of the commands that make it."""
    assert not of_kind(overlay, "Secret")
    spec = pod_specs(overlay)["gateway"]
    (volume,) = [volume for volume in spec["volumes"] if volume.get("secret", {}).get("secretName") == KEYS]
    (mount,) = [one for one in spec["containers"][0]["volumeMounts"] if one["name"] == volume["name"]]
    assert mount["readOnly"]
    file = Path(dockerfile.settings("runtime")["SIGNET_KEYS"])
    assert mount["mountPath"] == str(file.parent)
    settings = gateway_settings(overlay)
    assert (settings.keys, settings.insecure) == (None, False)  # what the image says holds
    command = f"kubectl -n signet create secret generic {KEYS} --from-file={file.name}"
    for document in ("README.md", "deploy/README.md"):
        assert command in (ROOT / document).read_text(), document
    assert spec["securityContext"]["fsGroup"] == spec["securityContext"]["runAsUser"]


def test_tls_comes_from_the_secret_of_the_certificate_and_the_service_says_so():
    settings = gateway_settings("tls")
    spec = pod_specs("tls")["gateway"]
    (certificate,) = of_kind("tls", "Certificate").values()
    (volume,) = [one for one in spec["volumes"] if one.get("secret", {}).get("secretName") != KEYS and "secret" in one]
    assert volume["secret"]["secretName"] == certificate["spec"]["secretName"]
    (mount,) = [one for one in spec["containers"][0]["volumeMounts"] if one["name"] == volume["name"]]
    files = {Path(mount["mountPath"]) / name for name in ("tls.crt", "tls.key")}  # as Kubernetes names them
    assert {settings.tls_cert_file, settings.tls_key_file} == files
    service = of_kind("tls", "Service")["gateway"]["spec"]["ports"][0]
    assert (service["port"], service["appProtocol"], service["targetPort"]) == (443, "https", "http")
    names = {f"{name}.signet" for name in ("gateway", "gateway-grpc")}
    assert names <= set(certificate["spec"]["dnsNames"])


@pytest.mark.parametrize("overlay", REMOTE)
def test_the_model_servers_ports_are_those_it_listens_on(overlay):
    (container,) = pod_specs(overlay)["model-server"]["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    parsed, unknown = flags.parse(container["args"])
    assert unknown == []
    assert ports == {"grpc": parsed.port, "rest": parsed.rest_api_port}
    assert {
        port["port"]: port["targetPort"] for port in of_kind(overlay, "Service")["model-server"]["spec"]["ports"]
    } == {number: name for name, number in ports.items()}
    calls, scrapes = of_kind(overlay, "NetworkPolicy")["model-server"]["spec"]["ingress"]
    assert [port["port"] for port in calls["ports"]] == [parsed.port]
    assert [port["port"] for port in scrapes["ports"]] == [parsed.rest_api_port]
    (out,) = of_kind(overlay, "NetworkPolicy")["gateway-to-model-server"]["spec"]["egress"]
    assert [port["port"] for port in out["ports"]] == [parsed.port]


@pytest.mark.parametrize("overlay", [*REMOTE, "kserve"])
def test_flags_are_those_of_tensorflow_serving(overlay):
    pods = RUNTIME if overlay == "kserve" else pod_specs(overlay)["model-server"]
    arguments = pods["containers"][0]["args"]
    types = dict(re.findall(r"^\t--(\w+)=.*?\t(\w+)\t", HELP, re.MULTILINE))
    shapes = {"int32": r"\d+", "int64": r"\d+", "bool": "true|false", "string": r"\S+"}
    for argument in arguments:
        flag, value = re.fullmatch(r"--(\w+)=(.+)", argument).groups()
        assert re.fullmatch(shapes[types[flag]], value), argument


@pytest.mark.parametrize("overlay", REMOTE)
def test_tensorflow_serving_runs_as_in_compose_and_not_by_its_shell(overlay):
    (container,) = pod_specs(overlay)["model-server"]["containers"]
    assert container["command"] == ["tensorflow_model_server"]
    assert set(COMPOSE["model-server"]["command"]) <= set(container["args"])
    mounts = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
    assert mounts["/models"]["readOnly"]
    folder = next(
        v for v in pod_specs(overlay)["model-server"]["volumes"] if v["name"] == mounts["/etc/tf-serving"]["name"]
    )
    files = of_kind(overlay, "ConfigMap")[folder["configMap"]["name"]]["data"]
    for value in (argument.partition("=")[2] for argument in container["args"]):
        if value.startswith("/etc/tf-serving/"):
            assert Path(value).name in files


@pytest.mark.parametrize("overlay", GATEWAYS)
def test_probes_mean_different_things(overlay):
    (container,) = pod_specs(overlay)["gateway"]["containers"]
    assert container["livenessProbe"]["httpGet"]["path"] == "/livez"
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
    started = container["startupProbe"]["httpGet"]["path"]
    assert started == ("/readyz" if overlay == "embedded" else "/livez")
    probes = ("livenessProbe", "readinessProbe", "startupProbe")
    assert {container[probe]["httpGet"]["port"] for probe in probes} == {"admin"}


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics"])
def test_paths_that_are_probed_and_scraped_answer(path, remote_url):
    assert httpx.get(remote_url + path).status_code == 200


@pytest.mark.parametrize("overlay", REMOTE)
def test_tensorflow_serving_is_ready_when_grpc_says_so(overlay):
    (container,) = pod_specs(overlay)["model-server"]["containers"]
    parsed, _ = flags.parse(container["args"])
    assert parsed.enable_grpc_healthcheck_service
    assert container["readinessProbe"]["grpc"]["port"] == parsed.port
    assert container["startupProbe"]["tcpSocket"]["port"] == "grpc"
    assert container["livenessProbe"]["tcpSocket"]["port"] == "grpc"


@pytest.mark.parametrize("overlay", GATEWAYS)
def test_pods_have_the_time_that_their_end_takes(overlay):
    settings = gateway_settings(overlay)
    spec = pod_specs(overlay)["gateway"]
    assert spec["terminationGracePeriodSeconds"] > settings.drain_s + settings.shutdown_s
    probe = spec["containers"][0]["readinessProbe"]
    assert settings.drain_s > probe["periodSeconds"] * probe["failureThreshold"], (
        "draining must outlast being found out"
    )
    if overlay in REMOTE:
        spec = pod_specs(overlay)["model-server"]
        program, seconds = spec["containers"][0]["lifecycle"]["preStop"]["exec"]["command"]
        assert program == "sleep"
        assert spec["terminationGracePeriodSeconds"] > int(seconds) > settings.request_timeout_s


# ---- Scaling, metrics


@pytest.mark.parametrize("overlay", GATEWAYS)
def test_a_deployment_has_at_most_one_scaler_and_then_no_count_of_its_own(overlay):
    scalers = [
        scaler["spec"]["scaleTargetRef"]["name"]
        for kind in ("HorizontalPodAutoscaler", "ScaledObject")
        for scaler in of_kind(overlay, kind).values()
    ]
    assert scalers == ["gateway"]
    deployments = of_kind(overlay, "Deployment")
    assert "replicas" not in deployments["gateway"]["spec"]
    assert all(found["spec"]["replicas"] > 1 for name, found in deployments.items() if name != "gateway")


def metric_names(url: str) -> set[str]:
    return set(re.findall(r"^# TYPE (\w+) ", httpx.get(f"{url}/metrics").text, re.MULTILINE))


def test_scalers_ask_for_metrics_that_the_gateway_has(remote_url):
    names = metric_names(remote_url)
    pods, _ = of_kind("cpu", "HorizontalPodAutoscaler")["gateway"]["spec"]["metrics"]
    asked = pods["pods"]["metric"]["name"]
    assert asked in names
    adapter = yaml.safe_load((ROOT / "deploy/prometheus/adapter.yaml").read_text())
    (rule,) = adapter["rules"]["custom"]
    assert rule["seriesQuery"].partition("{")[0] == asked
    trigger, _ = of_kind("keda", "ScaledObject")["gateway"]["spec"]["triggers"]
    assert re.search(r"signet_\w+", trigger["metadata"]["query"])[0] == asked
    assert trigger["metadata"]["threshold"] == pods["pods"]["target"]["averageValue"]
    one, other = of_kind("cpu", "HorizontalPodAutoscaler")["gateway"], of_kind("keda", "ScaledObject")["gateway"]
    assert one["spec"]["minReplicas"] == other["spec"]["minReplicaCount"]
    assert one["spec"]["maxReplicas"] == other["spec"]["maxReplicaCount"]


@pytest.mark.parametrize("overlay", GATEWAYS)
def test_monitors_read_ports_and_paths_that_exist(overlay):
    monitoring = (ROOT / "deploy/tf-serving/monitoring.config").read_text()
    paths = {"gateway": "/metrics", "model-server": re.search(r'path: "(.*)"', monitoring)[1]}
    monitors = of_kind(overlay, "ServiceMonitor")
    assert monitors.keys() == pod_specs(overlay).keys()
    for name, monitor in monitors.items():
        service = of_kind(overlay, "Service")[name]
        assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
        assert service["metadata"]["labels"][monitor["spec"]["jobLabel"]] == name  # alerts know jobs by it
        (endpoint,) = monitor["spec"]["endpoints"]
        assert endpoint["port"] in {port["name"] for port in service["spec"]["ports"]}
        assert endpoint["path"] == paths[name]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_dashboard_is_there_for_grafanas_sidecar(overlay):
    dashboard = of_kind(overlay, "ConfigMap")["grafana-dashboard"]
    assert dashboard["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert dashboard["data"] == {"signet.json": DASHBOARD.read_text()}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_what_no_policy_allows_is_denied(overlay):
    default = of_kind(overlay, "NetworkPolicy")["default-deny"]["spec"]
    assert default["podSelector"] == {}
    assert set(default["policyTypes"]) == {"Ingress", "Egress"}
    assert "ingress" not in default
    (names,) = default["egress"]
    assert {port["port"] for port in names["ports"]} == {53}


# ---- Images, and what overlays differ in


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_images_have_pinned_tags(overlay):
    images = {container["image"] for spec in pod_specs(overlay).values() for container in containers(spec)}
    images |= {container["image"] for container in RUNTIME["containers"]} if overlay == "kserve" else set()
    serving = {"embedded": None, "gpu": "tensorflow/serving:2.20.0-gpu"}.get(overlay, "tensorflow/serving:2.20.0")
    ours = {"embedded": ["model-server"], "s3": ["gateway", "model-server"]}.get(overlay, ["gateway"])
    assert images == {*(f"signet-{name}:{VERSION}" for name in ours), *([serving] if serving else [])}


@pytest.mark.parametrize("name", ["gateway", "model-server"])
def test_cpu_is_the_base_and_s3_and_keda_change_no_more_than_they_say(name):
    (cpu,), (keda,) = (pod_specs(overlay)[name]["containers"] for overlay in ("cpu", "keda"))
    assert cpu == keda
    (s3,) = pod_specs("s3")[name]["containers"]
    assert cpu == s3


def test_the_gpu_overlay_uses_a_gpu():
    (container,) = pod_specs("gpu")["model-server"]["containers"]
    resources = container["resources"]
    assert resources["limits"]["nvidia.com/gpu"] == resources["requests"]["nvidia.com/gpu"] == "1"
    assert container["image"].endswith("-gpu")
    assert container["image"] == COMPOSE["model-server-gpu"]["image"]
    assert {entry["name"]: entry["value"] for entry in container["env"]} == COMPOSE["model-server-gpu"]["environment"]
    assert {toleration["key"] for toleration in pod_specs("gpu")["model-server"]["tolerations"]} == {"nvidia.com/gpu"}
    strategy = of_kind("gpu", "Deployment")["model-server"]["spec"]["strategy"]["rollingUpdate"]
    assert strategy == {"maxSurge": 0, "maxUnavailable": 1}


def test_the_gpu_overlay_batches_for_a_gpu():
    (name,) = [name for name in of_kind("gpu", "ConfigMap") if name.startswith("tf-serving")]
    files = of_kind("gpu", "ConfigMap")[name]["data"]
    assert files["batching.config"] == (ROOT / "deploy/tf-serving/gpu/batching.config").read_text()
    assert gateway_settings("gpu").batch_max_rows > gateway_settings("cpu").batch_max_rows


def test_kserve_puts_the_gateway_in_front_of_each_model():
    server, gateway = RUNTIME["containers"]
    assert (server["name"], gateway["name"]) == ("kserve-container", "transformer-container")  # KServe's own names
    parsed, unknown = flags.parse(server["args"])
    assert unknown == []
    assert (parsed.model_name, str(parsed.model_base_path)) == ("{{.Name}}", "/mnt/models")
    variables = {entry["name"].removeprefix("SIGNET_").lower(): entry.get("value") for entry in gateway["env"]}
    assert variables["backend"] == f"127.0.0.1:{parsed.port}"
    assert variables.keys() <= Settings.model_fields.keys()
    assert gateway["ports"][0]["containerPort"] == Settings.model_fields["http_port"].default
    services = of_kind("kserve", "InferenceService")
    folders = {found["spec"]["predictor"]["model"]["storageUri"] for found in services.values()}
    models = model_config.read(ROOT / "deploy/tf-serving/models.config")
    assert folders == {f"pvc://models/{model.name}" for model in models}
    assert {found["spec"]["predictor"]["model"]["runtime"] for found in services.values()} == {"signet"}
    (endpoint,) = of_kind("kserve", "PodMonitor")["inference-services"]["spec"]["podMetricsEndpoints"]
    assert (endpoint["port"], variables["admin_port"]) == ("admin", str(gateway["ports"][1]["containerPort"]))
    (volume,) = RUNTIME["volumes"]
    assert volume["secret"]["secretName"] == KEYS
    assert gateway["volumeMounts"] == [{"name": volume["name"], "mountPath": "/keys", "readOnly": True}]
    grace_s = {found["spec"]["predictor"]["terminationGracePeriodSeconds"] for found in services.values()}
    assert min(grace_s) > int(server["lifecycle"]["preStop"]["exec"]["command"][1])


def test_a_misspelt_field_is_refused():
    service = of_kind("embedded", "Service")["gateway"]
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate({**service, "spec": {**service["spec"], "selectors": {}}}, "1.35", strict=True)
    schema = CUSTOM["keda.sh/v1alpha1", "ScaledObject"]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**of_kind("keda", "ScaledObject")["gateway"]["spec"], "minReplicas": 2}, schema)
