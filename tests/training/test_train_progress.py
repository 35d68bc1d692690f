"""The bar of a training says which time it shows."""

from types import SimpleNamespace

import pytest

from signet.training.train_progress import _Time


@pytest.mark.parametrize(("task", "shown"), [
    ({"total": None, "finished": False, "time_remaining": None, "elapsed": 3.0}, ""),
    ({"total": 10, "finished": False, "time_remaining": None, "elapsed": 3.0}, ""),
    ({"total": 10, "finished": False, "time_remaining": 62.4, "elapsed": 3.0}, "1:02 left"),
    ({"total": 10, "finished": True, "time_remaining": 0.0, "elapsed": 8.9}, "0:08 passed"),
])  # fmt: skip
def test_time_is_left_while_it_learns_and_has_passed_after_that(task, shown):
    assert _Time().render(SimpleNamespace(**task)).plain == shown
