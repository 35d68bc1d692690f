"""The page's JavaScript without a browser: each module's tests with Node's own runner, and the types of all modules.

javascript/*.test.js ──▶ node FILE: its tests, of the modules in static/ that it imports
javascript/tsconfig.json ──▶ tsc: every module in static/, whose types stand in its comments
"""

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests import programs
from tests.servers import ROOT
from tests.third_party import environment

HERE = Path(__file__).parent / "javascript"
FILES = sorted(HERE.rglob("*.test.js"))


def run(*command: str | Path) -> str:
    """What the program prints; fails with it."""
    english = {**os.environ, "LC_ALL": "en_GB.UTF-8", "TZ": "UTC"}  # what numbers and times are written in
    done = subprocess.run(command, cwd=ROOT, env=english, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_there_are_tests_of_modules():
    assert FILES


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(HERE)).removesuffix(".test.js"))
def test_of_a_module(file):
    programs.need("node")
    said = run("node", "--test-reporter=tap", file)
    counted = {name: int(count) for name, count in re.findall(r"^# (\w+) (\d+)$", said, re.MULTILINE)}
    assert counted["tests"] == counted["pass"] > 0, said  # none left out


def test_the_types_of_all_modules_are_right():
    tsc = environment.node("typescript") / "node_modules" / ".bin" / "tsc"
    listed = run(tsc, "--project", HERE / "tsconfig.json", "--listFilesOnly").splitlines()
    modules = {str(path) for path in (ROOT / "serving/gateway/page/static").rglob("*.js")}
    assert modules <= set(listed)
    run(tsc, "--project", HERE / "tsconfig.json")
