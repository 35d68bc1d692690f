"""Releases are followed, and what is broken or out of reach leaves the last good one in force."""

import os
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from signet.serving.releases.following import ReleasesWatch
from signet.serving.releases.release import Release, Stage, dumps
from signet.serving.releases.store import FILE, ReleaseStore

FIRST = Release("digits", 1, 1, 2, Stage.CANARY, 0.05, salt="a1b2", by="ana")


class Watched:
    """A folder with models, and all that a watch has told of them."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.models = folder, ["digits", "words"]
        for model in self.models:
            (folder / model).mkdir()
        self.told: list[tuple[Mapping[str, Release], Mapping[str, str]]] = []
        self.store = ReleaseStore(folder)
        self.watch = ReleasesWatch(self.store, lambda: self.models, lambda *told: self.told.append(told), 0.5)

    def look(self) -> tuple[Mapping[str, Release], Mapping[str, str]] | None:
        """What is told of the next look; None: nothing."""
        before = len(self.told)
        assert self.watch.step() == 0.5
        return self.told[-1] if len(self.told) > before else None


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    return Watched(tmp_path)


def test_releases_are_told_first_and_then_when_they_change(watched):
    assert watched.look() == ({}, {})
    assert watched.look() is None
    watched.store.write(FIRST, 0)
    assert watched.look() == ({"digits": FIRST}, {})
    assert watched.look() is None
    lowered = watched.store.lower(FIRST, by="brake", reason="bad")
    assert watched.look() == ({"digits": lowered}, {})


def test_a_broken_file_leaves_the_last_good_one_in_force_and_is_told_once(watched, caplog):
    watched.store.write(FIRST, 0)
    watched.look()
    path = watched.folder / "digits" / FILE
    for content in (b"", dumps(FIRST)[:20]):
        path.write_bytes(content)
        told = watched.look()
        assert told
        assert told[0] == {"digits": FIRST}
        assert f"digits/{FILE}: the release is no JSON" in told[1]["digits"]
        assert watched.look() is None
    assert "generation 1 stays in force" in caplog.text
    path.write_bytes(dumps(replace(FIRST, generation=7)))
    assert watched.look() == ({"digits": replace(FIRST, generation=7)}, {})


def test_a_file_that_was_broken_from_the_start_is_told_too(watched, caplog):
    (watched.folder / "digits" / FILE).write_text("half")
    told = watched.look()
    assert told
    assert told[0] == {}
    assert told[1].keys() == {"digits"}
    assert "no release of it is known" in caplog.text


def test_the_same_good_file_after_a_broken_one_is_good_again(watched):
    """Renamed back, it has the same number, time and size as before."""
    watched.store.write(FIRST, 0)
    watched.look()
    path = watched.folder / "digits" / FILE
    path.rename(watched.folder / "kept")
    path.write_text("half")
    watched.look()
    (watched.folder / "kept").rename(path)
    assert watched.look() == ({"digits": FIRST}, {})


def test_a_release_ends_with_its_file_and_not_with_its_folder(watched):
    watched.store.write(FIRST, 0)
    watched.look()
    aside = watched.folder / "aside"
    (watched.folder / "digits").rename(aside)
    told = watched.look()
    assert told
    assert told[0] == {"digits": FIRST}
    assert "there is no folder" in told[1]["digits"]
    aside.rename(watched.folder / "digits")
    assert watched.look() == ({"digits": FIRST}, {})
    (watched.folder / "digits" / FILE).unlink()
    assert watched.look() == ({}, {})


def test_a_model_that_is_no_longer_served_has_no_release(watched):
    watched.store.write(FIRST, 0)
    watched.look()
    shutil.rmtree(watched.folder / "digits")
    watched.models.remove("digits")
    assert watched.look() == ({}, {})


def test_a_file_that_has_not_changed_is_not_read(watched):
    watched.store.write(FIRST, 0)
    watched.look()
    path = watched.folder / "digits" / FILE
    times = os.stat(path).st_atime_ns, os.stat(path).st_mtime_ns
    path.write_bytes(b"x" * len(path.read_bytes()))
    os.utime(path, ns=times)  # as if nothing had been done
    assert watched.look() is None
