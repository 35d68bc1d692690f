"""docs/faults.md: its table is that of the results that are kept, and says what the page says."""

import json

from tests.bench.faults.__main__ import PAGE, RESULTS, page
from tests.bench.faults.kinds import FAULTS

ROWS = json.loads(RESULTS.read_text())["rows"]


def test_the_table_is_made_of_the_results_and_has_each_fault():
    assert page(PAGE.read_text(), {"rows": ROWS}) == PAGE.read_text()
    assert [row["fault"] for row in ROWS] == [fault.name for fault in FAULTS]


def test_nothing_hung_nothing_was_wrong_and_no_budget_was_exceeded():
    for row in ROWS:
        assert (row["hung"], row["wrong"], row["tracebacks"]) == (0, 0, 0), row
        assert row["amplification"] <= 1.25, row
        assert not {"500", "INTERNAL", "UNKNOWN", "599"} & row["codes"].keys(), row
