"""Each alert by promtool's own clock: silent while all is well, and for as long as it is told to wait; then firing."""

import re
import subprocess
from dataclasses import dataclass, field

import pytest
import yaml

from tests import programs
from tests.deploy.prometheus_files import ALERTS, DASHBOARD, FOLDER, groups, panels
from tests.servers import ROOT

README = ROOT / "deploy" / "README.md"
KUBERNETES = ROOT / "deploy/kubernetes/base/monitoring/prometheus-rule.yaml"

GPU = '{namespace="signet",pod="model-server-1",gpu="0"}'
REQUESTS = "signet_requests_total"
GOOD, FAULTY = f'{REQUESTS}{{model="digits",code="OK"}}', f'{REQUESTS}{{model="digits",code="UNAVAILABLE"}}'
SLOW = 'signet_request_duration_seconds_bucket{model="digits",le="%s"}'
AUTOSCALER = 'kube_horizontalpodautoscaler_%s{namespace="signet",horizontalpodautoscaler="gateway"}'
DEPLOYMENT = 'kube_deployment_%s{namespace="signet",deployment="gateway"}'


@dataclass(frozen=True)
class Case:
    """Series minute by minute, in promtool's words: `0+60x120` begins at 0 and grows by 60 a hundred and twenty times."""

    well: dict[str, str]
    ill: dict[str, str]
    """What differs when something is wrong."""
    silent_until: int
    """Minutes after which it is not firing yet."""
    fires_by: int
    labels: dict[str, str] = field(default_factory=dict)
    step: int = 1
    """Minutes between two values."""


