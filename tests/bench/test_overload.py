"""The overload benchmark: its arithmetic, its page, and a small run on a real gateway."""

import os
import re
import shutil
from pathlib import Path

import pytest
import uvloop

from tests import servers
from tests.bench.made_results import ENVIRONMENT
from tests.bench.overload import __main__ as bench
from tests.bench.overload import figures, load, models, report
from tests.bench.overload.figures import Curve, Health, Overload, Pair, Point, Sent, Tally, percentile, tally

HEALTHY = Health(due=100, sent=100, late_p99_s=0.001, loop_p99_s=0.0005, cores=0.2, other_cores=0.0)


def counted(sent: int, in_time: int, refused: int = 0, **others: object) -> Tally:
    given = {"late": 0, "failed": {}, "p50_s": 0.01, "p99_s": 0.05, "refusal_p99_s": 0.002 if refused else None}
    return Tally(sent=sent, in_time=in_time, refused=refused, **{**given, **others})


def point(times: float, load: Tally, server_s: float = 1.0, health: Health = HEALTHY, after: float = 1.0) -> Point:
    return Point(times, 100 * times, 1.0, load, [0.5, after], health, server_s)


def made() -> Overload:
    curve = Curve("computing", 0.1, 100.0, 0.005, 0.004)
    curve.points = [
        point(1, counted(100, 98)),
        point(5, counted(500, 90, 410), server_s=0.655),
        point(10, counted(1000, 20, 980), health=Health(1000, 1000, 0.05, 0.001, 0.5, 0.0)),
    ]
    pairs = [
        Pair(
            kind,
            "computing",
            "computing",
            10,
            500,
            40,
            0.1,
            0.004,
            counted(40, 40, p99_s=0.01),
            counted(40, 39, p99_s=0.1),
            counted(500, 50, 450),
            HEALTHY,
        )
        for kind in ("models", "callers")
    ]
    return Overload("2026-11-29T09:00Z", 1.0, ENVIRONMENT, True, [curve], pairs)


# Arithmetic


def test_percentiles_are_of_the_nearest_rank():
    assert percentile(range(1, 101), 0.99) == 99
    assert percentile([3, 1, 2], 0.5) == 2
    assert percentile([7], 0.99) == 7
    assert percentile([], 0.99) is None


def test_requests_are_counted_by_what_came_of_them():
    outcomes = [("ok", 0.05), ("ok", 0.1), ("ok", 0.2), ("429", 0.001), ("503", 0.003), ("504", 0.1), ("504", 0.1)]
    assert tally([Sent(0, 0.0, *each) for each in outcomes], 0.1) == Tally(7, 2, 1, 2, {"504": 2}, 0.1, 0.2, 0.003)
    assert tally([], 0.1) == Tally(0, 0, 0, 0, {}, None, None, None)
    assert tally([], 0.1).share == 1.0


@pytest.mark.parametrize(
    ("health", "lags"),
    [
        (HEALTHY, False),
        (Health(100, 100, 0.011, 0.0, 0.2, 0.0), True),
        (Health(100, 100, 0.0, 0.011, 0.2, 0.0), True),
        (Health(100, 100, 0.0, 0.0, 0.96, 0.0), True),
        (Health(10_000, 9_600, 0.0, 0.0, 0.2, 0.0), False),  # as chance has it
        (Health(10_000, 9_300, 0.0, 0.0, 0.2, 0.0), True),
        (Health(100, 100, 0.0, 0.0, 0.2, 0.0, waited=2), True),
        (Health(0, 0, 0.0, 0.0, 0.2, 0.0), False),  # a closed loop
    ],
)
def test_a_client_that_lags_is_seen(health, lags):
    assert health.lags(0.1) is lags


def test_the_bound_is_what_refusals_leave():
    found = made()
    (curve,) = found.curves
    assert found.refusal_s == pytest.approx((1.0 - 20 * 0.005) / 980)  # of the point that refused most
    curve.points.pop()
    assert found.refusal_s == pytest.approx(0.0005)  # (0.655 − 90 · 0.005) / 410
    assert curve.bound(curve.points[0], 0.0005) == 1
    assert curve.bound(curve.points[1], 0.0005) == pytest.approx(1 - 4 * 100 * 0.0005)
    curve.points.pop()
    assert found.refusal_s is None


def test_results_are_read_as_they_were_written(tmp_path):
    found = made()
    figures.write(found, tmp_path / "results.json")
    assert figures.read(tmp_path / "results.json") == found


# The page


