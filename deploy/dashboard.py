"""Writes the Grafana dashboard, grafana/signet.json: `make deploy-files`. Each panel is a line or two of the table below.

Rates over windows come from prometheus/recording.yaml where a rule has them, so that panels and alerts show one truth.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FILE = Path(__file__).parent / "grafana" / "signet.json"
MODEL = 'model=~"$model"'
PODS = 'namespace=~"$namespace"'
FAULTS = 'code=~"UNKNOWN|DEADLINE_EXCEEDED|INTERNAL|UNAVAILABLE|DATA_LOSS"'
COLUMNS, WIDTH, HEIGHT = 3, 8, 8


@dataclass(frozen=True)
class Panel:
    """A picture of one or more queries: each an expression and the legend of its lines."""

    title: str
    unit: str
    queries: tuple[tuple[str, str], ...]
    kind: str = "timeseries"
    stacked: bool = False
    threshold: float | None = None
    """The value at which an alert fires, drawn as a red line."""


def quantile(q: float, metric: str, by: str, selector: str = MODEL) -> str:
    """The query of a quantile of a histogram, for each value of a label."""
    return f"histogram_quantile({q}, sum by ({by}, le) (rate({metric}_bucket{{{selector}}}[$__rate_interval])))"


def rate(metric: str, by: str, selector: str = MODEL) -> str:
    """The query of how fast a counter grows in a second, for each value of a label."""
    return f"sum by ({by}) (rate({metric}{{{selector}}}[$__rate_interval]))"


ROWS: dict[str, list[Panel]] = {
    "Requests": [
        Panel("Requests, by model", "reqps", ((f"model:signet_requests:rate5m{{{MODEL}}}", "{{model}}"),)),
        Panel(
            "Requests, by outcome",
            "reqps",
            ((f"sum by (code) (model_code:signet_requests:rate5m{{{MODEL}}})", "{{code}}"),),
            stacked=True,
        ),
        Panel("Requests, by protocol", "reqps", ((rate("signet_requests_total", "protocol"), "{{protocol}}"),)),
        Panel(
            "Faults",
            "percentunit",
            (
                (f"model:signet_faults:ratio_rate5m{{{MODEL}}}", "{{model}}, 5 minutes"),
                (f"model:signet_faults:ratio_rate1h{{{MODEL}}}", "{{model}}, 1 hour"),
                (f"model:signet_faults:ratio_rate6h{{{MODEL}}}", "{{model}}, 6 hours"),
            ),
            threshold=14.4 * 0.001,
        ),
        Panel(
            "Error budget left, of 30 days",
            "percentunit",
            (
                (
                    f"1 - (sum by (model) (increase(signet_requests_total{{{FAULTS}, {MODEL}}}[30d])) "
                    f"or 0 * sum by (model) (increase(signet_requests_total{{{MODEL}}}[30d]))) "
                    f"/ sum by (model) (increase(signet_requests_total{{{MODEL}}}[30d])) / 0.001",
                    "{{model}}",
                ),
            ),
            kind="stat",
        ),
        Panel(
            "Time to answer, 99th percentile",
            "s",
            ((f"model:signet_request_duration_seconds:p99_5m{{{MODEL}}}", "{{model}}"),),
            threshold=1,
        ),
        Panel(
            "Time to answer, median", "s", ((f"model:signet_request_duration_seconds:p50_5m{{{MODEL}}}", "{{model}}"),)
        ),
        Panel(
            "Time to answer",
            "s",
            ((rate("signet_request_duration_seconds_bucket", "le"), "{{le}}"),),
            kind="heatmap",
        ),
        Panel(
            "Time to answer, 99th percentile, by protocol",
            "s",
            ((quantile(0.99, "signet_request_duration_seconds", "protocol"), "{{protocol}}"),),
        ),
    ],
    "Saturation": [
        Panel(
            "Requests in work",
            "short",
            (
                ("sum by (instance) (signet_requests_in_flight)", "{{instance}}"),
                ("max(signet_admission_limit)", "limit"),
            ),
        ),
        Panel(
            "Waiting requests",
            "short",
            ((f"sum by (model) (signet_admission_queue_depth{{{MODEL}}})", "{{model}}"),),
        ),
        Panel(
            "Predicted wait",
            "s",
            ((f"max by (model) (signet_predicted_wait_seconds{{{MODEL}}})", "{{model}}"),),
        ),
        Panel(
            "Goodput: answers in time",
            "reqps",
            ((f"sum by (model) (model:signet_goodput:rate5m{{{MODEL}}})", "{{model}}"),),
        ),
        Panel(
            "Turned away, by reason",
            "reqps",
            (("sum by (reason) (rate(signet_shed_total[$__rate_interval]))", "{{reason}}"),),
        ),
        Panel(
            "Pods",
            "short",
            (
                (f"kube_deployment_status_replicas_available{{{PODS}}}", "{{deployment}}, available"),
                (f"kube_deployment_spec_replicas{{{PODS}}}", "{{deployment}}, wanted"),
                (f"kube_horizontalpodautoscaler_spec_max_replicas{{{PODS}}}", "{{horizontalpodautoscaler}}, limit"),
                (
                    f"sum by (pod) (increase(kube_pod_container_status_restarts_total{{{PODS}}}[15m]))",
                    "{{pod}}, restarts in 15 minutes",
                ),
            ),
        ),
        Panel(
            "Processor cores, by pod",
            "short",
            ((rate("container_cpu_usage_seconds_total", "pod", f'{PODS}, container!=""'), "{{pod}}"),),
        ),
        Panel(
            "Memory, by pod",
            "bytes",
            ((f'sum by (pod) (container_memory_working_set_bytes{{{PODS}, container!=""}})', "{{pod}}"),),
        ),
    ],
    "Stages": [
        Panel(
            "Mean time in each stage",
            "s",
            (
                (
                    f"avg by (stage) (model_stage:signet_stage_duration_seconds:mean_5m{{{MODEL}}})",
                    "{{stage}}",
                ),
            ),
            stacked=True,
        ),
        Panel(
            "99th percentile of each stage",
            "s",
            ((quantile(0.99, "signet_stage_duration_seconds", "stage"), "{{stage}}"),),
        ),
        Panel(
            "Rows joined into a call, mean", "short", ((f"model:signet_batch_rows:mean_5m{{{MODEL}}}", "{{model}}"),)
        ),
        Panel(
            "Rows joined into a call", "short", ((rate("signet_batch_rows_bucket", "le"), "{{le}}"),), kind="heatmap"
        ),
        Panel(
            "Size of requests, 95th percentile",
            "bytes",
            ((quantile(0.95, "signet_request_size_bytes", "protocol", ""), "{{protocol}}"),),
        ),
        Panel(
            "Size of answers, 95th percentile",
            "bytes",
            ((quantile(0.95, "signet_response_size_bytes", "protocol", ""), "{{protocol}}"),),
        ),
    ],
    "Models": [
        Panel("Versions that answer", "short", ((f"model:signet_versions_available:count{{{MODEL}}}", "{{model}}"),)),
        Panel(
            "State of the versions",
            "short",
            (
                (
                    f"max by (model, version, state) (signet_model_state{{{MODEL}}}) == 1",
                    "{{model}} {{version}} {{state}}",
                ),
            ),
        ),
        Panel(
            "Requests, by version",
            "reqps",
            ((rate("signet_requests_total", "model, version"), "{{model}} {{version}}"),),
            stacked=True,
        ),
        Panel(
            "Requests, by signature",
            "reqps",
            ((rate("signet_requests_total", "model, signature"), "{{model}} {{signature}}"),),
        ),
        Panel(
            "Gateways without the model",
            "short",
            ((f"count by (model) (signet_model_available{{{MODEL}}} == bool 0)", "{{model}}"),),
        ),
        Panel(
            "Versions that are not served",
            "short",
            ((f"max by (model, reason) (signet_failed_versions{{{MODEL}}})", "{{model}} {{reason}}"),),
        ),
        Panel(
            "Drift from the card's reference",
            "short",
            ((f"max by (model, version, column) (signet_drift_psi{{{MODEL}}})", "{{model}} {{version}} {{column}}"),),
            threshold=0.25,
        ),
        Panel(
            "Stages of releases",
            "short",
            ((f"max by (model, stage) (signet_release_stage{{{MODEL}}}) == 1", "{{model}} {{stage}}"),),
        ),
        Panel(
            "Share of the candidate",
            "percentunit",
            ((f"max by (model) (signet_release_share{{{MODEL}}})", "{{model}}"),),
        ),
        Panel(
            "What the gate has found",
            "short",
            (
                (f"max by (model, progress) (signet_release_check{{{MODEL}}})", "{{model}} {{progress}}"),
                (f'max by (model) (signet_release_stage{{{MODEL}, stage="gate"}})', "{{model}} at the gate"),
            ),
        ),
        Panel(
            "Candidates stopped, versions missing",
            "short",
            (
                (f"max by (model) (signet_release_stopped{{{MODEL}}})", "{{model}} stopped"),
                (f"max by (model, side) (signet_release_missing{{{MODEL}}})", "{{model}} {{side}} missing"),
            ),
        ),
        Panel(
            "Answers to copies that differ",
            "percentunit",
            ((f"max by (model, output) (signet_release_output_differs_ratio{{{MODEL}}})", "{{model}} {{output}}"),),
        ),
        Panel(
            "Copies for candidates",
            "reqps",
            ((rate("signet_release_copies_total", "model, outcome"), "{{model}} {{outcome}}"),),
        ),
        Panel(
            "Rows of the request log, and those dropped",
            "short",
            (
                ("sum(rate(signet_request_log_rows_total[$__rate_interval]))", "written, a second"),
                ("sum by (reason) (rate(signet_request_log_dropped_total[$__rate_interval]))", "{{reason}}, a second"),
            ),
        ),
    ],
    "Processes": [
        Panel("Processes", "short", (('up{job=~"gateway|model-server"}', "{{job}} {{instance}}"),)),
        Panel(
            "Restarts of processes",
            "short",
            (("sum by (instance) (increase(signet_process_restarts_total[15m]))", "{{instance}}"),),
        ),
        Panel(
            "Background work that failed",
            "short",
            (("sum by (task) (increase(signet_background_failures_total[15m]))", "{{task}}"),),
        ),
        Panel(
            "Days until certificates end",
            "short",
            (("(min by (role) (signet_certificate_expiry_timestamp_seconds) - time()) / 86400", "{{role}}"),),
        ),
        Panel(
            "Keys that are not those of the file",
            "short",
            (("1 - min by (instance) (signet_keys_up_to_date)", "{{instance}}"),),
        ),
        Panel(
            "Predictions by key",
            "reqps",
            ((rate("signet_key_requests_total", "key, code", ""), "{{key}} {{code}}"),),
        ),
        Panel(
            "Refused for their key",
            "reqps",
            ((rate("signet_access_refused_total", "reason", ""), "{{reason}}"),),
        ),
        Panel(
            "Versions of the gateway",
            "short",
            (("count by (version) (signet_build_info)", "{{version}}"), ("sum(signet_draining)", "draining")),
        ),
        Panel(
            "Calls to model servers, by server",
            "reqps",
            ((rate("signet_upstream_channel_requests_total", "backend", ""), "{{backend}}"),),
        ),
        Panel(
            "Calls to model servers that failed",
            "reqps",
            (
                (rate("signet_upstream_errors_total", "model, grpc_code"), "{{model}} {{grpc_code}}"),
                (rate("signet_upstream_retries_total", "model"), "{{model}}, tried again"),
                (rate("signet_upstream_hedges_total", "model"), "{{model}}, hedged"),
            ),
        ),
        Panel(
            "Model servers that are left out",
            "short",
            (("sum by (backend) (signet_upstream_ejected)", "{{backend}}: gateways that do so"),),
        ),
        Panel(
            "TensorFlow Serving: requests, by status",
            "reqps",
            ((rate(":tensorflow:serving:request_count", "model_name, status", ""), "{{model_name}} {{status}}"),),
        ),
        Panel(
            "TensorFlow Serving: time in the session, 99th percentile",
            "µs",
            ((quantile(0.99, ":tensorflow:serving:runtime_latency", "model_name", ""), "{{model_name}}"),),
        ),
    ],
    "GPU": [
        Panel("GPU use", "percent", ((f"DCGM_FI_DEV_GPU_UTIL{{{PODS}}}", "{{pod}} {{gpu}}"),)),
        Panel("GPU memory", "percentunit", ((f"gpu:memory_used:ratio{{{PODS}}}", "{{pod}} {{gpu}}"),), threshold=0.95),
        Panel("GPU errors", "short", ((f"DCGM_FI_DEV_XID_ERRORS{{{PODS}}}", "{{pod}} {{gpu}}: Xid"),)),
        Panel("GPU temperature", "celsius", ((f"DCGM_FI_DEV_GPU_TEMP{{{PODS}}}", "{{pod}} {{gpu}}"),)),
        Panel("GPU power", "watt", ((f"DCGM_FI_DEV_POWER_USAGE{{{PODS}}}", "{{pod}} {{gpu}}"),)),
    ],
}


def dashboard() -> dict[str, Any]:
    """The dashboard in the form that Grafana reads."""
    panels: list[dict[str, Any]] = []
    top = 0
    for title, row in ROWS.items():
        place = {"h": 1, "w": COLUMNS * WIDTH, "x": 0, "y": top}
        panels.append({"type": "row", "title": title, "id": len(panels) + 1, "gridPos": place, "panels": []})
        for number, panel in enumerate(row):
            line, column = divmod(number, COLUMNS)
            place = {"h": HEIGHT, "w": WIDTH, "x": column * WIDTH, "y": top + 1 + line * HEIGHT}
            panels.append({"id": len(panels) + 1, "gridPos": place, **picture(panel)})
        top += 1 + -(-len(row) // COLUMNS) * HEIGHT
    return {
        "uid": "signet",
        "title": "Signet",
        "tags": ["signet"],
        "schemaVersion": 39,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {
            "list": [SOURCE, variable("model", "signet_model_available"), variable("namespace", "kube_pod_info")]
        },
        "panels": panels,
    }


SOURCE = {"name": "source", "label": "Prometheus", "type": "datasource", "query": "prometheus", "current": {}}


def variable(label: str, metric: str) -> dict[str, Any]:
    """A choice among the values that a label has; at first, all of them."""
    return {
        "name": label,
        "type": "query",
        "datasource": {"type": "prometheus", "uid": "${source}"},
        "query": {"query": f"label_values({metric}, {label})", "refId": label},
        "refresh": 2,
        "includeAll": True,
        "multi": True,
        "allValue": ".*",
        "current": {"text": ["All"], "value": ["$__all"]},
    }


def picture(panel: Panel) -> dict[str, Any]:
    """A panel in Grafana's words, without its place."""
    steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
    custom: dict[str, Any] = {}
    if panel.kind == "timeseries":
        custom = {
            "fillOpacity": 20 if panel.stacked else 0,
            "stacking": {"mode": "normal" if panel.stacked else "none"},
        }
    if panel.threshold is not None:
        steps.append({"color": "red", "value": panel.threshold})
        custom["thresholdsStyle"] = {"mode": "line"}
    targets = [
        {
            "refId": chr(ord("A") + number),
            "expr": expression,
            "legendFormat": legend,
            **({"format": "heatmap"} if panel.kind == "heatmap" else {}),
        }
        for number, (expression, legend) in enumerate(panel.queries)
    ]
    return {
        "type": panel.kind,
        "title": panel.title,
        "datasource": {"type": "prometheus", "uid": "${source}"},
        "fieldConfig": {
            "defaults": {
                "unit": panel.unit,
                "min": 0,
                "custom": custom,
                "thresholds": {"mode": "absolute", "steps": steps},
            },
            "overrides": [],
        },
        "options": {},
        "targets": targets,
    }


if __name__ == "__main__":
    FILE.write_text(json.dumps(dashboard(), indent=2, ensure_ascii=False) + "\n")
