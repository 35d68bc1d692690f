"""Of which kind a test is, by what it touches, so that nobody has to say it: `make quick` runs the unit tests alone.

    a test, its fixtures ──▶ every function of tests/ that they call ──▶ what these use ──▶ outside, train, server or unit

A marker that stands at a test already is left as it is.
"""

import inspect
import re
from collections.abc import Iterable, Iterator
from functools import cache
from types import CodeType, FunctionType, ModuleType
from typing import Any

import pytest

from tests.servers import ROOT

KINDS = {
    "outside": "needs programs or packages of others: promtool, kubectl, a browser, an index of packages",
    "train": "trains, exports, or imports TensorFlow for another reason",
    "server": "starts programs of ours: a gateway, a model server, a command; or costs too much for a unit test",
    "unit": "happens in the test's own process",
}
"""From the strongest to the weakest: the first that fits is a test's kind."""

FOLDERS = {"tests/third_party": "outside", "tests/training": "train", "tests/examples": "train"}
"""Folders all of whose tests are of one kind."""

DEAR = {"tensorflow", "keras", "schemathesis", "ray", "jax", "sklearn", "matplotlib", "mlflow"}
"""Packages that take seconds to import: tests do it in fixtures and functions, or collecting them all would take as long."""

COLLECTED = pytest.StashKey[frozenset[str]]()
"""The modules that were imported when all tests had been collected."""


def kind(path: str, functions: Iterable[Any]) -> str:
    """The kind of a test in a file, whose path begins with tests/, that runs these functions: its own and its fixtures'."""
    for folder, of_all in FOLDERS.items():
        if path.startswith(f"{folder}/"):
            return of_all
    used = {found for function in functions for found in uses(inspect.unwrap(function))}
    return next(name for name in KINDS if name in used or name == "unit")


@cache
def uses(function: FunctionType) -> frozenset[str]:
    """The kinds of what a function, and each function of tests/ that it can reach, uses."""
    found: set[str] = set()
    seen: set[FunctionType] = set()
    waiting = [function]
    while waiting:
        one = waiting.pop()
        if one in seen:
            continue
        seen.add(one)
        if (one.__module__, one.__name__) == ("tests.programs", "need"):
            found.add("outside")
        for value in values(one):
            if isinstance(value, ModuleType):
                found |= {name for name in [of_module(value.__name__)] if name}
            else:
                waiting += functions_of(value)
        names = set(all_names(one.__code__))
        found |= {name for name in map(of_module, names) if name}
        if any(
            imports_tensorflow(f"{package}.{name}")
            for package in names
            if package.startswith("tests.")
            for name in names
        ):
            found.add("train")
        if "getfixturevalue" in names:  # of a server that the test's parameter names
            found.add("server")
    return frozenset(found)


def of_module(name: str) -> str | None:
    """The kind of a test that uses a module of this name."""
    return {"tensorflow": "train", "keras": "train", "subprocess": "server"}.get(name.partition(".")[0])


@cache
def imports_tensorflow(module: str) -> bool:
    """Whether a module of tests/, which a test may import where it needs it, imports TensorFlow or Keras."""
    path = ROOT / f"{module.replace('.', '/')}.py"
    return path.is_file() and re.search("^(import|from) (tensorflow|keras)", path.read_text(), re.MULTILINE) is not None


def values(function: FunctionType) -> Iterator[Any]:
    """What the names in a function's code stand for: globals, and what lies in modules of tests/ among them."""
    names = set(all_names(function.__code__))
    for name in names & function.__globals__.keys():
        value = function.__globals__[name]
        yield value
        if isinstance(value, ModuleType) and value.__name__.startswith("tests."):
            yield from (vars(value)[inner] for inner in names & vars(value).keys())


def functions_of(value: Any) -> list[FunctionType]:
    """The function that a value is, or the methods of a class, if it was written in tests/."""
    value = inspect.unwrap(value) if callable(value) else value
    if not str(getattr(value, "__module__", "")).startswith("tests."):
        return []
    members = vars(value).values() if isinstance(value, type) else [value]
    return [member for member in map(inspect.unwrap, filter(callable, members)) if isinstance(member, FunctionType)]


def all_names(code: CodeType) -> Iterator[str]:
    """Every global, attribute and module that a function's code names, in functions within it too."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from all_names(constant)
