"""What the pages for contributors say is so: files exist, the drawing is the code's, continuous integration runs the tests."""

import re

import pytest
import yaml

from tests import architecture_drawing, kinds
from tests.architecture_drawing import DRAWING, PAGE
from tests.servers import ROOT

DECISIONS = sorted((ROOT / "docs/decisions").glob("*.md"))
README = ROOT / "README.md"
DOCS = sorted((ROOT / "docs").glob("*.md"))
PAGES = [README, ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *DOCS, *DECISIONS]
MOST_LINES = 150
"""Of the README: what is beyond belongs into docs/."""
FOLDERS = r"(?:serving|clients|training|signet|deploy|tests|docs|examples|\.ci|\.github)"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_files_that_a_page_names_exist(page):
    text = page.read_text()
    named = re.findall(rf"`({FOLDERS}/[\w./-]*)`", text)
    linked = [path for path in re.findall(r"\]\(([^)#]+)", text) if not path.startswith("http")]
    assert not [path for path in named if not (ROOT / path).exists()]
    assert not [path for path in linked if not (page.parent / path).exists()]


@pytest.mark.parametrize("page", [README, *DOCS], ids=lambda page: page.stem)
def test_headings_that_a_page_links_to_exist(page):
    for path, heading in re.findall(r"\]\(([\w/.-]*\.md|)#([\w-]+)\)", page.read_text()):
        titles = re.findall(r"^#+ (.*)$", (page.parent / path if path else page).read_text(), re.MULTILINE)
        assert heading in [re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles], (path, heading)


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
    readme = README.read_text()
    pages = ["CONTRIBUTING.md", "SECURITY.md", "LICENSE", "docs/decisions", *(f"docs/{page.name}" for page in DOCS)]
    assert [page for page in pages if f"]({page}" not in readme] == []


def test_the_readme_is_a_page_that_one_reads():
    assert len(README.read_text().splitlines()) <= MOST_LINES


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
