"""Files of releases come, change, break and go: what is in force afterwards, and which versions are kept."""

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signet.serving.gateway.releases.following import Following, Place
from signet.serving.gateway.releases.routing import Routing
from signet.serving.process.supervision import RELEASES, Failures
from signet.serving.releases.release import Release, Stage, dumps
from signet.serving.releases.store import FILE, HISTORY, ReleaseStore

CANARY = Release("m", 1, 1, 2, Stage.CANARY, 1.0, salt="s")


class Asked:
    routed = None

    def affinity(self):
        return "r-1", None


class House:
    """A folder with a model, and what follows it; the test takes its steps."""

    def __init__(self, folder, there=(1, 2, 3)):
        (folder / "m").mkdir()
        self.folder, self.there, self.pins, self.changes = folder, set(there), {}, 0
        self.store, self.failures = ReleaseStore(folder), Failures()
        self.poll_s, self.models, self.reads = 1.0, ["m"], []
        self.begin()

    def begin(self):
        self.routing = Routing(lambda model, version: version in self.there)
        self.following = Following(
            self.routing,
            lambda: self.models,
            self.place,
            lambda pins: setattr(self, "pins", {model: set(versions) for model, versions in pins.items()}),
            self.poll_s,
            self.failures,
            lambda: setattr(self, "changes", self.changes + 1),
        )

    def place(self, model):
        self.reads.append(model)
        return Place(self.store, model, self.folder / model)

    def write(self, release):
        there = self.store.read("m")
        return self.store.write(release, there.generation if there else 0)

    def answers(self):
        self.following.look()
        return self.routing.version("m", Asked())


@pytest.fixture
def house(tmp_path):
    return House(tmp_path)


def test_a_release_is_in_force_as_soon_as_it_is_seen_and_while_it_is_there(house):
    assert house.answers() is None
    house.write(CANARY)
    assert house.answers() == 2
    assert house.pins == {"m": {1, 2}}
    house.write(Release("m", 1, 2))
    assert house.answers() == 2
    assert house.pins == {"m": {2}}
    changes = house.changes
    house.answers()
    assert house.changes == changes == 2
    (house.folder / "m" / FILE).unlink()
    assert house.answers() is None
    assert house.pins == {}


@pytest.mark.parametrize("content", [b"", b"{", b"[]", dumps(CANARY).replace(b"canary", b"x"), b"x" * 99999])
def test_a_file_that_breaks_changes_nothing(house, content, caplog):
    house.write(CANARY)
    assert house.answers() == 2
    (house.folder / "m" / FILE).write_bytes(content)
    for _ in range(3):
        assert house.answers() == 2
    assert len([line for line in caplog.records if line.levelname == "ERROR"]) == 1, "told once"
    assert house.failures.counts()[RELEASES] == 3, "counted each time: the alert is about those that last"
    house.begin()
    assert house.answers() == 2, "a new process reads the history"
    (house.folder / "m" / HISTORY).unlink()
    house.begin()
    house.following.look()
    assert "nobody knows" in house.routing.problems()[0]


def test_a_model_that_had_no_release_has_none_while_its_file_cannot_be_read(house):
    """A store that does not answer for a while turns nobody away."""
    assert house.answers() is None
    (house.folder / "m" / FILE).mkdir()
    assert house.answers() is None
    assert house.failures.counts()[RELEASES] == 1
    house.begin()
    house.following.look()
    assert house.routing.missing("m"), "a new process cannot know"


def test_a_model_whose_versions_lie_elsewhere_needs_no_folder_here(house):
    def served(elsewhere):
        place = Place(house.store, "n", house.folder / "n", elsewhere)
        routing = Routing(lambda model, version: True)
        following = Following(routing, lambda: ["n"], lambda _: place, lambda _: None, 1.0, house.failures)
        following.look()
        return routing.missing("n") is None

    assert served(elsewhere=True)
    assert not served(elsewhere=False)


