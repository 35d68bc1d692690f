"""Whatever happens to files, versions, volumes and clocks: nobody gets a version that was not released, or that was stopped."""

import math
import shutil
import tempfile
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from signet.serving.errors import Unavailable, UsageError
from signet.serving.gateway.releases.following import Following, Place
from signet.serving.gateway.releases.routing import Routing
from signet.serving.gateway.releases.trial import Trial
from signet.serving.process.supervision import Failures
from signet.serving.releases import release as releases
from signet.serving.releases import replica, steps
from signet.serving.releases.judge import Decision, Evidence, Policy
from signet.serving.releases.release import Release, Stage
from signet.serving.releases.replica import Replica
from signet.serving.releases.store import FILE, HISTORY, ReleaseStore

MODELS = ("a", "b")
NEWEST = 4
"""A version that is there, and nobody's release."""
KEYS = [f"user-{number}" for number in range(8)]
UNKNOWN = "unknown"

some_model = st.sampled_from(MODELS)


class Asked:
    """A request with a key."""

    request_id = "r-1"

    def __init__(self, key: str) -> None:
        self._key = key

    def affinity(self) -> tuple[str | None, str | None]:
        return self._key, None


class Seams(RuleBasedStateMachine):
    """A process that follows two models. What the test knows of the files it keeps apart from what the process knows."""

    @initialize()
    def begin(self) -> None:
        self.top = Path(tempfile.mkdtemp(prefix="signet-seams-"))
        for model in MODELS:
            (self.top / model).mkdir()
        self.store = ReleaseStore(self.top)
        self.there = {model: {1, 2, 3, NEWEST} for model in MODELS}
        self.salts = count()
        self.away: set[str] = set()
        self.blocked: set[str] = set()
        self.start()

    def start(self) -> None:
        """A new process, which knows nothing but the files."""
        self.pins: dict[str, set[int]] = {}
        self.known: dict[str, Release | str | None] = dict.fromkeys(MODELS)
        self.without: set[str] = set()
        """Models that had no release when this process could look last."""
        self.stable_before: dict[str, int | None] = dict.fromkeys(MODELS)
        self.stopped: dict[str, Release] = {}
        self.unwritten: set[str] = set()
        """Models whose release is to be rolled back, unless somebody puts an older file there."""
        self.routing = Routing(lambda model, version: version in self.there[model])
        self.following = Following(
            self.routing,
            lambda: MODELS,
            lambda model: Place(self.store, model, self.top / model),
            lambda pins: setattr(self, "pins", {model: set(versions) for model, versions in pins.items()}),
            1.0,
            Failures(),
        )
        self.look()

    def teardown(self) -> None:
        if hasattr(self, "top"):
            shutil.rmtree(self.top)

    def salted(self, release: Release) -> Release:
        """By no chance but the test's."""
        return replace(release, salt=f"salt-{next(self.salts)}")

    # What people do

    @rule(
        model=some_model,
        what=st.sampled_from(["keep", "start", "promote", "done", "roll_back"]),
        candidate=st.integers(1, 3),
    )
    def act(self, model: str, what: str, candidate: int) -> None:
        said = {"by": "ana", "reason": ""}
        try:
            there = self.store.latest(model)
            if what == "keep":
                new = steps.keep(there, model, 1, **said)
            elif what == "start":
                new = self.salted(steps.start(there, model, candidate, there.stable if there else 1, **said))
            elif there is None:
                return
            elif what == "roll_back":
                new = steps.roll_back(there, self.store.history(model), **said)
            else:
                new = steps.promote(there, stage=Stage.DONE if what == "done" else None, **said)
            assert self.store.write(new, there.generation if there else 0) == self.store.history(model)[-1]
        except UsageError:
            return

    @rule(model=some_model, share=st.sampled_from([0.05, 0.5, 1.0, None]))
    def released(self, model: str, share: float | None) -> None:
        """All at once, to a share or to all, and seen."""
        try:
            there = self.store.latest(model)
            if there is None or not there.open:
                stable = there.stable if there else 1
                new = self.salted(steps.start(there, model, stable % 3 + 1, stable, by="ana", reason=""))
                there = self.store.write(new, there.generation if there else 0)
            stage = Stage.CANARY if share else Stage.DONE
            self.store.write(steps.promote(there, by="ana", reason="", stage=stage, share=share), there.generation)
        except UsageError:
            return
        self.look()

    # What happens to files

    @precondition(lambda self: not self.blocked)
    @rule(model=some_model, kept=st.floats(0, 0.999))
    def half_written(self, model: str, kept: float) -> None:
        """By somebody who writes into the file itself."""
        if (self.top / model / FILE).exists():
            content = (self.top / model / FILE).read_bytes()
            (self.top / model / FILE).write_bytes(content[: int(kept * len(content.rstrip()))])

    @precondition(lambda self: not self.blocked)
    @rule(model=some_model, number=st.integers(0, 20))
    def generation_goes_back(self, model: str, number: int) -> None:
        """Somebody puts an older file there."""
        if (self.top / model / HISTORY).exists():
            lines = (self.top / model / HISTORY).read_bytes().splitlines()
            (self.top / model / FILE).write_bytes(lines[number % len(lines)])
            self.unwritten.discard(model)

    @precondition(lambda self: not self.blocked)
    @rule(model=some_model)
    def removed(self, model: str) -> None:
        if model not in self.away:
            (self.top / model / FILE).unlink(missing_ok=True)

    @rule(model=some_model)
    def out_of_reach(self, model: str) -> None:
        """Neither read nor written, for a while."""
        if model in self.blocked | self.away or not (self.top / model / FILE).is_file():
            return
        (self.top / model / FILE).rename(self.top / f"{model}.kept")
        (self.top / model / FILE).mkdir()
        self.blocked.add(model)

    @precondition(lambda self: self.blocked)
    @rule()
    def within_reach(self) -> None:
        for model in self.blocked:
            (self.top / model / FILE).rmdir()
            (self.top / f"{model}.kept").rename(self.top / model / FILE)
        self.blocked = set()

    @rule(model=some_model)
    def volume_away(self, model: str) -> None:
        if model not in self.away | self.blocked:
            (self.top / model).rename(self.top / f"{model}.away")
            self.away.add(model)

    @precondition(lambda self: self.away)
    @rule()
    def volumes_back(self) -> None:
        for model in self.away:
            (self.top / f"{model}.away").rename(self.top / model)
        self.away = set()

    # What happens to versions and to the process

    @rule(model=some_model, version=st.sampled_from([1, 2, 3]))
    def version_gone(self, model: str, version: int) -> None:
        self.there[model].discard(version)

    @rule(model=some_model)
    def versions_back(self, model: str) -> None:
        self.there[model] = {1, 2, 3, NEWEST}

    @rule()
    def restarted(self) -> None:
        self.start()

    @rule(model=some_model)
    def alarm(self, model: str) -> None:
        """What the brake does."""
        plan = self.routing.plans.get(model)
        if plan is not None and plan.release.open:
            self.routing.stop(model, plan.release)
            self.following.lower(model, plan.release, "it fails")
            self.stopped[model] = plan.release
            self.unwritten.add(model)

    @rule()
    def look(self) -> None:
        """A look, and what must come of it."""
        for model in MODELS:
            plan = self.routing.plans.get(model)
            self.stable_before[model] = plan.stable if plan else None
        self.following.step()
        for model in MODELS:
            self.known[model] = self.expected(model)
            release, stopped = self.known[model], self.stopped.get(model)
            if stopped and not (isinstance(release, Release) and is_of(release, stopped)):
                del self.stopped[model]
            if model in self.unwritten and stopped and isinstance(release, Release) and self.readable(model):
                assert not (is_of(release, stopped) and release.open), "it is written as soon as it can be"
            there, before = self.there[model], self.stable_before[model]
            if isinstance(release, Release) and release.stable not in there and before in there:
                got = {self.routing.version(model, Asked(key)) for key in KEYS}
                assert got <= {before, release.candidate}, "nobody is turned away until the new one is there"

    def readable(self, model: str) -> bool:
        try:
            return self.store.read(model) is not None
        except UsageError:
            return False

    def expected(self, model: str) -> Release | str | None:
        """What is in force, by the files alone and what was in force before."""
        before = self.known[model]
        file = self.top / model / FILE
        if (self.top / model).is_dir() and not file.exists():
            self.without.add(model)
            return None
        try:
            found = releases.parse(file.read_bytes())
        except (OSError, UsageError):
            if isinstance(before, Release):
                return before
            if model in self.without:
                return None
        else:
            self.without.discard(model)
            return found
        try:
            return releases.parse((self.top / model / HISTORY).read_bytes().splitlines()[-1])
        except OSError:
            return UNKNOWN

    @invariant()
    def nobody_gets_what_was_not_released(self) -> None:
        for model in MODELS:
            release = self.known[model]
            for key in KEYS:
                try:
                    version = self.routing.version(model, Asked(key))
                except Unavailable:
                    assert release == UNKNOWN
                    continue
                if release is None:
                    assert version is None
                    continue
                assert isinstance(release, Release), "it was known to nobody"
                self.check(model, release, key, version)

    def check(self, model: str, release: Release, key: str, version: int | None) -> None:
        assert version != NEWEST
        stopped = self.stopped.get(model)
        if version == release.stable:
            return
        if version == release.candidate and releases.route(release, key) == version and version in self.there[model]:
            assert not (stopped and is_of(release, stopped)), "it was stopped here"
            return
        assert version == self.stable_before[model], "the one before, until the new stable one is there"

    @invariant()
    def what_a_release_names_stays_loaded(self) -> None:
        for model, release in self.known.items():
            if isinstance(release, Release):
                named = {release.stable, release.candidate if release.open else release.stable}
                assert named <= self.pins[model]


