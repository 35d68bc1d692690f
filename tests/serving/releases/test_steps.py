"""What people do to a release, as a table, and what no sequence of steps can do."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signet.serving.errors import UsageError
from signet.serving.releases import steps
from signet.serving.releases.release import Release, Stage, route

SAID = {"by": "ana", "reason": "because"}
GATE = steps.start(None, "digits", 2, 1, **SAID)


def walk(*stages: dict) -> Release:
    release = GATE
    for said in stages:
        release = steps.promote(release, **SAID, **said)
    return release


def test_a_release_goes_step_by_step():
    release, seen = GATE, []
    while release.open:
        seen.append((release.stage.value, release.share, release.shadow))
        release = steps.promote(release, **SAID)
    assert seen == [("gate", 0, 0), ("shadow", 0, 1), ("canary", 0.05, 1), ("canary", 0.5, 1)]
    assert (release.stage, release.stable, release.candidate, release.share) == (Stage.DONE, 2, None, 0)


def test_people_can_say_the_step():
    release = walk({"share": 0.2})
    assert (release.stage, release.share, release.shadow) == (Stage.CANARY, 0.2, 0)
    assert steps.promote(release, **SAID).share == 0.5
    assert steps.promote(release, **SAID, stage=Stage.DONE).stable == 2
    assert steps.promote(release, **SAID, shadow=0.3).shadow == 0.3
    less = steps.promote(release, **SAID, share=0.1)
    assert (less.share, steps.raises(release, less)) == (0.1, False)
    assert walk({"stage": Stage.SHADOW, "shadow": 0.5}).shadow == 0.5


def test_who_is_in_the_share_stays_the_same_while_it_grows_and_not_in_the_next_release():
    small, large = walk({"share": 0.2}), walk({"share": 0.2}, {"share": 0.6})
    keys = [str(i) for i in range(200)]
    assert {key for key in keys if route(small, key) == 2} < {key for key in keys if route(large, key) == 2}
    again = steps.start(steps.roll_back(large, [], **SAID), "digits", 2, 1, **SAID)
    assert again.salt != large.salt


@pytest.mark.parametrize(
    ("there", "said", "problem"),
    [
        (GATE, {"stage": Stage.GATE}, "gate, with version 2 after 1: it is there already"),
        (GATE, {"stage": Stage.ROLLED_BACK}, "rolled_back is no step from there"),
        (walk({}), {"stage": Stage.GATE}, "gate is no step from there; roll it back, and start it again"),
        (walk({}), {"stage": Stage.SHADOW}, "it is there already"),
        (walk({}, {}), {"share": 0.05}, "it is there already"),
        (walk({}, {}), {"share": 0.0}, "a share of 0 is no canary's"),
        (
            walk({}),
            {"stage": Stage.SHADOW, "share": 0.1},
            "a share of 0.1 is that of a canary; the stage would be shadow",
        ),
        (walk({}, {}, {}, {}), {}, "at done, with version 2: there is nothing to promote"),
        (walk({}), {"share": 1.5}, "share is 1.5; expected a number from 0 to 1"),
    ],
)
def test_what_is_no_step_is_refused(there, said, problem):
    with pytest.raises(UsageError, match=problem):
        steps.promote(there, **SAID, **said)


@pytest.mark.parametrize(
    ("there", "candidate", "stable", "problem"),
    [
        (GATE, 3, 1, "at gate, with version 2 after 1: promote it or roll it back before another one is started"),
        (walk({}, {}, {}, {}), 2, 2, "version 2 of 'digits' is the stable one already"),
        (walk({}, {}, {}, {}), 3, 1, "version 2 of 'digits' is the stable one, and not 1"),
        (None, 1, 1, "version 1 of 'digits' is the stable one already"),
    ],
)
def test_what_cannot_be_started_is_refused(there, candidate, stable, problem):
    with pytest.raises(UsageError, match=problem):
        steps.start(there, "digits", candidate, stable, **SAID)


def test_a_model_whose_version_is_kept_has_no_candidate():
    kept = steps.keep(None, "digits", 1, **SAID)
    assert (kept.stage, kept.stable) == (Stage.DONE, 1)
    with pytest.raises(UsageError, match="has a release already"):
        steps.keep(kept, "digits", 1, **SAID)


def test_a_rollback_goes_to_the_version_before():
    back = steps.roll_back(walk({}, {}), [], **SAID)
    assert (back.stage, back.stable, back.candidate) == (Stage.ROLLED_BACK, 1, 2)
    with pytest.raises(UsageError, match="rolled back already"):
        steps.roll_back(back, [], **SAID)
    done = Release("digits", 9, 3)
    past = [Release("digits", n, stable) for n, stable in ((1, 1), (4, 2), (8, 3))]
    back = steps.roll_back(done, past, **SAID)
    assert (back.stage, back.stable, back.candidate) == (Stage.ROLLED_BACK, 2, 3)
    with pytest.raises(UsageError, match="no version before"):
        steps.roll_back(done, past[2:], **SAID)


@given(st.lists(st.sampled_from(["promote", "roll_back", "start 2", "start 3"]) | st.floats(0.001, 1), max_size=12))
def test_no_step_lets_a_third_version_answer(actions):
    """Whatever is done: stable changes at the end of a release, or back; the candidate answers in a canary alone."""
    there, past = GATE, [GATE]
    for action in actions:
        try:
            if isinstance(action, float):
                new = steps.promote(there, **SAID, share=action)
            elif action == "promote":
                new = steps.promote(there, **SAID)
            elif action == "roll_back":
                new = steps.roll_back(there, past, **SAID)
            else:
                new = steps.start(there, "digits", int(action[-1]), there.stable, **SAID)
        except UsageError:
            continue
        assert {route(new, str(i)) for i in range(50)} <= {new.stable, new.candidate}
        if new.stable != there.stable:
            assert (new.stage, new.stable) == (Stage.DONE, there.candidate) or (
                new.stage is Stage.ROLLED_BACK and there.stage is Stage.DONE
            )
        there = Release(**{**vars(new), "generation": there.generation + 1})
        past.append(there)
