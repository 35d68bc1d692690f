"""What a release is, who is in its share, and what no release can be."""

import json
import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signet.serving.errors import UsageError
from signet.serving.releases import release as releases
from signet.serving.releases.release import Release, Stage, chosen, dumps, lowered, parse, route

CANARY = Release(
    *("digits", 3, 1, 2, Stage.CANARY, 0.05, 0.5, "a1b2"),
    limits={"alpha": 0.001, "replicas": 4},
    by="ana",
    at="2027-01-31T12:00:00Z",
    reason="a better one",
)
VERSIONS = st.integers(0, (1 << 63) - 1)
PARTS = st.floats(0, 1)
NAMES = st.text("abcxyz", min_size=1, max_size=8)


@st.composite
def made(draw: st.DrawFn) -> Release:
    """Any release that there can be."""
    stage = draw(st.sampled_from(Stage))
    stable = draw(VERSIONS)
    return Release(
        draw(NAMES),
        draw(st.integers(1, releases.MOST_GENERATION - 1)),
        stable,
        None if stage is Stage.DONE else draw(VERSIONS.filter(lambda version: version != stable)),
        stage,
        draw(PARTS) if stage is Stage.CANARY else 0.0,
        draw(PARTS) if stage in (Stage.CANARY, Stage.SHADOW) else 0.0,
        draw(st.text("09AZaz_-", min_size=1, max_size=16)),
        limits=draw(st.dictionaries(NAMES, PARTS, max_size=4)),
        by=draw(st.text(st.characters(categories=["L", "N"]), max_size=20)),
        unknown=draw(st.dictionaries(NAMES.map("x_{}".format), PARTS, max_size=2)),
    )


@given(made())
def test_a_release_is_read_as_it_was_written(release):
    assert parse(dumps(release)) == release


@given(made(), st.text())
def test_a_request_goes_to_one_of_two_versions_and_to_the_candidate_in_a_canary_alone(release, key):
    version = route(release, key)
    assert version in (release.stable, release.candidate)
    if release.stage is not Stage.CANARY or release.share == 0:
        assert version == release.stable
    elif release.share == 1:
        assert version == release.candidate


@given(st.text(), PARTS, PARTS)
def test_who_is_in_a_share_stays_in_every_larger_one(key, one, other):
    small, large = sorted((one, other))
    assert chosen("salt", key, small) <= chosen("salt", key, large)


def test_a_key_is_chosen_as_it_always_was():
    """Replicas of different versions of Signet must agree: these are in the file format."""
    keys = [f"user-{i}" for i in range(40)]
    assert [i for i, key in enumerate(keys) if chosen("a1b2", key, 0.2)] == CHOSEN


CHOSEN = [4, 8, 12, 14, 16, 27, 33, 35, 36, 39]


def far(count: int, share: float) -> float:
    """How far the chosen of so many keys may be from their share: six standard deviations, once in 500 million runs."""
    return 6 * math.sqrt(share * (1 - share) / count)


@pytest.mark.parametrize(("count", "bound"), [(100_000, 1.0), pytest.param(1_000_000, 0.001, marks=pytest.mark.long)])
@pytest.mark.parametrize("salt", ["a1b2", "0"])
def test_the_chosen_are_the_share_and_stay_while_it_grows(count, bound, salt):
    """The keys are as bad as they can be: they differ in a few digits."""
    before: set[int] = set()
    for share in (0.01, 0.05, 0.5, 0.9):
        inside = {i for i in range(count) if chosen(salt, str(i), share)}
        assert abs(len(inside) / count - share) < min(bound, far(count, share) if bound == 1 else bound)
        assert before <= inside
        before = inside


def test_who_is_in_the_share_of_one_release_says_nothing_of_another():
    both = sum(chosen("one", str(i), 0.5) and chosen("two", str(i), 0.5) for i in range(20_000))
    assert abs(both / 20_000 - 0.25) < far(20_000, 0.25)


@given(made().filter(lambda release: release.open), st.text())
def test_code_can_only_lower(release, reason):
    after = lowered(release, by="the brake", reason=reason)
    assert (after.stage, after.share, after.shadow) == (Stage.ROLLED_BACK, 0, 0)
    assert (after.stable, after.candidate, after.salt) == (release.stable, release.candidate, release.salt)
    assert (after.limits, after.unknown) == (release.limits, release.unknown)
    assert after.generation == release.generation + 1
    assert {route(after, str(i)) for i in range(20)} == {release.stable}


