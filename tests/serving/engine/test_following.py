"""Versions that arrive file by file, in any order, with pauses, are replaced and removed: what is served has been checked."""

import shutil
import tempfile
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from signet.serving.engine.following import Follower, Rules
from signet.serving.engine.repository import Repository
from signet.serving.engine.versions import Versions
from signet.serving.errors import InvalidInput
from signet.serving.models import completeness
from signet.serving.models.model_config import ModelConfig
from signet.serving.models.model_status import BROKEN, INCOMPLETE, State
from signet.serving.process.supervision import Failures
from tests import servers
from tests.servers import GOLDEN_MODELS

WHOLE = GOLDEN_MODELS / "three_out" / "1"
FILES = ["saved_model.pb", "variables/variables.index", "variables/variables.data-00000-of-00001"]
NOTE = "assets.extra/note.txt"
"""Stands for what the weights say: two versions differ in it, and one that is `bad` does not answer."""


class Answering:
    """A version as a loader gives it: it answered when it was loaded, and frees itself at once."""

    def __init__(self, name: str, version: int, path: Path) -> None:
        self.name, self.version = name, version
        assert completeness.missing(path) == "", "half a version was loaded"
        self.note = (path / NOTE).read_text() if (path / NOTE).exists() else ""
        if self.note.startswith("bad"):
            raise InvalidInput("it does not answer")
        self.closed = threading.Event()

    def acquire(self) -> bool:
        return not self.closed.is_set()

    def close(self) -> None:
        self.closed.set()


def follower(base: Path, name: str = "m", load: object = Answering, **rules: object) -> tuple[Versions, Follower]:
    """A follower without a thread: the test takes its steps."""
    versions = Versions([ModelConfig(name, base)])
    return versions, Follower(versions, name, load, Rules(**{"heals": True, **rules}), 1.0, Failures())


def copy(source: Path, version: Path, *names: str) -> None:
    for name in names:
        (version / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / name, version / name)


