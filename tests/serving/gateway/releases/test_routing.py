"""Who answers a request that names no version: as the pure function has it, or the stable one, or nobody."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signet.serving.errors import FailedPrecondition, InvalidInput, Unavailable
from signet.serving.gateway.releases.routing import Routing
from signet.serving.releases import release as releases
from signet.serving.releases.release import Release, Stage

CANARY = Release("m", 3, 1, 2, Stage.CANARY, 0.5, salt="salt")
SHARES = st.one_of(st.sampled_from([0.0, 1.0, 0.5, 2**-64, 1 - 2**-53, 5e-324]), st.floats(0, 1))


class Asked:
    """A request that says so much of itself."""

    def __init__(self, request_id="r-1", key=None, side=None):
        self._key, self._side, self.routed = request_id if key is None else key, side, None

    def affinity(self):
        return self._key, self._side


def routing(release=CANARY, available=lambda model, version: True):
    made = Routing(available)
    made.put({"m": release}, {})
    return made


@given(st.text(max_size=40), SHARES, st.from_regex(r"[0-9A-Za-z_-]{1,16}", fullmatch=True))
def test_a_key_gets_what_the_pure_function_gives_it(key, share, salt):
    release = Release("m", 3, 1, 2, Stage.CANARY, share, salt=salt)
    assert routing(release).version("m", Asked(key=key)) == releases.route(release, key)
    assert routing(release).version("m", Asked(key)) == releases.route(release, key), "the request's id, without a key"


@given(
    st.sampled_from([stage for stage in Stage if stage is not Stage.DONE]),
    st.sets(st.integers(1, 3)),
    st.text(max_size=8),
    st.sampled_from([None, "stable", "candidate"]),
)
def test_no_request_ever_gets_a_third_version(stage, there, key, side):
    """Version 3 is the newest, and nobody's release."""
    share = 0.5 if stage is Stage.CANARY else 0.0
    made = routing(Release("m", 3, 1, 2, stage, share, salt="s"), lambda model, version: version in there)
    try:
        version = made.version("m", Asked(key=key, side=side))
    except FailedPrecondition:
        assert (stage, side) == (Stage.ROLLED_BACK, "candidate")
        return
    except Unavailable:
        assert side == "candidate"
        assert 2 not in there
        return
    assert version in ((1,) if side == "stable" else (2,) if side == "candidate" else (1, 2))
    if side is None and version == 2:
        assert stage is Stage.CANARY
        assert 2 in there


def test_models_without_a_release_are_as_ever():
    assert routing().version("other", Asked()) is None
    assert routing().labelled("other", "stable") is None
    assert routing().missing("other") is None


def test_whoever_asks_for_no_side_in_particular_is_told_of_the_stable_one():
    assert routing(Release("m", 3, 1, 2, Stage.CANARY, 1.0, salt="s")).version("m", None) == 1


def test_a_side_that_is_none_is_refused():
    with pytest.raises(InvalidInput, match="X-Signet-Release is 'newest'; expected stable or candidate"):
        routing().version("m", Asked(side="newest"))
    done = routing(Release("m", 4, 2))
    with pytest.raises(FailedPrecondition, match=r"'m' has no candidate: it is at the stage done, at version 2"):
        done.version("m", Asked(side="candidate"))


def test_labels_follow_the_release():
    assert (routing().labelled("m", "stable"), routing().labelled("m", "canary")) == (1, 2)
    done = routing(Release("m", 4, 2))
    assert (done.labelled("m", "stable"), done.labelled("m", "canary"), done.labelled("m", "old")) == (2, 2, None)


def test_a_candidate_that_was_stopped_gets_nothing_until_another_one_is_tried():
    made = routing(Release("m", 3, 1, 2, Stage.CANARY, 1.0, salt="s"))
    assert made.version("m", Asked()) == 2
    made.stop("m", made.plans["m"].release)
    assert made.version("m", Asked()) == 1
    made.put({"m": Release("m", 4, 1, 2, Stage.CANARY, 1.0, salt="s")}, {})
    assert made.version("m", Asked()) == 1, "somebody has raised it meanwhile: this process knows better"
    assert made.stopped("m")
    made.put({"m": Release("m", 6, 1, 2, Stage.CANARY, 1.0, salt="t")}, {})
    assert made.version("m", Asked()) == 2, "tried again by a person"
    assert not made.stopped("m")


def test_what_is_not_there_is_told():
    there = {2}
    made = routing(CANARY, lambda model, version: version in there)
    assert made.problems() == ["version 1 of 'm', the stable one of its release, is not available"]
    assert made.unready() == ["m"]
    assert re.search("version 1 of 'm'.*no version is served in its place", str(made.missing("m")))
    there.add(1)
    assert (made.problems(), made.unready()) == ([], [])
    there.clear()
    assert len(made.problems()) == 2
    assert made.unready() == [], "it has been there"


def test_without_a_release_that_can_be_read_nothing_is_served_that_was_perhaps_not_released():
    made = Routing(lambda model, version: True)
    made.put({}, {"m": "release.json: stage is 'x'"})
    with pytest.raises(Unavailable, match="nobody knows which version of 'm' is released"):
        made.version("m", Asked())
    assert made.unready() == ["m"]
    assert made.problems()