def test_files_of_candidates_that_see_requests_are_read_each_second_and_others_at_their_time(house):
    house.poll_s, house.models = 30.0, ["m", "n"]
    (house.folder / "n").mkdir()
    house.begin()
    house.write(replace(CANARY, stage=Stage.GATE, share=0.0))
    assert house.following.step() == 30
    house.write(CANARY)
    house.following.step()
    assert house.routing.plans["m"].release.stage is Stage.GATE, (
        "it is not due, and nobody has said that it is another one"
    )
    house.following.wake()
    assert house.following.step() == 1
    house.reads.clear()
    assert house.following.step() == 1
    assert house.reads == ["m"]
    house.store.lower(CANARY, by="another replica", reason="it fails")
    assert house.following.step() == 30
    assert house.routing.version("m", Asked()) == 1


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("look"), st.none()),
            st.tuples(st.just("write"), st.integers(1, 3)),
            st.tuples(st.just("remove"), st.none()),
            st.tuples(st.just("come"), st.integers(1, 4)),
        ),
        max_size=12,
    )
)
def test_a_version_that_comes_answers_only_as_the_file_says_then(events):
    """Whatever was written, and whenever the last look was: a request never gets a newcomer that a release does not name."""
    with tempfile.TemporaryDirectory() as folder:
        house = House(Path(folder), there=())
        written = None
        for event, number in events:
            if event == "look":
                house.following.look()
            elif event == "write":
                written = house.write(Release("m", 1, number)).stable
            elif event == "remove":
                (house.folder / "m" / FILE).unlink(missing_ok=True)
                written = None
            elif number not in house.there:
                house.following.appears("m")
                house.there.add(number)
                answers = house.routing.version("m", Asked())
                assert answers == written or answers in house.there - {number} or (answers is None and written is None)


def test_a_volume_that_is_away_changes_nothing(house):
    house.write(CANARY)
    assert house.answers() == 2
    (house.folder / "m").rename(house.folder / "away")
    assert house.answers() == 2
    (house.folder / "m").mkdir()
    assert house.answers() is None, "the folder is there, without a release"
    shutil.rmtree(house.folder / "away")


def test_the_version_before_answers_until_the_new_stable_one_is_loaded(house):
    house.write(Release("m", 1, 3))
    assert house.answers() == 3
    house.there.discard(2)
    house.write(Release("m", 1, 2))
    for _ in range(2):
        assert house.answers() == 3
        assert house.pins == {"m": {2, 3}}
    house.there.add(2)
    assert house.answers() == 2
    assert house.pins == {"m": {2}}


def test_what_a_release_names_is_pinned_before_anybody_is_sent_there_and_what_it_named_until_nobody_is(house):
    house.write(Release("m", 1, 3))
    house.answers()
    order = []
    pin = house.following._pin
    house.following._pin = lambda pins: (order.append((set(pins["m"]), house.routing.plans["m"].stable)), pin(pins))
    house.write(replace(CANARY, stable=2, candidate=1))
    house.following.look()
    assert order == [({1, 2, 3}, 3), ({1, 2}, 2)]


def test_a_rollback_is_written_although_the_file_cannot_be_at_first(house, caplog):
    house.write(CANARY)
    house.answers()
    lock = house.folder / "m" / FILE
    lock.write_bytes(b"{")
    house.following.lower("m", CANARY, "it fails")
    house.following.step()
    assert "cannot be rolled back for all yet" in caplog.text
    lock.write_bytes(dumps(CANARY))
    house.following.step()
    there = house.store.read("m")
    assert (there.stage, there.by, there.reason) == (Stage.ROLLED_BACK, "signet", "it fails")
    assert house.routing.version("m", Asked()) == 1
    assert house.pins == {"m": {1}}


def test_a_bug_loses_no_rollback_and_keeps_no_file_from_being_read(house, caplog, monkeypatch):
    house.write(CANARY)
    house.answers()
    with monkeypatch.context() as patched:
        patched.setattr(house.store, "lower", mock.Mock(side_effect=ValueError("a bug")))
        house.following.lower("m", CANARY, "it fails")
        house.reads.clear()
        house.following.step()
    assert "a bug" in caplog.text
    assert house.reads == ["m", "m"], "once to lower, once to look"
    house.following.step()
    assert house.store.read("m").stage is Stage.ROLLED_BACK


def test_a_rollback_of_what_a_person_has_replaced_is_none(house):
    house.write(CANARY)
    house.answers()
    again = house.write(replace(CANARY, salt="t"))
    house.following.lower("m", CANARY, "it fails")
    house.following.step()
    assert house.store.read("m") == again
