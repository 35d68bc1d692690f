"""The two steps of an export, each in a fresh process: both are forked off one that has imported TensorFlow for them.

export ──Steps()──▶ python -m signet.training.export steps      imports TensorFlow, which takes seconds, and runs nothing
         .run(…) ──stdin──▶ serve ──fork──▶ write or verify     ends with its exit code
                 ◀──stdout── [code, what it said]
"""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from signet.serving.exit_codes import ExitCode
from signet.training import keras_start
from signet.training.export.errors import BadModel, ExportFailed


class Steps:
    """The process that forks, and what it says. When the block ends, it and its forks have ended."""

    def __init__(self) -> None:
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115  # closed when the block ends
        """What all of them write to stderr."""
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(  # noqa: S603
            command("steps"), env=environment(), stdin=pipe, stdout=pipe, stderr=self._log, text=True
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._process.kill()  # a fork ends with it
        self._process.communicate()  # until the fork, which has the pipe too, has ended
        self._log.close()

    def run(self, *arguments: str) -> None:
        """Run a step to its end. Raises BadModel or ExportFailed with what it said."""
        assert self._process.stdin
        assert self._process.stdout
        with contextlib.suppress(BrokenPipeError):  # it has ended, which the next line finds
            print(json.dumps(arguments), file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline()
        code, said = json.loads(answer) if answer else (self._process.wait(), "")
        if code == ExitCode.USAGE:
            raise BadModel(said)
        if code:
            self._log.seek(0)
            raise ExportFailed(said or f"{arguments[0]} ended with code {code}: {self._log.read().strip()[-2000:]}")


def serve(main: Callable[..., int]) -> int:
    """Fork for each line of stdin, which holds a step and its arguments, and say how it ended."""
    keras_start.start()  # with TensorFlow: the forks have both

    for line in sys.stdin:
        with tempfile.TemporaryFile() as said:
            child = os.fork()
            if not child:
                os.dup(1)  # the pipe stays open until this process has ended
                os.dup2(said.fileno(), 1)
                code = 1
                try:
                    code = main(*json.loads(line))
                    sys.stdout.flush()
                finally:
                    os._exit(code)  # it must not go on as its parent does
            code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            said.seek(0)
            print(json.dumps([code, said.read().decode()]), flush=True)
    return 0


def command(*arguments: str) -> list[str]:
    """How a part of an export is started as a process."""
    return [sys.executable, "-m", "signet.training.export", *arguments]


def environment() -> dict[str, str]:
    """What such a process needs to find and to be told."""
    return {
        **os.environ,
        "CUDA_VISIBLE_DEVICES": "-1",
        "KERAS_BACKEND": "tensorflow",
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "PYTHONHASHSEED": "0",  # nothing that is written may depend on the order of a set
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[3]), os.environ.get("PYTHONPATH", "")]),
    }
