import json
from itertools import combinations

import pytest

from deploy import dashboard
from tests.deploy.prometheus_files import ALERTS, DASHBOARD, RECORDED, panels, selectors
from tests.servers import ROOT

WHOLE = json.loads(DASHBOARD.read_text())
PANELS = [panel for panel in WHOLE["panels"] if panel["type"] != "row"]


def test_the_file_is_what_the_table_gives():
    assert dashboard.dashboard() == WHOLE, "make deploy-files"


def test_panels_have_names_of_their_own_and_lie_beside_each_other():
    assert len({panel["title"] for panel in PANELS}) == len(PANELS)
    assert len({panel["id"] for panel in WHOLE["panels"]}) == len(WHOLE["panels"])
    for one, other in combinations([panel["gridPos"] for panel in WHOLE["panels"]], 2):
        apart = any(
            first[at] + first[size] <= second[at]
            for at, size in (("x", "w"), ("y", "h"))
            for first, second in ((one, other), (other, one))
        )
        assert apart, (one, other)
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in PANELS)


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_a_panel_is_as_grafana_reads_it(panel):
    assert panel["type"] in ("timeseries", "heatmap", "stat")
    assert panel["datasource"] == {"type": "prometheus", "uid": "${source}"}
    assert [target["refId"] for target in panel["targets"]] == list("ABCDEFGH"[: len(panel["targets"])])
    assert all(target["expr"] and target["legendFormat"] for target in panel["targets"])
    assert panel["fieldConfig"]["defaults"]["unit"] in (
        *("reqps", "percentunit", "percent", "s", "µs", "short", "bytes", "celsius", "watt"),
    )


def test_every_recorded_series_is_shown_or_guards_something():
    used = {name for queries in panels().values() for query in queries for name in names(query)}
    used |= {name for alert in ALERTS.values() for name in names(alert["expr"])}
    assert RECORDED.keys() <= used


def test_the_readme_names_the_dashboard():
    assert "grafana/signet.json" in (ROOT / "deploy/README.md").read_text()


def names(expression: str) -> set[str]:
    return {selector.partition("{")[0] for selector in selectors(expression)}