def test_fields_that_are_not_known_are_kept():
    content = json.dumps({**json.loads(dumps(CANARY)), "schedule": {"share": [0.1, 0.5]}}).encode()
    release = parse(content)
    assert release.unknown == {"schedule": {"share": [0.1, 0.5]}}
    assert json.loads(dumps(lowered(release, by="x", reason="")))["schedule"] == {"share": [0.1, 0.5]}


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"share": 1.5}, "share is 1.5; expected a number from 0 to 1"),
        ({"share": -0.1}, "share is -0.1; expected a number from 0 to 1"),
        ({"share": True}, "share is True; expected a number from 0 to 1"),
        ({"share": "half"}, "share is 'half'; expected a number from 0 to 1"),
        ({"shadow": [1]}, r"shadow is \[1\]; expected a number from 0 to 1"),
        ({"generation": 0}, "generation is 0; expected a whole number from 1"),
        ({"generation": 1 << 60}, "generation is .*; expected a whole number from 1"),
        ({"generation": 1.0}, "generation is 1.0; expected a whole number"),
        ({"stable": -1}, "stable is -1; expected a whole number from 0"),
        ({"stable": "1"}, "stable is '1'; expected a whole number from 0"),
        ({"candidate": 1}, "stable and candidate are both 1; expected two versions"),
        ({"candidate": None}, "there is no candidate; expected one in the stage canary"),
        ({"stage": "dark"}, "stage is 'dark'; expected one of gate, shadow, canary, done, rolled_back"),
        ({"stage": ["canary"]}, r"stage is \['canary'\]; expected one of"),
        ({"stage": "shadow"}, "share is 0.05; expected 0 in the stage shadow"),
        ({"stage": "gate", "share": 0}, "shadow is 0.5; expected 0 in the stage gate"),
        ({"stage": "done", "share": 0, "shadow": 0}, "candidate is 2; expected none in the stage done"),
        ({"salt": "x" * 17}, "salt is .*; expected 1 to 16 letters"),
        ({"salt": ""}, "salt is ''; expected 1 to 16 letters"),
        ({"salt": 5}, "salt is 5; expected 1 to 16 letters"),
        ({"limits": [1]}, r"limits is \[1\]; expected an object of at most 32 numbers"),
        ({"limits": {"Alpha": 1}}, "limits has 'Alpha'; expected names of lower-case letters"),
        ({"limits": {"alpha": "1"}}, "limits has alpha = '1'; expected a number"),
        ({"limits": {f"a{i}": 1 for i in range(33)}}, "expected an object of at most 32 numbers"),
        ({"by": "a\nb"}, "by is 'a.nb'; expected a line of at most 200 characters"),
        ({"reason": "x" * 1001}, "reason is .*; expected a line of at most 1000 characters"),
        ({"at": None}, "at is None; expected a line"),
        ({"model": "../digits"}, "model is '../digits'; expected the name of a folder"),
        ({"model": ".hidden"}, "model is '.hidden'; expected the name of a folder"),
        ({"model": 7}, "model is 7; expected the name of a folder"),
    ],
)
def test_what_no_release_can_be_is_named(changes: dict[str, Any], problem: str):
    with pytest.raises(UsageError, match=problem):
        parse(json.dumps({**json.loads(dumps(CANARY)), **changes}).encode())


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "no JSON"),
        (dumps(CANARY)[:-10], "no JSON"),
        (b"[" * 100_000, "more than 16384 bytes"),
        (b"[" * 10_000, "no JSON"),
        (b"\xff\xfe", "no JSON"),
        (b"[]", r"the release is \[\]; expected an object"),
        (b'{"model": "digits"}', "has no 'generation'; expected model, generation, stable, stage, share at least"),
        (b'{"share": 0, "share": 1}', "there is 'share' twice"),
        (b'{"share": NaN}', "there is NaN, which is no JSON"),
        (dumps(CANARY).replace(b"0.05", b"1e999"), "there is 1e999, which is beyond all numbers"),
        (dumps(CANARY).replace(b'"by"', b'"later": -1e999, "by"'), "there is -1e999, which is beyond all numbers"),
        (dumps(CANARY).replace(b'"generation": 3', b'"generation": ' + b"9" * 5000), "no JSON"),
    ],
)
def test_bytes_that_are_no_release_are_refused(content, problem):
    with pytest.raises(UsageError, match=problem):
        parse(content)


@given(st.binary(max_size=200) | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(str).map(str.encode))
def test_any_other_bytes_are_refused_with_a_sentence(content):
    with pytest.raises(UsageError):
        parse(content)


@given(st.sampled_from("yé𝄞\ud800"), st.integers(0, 3900) | st.integers(4100, 9000))
def test_what_can_be_read_can_be_rolled_back_and_written(letter, count):
    full = {"a" * 20 + chr(97 + i // 26) + chr(97 + i % 26): 0.1234567890123456e-300 for i in range(32)}
    known = replace(CANARY, model="m" * 200, by="ß" * 200, reason="𝄞" * 1000, limits=full)
    values = json.loads(dumps(known)) | {"x": letter * count}
    content = json.dumps(values).encode()
    if len(content) > 16384 or len((letter * count).encode("utf-8", "surrogatepass")) > 4000:
        with pytest.raises(UsageError, match=r"more than (16384|4096) bytes"):
            parse(content)
        return
    read = parse(content)
    assert parse(dumps(releases.lowered(read, by="𝄞" * 200, reason="𝄞" * 1000))).stage is Stage.ROLLED_BACK


def test_a_release_too_large_to_be_read_is_not_written():
    with pytest.raises(UsageError, match="the most is 16384"):
        dumps(replace(CANARY, unknown={"x": "y" * 20_000}))
