"""A program that writes a release and is killed, at each call of the system in turn. Says in JSON how often.

    python -m tests.serving.releases.killed FOLDER

After each kill: release.json is one whole generation, the one before or the new one; the history has every generation that
was in force, and none that was not; and the next writer goes on.
"""

import json
import os
import shutil
import signal
import sys
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

from signet.serving.releases.release import Release, Stage
from signet.serving.releases.store import ReleaseStore

FIRST = Release("digits", 1, 1, 2, Stage.CANARY, 0.05, salt="a1b2", by="ana")
SYSTEM = {"posix", "fcntl", "io", "_io"}
"""Modules whose functions call the system."""


def written_and_killed(folder: Path, step: int) -> int:
    """The second generation is written by a child that is killed before its call number `step`; its exit status."""
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1]
    calls = 0

    def count(_: FrameType, event: str, called: Any) -> None:
        nonlocal calls
        module = getattr(called, "__module__", None) or type(getattr(called, "__self__", None)).__module__
        if event == "c_call" and module in SYSTEM:
            calls += 1
            if calls == step:
                os.kill(os.getpid(), signal.SIGKILL)

    store = ReleaseStore(folder)
    sys.setprofile(count)
    store.write(replace(FIRST, share=0.5), 1)
    sys.setprofile(None)
    os._exit(0)


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
    main(Path(sys.argv[1]))