def test_a_row_of_each_table():
    text = report.page(made(), ["overload.svg"], "make bench-overload")
    assert "| 5 | 500 | 0.90 | 0.63 | 50.0 | 82% | 2.0 | 500 | 0 | 0 | 50%, 100% | 0.66 | 1.0 | 0.20 |" in text
    assert "| 10 (client lags) | 1,000 | (0.20) |" in text
    assert "- goodput ≥ 80% of the peak: yes, at 2" in text
    assert "| computing | computing | 500 | 40 | 10.0 | 100.0 | 24.0 | 100.0% | 97.5% | 50 | 1.0 | **no** |" in text
    assert "| computing | computing | 500 | 40 | 10.0 | 100.0 | 100.0% | 97.5% | 50 | 1.0 | **no** |" in text
    assert "disturbed" not in text


def test_what_is_not_kept_stands_out():
    found = made()
    late, refused_slowly = counted(500, 70, 430, p99_s=0.2), counted(500, 90, 410, refusal_p99_s=0.03)
    found.curves[0].points = [point(2, late, after=0.5), point(5, refused_slowly)]
    text = report.page(found, [], "make bench-overload")
    assert text.count("**at 1 of 2**") == 4


def test_a_run_that_has_measured_nothing_has_a_page():
    assert "nothing was measured" in report.page(Overload("now", 1.0, ENVIRONMENT, False), [], "make bench-overload")


def test_the_kept_page_is_that_of_the_kept_results():
    assert bench.kept_page() == bench.PAGE.read_text()
    assert all((bench.PAGE.parent / address).exists() for address in re.findall(r"!\[.*\]\((.*)\)", bench.kept_page()))


def test_the_kept_picture_is_that_of_the_kept_results(tmp_path):
    from tests.bench.overload import plots

    (name,) = plots.draw(figures.read(bench.KEPT / figures.FILE), tmp_path)
    described = re.compile(r"<dc:description>(.*?)</dc:description>", re.DOTALL)
    drawn, kept = ((folder / name).read_text() for folder in (tmp_path, bench.KEPT))
    assert described.search(drawn)[1] == described.search(kept)[1]


# A run


def run(folder: Path, out: Path, seconds: float) -> Overload:
    cores = os.sched_getaffinity(0)
    found = Overload("2026-11-29T09:00Z", seconds, ENVIRONMENT, len(cores) > 1)
    out.mkdir()
    with bench.gateway(folder) as running:
        assert os.sched_getaffinity(0) == {max(cores)}
        if len(cores) > 1:
            assert os.sched_getaffinity(running.pid) == cores - {max(cores)}
        uvloop.run(bench.measure(found, running, (3.0,), True, out))
    assert os.sched_getaffinity(0) == cores
    assert os.sched_getscheduler(0) == os.SCHED_OTHER
    assert figures.read(out / "results.json") == found
    return found


def test_a_small_run_measures_a_real_gateway(tmp_path, monkeypatch):
    """Two copies of a small model stand for those of the benchmark."""
    for name in bench.DEADLINES_S:
        shutil.copytree(servers.GOLDEN_MODELS / "three_out" / "1", tmp_path / "models" / name / "1")
    monkeypatch.setattr(bench, "AFTER_S", 1)
    monkeypatch.setattr(load, "WARM_UP_S", 0.1)
    found = run(tmp_path / "models", tmp_path / "out", 0.25)
    for curve in found.curves:
        assert curve.capacity > 0 < curve.call_s
        assert [each.times for each in curve.points] == [3.0]
        for each in curve.points:
            told = each.load
            assert told.sent == told.in_time + told.late + told.refused + sum(told.failed.values())
            assert told.sent == each.health.sent > 0
            assert each.health.due == pytest.approx(each.rate * 0.25)
            assert len(each.after) == 1
    assert [(one.kind, one.hot, one.other) for one in found.pairs] == [
        ("models", "sleeping", "computing"),
        ("models", "computing", "sleeping"),
        ("callers", "sleeping", "sleeping"),
        ("callers", "computing", "computing"),
    ]
    for pair in found.pairs:
        assert pair.alone.sent > 0 < pair.beside.sent
        assert pair.hot_load.sent + pair.beside.sent == pair.health.sent
    assert "## A caller beside a hot one" in report.page(found, [], "make bench-overload")


@pytest.mark.long
def test_the_models_are_as_slow_as_they_should_be(tmp_path):
    models.models(tmp_path / "models")
    sleeping, computing = run(tmp_path / "models", tmp_path / "out", 1.0).curves
    assert sleeping.call_s > 0.006  # twice the sleep
    assert sleeping.capacity < computing.capacity
