"""What the pages for contributors say is so: files exist, the drawing is the code's, continuous integration runs the tests."""

import re

import pytest
import yaml

from tests import architecture_drawing, kinds
from tests.architecture_drawing import DRAWING, PAGE
from tests.servers import ROOT

DECISIONS = sorted((ROOT / "docs/decisions").glob("*.md"))
PAGES = [
    ROOT / "CONTRIBUTING.md",
    ROOT / "SECURITY.md",
    ROOT / "docs/architecture.md",
    ROOT / "docs/performance.md",
    ROOT / "docs/releases.md",
    *DECISIONS,
]
FOLDERS = r"(?:serving|clients|training|signet|deploy|tests|docs|examples|\.ci|\.github)"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_files_that_a_page_names_exist(page):
    text = page.read_text()
    named = re.findall(rf"`({FOLDERS}/[\w./-]*)`", text)
    linked = [path for path in re.findall(r"\]\(([^)#]+)", text) if not path.startswith("http")]
    assert named or linked
    assert not [path for path in named if not (ROOT / path).exists()]
    assert not [path for path in linked if not (page.parent / path).exists()]


def test_the_drawing_is_what_the_code_imports():
    (drawn,) = DRAWING.findall(PAGE.read_text())
    assert drawn == architecture_drawing.drawing(), "draw it again: make deploy-files"


@pytest.mark.parametrize("page", DECISIONS, ids=lambda page: page.stem)
def test_a_decision_is_short_and_numbered(page):
    lines = page.read_text().splitlines()
    assert lines[0].startswith(f"# {int(page.name[:4])}. ")
    assert lines[2].startswith("Decided 20")
    assert len(lines) <= 40


def test_decisions_are_numbered_without_a_gap():
    assert [int(page.name[:4]) for page in DECISIONS] == list(range(1, len(DECISIONS) + 1))


def test_the_readme_leads_to_every_page():
    readme = (ROOT / "README.md").read_text()
    for page in (
        "CONTRIBUTING.md",
        "SECURITY.md",
        "LICENSE",
        "docs/architecture.md",
        "docs/performance.md",
        "docs/decisions",
    ):
        assert f"]({page}" in readme, page


def test_contributors_are_told_of_commands_and_markers_that_there_are():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    makefile = (ROOT / "Makefile").read_text()
    for target in set(re.findall(r"`make ([a-z-]+)", text)):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
    assert all(f"`{kind}`" in text for kind in kinds.KINDS)


def test_continuous_integration_runs_check_and_test_on_every_python():
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())
    (job,) = workflow["jobs"].values()
    assert [step["run"] for step in job["steps"] if "run" in step] == [".ci/run"]
    assert job["strategy"]["matrix"]["python"] == ["3.11", "3.12", "3.13"]
    assert (ROOT / ".ci/run").read_text().splitlines()[-1] == "make check test"
    assert (ROOT / ".ci/run").stat().st_mode & 0o111


def test_the_hooks_before_a_commit_fetch_nothing():
    configuration = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    assert [entry["repo"] for entry in configuration["repos"]] == ["local"]
    hooks = configuration["repos"][0]["hooks"]
    assert {hook["entry"].split()[0] for hook in hooks} == {".venv/bin/ruff", ".venv/bin/mypy", ".venv/bin/bandit"}
    assert {hook["language"] for hook in hooks} == {"system"}
