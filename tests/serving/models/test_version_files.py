"""Looks at the files of a version: settled or not, renamed or not, other content or not."""

import os
import shutil
from pathlib import Path

import pytest

from signet.serving.models import version_files
from signet.serving.models.version_files import SETTLED_S, digest, snapshot


@pytest.fixture
def version(tmp_path: Path) -> Path:
    folder = tmp_path / "1"
    (folder / "variables").mkdir(parents=True)
    (folder / "saved_model.pb").write_text("graph")
    (folder / "variables" / "variables.index").write_text("index")
    return folder


def test_nothing_is_settled_until_it_is_old_or_looks_the_same_twice(version):
    first = snapshot(version)
    assert not first.settled(None, first.changed_s)
    assert first.settled(None, first.changed_s + SETTLED_S + 1)
    assert snapshot(version).settled(first, first.changed_s)
    (version / "variables" / "variables.index").write_text("index, and more of it")
    assert not snapshot(version).settled(first, first.changed_s)


def test_the_clock_of_a_file_system_that_is_ahead_or_behind_is_no_matter(version):
    first = snapshot(version)
    assert not first.settled(None, first.changed_s - 3600)
    assert snapshot(version).settled(first, first.changed_s - 3600)


def test_hidden_files_count_for_nothing(version):
    before = snapshot(version)
    (version / ".saved_model.pb.Xy12").write_text("rsync writes here first")
    (version / ".nfs0001").write_text("gone, but open")
    assert snapshot(version).files == before.files


def test_the_same_content_in_other_files_has_the_same_digest(version, tmp_path):
    shutil.copytree(version, tmp_path / "2")
    one, two = snapshot(version), snapshot(tmp_path / "2")
    assert one != two
    assert digest(version, one) == digest(tmp_path / "2", two)
    (tmp_path / "2" / "saved_model.pb").write_text("grapH")
    assert digest(version, one) != digest(tmp_path / "2", snapshot(tmp_path / "2"))


def test_large_versions_are_not_read(version, monkeypatch):
    monkeypatch.setattr(version_files, "HASHED_BYTES", 3)
    assert digest(version, snapshot(version)) == ""


def test_pipes_and_links_in_circles_stop_nobody(version):
    os.mkfifo(version / "pipe")
    (version / "circle").symlink_to(version)
    (version / "nowhere").symlink_to(version / "gone")
    assert digest(version, snapshot(version))
