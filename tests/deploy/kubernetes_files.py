"""What `kubectl apply -k` would send, as data; and schemas for the custom resources in it.

Each schema covers the fields that are in use here and refuses any other: sources are the published API references of
Prometheus's operator, KEDA, KServe and cert-manager.
"""

import subprocess
from functools import cache
from typing import Any

import yaml

from tests import programs
from tests.servers import ROOT

FOLDER = ROOT / "deploy" / "kubernetes"
OVERLAYS = sorted(path.name for path in (FOLDER / "overlays").iterdir())

Object = dict[str, Any]


@cache
def render(overlay: str) -> tuple[Object, ...]:
    """Every object of an overlay."""
    programs.need("kubectl")
    command = ["kubectl", "kustomize", FOLDER / "overlays" / overlay]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert not done.stderr, done.stderr
    return tuple(yaml.safe_load_all(done.stdout))


def of_kind(overlay: str, kind: str) -> dict[str, Object]:
    """Name -> object, for the objects of a kind."""
    return {found["metadata"]["name"]: found for found in render(overlay) if found["kind"] == kind}


def pod_specs(overlay: str) -> dict[str, Object]:
    """Name of the Deployment -> its pods' spec."""
    return {name: found["spec"]["template"]["spec"] for name, found in of_kind(overlay, "Deployment").items()}


def containers(spec: Object) -> list[Object]:
    """The containers of a pod, and before them those that run first."""
    found: list[Object] = [*spec.get("initContainers", []), *spec["containers"]]
    return found


def closed(required: str, **properties: Any) -> Object:
    """An object with these fields and no other."""
    return {
        "type": "object",
        "additionalProperties": False,
        "required": required.split(),
        "properties": properties,
    }


def several(items: Object) -> Object:
    return {"type": "array", "minItems": 1, "items": items}


STRING = {"type": "string", "minLength": 1}
COUNT = {"type": "integer", "minimum": 0}
DURATION = {"type": "string", "pattern": r"^([0-9]+(ms|s|m|h))+$"}
STRINGS = {"type": "object", "additionalProperties": {"type": "string"}}
ANY = {"type": "object"}  # a part of a core kind: checked where that kind is
RELABELING = closed(
    "",
    sourceLabels=several(STRING),
    targetLabel=STRING,
    regex=STRING,
    replacement=STRING,
    action={"enum": ["keep", "drop", "replace"]},
)
ENDPOINT = closed(
    "port path",
    port=STRING,
    path={"type": "string", "pattern": "^/"},
    interval=DURATION,
    metricRelabelings=several(RELABELING),
    relabelings=several(RELABELING),
)
RULE = {
    "oneOf": [
        closed("record expr", record={"type": "string", "pattern": r"^[a-zA-Z_:][\w:]*$"}, expr=STRING, labels=STRINGS),
        closed(
            "alert expr labels annotations",
            alert=STRING,
            expr=STRING,
            labels=STRINGS,
            annotations=STRINGS,
            **{"for": DURATION},
        ),
    ]
}
TRIGGER = closed(
    "type metadata",
    type={"enum": ["prometheus", "cpu"]},
    metricType={"enum": ["AverageValue", "Value", "Utilization"]},
    metadata=STRINGS,
)

CUSTOM = {
    ("monitoring.coreos.com/v1", "ServiceMonitor"): closed(
        "selector endpoints", selector=ANY, jobLabel=STRING, endpoints=several(ENDPOINT)
    ),
    ("monitoring.coreos.com/v1", "PodMonitor"): closed(
        "selector podMetricsEndpoints", selector=ANY, podMetricsEndpoints=several(ENDPOINT)
    ),
    ("monitoring.coreos.com/v1", "PrometheusRule"): closed(
        "groups", groups=several(closed("name rules", name=STRING, interval=DURATION, rules=several(RULE)))
    ),
    ("keda.sh/v1alpha1", "ScaledObject"): closed(
        "scaleTargetRef triggers",
        scaleTargetRef=closed("name", apiVersion=STRING, kind=STRING, name=STRING),
        minReplicaCount=COUNT,
        maxReplicaCount=COUNT,
        pollingInterval=COUNT,
        cooldownPeriod=COUNT,
        fallback=closed("failureThreshold replicas", failureThreshold=COUNT, replicas=COUNT),
        triggers=several(TRIGGER),
    ),
    ("serving.kserve.io/v1alpha1", "ServingRuntime"): closed(
        "supportedModelFormats containers",
        supportedModelFormats=several(
            closed("name", name=STRING, version=STRING, autoSelect={"type": "boolean"}, priority=COUNT)
        ),
        protocolVersions=several({"enum": ["v1", "v2", "grpc-v1", "grpc-v2"]}),
        containers=several(ANY),
        volumes=several(ANY),
    ),
    ("cert-manager.io/v1", "Certificate"): closed(
        "secretName issuerRef dnsNames",
        secretName=STRING,
        issuerRef=closed("name kind", name=STRING, kind={"enum": ["Issuer", "ClusterIssuer"]}),
        dnsNames=several(STRING),
        usages=several({"enum": ["server auth", "client auth", "digital signature"]}),
        privateKey=closed(
            "",
            algorithm={"enum": ["RSA", "ECDSA", "Ed25519"]},
            size=COUNT,
            rotationPolicy={"enum": ["Always", "Never"]},
        ),
    ),
    ("serving.kserve.io/v1beta1", "InferenceService"): closed(
        "predictor",
        predictor=closed(
            "model",
            minReplicas=COUNT,
            maxReplicas=COUNT,
            terminationGracePeriodSeconds=COUNT,
            model=closed(
                "modelFormat storageUri",
                modelFormat=closed("name", name=STRING, version=STRING),
                runtime=STRING,
                protocolVersion={"enum": ["v1", "v2", "grpc-v1", "grpc-v2"]},
                storageUri={"type": "string", "pattern": "^(pvc|s3|gs|https)://"},
            ),
        ),
    ),
}
"""(apiVersion, kind) -> the schema of its spec."""
