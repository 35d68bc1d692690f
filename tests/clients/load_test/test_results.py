"""Results, what follows from them, how they are written, drawn and compared."""

import io
import json
import math
import re
import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest
from rich.console import Console

from signet.clients.load_test.plan import slo
from signet.clients.load_test.plan.slo import Verdict
from signet.clients.load_test.plan.steps import Step
from signet.clients.load_test.report import compare, html_report, tables
from signet.clients.load_test.report.svg_charts import Series, chart, linear, logarithmic
from signet.clients.load_test.run import percentiles, result
from signet.clients.load_test.run.result import ModelUnderTest
from signet.serving.errors import UsageError
from tests.clients.load_test.runs import CLIENT, run, slice_of


def printed(measured: result.Result) -> str:
    console = Console(width=200, record=True, file=open("/dev/null", "w"))  # noqa: SIM115  # closed with the process
    with console.file:
        tables.show(measured, console)
        return console.export_text()


def test_slices_add_up():
    measured = replace(
        run(0.01),
        models=[ModelUnderTest("a", 1, 1, 1, "golden", 1), ModelUnderTest("b", 1, 1, 1, "golden", 1)],
        steps=[Step(1, 100, 100), Step(1.5, 10, 10)],
        slices=[
            slice_of(0, 0, [0.01] * 98 + [0.5, 1.0]),
            slice_of(0, 0, [0.02] * 3, failed=1, model=1),
            slice_of(1, 0, [0.01] * 2),
            slice_of(1, 1, [0.04]),
        ],
    )
    assert measured.total.requests == 107
    assert measured.total.outcomes == {"ok": 106, "429": 1}
    assert [part.requests for part in measured.by_step] == [104, 3]
    assert [part.requests for part in measured.by_model] == [103, 4]
    assert [(step, second, part.goodput) for step, second, part in measured.by_second] == [
        (0, 0, 103),
        (1, 0, 2),
        (1, 1, 2),  # half a second
    ]
    assert measured.by_step[1].goodput == 2
    assert measured.total.latency_s(50) == pytest.approx(0.01, rel=1e-3)
    assert measured.total.latencies_s((50, 99, 100)) == [
        pytest.approx(0.01, rel=1e-3),
        pytest.approx(1.0, rel=1e-3),
        math.inf,
    ]


def test_failed_requests_count_as_never_answered():
    part = percentiles.summary([slice_of(0, 0, [0.01] * 90 + [0.02] * 8, failed=2)], 1.0)
    assert part.errors == 0.02
    assert part.latencies_s((90, 98)) == pytest.approx([0.01, 0.02], rel=1e-3)
    assert part.latencies_s((50, 99, 100)) == [pytest.approx(0.01, rel=1e-3), math.inf, math.inf]
    assert part.measured().latency_s(99) == part.latency_s(99) == math.inf
    assert part.document()["latency_s"]["p99"] is None
    assert tables.cells(part)[3:] == ["10", "10", "never", "never", "never"]
    nothing = percentiles.summary([slice_of(0, 0, [], failed=3)], 1.0)
    assert (nothing.latency_s(1), nothing.errors, nothing.goodput) == (math.inf, 1.0, 0.0)
    assert math.isnan(percentiles.summary([], 1.0).latency_s(50))


def test_more_failed_requests_are_a_worse_percentile():
    """One in fifty more than before: p99 was 20 ms, and is never."""
    before = replace(run(0.01), slices=[slice_of(0, second, [0.01] * 98 + [0.02] * 2) for second in range(20)])
    after = replace(run(0.01), slices=[slice_of(0, second, [0.01] * 98, failed=2) for second in range(20)])
    changes = {change.name: change for change in compare.compare(before, after)}
    assert (changes["p99 ms"].after, changes["p99 ms"].verdict) == ("never", compare.WORSE)
    assert changes["p50 ms"].verdict == compare.SAME
    back = {change.name: change for change in compare.compare(after, before)}
    assert (back["p99 ms"].before, back["p99 ms"].verdict) == ("never", compare.BETTER)
    again = {change.name: change for change in compare.compare(after, after)}
    assert again["p99 ms"].verdict == compare.SAME


def test_a_result_is_read_as_it_was_written(tmp_path):
    measured = replace(run(0.01, failed=3), verdicts=[Verdict("p99=1s", "10 ms", True)], found_rate=12.5, trials=[True])
    result.write(measured, tmp_path / "run.json")
    assert result.read(tmp_path / "run.json") == measured
    summary = json.loads((tmp_path / "run.json").read_text())["summary"]
    assert summary["total"]["requests"] == 2000
    assert summary["total"]["latency_s"]["p50"] == pytest.approx(0.01, rel=0.1)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"signet_load": 1}', '{"signet_load": 2, "summary": {}}'])
def test_files_that_are_no_results_are_explained(tmp_path, text):
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(UsageError, match=re.escape(str(path))):
        result.read(path)
    with pytest.raises(UsageError, match=r"cannot be read: No such file"):
        result.read(tmp_path / "nothing")


