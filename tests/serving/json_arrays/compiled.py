"""The compiled helper that reads numbers, made of its source as it is now, and which way bodies are read."""

import ast
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest

from signet.serving.json_arrays import number_arrays, number_nests
from tests import programs
from tests.servers import ROOT

SOURCE = ROOT / "serving" / "json_arrays" / "number_nests.c"
STRICT = ("-Wall", "-Wextra", "-Werror")


def options() -> list[str]:
    """With which setup.py compiles it."""
    for statement in ast.parse((ROOT / "setup.py").read_text()).body:
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "COMPILE":
            return list(ast.literal_eval(statement.value))
    raise AssertionError("setup.py has no COMPILE")


@cache
def functions() -> tuple[object, object]:
    """The helper's function, with the interpreter's lock kept and let go."""
    programs.need("cc")
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / number_nests.LIBRARY
        subprocess.run(["cc", *options(), *STRICT, "-o", library, SOURCE], check=True)
        loaded = number_nests._load(library)
        assert loaded
        return loaded


powers_of_ten = cache(number_nests.powers_of_ten)


@contextmanager
def by_helper() -> Iterator[None]:
    """Bodies of all sizes are read by the helper."""
    with pytest.MonkeyPatch.context() as patch:
        powers = powers_of_ten()
        patch.setattr(number_nests, "_FUNCTIONS", functions())
        patch.setattr(number_nests, "_POWERS", powers)
        patch.setattr(number_nests, "_powers_address", powers.ctypes.data)
        patch.setattr(number_arrays, "COMPILED", True)
        patch.setattr(number_arrays, "HELPER_BYTES", 0)
        yield


@contextmanager
def by_simdjson() -> Iterator[None]:
    """Bodies are read as where the helper is not there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(number_arrays, "COMPILED", False)
        yield


WAYS = {"helper": by_helper, "simdjson": by_simdjson}
