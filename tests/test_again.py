"""A test that fails beside others gets one more try, and is named; nothing else does."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ONCE = "import pathlib\ndef test_once():\n p = pathlib.Path('seen')\n seen = p.exists()\n p.touch()\n assert seen\n"
"""Fails the first time alone."""
NEVER = "def test_never():\n assert False\n"


def ends(folder: Path, content: str) -> tuple[int, str]:
    """The exit code and words of pytest, and of the second try."""
    (folder / "test_it.py").write_text(content)
    options = {"cwd": folder, "env": {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}, "text": True}
    first = subprocess.run([sys.executable, "-m", "pytest", "-q"], capture_output=True, check=False, **options)
    assert first.returncode in {1, 2, 5}
    again = [sys.executable, "-m", "tests.again", str(first.returncode)]
    second = subprocess.run(again, capture_output=True, check=False, **options)
    return second.returncode, second.stdout


def test_what_passes_alone_is_named(tmp_path):
    code, words = ends(tmp_path, ONCE)
    assert code == 0
    assert words.endswith("passed alone:\n  test_it.py::test_once\n")


@pytest.mark.parametrize(
    ("content", "code", "tried"),
    [
        pytest.param(ONCE + NEVER, 1, True, id="one fails again"),
        pytest.param(NEVER + "".join(NEVER.replace("never", f"n{i}") for i in range(3)), 1, False, id="too many"),
        pytest.param("import nothing_of_this_name\n", 2, False, id="cannot be read"),
        pytest.param("", 5, False, id="none"),
    ],
)
def test_what_fails_stays_failed(tmp_path, content, code, tried):
    got, words = ends(tmp_path, content)
    assert got == code
    assert words.startswith("\nonce more") is tried