def test_the_table_says_what_happened():
    measured = replace(
        run(0.01, failed=1), verdicts=slo.judge(slo.parse("p99=1s,errors=0%"), run(0.01).total.measured())
    )
    text = printed(measured)
    assert "20 requests: 429 – the queue is <full>" in text
    assert "kept: p99=1s; measured" in text
    assert "This client kept up: sends at most 2 ms late, 25% of a core." in text
    limited = replace(measured, client=replace(CLIENT, limits=("it was slow",)), interrupted=True)
    assert "This client was a bottleneck: it was slow." in printed(limited)
    assert "Interrupted after 20 s." in printed(limited)


SEVERAL = replace(
    run(0.01),
    steps=[Step(5, 100, 100), Step(5, 100, 300), Step(5, 300, 300), Step(5, 500, 500)],
    slices=[
        slice_of(second // 5, second % 5, [0.001 * (second + 1)] * 50, failed=second // 10) for second in range(20)
    ],
    said={"429": "full"},
)


@pytest.mark.parametrize(
    "measured",
    [
        run(0.01),
        SEVERAL,
        replace(SEVERAL, steps=[Step(5, in_flight=4 ** (place + 1)) for place in range(4)], arrivals="closed"),
        replace(SEVERAL, trials=[True, True, False, False], found_rate=200.0),
        replace(SEVERAL, trials=[False] * 4),
        replace(run(0.01), slices=[slice_of(0, 0, [], failed=9)]),
        replace(run(0.01), slices=[slice_of(0, 0, [0.001])]),
        replace(run(0.01), slices=[], interrupted=True),
    ],
)
def test_the_report_is_one_file_that_needs_no_network(tmp_path, measured):
    path = tmp_path / "report.html"
    html_report.write(measured, path)
    page = path.read_text()
    assert not re.search(r"(src|href)=|@import|url\(|<script|<link", page)
    for svg in re.findall(r"<svg.*?</svg>", page):
        texts = [element.text for element in ET.fromstring(svg).iter("text")]
        assert len(texts) >= 4
        assert not re.search("nan|inf", svg)
    assert page.count("<figure>") == (0 if not measured.slices else 4 if len(measured.steps) > 1 else 3)


def test_what_a_server_says_is_no_html():
    assert "queue is &lt;full&gt;" in "".join(html_report.notes([("bad", "the queue is <full>")]))


def test_charts_stay_within_their_frame():
    line = Series("a", [(0, 1.0), (1, math.nan), (2, 1000.0)], 0)
    svg = chart("t", "n", [line], linear("x", [0, 2]), logarithmic("y", [1.0, 1000.0]))
    for x, y in re.findall(r'cx="([\d.-]+)" cy="([\d.-]+)"', svg):
        assert 0 <= float(x) <= 640
        assert 0 <= float(y) <= 300
    assert 'd="M' in svg
    labels = [element.text for element in ET.fromstring(re.search("<svg.*</svg>", svg)[0]).iter("text")]
    assert {"1", "10", "100", "1,000"} <= set(labels)


# Two runs


def changes(before: result.Result, after: result.Result) -> dict[str, compare.Change]:
    return {change.name: change for change in compare.compare(before, after)}


def test_a_clear_change_is_told_from_noise():
    same = changes(run(0.01, seed=1), run(0.01, seed=2))
    assert same["p50 ms"].verdict == compare.SAME
    slower = changes(run(0.01, seed=1), run(0.013, seed=2))["p50 ms"]
    assert slower.verdict == compare.WORSE
    assert slower.low < slower.change < slower.high
    assert slower.change == pytest.approx(0.3, abs=0.1)
    assert changes(run(0.013), run(0.01))["p99 ms"].verdict == compare.BETTER
    failing = changes(run(0.01), run(0.01, failed=5))
    assert failing["failed"].verdict == failing["good answers/s"].verdict == compare.WORSE


def test_figures_agree_with_those_of_the_run():
    measured = run(0.01)
    change = changes(measured, measured)["p99 ms"]
    assert change.before == change.after == tables.milliseconds(measured.total.latency_s(99))


def test_short_runs_are_too_short_to_tell():
    assert changes(run(0.01, seconds=5), run(0.02))["p50 ms"].verdict == compare.UNKNOWN


@pytest.mark.parametrize(("median_s", "code"), [(0.01, 0), (0.0105, 0), (0.02, 1)])
def test_the_comparison_ends_with_a_code(tmp_path, median_s, code):
    before, after, html = (tmp_path / name for name in ("before.json", "after.json", "compared.html"))
    result.write(run(0.01), before)
    result.write(replace(run(median_s), protocol="v2"), after)
    console = Console(width=200, record=True, quiet=True)
    assert compare.run(before, after, worse=0.1, html=html, console=console) == code
    page = html.read_text()
    assert "The runs differ in protocol: v1; v2." in page
    printed = Console(width=80, file=io.StringIO())
    assert compare.run(before, after, worse=0.1, html=None, as_json=True, console=printed) == code
    document = json.loads(printed.file.getvalue())
    assert document["remarks"] == ["The runs differ in protocol: v1; v2."]
    assert {"name", "before", "after", "change", "low", "high", "verdict"} == document["changes"][0].keys()
    assert "<figure>" in page
