"""A candidate that does badly is stopped by each process for itself, at once, and rolled back for all."""

import pytest

from signet.serving.errors import DeadlineExceeded, FailedPrecondition, Internal, InvalidInput, Overloaded
from signet.serving.gateway.releases.brake import Brake
from signet.serving.process.supervision import Failures
from signet.serving.releases.release import Release, Stage
from tests.servers import wait_until
from tests.serving.gateway.releases.house import House, ask, sent


def breaks(gateway, error, version=2):
    """From now on calls of that version fail."""
    backend = gateway.gateway.backend
    run = backend.run

    def failing(lease, *arguments, **how):
        if lease.version == version:
            raise error
        return run(lease, *arguments, **how)

    backend.run = failing


def evidence(gateway):
    return gateway.gateway.releases.brake.trials["m"].evidence.steps[-1]


def test_a_candidate_that_fails_is_stopped_here_at_once_and_everywhere_soon(tmp_path):
    house = House(tmp_path, 1, 2)
    house.write(Stage.CANARY, 1, 2, 0.5, replicas=2)
    with house.started() as one, house.started() as other:
        breaks(one, Internal("told to"))
        statuses = [sent(one, x_signet_key=str(number)).status for number in range(200)]
        failed = statuses.count(500)
        assert 0 < failed < 40
        assert statuses[-100:] == [200] * 100, "nothing was written yet: this process has stopped by itself"
        assert house.store.read("m").stage is Stage.CANARY
        assert {ask(other, x_signet_key=str(number)) for number in range(20)} == {1, 2}
        one.gateway.start()
        wait_until(lambda: house.store.read("m").stage is Stage.ROLLED_BACK, what="the rollback")
        there = house.store.read("m")
        assert (there.by, there.stable, there.candidate) == ("signet", 1, 2)
        assert there.reason.startswith(f"errors: {failed} of {failed} requests of the candidate's")
        other.gateway.start()
        wait_until(lambda: {ask(other, x_signet_key=str(number)) for number in range(20)} == {1}, what="the others")


def test_what_callers_do_wrong_or_ask_for_by_name_is_not_held_against_it(tmp_path):
    house = House(tmp_path, 1, 2)
    house.write(Stage.CANARY, 1, 2, 0.5)
    with house.started() as gateway:
        for number in range(50):
            assert sent(gateway, body=b'{"instances": 1}', x_signet_key=str(number)).status == 400
        counted = evidence(gateway)
        assert counted.stable.requests + counted.candidate.requests == 50
        assert counted.stable.errors == counted.candidate.errors == 0
        breaks(gateway, Internal("told to"))
        for number in range(50):
            assert sent(gateway, "/versions/2", x_signet_key=str(number)).status == 500
            assert sent(gateway, x_signet_release="candidate").status == 500
        assert evidence(gateway).candidate.errors == 0
        assert evidence(gateway).candidate.requests == counted.candidate.requests


@pytest.mark.parametrize(
    "error", [InvalidInput("indices[0] = 12 is not in [0, 12)"), FailedPrecondition("Table not initialized.")]
)
def test_what_the_graph_calls_its_caller_s_fault_is_held_against_the_version_that_says_so(tmp_path, error):
    house = House(tmp_path, 1, 2)
    house.write(Stage.CANARY, 1, 2, 0.5)
    with house.started() as gateway:
        breaks(gateway, error)
        statuses = [sent(gateway, x_signet_key=str(number)).status for number in range(100)]
        assert statuses[-30:] == [200] * 30
        assert 0 < statuses.count(error.http_status) < 40
        assert gateway.gateway.releases.routing.stopped("m")


def test_a_call_for_which_there_was_no_room_is_held_against_nobody(tmp_path):
    house = House(tmp_path, 1, 2)
    house.write(Stage.CANARY, 1, 2, 1.0 - 2**-20)
    with house.started() as gateway:
        breaks(gateway, Overloaded("told to"))
        assert sent(gateway).status == 429
        assert (evidence(gateway).candidate.requests, evidence(gateway).candidate.errors) == (1, 0)


def test_a_deadline_that_the_caller_sets_is_its_own(tmp_path):
    house = House(tmp_path, 1, 2)
    house.write(Stage.CANARY, 1, 2, 1.0 - 2**-20)
    with house.started() as gateway:
        breaks(gateway, DeadlineExceeded("told to"))
        assert sent(gateway, x_request_timeout="20").status == 504
        assert evidence(gateway).candidate.errors == 0
        assert sent(gateway).status == 504
        assert evidence(gateway).candidate.errors == 1


def test_a_fault_of_the_brake_reaches_no_request(tmp_path, caplog):
    house = House(tmp_path, 1, 2)
    house.write(Stage.CANARY, 1, 2, 0.5)
    with house.started() as gateway:
        gateway.gateway.releases.brake.trials["m"].observe = lambda *_, **__: 1 / 0
        assert ask(gateway) in (1, 2)
    assert "what the candidate of 'm' does is not counted" in caplog.text


def test_limits_that_cannot_be_used_are_told_and_the_usual_ones_hold(caplog):
    brake = Brake(lambda *_: None, lambda *_: None, Failures())
    brake.follow({"m": Release("m", 1, 1, 2, Stage.CANARY, 0.5, salt="s", limits={"nonsense": 1})})
    assert brake.trials["m"].policy.alpha == 0.001
    assert "is judged by the usual limits: limits has 'nonsense'" in caplog.text


def test_without_a_candidate_nobody_counts(tmp_path):
    house = House(tmp_path, 1, 2)
    with house.started() as gateway:
        inference = gateway.gateway.inference
        assert (inference.routes, inference.judged) == (None, None)
        house.write()
        gateway.gateway.start()
        wait_until(lambda: inference.routes is not None, what="the release")
        assert inference.judged is None
        house.write(Stage.CANARY, 1, 2, 0.5)
        wait_until(lambda: inference.judged is not None, what="the candidate")
        house.write(Stage.ROLLED_BACK, 1, 2)
        wait_until(lambda: inference.judged is None, what="the rollback")
