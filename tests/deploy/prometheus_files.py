"""The rules and the dashboard as data."""

import json
import re
from typing import Any

import yaml

from tests.servers import ROOT

FOLDER = ROOT / "deploy" / "prometheus"
DASHBOARD = ROOT / "deploy" / "grafana" / "signet.json"


def groups(name: str) -> list[dict[str, Any]]:
    """The groups of a rule file."""
    found: list[dict[str, Any]] = yaml.safe_load((FOLDER / name).read_text())["groups"]
    return found


RECORDED = {rule["record"]: rule["expr"] for group in groups("recording.yaml") for rule in group["rules"]}
ALERTS = {rule["alert"]: rule for group in groups("alerts.yaml") for rule in group["rules"]}


def panels() -> dict[str, list[str]]:
    """Title -> the queries of each panel of the dashboard, with its variables set to everything."""
    return {
        panel["title"]: [
            target["expr"].replace("$__rate_interval", "5m").replace("$model", ".*").replace("$namespace", ".*")
            for target in panel["targets"]
        ]
        for panel in json.loads(DASHBOARD.read_text())["panels"]
        if panel["type"] != "row"
    }


def selectors(expression: str) -> set[str]:
    """The series that an expression picks: `signet_shed_total`, `up{job="gateway"}`, …; functions and labels are not."""
    plain = re.sub(r"\[[^]]*\]", "", re.sub(r"\b(by|on|without|ignoring)\s*\([^)]*\)", "", expression))
    return {
        f"{name}{labels}"
        for name, labels in re.findall(r"(?<![\w.])([a-zA-Z_:][\w:]*)(\{[^}]*\})?(?![\w:]*\s*\()", plain)
        if name not in ("and", "or", "unless", "bool")
    }