CASES = {
    "SignetErrorBudgetBurnsFast": Case(
        {GOOD: "0+600x120", FAULTY: "0+0x120"}, {FAULTY: "0x29 0+30x90"}, 35, 60, {"model": "digits"}
    ),
    "SignetErrorBudgetBurnsSlowly": Case(
        {GOOD: "0+3000x144", FAULTY: "0+0x144"}, {FAULTY: "0x39 0+30x104"}, 210, 600, {"model": "digits"}, step=5
    ),
    "SignetSlow": Case(
        {SLOW % "0.5": "0+600x60", SLOW % "1.0": "0+600x60", SLOW % "+Inf": "0+600x60"},
        {SLOW % "0.5": "0+500x60", SLOW % "1.0": "0+500x60", SLOW % "2.5": "0+600x60"},
        9,
        20,
        {"model": "digits"},
    ),
    "SignetTurnsRequestsAway": Case(
        {GOOD: "0+600x60", 'signet_shed_total{reason="in_flight"}': "0+1x60"},
        {'signet_shed_total{reason="in_flight"}': "0+30x60"},
        4,
        15,
    ),
    "SignetQueueGrows": Case(
        {'signet_predicted_wait_seconds{model="digits",instance="a"}': "0.1x60"},
        {'signet_predicted_wait_seconds{model="digits",instance="a"}': "0.8x60"},
        9,
        12,
        {"model": "digits"},
    ),
    "SignetScaledToTheLimit": Case(
        {AUTOSCALER % "spec_max_replicas": "20x60", AUTOSCALER % "status_current_replicas": "19x60"},
        {AUTOSCALER % "status_current_replicas": "20x60"},
        14,
        16,
        {"namespace": "signet", "horizontalpodautoscaler": "gateway"},
    ),
    "SignetModelNotAvailable": Case(
        {
            'signet_model_available{model="digits",instance="a"}': "1x9",
            'signet_model_available{model="digits",instance="b"}': "1x9",
        },
        {'signet_model_available{model="digits",instance="b"}': "0x9"},
        1,
        3,
        {"model": "digits"},
    ),
    "SignetVersionStuckLoading": Case(
        {'signet_model_state{model="digits",version="2",state="LOADING"}': "1x5 0x50"},
        {'signet_model_state{model="digits",version="2",state="LOADING"}': "1x60"},
        14,
        16,
        {"model": "digits", "version": "2"},
    ),
    "SignetVersionNotServed": Case(
        {'signet_failed_versions{model="digits",reason="incomplete"}': "0x3 1x5 0x50"},
        {'signet_failed_versions{model="digits",reason="incomplete"}': "1x60"},
        9,
        11,
        {"model": "digits", "reason": "incomplete"},
    ),
    "SignetDrift": Case(
        {'signet_drift_psi{model="digits",version="2",column="pixels.mean",instance="a"}': "0.1x40 0.4x30 0.1x60"},
        {'signet_drift_psi{model="digits",version="2",column="pixels.mean",instance="b"}': "0.4x130"},
        58,
        62,
        {"model": "digits", "version": "2", "column": "pixels.mean"},
    ),
    "SignetReleaseStopped": Case(
        {'signet_release_stopped{model="digits",instance="a"}': "0x35"},
        {'signet_release_stopped{model="digits",instance="b"}': "0x5 1x30"},
        4,
        8,
        {"model": "digits"},
    ),
    "SignetReleaseRefused": Case(
        {'signet_release_check{model="digits",progress="passed",instance="a"}': "0x3 1x35"},
        {'signet_release_check{model="digits",progress="refused",instance="b"}': "0x5 1x30"},
        4,
        8,
        {"model": "digits"},
    ),
    "SignetReleaseNotChecked": Case(
        {
            'signet_release_stage{model="digits",stage="gate",instance="a"}': "1x90",
            'signet_release_check{model="digits",progress="passed",instance="b"}': "0x20 1x70",
        },
        {
            'signet_release_stage{model="digits",stage="gate",instance="b"}': "1x90",
            'signet_release_check{model="digits",progress="checking",instance="b"}': "1x90",
            'signet_release_check{model="digits",progress="passed",instance="b"}': "0x90",
        },
        28,
        32,
        {"model": "digits"},
    ),
    "SignetReleaseVersionMissing": Case(
        {'signet_release_missing{model="digits",side="stable",instance="a"}': "0x3 1x3 0x30"},
        {'signet_release_missing{model="digits",side="stable",instance="b"}': "0x3 1x33"},
        7,
        12,
        {"model": "digits", "side": "stable"},
    ),
    "SignetBackgroundWorkFails": Case(
        {'signet_background_failures_total{task="model-store"}': "0x10 1x50"},
        {'signet_background_failures_total{task="model-store"}': "0+1x60"},
        5,
        15,
        {"task": "model-store"},
    ),
    "SignetCertificateEnds": Case(
        {'signet_certificate_expiry_timestamp_seconds{role="server",instance="a"}': f"{7 * 86400}x120"},
        {'signet_certificate_expiry_timestamp_seconds{role="server",instance="b"}': f"{2 * 86400}x120"},
        59,
        62,
        {"role": "server"},
    ),
    "SignetKeysNotRead": Case(
        {'signet_keys_up_to_date{instance="a"}': "1x10 0x3 1x50"},
        {'signet_keys_up_to_date{instance="b"}': "0x60"},
        4,
        7,
        {"instance": "b"},
    ),
    "SignetProcessesEnd": Case(
        {'signet_process_restarts_total{instance="a"}': "0x10 1x50"},
        {'signet_process_restarts_total{instance="a"}': "0+1x60"},
        2,
        10,
        {"instance": "a"},
    ),
    "SignetGatewayDown": Case(
        {'up{job="gateway",instance="a"}': "1x9"},
        {'up{job="gateway",instance="a"}': "0x9"},
        1,
        3,
        {"job": "gateway", "instance": "a"},
    ),
    "SignetModelServerDown": Case(
        {'up{job="model-server",instance="a"}': "1x9"},
        {'up{job="model-server",instance="a"}': "0x9"},
        1,
        3,
        {"job": "model-server", "instance": "a"},
    ),
    "SignetModelServerLeftOut": Case(
        {'signet_upstream_ejected{backend="a:8500",instance="x"}': "0x60"},
        {'signet_upstream_ejected{backend="a:8500",instance="x"}': "1x60"},
        9,
        11,
        {"backend": "a:8500"},
    ),
    "SignetPodRestarts": Case(
        {'kube_pod_container_status_restarts_total{namespace="signet",pod="gateway-1",container="gateway"}': "1x30"},
        {
            'kube_pod_container_status_restarts_total{namespace="signet",pod="gateway-1",container="gateway"}': "1x9 2+1x20"
        },
        9,
        15,
        {"namespace": "signet", "pod": "gateway-1", "container": "gateway"},
    ),
    "SignetTooFewPods": Case(
        {DEPLOYMENT % "spec_replicas": "3x60", DEPLOYMENT % "status_replicas_available": "3x60"},
        {DEPLOYMENT % "status_replicas_available": "2x60"},
        14,
        16,
        {"namespace": "signet", "deployment": "gateway"},
    ),
    "SignetGpuMemoryFull": Case(
        {f"DCGM_FI_DEV_FB_USED{GPU}": "10000x60", f"DCGM_FI_DEV_FB_FREE{GPU}": "10000x60"},
        {f"DCGM_FI_DEV_FB_FREE{GPU}": "100x60"},
        9,
        12,
        {"gpu": "0", "pod": "model-server-1"},
    ),
    "SignetGpuError": Case(
        {f"DCGM_FI_DEV_XID_ERRORS{GPU}": "0x9"},
        {f"DCGM_FI_DEV_XID_ERRORS{GPU}": "79x9"},
        0,
        2,
        {"gpu": "0", "pod": "model-server-1"},
    ),
    "SignetGpuIdle": Case(
        {GOOD: "0+600x60", f"DCGM_FI_DEV_GPU_UTIL{GPU}": "40x60"},
        {f"DCGM_FI_DEV_GPU_UTIL{GPU}": "0x60"},
        14,
        40,
        {"gpu": "0", "pod": "model-server-1"},
    ),
}


