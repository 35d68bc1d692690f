"""The gate by itself: gateways with real models, whose candidates real processes check."""

import os
import shutil
import signal
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from signet.serving.releases import checks
from signet.serving.releases.checks import Check, Checks, Progress
from signet.serving.releases.gate import apart
from signet.serving.releases.gate.isolation import Version
from signet.serving.releases.release import Stage
from tests.servers import GOLDEN_MODELS, lives, program, wait_until
from tests.serving.gateway.releases.house import House, ask, get, until

wait = partial(wait_until, timeout_s=120.0)  # what checks goes after everything else on the machine


class Checked(House):
    """A house whose version 2 is as good as the first one, and whose version 9 is another model."""

    def add(self, *versions):
        super().add(*(version for version in versions if version != 9))
        if 9 in versions:
            shutil.copytree(GOLDEN_MODELS / "three_out" / "1", self.folder / ".9")
            (self.folder / ".9").rename(self.folder / "m" / "9")

    @property
    def check(self):
        return Checks(self.store).read("m")

    def until(self, progress):
        wait(lambda: (one := self.check) and one.progress is progress, what=f"a check that is {progress}")
        return self.check


def running(parent=None):
    """The processes that check, of this process."""
    return [pid for pid in below(parent or os.getpid()) if b"apart.humble" in command(pid)]


def below(parent):
    """The children of a process, of all its threads."""
    threads = Path(f"/proc/{parent}/task").iterdir()
    return [int(pid) for thread in threads for pid in (thread / "children").read_text().split()]