def is_of(release: Release, other: Release) -> bool:
    """Whether both are of the same trial."""
    return (release.salt, release.candidate) == (other.salt, other.candidate)


Seams.TestCase.settings = settings(max_examples=30, stateful_step_count=30, deadline=None)
TestSeams = Seams.TestCase


class ManySeams(Seams):
    """The same, for longer."""


ManySeams.TestCase.settings = settings(max_examples=1000, stateful_step_count=50, deadline=None)
TestManySeams = pytest.mark.timeout(1800)(pytest.mark.long(ManySeams.TestCase))


# A file that is replaced while it is read

CANARY = Release("m", 1, 1, 2, Stage.CANARY, 0.5, salt="s", reason="x" * 900)


def test_a_file_that_is_replaced_while_it_is_read_is_one_whole_generation(tmp_path):
    (tmp_path / "m").mkdir()
    store = ReleaseStore(tmp_path)
    store.write(CANARY, 0)
    seen: list[int] = []
    ended = threading.Event()

    def read() -> None:
        mine = ReleaseStore(tmp_path)
        while not ended.is_set():
            release = mine.read("m")
            assert release is not None
            assert release.reason == CANARY.reason
            seen.append(release.generation)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for generation in range(1, 60):
            store.write(CANARY, generation)
        last = len(seen)
        while len(seen) == last and reader.is_alive():
            ended.wait(0.001)
    finally:
        ended.set()
        reader.join()
    assert seen == sorted(seen)
    assert seen[-1] == 60


