"""Releases in a folder: who writes wins or is told, and a program that is killed loses nothing."""

import json
import os
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from signet.serving.errors import UsageError
from signet.serving.releases import release as releases
from signet.serving.releases.release import Release, Stage, dumps
from signet.serving.releases.store import FILE, HISTORY, MOST_GENERATIONS, Conflict, ReleaseStore
from tests.servers import ROOT

FIRST = Release("digits", 1, 1, 2, Stage.CANARY, 0.05, salt="a1b2", by="ana")


@pytest.fixture
def store(tmp_path: Path) -> ReleaseStore:
    (tmp_path / "digits").mkdir()
    return ReleaseStore(tmp_path)


def grow(store: ReleaseStore, share: float) -> Release:
    there = store.read("digits")
    assert there
    return store.write(replace(there, share=share), there.generation)


def test_there_is_no_release_until_one_is_written(store):
    assert store.read("digits") is None
    assert store.history("digits") == []
    assert store.write(FIRST, 0) == FIRST
    assert store.read("digits") == FIRST == store.history("digits")[-1]


def test_each_change_is_a_generation_more_and_all_are_in_the_history(store):
    written = [store.write(FIRST, 0), *(grow(store, share) for share in (0.1, 0.5, 1.0))]
    assert [release.generation for release in written] == [1, 2, 3, 4]
    assert store.history("digits") == written


def test_generations_go_on_where_the_file_was_removed_or_an_older_one_put_there(store, tmp_path):
    """Else the history would take the last one for an old one: what is in force after a file breaks is the last."""
    first, second = store.write(FIRST, 0), grow(store, 0.5)
    (tmp_path / "digits" / FILE).unlink()
    third = store.write(FIRST, 0)
    assert store.history("digits") == [first, second, third]
    (tmp_path / "digits" / FILE).write_bytes(dumps(first))
    fourth = grow(store, 0.25)
    (tmp_path / "digits" / FILE).write_bytes(b"{")
    assert [one.generation for one in store.history("digits")] == [1, 2, 3, 4]
    assert store.latest("digits") == fourth


def test_who_has_not_seen_the_last_generation_is_refused(store):
    store.write(FIRST, 0)
    grow(store, 0.5)
    for expected in (0, 1, 3):
        with pytest.raises(Conflict, match=f"at generation 2, and not at {expected} any more") as caught:
            store.write(FIRST, expected)
        assert caught.value.generation == 2
    with pytest.raises(Conflict):
        ReleaseStore(store.place).write(replace(FIRST, model="digits"), 5)
    assert [release.generation for release in store.history("digits")] == [1, 2]


def test_of_writers_at_the_same_time_one_wins_each_generation(store, tmp_path):
    store.write(FIRST, 0)
    won: list[tuple[int, str]] = []
    lost: list[Conflict] = []
    start = threading.Barrier(4)

    def write(name: str) -> None:
        mine = ReleaseStore(tmp_path)
        start.wait()
        for _ in range(15):
            there = mine.read("digits")
            assert there
            try:
                won.append((mine.write(replace(there, by=name), there.generation).generation, name))
            except Conflict as error:
                lost.append(error)

    threads = [threading.Thread(target=write, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    history = store.history("digits")
    assert [release.generation for release in history] == list(range(1, len(won) + 2))
    assert sorted(won) == [(release.generation, release.by) for release in history[1:]]
    assert len(won) + len(lost) == 60


def test_of_two_programs_that_have_seen_the_same_one_wins(store, tmp_path):
    store.write(FIRST, 0)
    code = (
        "import sys; from dataclasses import replace\n"
        "from signet.serving.releases.store import Conflict, ReleaseStore\n"
        "store = ReleaseStore(sys.argv[1]); there = store.read('digits')\n"
        "print('ready', flush=True); input()\n"
        "try: store.write(replace(there, by=sys.argv[2]), there.generation); print('won')\n"
        "except Conflict: print('lost')\n"
    )
    programs = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path), name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        for name in ("one", "two")
    ]
    for program in programs:
        assert program.stdout
        assert program.stdout.readline() == "ready\n"
    answers = [program.communicate("\n", timeout=60)[0].strip() for program in programs]
    assert sorted(answers) == ["lost", "won"]
    release = store.read("digits")
    assert release
    assert (release.generation, release.by) == (2, ("one", "two")[answers.index("won")])