class Arrivals(RuleBasedStateMachine):
    """Two models whose folders change at random between two looks."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.models: dict[str, tuple[Versions, Follower]] = {}
        self.notes = 0
        self.served_before: dict[str, bool] = {}
        self.quiet: dict[str, int] = {}

    @initialize()
    def start(self) -> None:
        for name in ("m", "n"):
            (self.folder / name).mkdir()
            self.models[name] = follower(self.folder / name, name)
            self.served_before[name], self.quiet[name] = False, 0

    names = st.sampled_from(["m", "n"])
    numbers = st.integers(1, 3)

    @rule(name=names, version=numbers, file=st.sampled_from(FILES), part=st.sampled_from([1.0, 1.0, 0.5, 0.0]))
    def a_file_comes(self, name: str, version: int, file: str, part: float) -> None:
        content = (WHOLE / file).read_bytes()
        path = self.folder / name / str(version) / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content[: int(len(content) * part)])
        self.quiet[name] = 0

    @rule(name=names, version=numbers, bad=st.booleans())
    def a_version_comes_whole(self, name: str, version: int, bad: bool) -> None:
        aside = self.folder / name / f".writing-{version}"
        shutil.copytree(WHOLE, aside)
        self.write_note(aside, bad)
        shutil.rmtree(self.folder / name / str(version), ignore_errors=True)
        aside.rename(self.folder / name / str(version))
        self.quiet[name] = 0

    @rule(name=names, version=numbers, bad=st.booleans())
    def a_version_gets_other_content(self, name: str, version: int, bad: bool) -> None:
        if (self.folder / name / str(version)).is_dir():
            self.write_note(self.folder / name / str(version), bad)
            self.quiet[name] = 0

    @rule(name=names, version=numbers)
    def a_version_goes(self, name: str, version: int) -> None:
        shutil.rmtree(self.folder / name / str(version), ignore_errors=True)
        self.quiet[name] = 0

    @rule(name=names)
    def strange_things_come(self, name: str) -> None:
        (self.folder / name / "notes.txt").write_text("x")
        (self.folder / name / ".hidden").mkdir(exist_ok=True)

    @rule(name=names)
    def somebody_looks(self, name: str) -> None:
        versions, following = self.models[name]
        had = set(versions.versions(name))
        following.step()
        self.quiet[name] += 1
        gone = had - set(versions.versions(name))
        if gone and self.on_disk(name):
            assert versions.versions(name), "the older one was unloaded before another was there"

    @precondition(lambda self: any(count >= 2 for count in self.quiet.values()))
    @rule()
    def what_is_whole_is_served(self) -> None:
        for name, count in self.quiet.items():
            good = self.good(name)
            if count >= 2 and good:
                served = self.models[name][0].versions(name)
                if max(served) > max(good):  # what has replaced it on disk is not good: it serves on
                    assert max(served) in self.on_disk(name)
                else:
                    assert served[max(good)].note == good[max(good)]

    @invariant()
    def what_is_served_has_answered(self) -> None:
        for name, (versions, _) in self.models.items():
            for servable in versions.versions(name).values():
                assert not servable.closed.is_set()
                assert not servable.note.startswith("bad")

    def write_note(self, version: Path, bad: bool) -> None:
        self.notes += 1
        (version / NOTE).parent.mkdir(exist_ok=True)
        (version / NOTE).write_text(f"{'bad' if bad else 'good'} {self.notes}")

    def on_disk(self, name: str) -> list[int]:
        return [int(child.name) for child in (self.folder / name).iterdir() if child.name.isdecimal()]

    def good(self, name: str) -> dict[int, str]:
        """Versions that are whole and answer, and what they say."""
        found = {}
        for version in self.on_disk(name):
            path = self.folder / name / str(version)
            note = (path / NOTE).read_text() if (path / NOTE).exists() else ""
            if not completeness.missing(path) and not note.startswith("bad"):
                found[version] = note
        return found

    def teardown(self) -> None:
        shutil.rmtree(self.folder)


TestArrivals = Arrivals.TestCase
TestArrivals.settings = settings(
    max_examples=15, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)


@pytest.mark.long
def test_many_more_arrivals():
    from hypothesis.stateful import run_state_machine_as_test

    run_state_machine_as_test(Arrivals, settings=settings(max_examples=300, stateful_step_count=60, deadline=None))


# ---- Single cases


@pytest.mark.parametrize("late", FILES)
def test_a_version_goes_live_when_its_last_file_is_there(tmp_path, late):
    versions, following = follower(tmp_path)
    shutil.copytree(WHOLE, tmp_path / "1")
    following.step()
    following.step()
    copy(WHOLE, tmp_path / "2", *(name for name in FILES if name != late))
    for _ in range(3):
        following.step()
        assert set(versions.versions("m")) == {1}
    status = versions.statuses("m")[0]
    assert (status.version, status.state, status.reason) == (2, State.END, INCOMPLETE)
    assert late.partition("/")[2] in status.error_message or late in status.error_message
    copy(WHOLE, tmp_path / "2", late)
    following.step()
    assert set(versions.versions("m")) == {1}, "its files may still change"
    following.step()
    assert set(versions.versions("m")) == {2}


def test_what_comes_by_a_rename_is_served_at_the_first_look(tmp_path):
    versions, following = follower(tmp_path)
    shutil.copytree(WHOLE, tmp_path / ".writing")
    # The clock of the file system may not have gone on since the last file was written.
    servers.wait_until(lambda: renamed_later(tmp_path), what="a rename after the last write")
    following.step()
    assert set(versions.versions("m")) == {1}


def renamed_later(folder: Path) -> bool:
    (folder / ".writing").rename(folder / "1")
    status = (folder / "1").stat()
    if status.st_ctime_ns > max(status.st_mtime_ns, *(path.stat().st_ctime_ns for path in (folder / "1").rglob("*"))):
        return True
    (folder / "1").rename(folder / ".writing")
    return False


def test_other_content_under_the_same_number_is_a_new_load(tmp_path, caplog):
    caplog.set_level("INFO")
    versions, following = follower(tmp_path)
    shutil.copytree(WHOLE, tmp_path / "1")
    following.step()
    following.step()
    old = versions.versions("m")[1]
    (tmp_path / "1" / "saved_model.pb").touch()
    following.step()
    following.step()
    assert versions.versions("m")[1] is old, "the same content is no other version"
    (tmp_path / "1" / NOTE).parent.mkdir()
    (tmp_path / "1" / NOTE).write_text("bad")
    following.step()
    following.step()
    assert versions.versions("m")[1] is old
    assert not old.closed.is_set()
    assert versions.statuses("m")[0].state is State.AVAILABLE
    assert "what has replaced it on disk: it does not answer" in versions.statuses("m")[0].error_message
    (tmp_path / "1" / NOTE).write_text("good")
    following.step()
    following.step()
    assert versions.versions("m")[1].note == "good"
    assert old.closed.is_set()
    assert versions.statuses("m")[0].error_message == ""
    assert "version 1 of model 'm' was replaced in place" in caplog.text


def test_a_link_that_is_turned_is_other_content(tmp_path):
    versions, following = follower(tmp_path / "models")
    (tmp_path / "models").mkdir()
    for name in ("a", "b"):
        shutil.copytree(WHOLE, tmp_path / name)
        (tmp_path / name / NOTE).parent.mkdir()
        (tmp_path / name / NOTE).write_text(name)
    (tmp_path / "models" / "1").symlink_to(tmp_path / "a")
    following.step()
    following.step()
    assert versions.versions("m")[1].note == "a"
    (tmp_path / "models" / "new").symlink_to(tmp_path / "b")
    (tmp_path / "models" / "new").rename(tmp_path / "models" / "1")
    following.step()
    following.step()
    assert versions.versions("m")[1].note == "b"


def test_the_version_before_is_served_while_the_newest_is_bad_also_after_a_restart(tmp_path):
    shutil.copytree(WHOLE, tmp_path / "1")
    shutil.copytree(WHOLE, tmp_path / "2")
    (tmp_path / "2" / NOTE).parent.mkdir()
    (tmp_path / "2" / NOTE).write_text("bad")
    versions, following = follower(tmp_path)
    following.step()
    following.step()
    assert set(versions.versions("m")) == {1}
    assert (versions.statuses("m")[0].state, versions.statuses("m")[0].reason) == (State.END, BROKEN)
    shutil.rmtree(tmp_path / "2")
    following.step()
    assert [status.version for status in versions.statuses("m")] == [1]


def test_pinned_versions_are_loaded_and_stay_so_whatever_the_policy_says(tmp_path):
    for version in "123":
        shutil.copytree(WHOLE, tmp_path / version)
    versions, following = follower(tmp_path)
    versions.pin({"m": {1, 2, 7}})
    following.step()
    following.step()
    assert set(versions.versions("m")) == {1, 2, 3}, "the newest by the policy, the others by pins, as after a restart"
    first = versions.versions("m")[1]
    shutil.copytree(WHOLE, tmp_path / "4")
    shutil.rmtree(tmp_path / "1")
    following.step()
    following.step()
    assert set(versions.versions("m")) == {1, 2, 4}
    assert versions.versions("m")[1] is first, "what is gone from the disk is still in memory"
    versions.pin({"m": {2}})
    following.step()
    assert set(versions.versions("m")) == {2, 4}
    versions.pin({})
    following.step()
    assert set(versions.versions("m")) == {4}


def test_what_is_pinned_while_another_one_loads_is_not_unloaded_afterwards(tmp_path):
    """A rollback that comes while the version that it takes back is loaded: whoever has pinned what is there relies on it."""

    def load(name: str, version: int, path: Path) -> Answering:
        if version == 2:
            versions.pin({"m": {1}})
            assert 1 in versions.versions("m")
        return Answering(name, version, path)

    shutil.copytree(WHOLE, tmp_path / "1")
    versions, following = follower(tmp_path, load=load)
    following.step()
    shutil.copytree(WHOLE, tmp_path / "2")
    following.step()
    following.step()
    assert set(versions.versions("m")) == {1, 2}
    versions.pin({})
    following.step()
    assert set(versions.versions("m")) == {2}


def test_why_a_pinned_version_does_not_answer_is_told_although_a_newer_one_does(tmp_path):
    for version in "12":
        shutil.copytree(WHOLE, tmp_path / version)
    (tmp_path / "1" / NOTE).parent.mkdir()
    (tmp_path / "1" / NOTE).write_text("bad")
    versions, following = follower(tmp_path)
    versions.pin({"m": {1}})
    following.step()
    following.step()
    assert set(versions.versions("m")) == {2}
    assert (versions.statuses("m")[-1].version, versions.statuses("m")[-1].reason) == (1, BROKEN)


def test_a_version_that_failed_is_tried_again_without_a_change(tmp_path):
    tries = []

    def load(name: str, version: int, path: Path) -> Answering:
        tries.append(version)
        if len(tries) < 3:
            raise InvalidInput("the network drive is away")
        return Answering(name, version, path)

    shutil.copytree(WHOLE, tmp_path / "1")
    versions, following = follower(tmp_path, load=load)
    following.step()
    following.step()
    pauses = []
    while not versions.versions("m"):
        known = following._seen[1]
        pauses.append(known.pause._failures)
        known.due_s = 1e-9  # the pause is over
        following.step()
    assert (len(tries), pauses) == (3, [1, 2])


def test_what_is_stuck_holds_up_no_other_model(tmp_path):
    stuck, go_on = threading.Event(), threading.Event()

    def load(name: str, version: int, path: Path) -> Answering:
        if name == "slow":
            stuck.set()
            assert go_on.wait(60)
        return Answering(name, version, path)

    for name in ("slow", "m"):
        shutil.copytree(WHOLE, tmp_path / name / "1")
    configs = [ModelConfig(name, tmp_path / name) for name in ("slow", "m")]
    repository = Repository(configs, poll_s=0.01, rules=Rules(heals=True), load=load)
    repository.start()
    try:
        assert stuck.wait(30)
        assert repository.wait(lambda r: r.versions("m"), 30)
        old = repository.versions("m")[1]
        old.close = lambda: None  # a call that never ends
        shutil.copytree(WHOLE, tmp_path / "m" / "2")
        assert repository.wait(lambda r: set(r.versions("m")) == {2}, 30)
        shutil.copytree(WHOLE, tmp_path / "m" / "3")
        assert repository.wait(lambda r: set(r.versions("m")) == {3}, 30)
        assert repository.statuses("m")[-1].state is State.UNLOADING
        old.closed.set()
        assert repository.wait(lambda r: r.statuses("m")[-1].state is State.END, 30)
        assert not repository.first_pass.is_set()
    finally:
        go_on.set()
        repository.stop()


def test_many_models_that_fail_at_once_end_nobody(tmp_path):
    configs = []
    for number in range(40):
        shutil.copytree(WHOLE, tmp_path / str(number) / "1")
        (tmp_path / str(number) / "1" / NOTE).parent.mkdir()
        (tmp_path / str(number) / "1" / NOTE).write_text("bad")
        configs.append(ModelConfig(str(number), tmp_path / str(number)))
    for rules in (Rules(), Rules(heals=True)):
        failures = Failures()
        repository = Repository(configs, poll_s=0.01, rules=rules, load=Answering, failures=failures)
        repository.start()
        try:
            assert repository.first_pass.wait(60)
            states = {status.state for config in configs for status in repository.statuses(config.name)}
            assert states == {State.END}
            repository.configure(configs[:1])
            repository.configure(configs)
            assert repository.wait(lambda r: len(r._followed) == 40, 30)
            assert failures.counts()["repository"] == 0
        finally:
            repository.stop()


def test_a_fault_in_a_follower_is_counted_and_it_goes_on(tmp_path):
    failures = Failures()
    shutil.copytree(WHOLE, tmp_path / "1")
    repository = Repository([ModelConfig("m", tmp_path)], rules=Rules(heals=True), load=Answering, failures=failures)
    keep, faults = repository.kept, []

    def kept(name: str) -> set[int]:
        if not faults:
            faults.append(name)
            raise RuntimeError("Set changed size during iteration")
        return keep(name)

    repository.kept = kept
    repository.start()
    try:
        assert repository.first_pass.wait(30)
        assert repository.wait(lambda r: r.versions("m"), 30)
        servers.wait_until(lambda: failures.counts()["repository"] == 1)
    finally:
        repository.stop()
