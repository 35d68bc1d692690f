"""Each test has a kind, and a unit test that costs too much fails."""

import re
import subprocess
import sys

import pytest

from tests import kinds, programs, servers
from tests.servers import ROOT, free_port

PYTEST = [sys.executable, "-m", "pytest", "-p", "tests.conftest", "--confcutdir", ROOT]


def plain():
    return free_port()


def starts_a_server():
    with servers.gateway() as (url, _):
        return url


def asks_another_function():
    return [starts_a_server() for _ in range(2)]


def runs_the_program_of_another():
    programs.need("kubectl")
    return asks_another_function()


def imports_tensorflow():
    import tensorflow as tf

    return tf.constant(1)


def imports_what_imports_it():
    from tests.serving.engine import trial_models

    return trial_models


@pytest.mark.parametrize(
    ("functions", "kind"),
    [
        ([plain], "unit"),
        ([plain, starts_a_server], "server"),  # the second is a fixture
        ([asks_another_function], "server"),
        ([subprocess.run, lambda: subprocess.run(["true"], check=True)], "server"),
        ([lambda request: request.getfixturevalue("embedded_url")], "server"),
        ([imports_what_imports_it], "train"),
        ([imports_tensorflow, asks_another_function], "train"),
        ([runs_the_program_of_another], "outside"),
    ],
)
def test_what_a_test_touches_says_its_kind(functions, kind):
    assert kinds.kind("tests/serving/test_any.py", functions) == kind


def test_some_folders_are_of_one_kind():
    assert kinds.kind("tests/training/test_any.py", [plain]) == "train"


def test_collecting_imports_nothing_that_takes_seconds(pytestconfig):
    assert not pytestconfig.stash[kinds.COLLECTED] & kinds.DEAR


def test_a_unit_test_that_costs_too_much_fails_with_a_sentence(tmp_path):
    file = tmp_path / "test_dear.py"
    file.write_text("""if True:
        import time, pytest

        def burn():
            started = time.process_time()
            while time.process_time() < started + 0.3:
                pass

        def test_unit():
            burn()

        @pytest.mark.server
        def test_server():
            burn()

        def test_waits():
            time.sleep(0.4)
    """)
    by_hand, quick = (
        subprocess.run(
            [*PYTEST, *budget, file], cwd=ROOT, capture_output=True, text=True, check=False, timeout=120
        ).stdout
        for budget in ([], ["--unit-budget", "0.2"])
    )
    assert "3 passed" in by_hand
    assert "1 failed, 2 passed" in quick
    assert re.search(r"0\.[3-9] s of processor time, and a unit test may take 0\.2: make it smaller", quick)