# Clocks


@given(st.datetimes(timezones=st.none() | st.timezones() | st.just(UTC)), st.datetimes(timezones=st.just(UTC)))
def test_a_clock_that_jumps_makes_no_candidate_good_that_too_few_have_seen(at, now):
    release = replace(CANARY, at=at.isoformat()[:40])
    one = Replica("r", release, frozenset({1, 2}), evidence=Evidence())
    one.evidence.begin(0.5).candidate.requests = Policy().minimum_requests - 1
    assert replica.verdict(release, [one], now).decision is not Decision.GOOD
    assert "not enough is seen yet" in (replica.objection(release, [one], now) or "")


@given(
    st.text("0123456789-+:TZ. x", max_size=40)
    | st.from_regex(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d)", fullmatch=True)
)
def test_a_moment_that_is_none_has_not_passed(at):
    release = replace(CANARY, at=at[:40])
    now = datetime(2027, 1, 1, tzinfo=UTC)
    assert 0 <= replica._since_s(release.at, now) < math.inf


def test_a_release_of_the_future_has_not_baked():
    ahead = replace(CANARY, at=(datetime.now(UTC) + timedelta(days=400)).isoformat()[:19] + "Z")
    one = Replica("r", ahead, frozenset({1, 2}), evidence=Evidence())
    one.evidence.begin(0.5).candidate.requests = 10**6
    assert replica.objection(ahead, [one]) == (
        "version 2 is not known to be good: not enough is seen yet: 0 of 3600 s in this step"
    )


@given(st.lists(st.tuples(st.floats(-1e9, 1e9), st.booleans(), st.booleans()), min_size=1, max_size=60))
def test_steps_of_the_clock_lose_no_request_and_accuse_nobody(events):
    """Both versions fail alike, while the clock of this process jumps back and forth."""
    now = [0.0]
    trial = Trial(CANARY, Policy(replicas=1), lambda: now[0])
    number = count()
    for jump, candidate, failed in events:
        now[0] += jump
        for version in ("2", "1") if candidate else ("1", "2"):
            assert trial.observe(version, f"key {next(number)}", 0.001, failed=failed) is None
    whole = trial.evidence.at(0.5)
    assert whole.stable.requests == whole.candidate.requests == len(events)
    assert whole.stable.errors == whole.candidate.errors == sum(failed for _, _, failed in events)