def fires(name: str, minute: int, labels: dict[str, str] | None) -> dict[str, object]:
    """promtool's question whether an alert fires; without labels, that it does not."""
    samples = []
    if labels is not None:
        everything = {"alertname": name, "alertstate": "firing", **ALERTS[name]["labels"], **labels}
        written = ", ".join(f'{key}="{value}"' for key, value in everything.items())
        samples = [{"labels": f"ALERTS{{{written}}}", "value": 1}]
    query = f'ALERTS{{alertname="{name}", alertstate="firing"}}'
    return {"expr": query, "eval_time": f"{minute}m", "exp_samples": samples}


def series(values: dict[str, str]) -> list[dict[str, str]]:
    return [{"series": name, "values": value} for name, value in values.items()]


def test_every_alert_has_a_case():
    assert CASES.keys() == ALERTS.keys()


@pytest.mark.parametrize("name", CASES)
def test_an_alert_is_silent_when_all_is_well_and_fires_when_it_is_not(name, tmp_path):
    programs.need("promtool")
    case = CASES[name]
    healthy = {"input_series": series(case.well), "promql_expr_test": [fires(name, case.fires_by, None)]}
    ill = {
        "input_series": series({**case.well, **case.ill}),
        "promql_expr_test": [fires(name, case.silent_until, None), fires(name, case.fires_by, case.labels)],
    }
    file = tmp_path / "test.yaml"
    rules = [str(FOLDER / rule_file) for rule_file in ("recording.yaml", "alerts.yaml")]
    tests = [{"interval": f"{case.step}m", **test} for test in (healthy, ill)]
    file.write_text(yaml.safe_dump({"rule_files": rules, "evaluation_interval": f"{case.step}m", "tests": tests}))
    done = subprocess.run(["promtool", "test", "rules", file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", ["recording.yaml", "alerts.yaml"])
def test_promtool_finds_no_fault(name):
    programs.need("promtool")
    done = subprocess.run(["promtool", "check", "rules", FOLDER / name], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_says_what_and_how_bad_and_where_to_look(name):
    alert = ALERTS[name]
    assert alert["labels"]["severity"] in ("page", "ticket")
    assert alert["annotations"].keys() == {"summary", "description", "dashboard", "runbook_url"}
    assert alert["annotations"]["dashboard"] in panels(), f"no such panel in {DASHBOARD.name}"
    path, anchor = alert["annotations"]["runbook_url"].split("#")
    assert (ROOT / path) == README
    assert anchor == name.lower()


def test_each_alert_has_a_runbook_and_each_runbook_an_alert():
    section = README.read_text().split("\n## Runbooks\n")[1].split("\n## ")[0]
    assert set(re.findall(r"^### (\w+)$", section, re.MULTILINE)) == ALERTS.keys()


def test_kubernetes_has_the_same_rules():
    assert yaml.safe_load(KUBERNETES.read_text())["spec"]["groups"] == groups("recording.yaml") + groups("alerts.yaml")
