"""With which code the programs of `signet` end; `signet model-server` ends as TensorFlow Serving does, with 0, 1 or 255."""

from enum import IntEnum


class ExitCode(IntEnum):
    """The codes; `MEANINGS` says when."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    VERSION_GONE = 3
    TOO_MANY_BAD_ROWS = 4
    INTERRUPTED = 130
    READER_GONE = 141
    TERMINATED = 143


MEANINGS = {
    ExitCode.DONE: "done; nothing drifts, no limit is broken, nothing speaks against a version",
    ExitCode.FAILED: "not done: no server, a refusal, a disk; or found: drift, a broken limit, a bad version",
    ExitCode.USAGE: "a mistake in the call: options, variables, files that are named; nothing was begun",
    ExitCode.VERSION_GONE: "score: the version is not served any more",
    ExitCode.TOO_MANY_BAD_ROWS: "score: more bad rows than --max-bad",
    ExitCode.INTERRUPTED: "Ctrl-C",
    ExitCode.READER_GONE: "nobody reads the output any more, as behind `head`",
    ExitCode.TERMINATED: "SIGTERM; a server that has drained ends with 0",
}
"""Code -> when a program ends with it, for `signet --help` and docs/commands.md."""
