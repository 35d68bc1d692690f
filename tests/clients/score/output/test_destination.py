"""Where a result goes, by the name that the user gives it."""

import re

import pytest

from signet.clients.score.output import destination
from signet.serving.errors import UsageError


@pytest.mark.parametrize(
    ("output", "problem"),
    [
        ("out.jsnol", "out.jsnol ends as no result does (did you mean 'jsonl'?); expected .jsonl, .csv"),
        ("a/out.xlsx", "a/out.xlsx ends as no result does; expected"),
        ("out.parquet.gz", "out.parquet.gz ends as no result does"),
    ],
)
def test_results_of_unknown_endings_are_refused(output, problem):
    with pytest.raises(UsageError, match=re.escape(problem)):
        destination.of(output, "")
    assert not destination.of(output + "/", "").is_file


def test_folders_may_have_dots_in_their_names(tmp_path):
    (tmp_path / "scores.latest").mkdir()
    for name in ("scores.latest", "2026.11.28", "v1.2"):
        assert not destination.of(str(tmp_path / name), "").is_file