def command(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def gate(gateway):
    return get(gateway, "/v1/models/m/release")[1]["gate"]


def test_a_candidate_is_checked_and_waits_at_the_gate_for_a_person(tmp_path):
    house = Checked(tmp_path, 1, 2)
    house.write(Stage.GATE, 1, 2)
    with house.started() as gateway, house.started() as other:
        for one in (gateway, other):
            one.gateway.start()
        check = house.until(Progress.PASSED)
        assert (check.candidate, check.stable, check.attempts, check.salt) == (2, 1, 1, "s")
        assert check.report["passed"] is True
        wait(lambda: gate(gateway)["progress"] == gate(other)["progress"] == "passed", what="what both know")
        assert gate(gateway)["by"] in (gateway.gateway.releases.name, other.gateway.releases.name)
        assert house.store.read("m").stage is Stage.GATE
        wait((house.folder / "m" / checks.PAGE).exists, what="the page")
        metrics = gateway.ask("GET", b"/metrics").body.decode()
        assert 'signet_release_check{model="m",progress="passed"} 1.0' in metrics
        assert Checks(house.store).of_release(house.store.read("m")) == check
        assert ask(gateway) == 1
        # A version that appears beside an open release is not looked at; after it, it is.
        house.write(Stage.DONE, 1)
        house.add(9)
        until(gateway, {1, 9})
        wait(lambda: (one := house.check) and (one.candidate, one.progress) == (9, "refused"), what="9")
        assert house.store.read("m").stage is Stage.DONE


def test_a_refused_candidate_is_rolled_back_with_the_reason(tmp_path):
    house = Checked(tmp_path, 1, 9)
    house.write(Stage.GATE, 1, 9)
    with house.started() as gateway:
        gateway.gateway.start()
        wait(lambda: house.store.read("m").stage is Stage.ROLLED_BACK, what="the rollback")
        there = house.store.read("m")
        assert there.by == "signet"
        assert there.reason.startswith("the gate: signature: signature 'serve': input 'a' is gone (and ")
        wait(lambda: gate(gateway)["progress"] == "refused", what="what it knows")
        assert ("signature", "refused", True) in [
            (one["check"], one["level"], "input 'a' is gone" in one["text"]) for one in gate(gateway)["findings"]
        ]


def test_what_a_person_forced_past_the_gate_is_left_alone(tmp_path):
    house = Checked(tmp_path, 1, 9)
    release = house.write(Stage.GATE, 1, 9)
    house.write(Stage.SHADOW, 1, 9, shadow=1.0)
    assert house.store.lower(release, by="signet", reason="late", stages={Stage.GATE}).stage is Stage.SHADOW


def test_a_claim_of_one_that_is_gone_ends_and_three_are_enough(tmp_path):
    house = Checked(tmp_path, 1, 2)
    house.write(Stage.GATE, 1, 2)
    folder = house.folder / "m"
    stamp = checks.stamp(folder / "1", folder / "2")
    claim = Check(2, 1, stamp, Progress.CHECKING, 2, "s", by="gone", until=time.time() + 100)
    assert Checks(house.store).replace("m", claim, None)
    with house.started() as gateway:
        gateway.gateway.start()
        wait(lambda: gate(gateway)["by"] == "gone", what="the claim")
        over = replace(claim, until=time.time() - 1)
        assert Checks(house.store).replace("m", over, claim)
        check = house.until(Progress.PASSED)
        assert (check.attempts, check.by) == (3, gateway.gateway.releases.name)
        hopeless = replace(claim, progress=Progress.UNFINISHED, attempts=3, until=0.0, reason="it was killed")
        assert Checks(house.store).replace("m", hopeless, check)
        wait(lambda: gate(gateway)["progress"] == "unfinished", what="what it knows")
        assert not running()
        (folder / "2" / "assets.extra").mkdir(exist_ok=True)
        (folder / "2" / "assets.extra" / "note").write_text("other files are checked anew")
        wait(
            lambda: (one := house.check) and one.progress is Progress.PASSED and one.stamp != stamp, what="other files"
        )


def test_a_killed_check_is_tried_again_and_one_of_a_stopped_server_is_left_to_others(tmp_path):
    house = Checked(tmp_path, 1, 2)
    house.write(Stage.GATE, 1, 2)
    with house.started() as gateway:
        gateway.gateway.start()
        wait(running, what="a check")
        os.kill(running()[0], signal.SIGKILL)
        wait(lambda: house.check.attempts == 2 and running(), what="the second one")
        (pid,) = running()
        wait(lambda: os.getpriority(os.PRIO_PROCESS, pid) == 19, what="its priority")
    assert not running()
    check = house.check
    assert (check.progress, check.attempts) == (Progress.UNFINISHED, 1)
    assert "the server that checked it was stopped" in check.described()
    assert house.store.read("m").stage is Stage.GATE


def test_where_it_is_turned_off_others_results_are_followed(tmp_path):
    house = Checked(tmp_path, 1, 2)
    house.write(Stage.GATE, 1, 2)
    with house.started(release_check=False) as gateway:
        gateway.gateway.start()
        assert gate(gateway)["progress"] == "none"
        assert "SIGNET_RELEASE_CHECK" in gate(gateway)["reason"]
        folder = house.folder / "m"
        refused = Check(
            2, 1, checks.stamp(folder / "1", folder / "2"), Progress.REFUSED, 1, reason="classes: output 'y'"
        )
        assert Checks(house.store).replace("m", refused, None)
        wait(lambda: house.store.read("m").stage is Stage.ROLLED_BACK, what="the rollback")
        assert house.store.read("m").reason == "the gate: classes: output 'y'"


def test_one_that_takes_too_long_is_ended(tmp_path):
    house = Checked(tmp_path, 1, 2)
    versions = [Version("m", number, house.folder / "m" / str(number)) for number in (2, 1)]
    slow = apart.Apart(*versions, longest_s=0.0)
    try:
        assert not slow.running
        with pytest.raises(apart.Unfinished, match="it took longer than 0 s, and was ended"):
            slow.result()
    finally:
        slow.end()


@pytest.mark.long
def test_kill_9_of_a_server_ends_the_check_and_leaves_the_release_where_it_is(tmp_path):
    house = Checked(tmp_path, 1, 2)
    house.write(Stage.GATE, 1, 2)
    with program("serve", "--models-dir", house.folder, "--http-port", "0", "--grpc-port", "0") as server:
        parent = server.process.pid
        wait(lambda: running(parent), what="a check")
        (check,) = running(parent)
        wait(lambda: below(check), what="the version's process")
        begun = [check, *below(check)]
        os.kill(parent, signal.SIGKILL)
        server.process.wait()
    wait(lambda: not any(map(lives, begun)), what="the end of all that checks")
    assert house.store.read("m").stage is Stage.GATE
    claim = house.check
    assert (claim.progress, claim.attempts) == (Progress.CHECKING, 1)
    assert claim.free(claim.until)
    assert not claim.free(claim.until - 1)
