"""A real Prometheus reads a real gateway and a real model server, and Kubernetes's and the GPU's metrics as recorded.

After a short load every recording rule and every panel of the dashboard has data, and everything that an alert looks at
is there.
"""

import http.server
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
import pytest
import yaml

from signet.serving.gateway.access import key_file, tokens
from signet.serving.models import distribution, model_card
from signet.serving.releases.release import Release, Stage
from signet.serving.releases.store import ReleaseStore
from signet.serving.tensors import dtypes
from signet.serving.tensors.signature import Signature, TensorSpec
from tests import programs, servers
from tests.certificates import Authority
from tests.collector import Collector, collector
from tests.deploy.prometheus_files import ALERTS, FOLDER, RECORDED, panels, selectors
from tests.servers import Program

EXPOSITIONS = Path(__file__).parent / "expositions"
MONITORING = servers.ROOT / "deploy/tf-serving/monitoring.config"
BODIES = [
    ("two_in", {"instances": [{"a": [1, 2, 3], "b": [4, 5]}]}),
    ("two_in", {"inputs": {"a": [[1, 2, 3]] * 3, "b": [[4, 5]] * 3}}),
    ("two_in", {"inputs": {"a": [[1, 2, 3]] * 100, "b": [[4, 5]] * 100}}),
    ("two_in", {"instances": [{"a": [1], "b": [4, 5]}]}),  # a caller's fault
]


