"""Programs that write a release and are killed, at each call of the system in turn. Says in JSON how often.

    python -m tests.serving.releases.killed FOLDER                a store's write, at each call, in folders of its own
    python -m tests.serving.releases.killed --at N WORDS          `signet WORDS`, killed before call N of the first write
    python -m tests.serving.releases.killed --walk FOLDER MODEL EVERY
        `signet release start`, `promote`, `rollback` again and again, each killed at each call, or at one of so many

After each kill: release.json is one whole generation, the one before or the new one; the history has every generation that
was in force, and none that was not; and the next writer goes on.
"""

import json
import os
import shutil
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

from signet.commands import release_check  # noqa: F401  # once, and not in each child
from signet.commands.app import app
from signet.serving.releases import actions  # noqa: F401
from signet.serving.releases.release import Release, Stage
from signet.serving.releases.store import MOST_GENERATIONS, ReleaseStore

FIRST = Release("digits", 1, 1, 2, Stage.CANARY, 0.05, salt="a1b2", by="ana")
WRITE = ReleaseStore.write.__code__
SYSTEM = {"posix", "fcntl", "io", "_io"}
"""Modules whose functions call the system."""


def kill_before(step: int) -> None:
    """Have this process killed before call number `step` of the system, from 1, in `ReleaseStore.write`, in whichever thread
    begun from now on, or this one."""
    here = threading.local()
    calls = 0

    def count(frame: FrameType, event: str, called: Any) -> None:
        nonlocal calls
        if frame.f_code is WRITE and event in ("call", "return"):
            here.writes = event == "call"
        if event != "c_call" or not getattr(here, "writes", False):
            return
        module = getattr(called, "__module__", None) or type(getattr(called, "__self__", None)).__module__
        if module in SYSTEM:
            calls += 1
            if calls == step:
                os.kill(os.getpid(), signal.SIGKILL)

    threading.setprofile(count)
    sys.setprofile(count)


def child(step: int, work: Callable[[], object]) -> int:
    """Have work done by a process that is killed so; its exit status, as `os.waitpid` has it."""
    pid = os.fork()
    if pid:
        return os.waitpid(pid, 0)[1]
    kill_before(step)
    try:
        work()
    except BaseException:  # noqa: BLE001  # a child must not go on as its parent
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def written_and_killed(folder: Path, step: int) -> int:
    """The second generation is written by a child that is killed before its call number `step`; its exit status."""
    return child(step, lambda: ReleaseStore(folder).write(replace(FIRST, share=0.5), 1))


FORCED = ("--force", "--reason", "a test")
COMMANDS = (
    ("start", "MODEL", "2"),
    ("promote", "MODEL", "--to", "shadow", *FORCED),
    ("promote", "MODEL", "--share", "0.5", *FORCED),
    ("promote", "MODEL", "--to", "done", *FORCED),
    ("rollback", "MODEL"),
)
"""A walk through all stages and back, of versions 1 and 2."""


def walk(folder: str, model: str, every: int) -> None:
    """Each command is killed at one call in so many, others for each command; what had not happened is asked for again."""
    store, kills, before, round_number = ReleaseStore(folder), 0, 0, 0
    whole: set[int] = set()
    while len(whole) < len(COMMANDS):
        for number, words in enumerate(COMMANDS):
            step = 1 + round_number * every + 7 * number % every
            arguments = ["release", *(model if word == "MODEL" else word for word in words), "--models-dir", folder]
            there = store.read(model)
            assert there is not None
            status = child(step, lambda arguments=arguments: app(arguments, standalone_mode=False))  # type: ignore[misc]
            now = store.read(model)
            assert now is not None
            if os.WIFSIGNALED(status):
                assert os.WTERMSIG(status) == signal.SIGKILL
                kills += 1
                assert now.generation in (there.generation, there.generation + 1)
                if now == there:
                    before += 1
                    assert child(1 << 30, lambda arguments=arguments: app(arguments, standalone_mode=False)) == 0  # type: ignore[misc]
            else:
                assert status == 0
                whole.add(number)
            after = store.read(model)
            assert after is not None
            assert after.generation == there.generation + 1, (words, step)
            kept = range(max(1, after.generation + 1 - MOST_GENERATIONS), after.generation + 1)
            assert [old.generation for old in store.history(model)] == list(kept), (words, step)
        round_number += 1
    print(json.dumps({"kills": kills, "before": before}))


def main(top: Path) -> None:
    step, found = 0, {1: 0, 2: 0}
    while True:
        step += 1
        folder = top / str(step)
        (folder / "digits").mkdir(parents=True)
        store = ReleaseStore(folder)
        store.write(FIRST, 0)
        status = written_and_killed(folder, step)
        now = store.read("digits")
        assert now is not None
        found[now.generation] += 1
        assert now.share == {1: 0.05, 2: 0.5}[now.generation]
        assert [old.generation for old in store.history("digits")] == list(range(1, now.generation + 1)), step
        after = store.write(replace(now, share=0.7), now.generation)
        history = store.history("digits")
        assert [old.share for old in history] == {1: [0.05, 0.7], 2: [0.05, 0.5, 0.7]}[now.generation], step
        assert history[-1] == after
        left = {path.name for path in (folder / "digits").iterdir()}
        assert left <= {"release.json", "release-history.jsonl", ".release.lock"}, left
        shutil.rmtree(folder)
        if status == 0:
            break
        assert os.WTERMSIG(status) == signal.SIGKILL
    print(json.dumps({"steps": step, "before": found[1], "after": found[2]}))


if __name__ == "__main__":
    if sys.argv[1] == "--at":
        kill_before(int(sys.argv[2]))
        app(sys.argv[3:])
    elif sys.argv[1] == "--walk":
        walk(sys.argv[2], sys.argv[3], int(sys.argv[4]))
    else:
        main(Path(sys.argv[1]))
