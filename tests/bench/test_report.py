"""The page says what the results say, and docs/performance.md is the page of the results that are kept."""

import re

import pytest

from tests.bench import __main__ as bench
from tests.bench import report, results
from tests.bench.environment import interpreter
from tests.bench.made_results import ENVIRONMENT, block, made, samples


def page(found):
    return report.page(found, [], "make bench")


def test_a_row_of_each_table():
    found = made(
        block(
            limit=samples(1000, 1000, 1000),
            embedded=samples(2000, 1800, 1600),
            base_embedded=samples(1000, 1000, 1000),
            remote=samples(800, 800, 800, behind_s=0.4),
        ),
        base="abc, What it did",
    )
    text = page(found)
    assert "| digits rest 64 | embedded | ≥ 1.8 | 1.80 (1.70–1.90) | reached, in 2 of 3 rounds |" in text
    assert "| digits rest 64 | embedded | 1,800 | 10.00 | 20.00 | 1,600–2,000 |" in text
    assert "| load | limit | embedded | base-embedded | remote |" in text  # processor time
    assert "| digits rest 64 | 800 | 444 | 800 | 1,000 + 500 |" in text
    assert "not higher at 1, higher in some rounds at 0, in every round at **0**" in text
    assert "TensorFlow Serving" not in text


def test_a_server_that_failed_has_no_figure_but_a_reason():
    one = block(limit=samples(10), remote=samples(5))
    one.failures["embedded"] = "of 9 requests failed: 9 by status\n<p>|"
    text = page(made(one))
    assert "| digits rest 64 | embedded | of 9 requests failed: 9 by status <p>\\| |" in text
    assert not re.search(r"\| embedded \| [\d,]+ \|", text)


def test_other_load_is_told():
    assert "disturbed" not in page(made(block(embedded=samples(5, 5, other_cores=0.05))))
    text = page(made(block(embedded=samples(5, 5, other_cores=0.5, stolen_cores=0.25))))
    assert "**0.75 cores" in text
    assert "| digits rest 64 | 0.75 (0.75–0.75) | 0.5–0.7 |" in text


def test_a_generator_that_was_the_limit_is_told():
    assert "Limited by the load generator" not in page(made(block(embedded=samples(5, generator_s=0.8))))
    assert "| digits rest 64 | embedded | 0.95 |" in page(made(block(embedded=samples(5, generator_s=0.95))))


def test_a_run_that_was_interrupted_or_has_measured_nothing_says_so():
    found = made()
    found.interrupted = True
    text = page(found)
    assert "**interrupted**" in text
    assert "nothing was measured" in text


@pytest.mark.parametrize(
    ("arguments", "flags", "pgo", "lto", "level"),
    [
        ("'--prefix=/usr' '--enable-optimizations' '--with-lto'", "-g -fwrapv -O2", True, True, "-O2"),
        ("'--enable-optimizations' '--with-lto=full'", "-O3", True, True, "-O3"),
        ("'--enable-shared'", "-Wsign-compare -DNDEBUG -g -fwrapv -O3 -Wall", False, False, "-O3"),
        ("'--enable-optimizations' '--with-lto=no'", "", True, False, "unknown"),
    ],
)
def test_how_the_interpreter_was_built(arguments, flags, pgo, lto, level):
    found = interpreter(arguments, flags)
    assert (found.pgo, found.lto, found.level) == (pgo, lto, level)
    assert found.optimised is (pgo and lto)


def test_the_page_says_whether_it_is_optimised():
    assert not ENVIRONMENT.interpreter.optimised
    assert "| interpreter | CPython 3.11.7, **not optimised** (PGO no, LTO no, -O3) |" in page(made())


def test_results_are_read_as_they_were_written(tmp_path):
    one = block(limit=samples(10), embedded=samples(7, 8))
    one.failures["remote"] = "why"
    found = made(one, base="abc", tfs="2.20")
    results.write(found, tmp_path / "results.json")
    assert results.read(tmp_path / "results.json") == found
    assert [file.name for file in tmp_path.iterdir()] == ["results.json"]


def test_docs_performance_is_made_of_the_results_that_are_kept():
    assert bench.PAGE.read_text() == bench.kept_page(), f"{bench.COMMAND}: make bench-page"


def test_its_pictures_are_of_these_results():
    found = results.read(bench.KEPT / results.FILE)
    pictures = re.findall(r"!\[.*\]\((.*)\)", bench.PAGE.read_text())
    assert pictures
    for picture in pictures:
        assert report.described(found) in (bench.PAGE.parent / picture).read_text(), f"{picture}: make bench-page"
