"""One target under libFuzzer, through atheris: `python -m tests.fuzz TARGET [CORPUS_FOLDER] [-runs=2000 …]`.

Ends with 0 after so many runs. An error outside `serving/errors.py` ends it at once with another status, a traceback,
and the input in a file `crash-…`, which as a further argument is run again alone. `-help=1` lists libFuzzer's options.
"""

import sys

import atheris

with atheris.instrument_imports(include=["signet"]):
    from tests.fuzz.targets import TARGETS


def main() -> None:
    name = sys.argv.pop(1)
    atheris.Setup(sys.argv, TARGETS[name].run)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