def test_a_program_killed_at_any_step_of_a_write_loses_nothing(tmp_path):
    """Killed for real, before each call of the system in turn; `killed.py` says what must hold afterwards."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.serving.releases.killed", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["steps"] > 20
    assert said["before"] > 3
    assert said["after"] > 3


def test_many_replicas_lower_a_release_once(store, tmp_path):
    seen = store.write(FIRST, 0)
    seen_now = grow(store, 0.5)
    ends: list[Release | None] = []
    start = threading.Barrier(6)

    def brake(number: int) -> None:
        start.wait()
        ends.append(ReleaseStore(tmp_path).lower(seen, by=f"replica {number}", reason="5 of 60 failed"))

    threads = [threading.Thread(target=brake, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    after = store.read("digits")
    assert ends == [after] * 6
    assert after == replace(
        seen_now, generation=3, stage=Stage.ROLLED_BACK, share=0.0, by=after.by, at=after.at, reason="5 of 60 failed"
    )
    assert len(store.history("digits")) == 3


def test_what_code_has_seen_of_an_earlier_release_lowers_no_later_one(store):
    seen = store.write(FIRST, 0)
    store.lower(seen, by="brake", reason="bad")
    again = store.write(replace(FIRST, salt="c3d4", stage=Stage.SHADOW, share=0.0), 2)
    assert store.lower(seen, by="brake", reason="bad") == again == store.read("digits")


def test_code_changes_nothing_of_a_release_that_is_done_or_gone(store, tmp_path):
    seen = store.write(FIRST, 0)
    done = store.write(replace(FIRST, stable=2, candidate=None, stage=Stage.DONE, share=0.0), 1)
    assert store.lower(seen, by="brake", reason="bad") == done == store.read("digits")
    (tmp_path / "digits" / FILE).unlink()
    assert store.lower(seen, by="brake", reason="bad") is None


@pytest.mark.parametrize("content", [b"", b'{"model": "dig', b"{}", dumps(replace(FIRST, model="other"))])
def test_a_broken_file_is_told_and_the_next_write_goes_on_from_the_history(store, tmp_path, content):
    store.write(FIRST, 0)
    last = grow(store, 0.5)
    (tmp_path / "digits" / FILE).write_bytes(content)
    with pytest.raises(UsageError, match=rf"digits/{FILE}: "):
        store.read("digits")
    assert store.history("digits")[-1] == last
    with pytest.raises(Conflict, match="at generation 2"):
        store.write(FIRST, 0)
    assert store.write(last, 2).generation == 3
    assert [release.generation for release in store.history("digits")] == [1, 2, 3]


def test_a_broken_file_without_a_history_is_left_for_its_writer(store, tmp_path):
    (tmp_path / "digits" / FILE).write_text("half")
    with pytest.raises(UsageError, match=f"digits/{FILE}: the release is no JSON"):
        store.write(FIRST, 0)
    assert (tmp_path / "digits" / FILE).read_text() == "half"


def test_a_broken_line_of_the_history_is_left_out_and_told(store, tmp_path, caplog):
    store.write(FIRST, 0)
    path = tmp_path / "digits" / HISTORY
    path.write_bytes(b"half\n" + path.read_bytes())
    grow(store, 0.5)
    assert [release.generation for release in store.history("digits")] == [1, 2]
    assert "line 1 is left out" in caplog.text


def test_the_history_has_a_bound_and_drops_the_oldest(store, tmp_path):
    path = tmp_path / "digits" / HISTORY
    store.write(replace(FIRST), 0)
    path.write_bytes(b"".join(dumps(replace(FIRST, generation=number)) for number in range(1, MOST_GENERATIONS + 1)))
    (tmp_path / "digits" / FILE).write_bytes(dumps(replace(FIRST, generation=MOST_GENERATIONS)))
    grow(store, 0.5)
    assert [release.generation for release in store.history("digits")] == list(range(2, MOST_GENERATIONS + 2))
    large = replace(FIRST, unknown={"x": "y" * 16_000})
    path.write_bytes(b"".join(dumps(replace(large, generation=number)) for number in range(100, 164)))
    grow(store, 0.6)
    assert path.stat().st_size <= 1 << 20
    assert store.history("digits")[-1].generation == MOST_GENERATIONS + 2


def test_who_was_killed_in_between_has_left_what_the_next_one_completes(store, tmp_path):
    store.write(FIRST, 0)
    (tmp_path / "digits" / HISTORY).unlink()
    assert store.history("digits") == [FIRST]
    grow(store, 0.5)
    assert [release.generation for release in store.history("digits")] == [1, 2]


@pytest.mark.parametrize("model", ["..", "../other", "a/b", "", ".x", "x" * 300])
def test_no_model_leads_elsewhere(store, model):
    for method in (store.read, store.history):
        with pytest.raises(UsageError, match="expected the name of a folder"):
            method(model)


def test_a_folder_that_is_not_there_is_named(tmp_path):
    for method in (lambda: ReleaseStore(tmp_path).write(FIRST, 0), lambda: ReleaseStore(tmp_path).read("digits")):
        with pytest.raises(UsageError, match=r"there is no folder .*/digits"):
            method()


def test_a_pipe_in_the_place_of_a_release_is_not_waited_for(store, tmp_path):
    os.mkfifo(tmp_path / "digits" / FILE)
    with pytest.raises(UsageError, match="is no regular file"):
        store.read("digits")


def test_a_link_in_the_place_of_a_new_file_is_not_followed(store, tmp_path):
    (tmp_path / "elsewhere").write_text("kept")
    (tmp_path / "digits" / f".{FILE}.new").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match="cannot be written"):
        store.write(FIRST, 0)
    assert (tmp_path / "elsewhere").read_text() == "kept"


def test_a_release_says_when():
    assert releases.now().endswith("Z")
