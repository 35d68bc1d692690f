"""One target under libFuzzer, through atheris: `python -m tests.fuzz TARGET [CORPUS_FOLDER] [-runs=2000 …]`.

Ends with 0 after so many runs. An error outside `serving/errors.py` ends it at once with another status, a traceback,
and the input in a file `crash-…`, which as a further argument is run again alone. `-help=1` lists libFuzzer's options.

`python -m tests.fuzz -` reads lines from stdin, each a JSON list of a file and of such arguments: it runs them in a process
forked off, which writes into that file, and prints that one's status. Importing what is instrumented takes longer than
2000 runs: so it is done once.
"""

import json
import os
import sys
import traceback

import atheris

with atheris.instrument_imports(include=["signet"]):
    from tests.fuzz.targets import TARGETS


def main() -> None:
    if sys.argv[1] == "-":
        for line in sys.stdin:
            print(forked(*json.loads(line)), flush=True)
    else:
        fuzz(*sys.argv[1:])


def fuzz(name: str, *arguments: str) -> None:
    """Ends this process."""
    atheris.Setup([sys.argv[0], *arguments], TARGETS[name].run)
    atheris.Fuzz()


def forked(output: str, *arguments: str) -> int:
    """The status of a process that runs a target and writes what it has to say into that file."""
    child = os.fork()
    if not child:
        try:
            descriptor = os.open(output, os.O_WRONLY | os.O_CREAT)
            os.dup2(descriptor, 1)
            os.dup2(descriptor, 2)
            fuzz(*arguments)
        except BaseException:  # noqa: BLE001  # whatever it is, the parent reads it
            traceback.print_exc()
        finally:
            os._exit(1)  # libFuzzer has not ended it; it must not go on as its parent does
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


if __name__ == "__main__":
    main()
