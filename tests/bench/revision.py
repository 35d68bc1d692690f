"""Another revision of the project to be measured beside this one, with the packages of this one's environment.

git revision ──git worktree──▶ a folder of its files ──setup.py──▶ its messages, and what else it builds ──▶ removed at the end
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.servers import ROOT


class NoRevision(Exception):
    """The revision is none, or cannot run in this environment; the message says why."""


@dataclass(frozen=True)
class Revision:
    """A commit, and the folder that it is checked out in."""

    asked: str
    commit: str
    subject: str
    folder: Path


@contextmanager
def checked_out(asked: str) -> Iterator[Revision]:
    """The revision's files, ready to run. Raises NoRevision."""
    commit = _git("rev-parse", "--verify", "--quiet", f"{asked}^{{commit}}")
    subject = _git("log", "-1", "--format=%s", commit)
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text).resolve() / "base"
        _git("worktree", "add", "--quiet", "--detach", str(folder), commit)
        try:
            _build(folder)
            yield Revision(asked, commit[:10], subject, folder)
        finally:
            _git("worktree", "remove", "--force", str(folder))


def _build(folder: Path) -> None:
    """Make the files that are not in git, and see that it is this folder's code that runs."""
    _run(folder, "setup.py", "--quiet", "build_py", "build_ext", "--inplace")
    found = _run(folder, "-c", "import signet.serving.errors as found; print(found.__file__)").strip()
    if not Path(found).is_relative_to(folder):
        raise NoRevision(f"`import signet` in the revision's folder gives {found}, which is of another checkout")


def _run(folder: Path, *words: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    done = subprocess.run(
        [sys.executable, *words], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise NoRevision(f"the revision cannot run: python {' '.join(words[:3])} ended with\n{done.stderr[-2000:]}")
    return done.stdout


def _git(*words: str) -> str:
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NoRevision(f"git {' '.join(words)} ended with {done.returncode}: {done.stderr.strip()}")
    return done.stdout.strip()
