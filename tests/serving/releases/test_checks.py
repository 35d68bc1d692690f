"""The check that is kept beside a release: one writer wins, and it says nothing of other files."""

import json
import shutil
import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signet.serving.errors import UsageError
from signet.serving.releases import checks
from signet.serving.releases.checks import CLAIM_S, MOST_ATTEMPTS, Check, Checks, Progress
from signet.serving.releases.release import Release, Stage
from signet.serving.releases.store import ReleaseStore

RELEASE = Release("m", 1, 1, 2, Stage.GATE, salt="s")
CLAIM = Check(2, 1, "stamp", Progress.CHECKING, 1, "s", by="one", at="2027-01-31T12:00:00Z", until=1000.0)
REPORT = {
    "passed": False,
    "findings": [
        {"check": "scores", "level": "refused", "text": "output 'digit': accuracy\n0.5"},
        {"check": "classes", "level": "refused", "text": "others"},
        {"check": "signature", "level": "note", "text": "new"},
    ],
}


@pytest.fixture
def kept(tmp_path):
    for version in ("1", "2"):
        (tmp_path / "m" / version).mkdir(parents=True)
        (tmp_path / "m" / version / "saved_model.pb").write_bytes(version.encode())
    return Checks(ReleaseStore(tmp_path))


def test_what_is_kept_is_what_was_said(kept):
    assert kept.read("m") is None
    done = checks.concluded(CLAIM, REPORT)
    assert (done.progress, done.reason) == (Progress.REFUSED, "scores: output 'digit': accuracy 0.5 (and 1 more)")
    assert kept.replace("m", done, None)
    assert kept.read("m") == done
    assert checks.parse(checks.dumps(done)) == done
    huge = checks.concluded(CLAIM, {"passed": True, "findings": [], "outputs": "x" * checks.MOST_BYTES})
    assert checks.parse(checks.dumps(huge)) == replace(huge, report={})


def test_only_who_has_seen_what_is_there_replaces_it(kept):
    other = replace(CLAIM, by="other")
    assert kept.replace("m", CLAIM, None)
    assert not kept.replace("m", other, None)
    assert not kept.replace("m", checks.unfinished(other, "it was killed"), other)
    assert kept.replace("m", checks.unfinished(CLAIM, "it was killed"), CLAIM)
    assert kept.read("m").reason == "it was killed"


def test_a_file_that_is_broken_is_as_none(kept, tmp_path):
    (tmp_path / "m" / checks.FILE).write_text('{"candidate": 2')
    assert kept.read("m") is None
    assert kept.replace("m", CLAIM, None)


def test_who_may_try_again():
    now = 950.0
    assert not CLAIM.free(now)
    assert CLAIM.free(1000.0)
    assert replace(CLAIM, until=now + 11 * CLAIM_S).free(now)  # of a clock that is wrong
    assert not replace(CLAIM, attempts=MOST_ATTEMPTS).free(2000.0)
    assert checks.unfinished(CLAIM, "it was killed").free(now)
    assert not checks.concluded(CLAIM, REPORT).free(now)


def test_it_counts_for_the_files_that_were_checked(kept, tmp_path):
    stamp = checks.stamp(tmp_path / "m" / "1", tmp_path / "m" / "2")
    done = checks.concluded(replace(CLAIM, stamp=stamp), REPORT)
    assert kept.replace("m", done, None)
    assert kept.of_release(RELEASE) == done
    assert kept.of_release(replace(RELEASE, candidate=3)) is None
    shutil.copytree(tmp_path / "m" / "2", tmp_path / "aside")
    shutil.rmtree(tmp_path / "m" / "2")
    assert kept.of_release(RELEASE) is None
    (tmp_path / "aside").rename(tmp_path / "m" / "2")  # a copy is the same
    assert kept.of_release(RELEASE) == done
    (tmp_path / "m" / "2" / "saved_model.pb").write_bytes(b"3")
    assert kept.of_release(RELEASE) is None
    assert kept.replace("m", replace(CLAIM, stamp=stamp), done)
    assert kept.of_release(RELEASE) is None


@pytest.mark.parametrize(
    ("check", "said"),
    [
        (CLAIM, "version 2 is being checked (by one, "),
        (replace(CLAIM, until=10.0), "version 2 is not checked: who checked it is gone; it is tried again (by one, "),
        (replace(checks.unfinished(CLAIM, "out"), attempts=3), "version 2 is not checked: out (by one, "),
        (checks.concluded(CLAIM, {"passed": True, "findings": []}), "version 2 has passed (by one, "),
        (checks.concluded(CLAIM, REPORT), "version 2 is refused: scores: output 'digit'"),
    ],
)
def test_it_is_told_in_a_sentence(check, said):
    assert check.described(900.0).startswith(said)


VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just({"passed": True})


@given(st.dictionaries(st.sampled_from(list(json.loads(checks.dumps(CLAIM)))), VALUES) | VALUES)
def test_any_content_is_a_check_or_none(changed):
    content = {**json.loads(checks.dumps(CLAIM)), **changed} if isinstance(changed, dict) else changed
    try:
        check = checks.parse(json.dumps(content).encode())
    except UsageError:
        return
    check.free(time.time())
    check.described()
    assert checks.dumps(check)


def test_findings_are_lines_whatever_a_file_says():
    report = {"findings": ["x", {"level": 3, "text": "a\n" + "b" * 5000}, {}], "passed": True}
    first, second = checks.findings(replace(CLAIM, report=report))
    assert (first["check"], first["level"], first["text"][:3], len(first["text"])) == ("", "3", "a b", 1000)
    assert second == {"check": "", "level": "", "text": ""}
    assert checks.findings(replace(CLAIM, report={"findings": 7})) == []