class Recorded(http.server.BaseHTTPRequestHandler):
    """Serves the recorded expositions: /kubernetes.prom, /gpu.prom."""

    def do_GET(self) -> None:
        body = (EXPOSITIONS / Path(self.path).name).read_bytes()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Not a word."""


@contextmanager
def recorded() -> Iterator[str]:
    with servers.http_server(Recorded) as url:
        yield url.removeprefix("http://")


@dataclass(frozen=True)
class Prometheus:
    """A running one."""

    url: str

    def query(self, expression: str) -> list[dict[str, object]]:
        answer = httpx.get(f"{self.url}/api/v1/query", params={"query": expression}, timeout=30).json()
        assert answer["status"] == "success", f"{expression}: {answer}"
        found: list[dict[str, object]] = answer["data"]["result"]
        return found

    def wait_for(self, expression: str) -> None:
        servers.wait_until(lambda: self.query(expression), what=expression)


def hasty(name: str) -> str:
    """A file of deploy/prometheus with every interval at half a second."""
    return re.sub(r"interval: \d+s", "interval: 500ms", (FOLDER / name).read_text())


def write_configuration(folder: Path, targets: dict[str, str]) -> Path:
    """prometheus.yaml as Compose has it, with other addresses, and two more jobs; rules beside it."""
    for name in ("recording.yaml", "alerts.yaml"):
        (folder / name).write_text(hasty(name))
    configuration = yaml.safe_load(hasty("prometheus.yaml"))
    configuration["scrape_configs"] += [
        {"job_name": name, "metrics_path": f"/{name}.prom", "honor_labels": True} for name in ("kubernetes", "gpu")
    ]
    for job in configuration["scrape_configs"]:
        job.pop("dns_sd_configs", None)
        job["static_configs"] = [{"targets": [targets[job["job_name"]]]}]
    file = folder / "prometheus.yaml"
    file.write_text(yaml.safe_dump(configuration))
    return file


@contextmanager
def running(file: Path) -> Iterator[Prometheus]:
    programs.need("prometheus")
    port = servers.free_port()
    with subprocess.Popen(
        [
            "prometheus",
            f"--config.file={file}",
            f"--storage.tsdb.path={file.parent / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--enable-feature=exemplar-storage",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            Program(process).read_until("Server is ready to receive web requests")
            yield Prometheus(f"http://127.0.0.1:{port}")
        finally:
            process.terminate()
            process.communicate(timeout=30)


def load(url: str, key: str) -> None:
    """A few requests of each kind, with a key."""

    def ask(request: tuple[str, object]) -> int:
        path = f"{url}/v1/models/{request[0]}:predict"
        headers = {"x-api-key": key}
        return httpx.post(
            path, json=request[1], headers=headers, timeout=30, verify=False
        ).status_code  # nobody is between

    with ThreadPoolExecutor(32) as callers:
        assert {200, 400} <= set(callers.map(ask, BODIES * 20))


def with_reference(folder: Path) -> Path:
    """The golden models, of which two_in has a card with a reference, and a candidate that is shown copies."""
    shutil.copytree(servers.GOLDEN_MODELS, folder)
    specs = {name: TensorSpec(name, dtypes.from_enum(1), (None, size), "") for name, size in (("a", 3), ("b", 2))}
    chance = np.random.default_rng(0)
    rows = {name: chance.normal(size=(400, spec.shape[1])) for name, spec in specs.items()}
    reference = distribution.reference(Signature("serving_default", specs, {}), rows, {})
    card = folder / "two_in" / "1" / model_card.FILE
    card.parent.mkdir()
    card.write_text(json.dumps({"signatures": {"serving_default": {"reference": reference.to_json()}}}))
    shutil.copytree(servers.GOLDEN_MODELS / "two_in" / "1", folder / "two_in" / "2")
    ReleaseStore(folder).write(Release("two_in", 1, 1, 2, Stage.SHADOW, shadow=1.0, salt="s"), 0)
    return folder


@pytest.fixture(scope="module")
def traces() -> Iterator[Collector]:
    with collector() as one:
        yield one


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory, traces: Collector) -> Iterator[Prometheus]:
    folder = tmp_path_factory.mktemp("prometheus")
    models = servers.write_model_config(folder / "models.config", with_reference(folder / "models"))
    models.write_text(models.read_text().replace("model_platform", "model_version_policy { all {} } model_platform"))
    pair = Authority().signs(folder)
    tls = ("--tls-cert-file", pair.certificate, "--tls-key-file", pair.key, "--admin-port", "0")
    key = tokens.create()
    key_file.add(folder / "keys.jsonl", key, name="load", models="*")
    gone = servers.free_port()  # a model server that does not answer: some calls fail, and are tried again
    with (
        servers.both_apis(f"--model_config_file={models}", f"--monitoring_config_file={MONITORING}") as (
            address,
            rest,
            _,
        ),
        servers.gateway(
            *("--backend", f"{address},127.0.0.1:{gone}", "--models-dir", folder / "models"),
            *("--processes", "2", "--request-log", folder / "requests", "--request-log-sample", "1"),
            *("--otlp", traces.url, "--otlp-sample", "1", "--keys", folder / "keys.jsonl"),
            *tls,
        ) as (url, running_gateway),
        recorded() as exposition,
    ):
        load(url, key.token)
        targets = {
            "gateway": servers.admin_address(running_gateway),
            "model-server": rest.removeprefix("http://"),
            "kubernetes": exposition,
            "gpu": exposition,
        }
        with running(write_configuration(folder, targets)) as prometheus:
            prometheus.wait_for("count(up == 1) == 4")
            load(url, key.token)
            prometheus.wait_for("signet_drift_psi")
            prometheus.wait_for("signet_release_output_differs_ratio")
            for record in RECORDED:
                prometheus.wait_for(record)
            yield prometheus


@pytest.mark.parametrize("record", RECORDED)
def test_a_recording_rule_has_data(prometheus, record):
    assert prometheus.query(record)
    assert prometheus.query(RECORDED[record])


@pytest.mark.parametrize("title", panels())
def test_each_query_of_a_panel_has_data(prometheus, title):
    for expression in panels()[title]:
        assert prometheus.query(expression), expression


@pytest.mark.parametrize("name", ALERTS)
def test_what_an_alert_looks_at_is_there(prometheus, name):
    picked = selectors(ALERTS[name]["expr"])
    assert picked
    for selector in picked:
        assert prometheus.query(selector), selector


def test_no_alert_fires_while_all_is_well(prometheus):
    assert prometheus.query('ALERTS{alertstate="firing", severity="page"}') == []


def test_an_exemplar_leads_to_a_trace_that_the_collector_has(prometheus, traces):
    asked = {"query": "signet_request_duration_seconds_bucket", "start": "0", "end": "9999999999"}
    series = httpx.get(f"{prometheus.url}/api/v1/query_exemplars", params=asked).json()["data"]
    found = {exemplar["labels"]["trace_id"] for one in series for exemplar in one["exemplars"]}
    assert found
    assert found <= {span.trace_id for span in traces.spans}


def test_prometheus_reads_the_rules_without_a_fault(prometheus):
    groups = httpx.get(f"{prometheus.url}/api/v1/rules").json()["data"]["groups"]
    assert {rule["name"] for group in groups for rule in group["rules"]} == RECORDED.keys() | ALERTS.keys()
    assert [rule for group in groups for rule in group["rules"] if rule["health"] != "ok"] == []


def test_variables_of_the_dashboard_have_values(prometheus):
    for variable in json.loads((servers.ROOT / "deploy/grafana/signet.json").read_text())["templating"]["list"][1:]:
        metric, label = re.fullmatch(r"label_values\((\w+), (\w+)\)", variable["query"]["query"]).groups()
        assert prometheus.query(f'{metric}{{{label}!=""}}')


@pytest.mark.parametrize(
    ("expression", "picked"),
    [
        ("up == 0", {"up"}),
        ('sum by (model) (rate(a_total{b="c"}[5m])) > 1', {'a_total{b="c"}'}),
        ("a:b:c > 14.4 * 0.001 and d:e:f_5m > 1e3", {"a:b:c", "d:e:f_5m"}),
        ("x >= on (y, z) w", {"x", "w"}),
        ('a or absent(b{c="d"})', {"a", 'b{c="d"}'}),
    ],
)
def test_selectors_are_found(expression, picked):
    assert selectors(expression) == picked
