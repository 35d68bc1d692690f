"""How rows are taken apart: which columns make which input, and which are carried along.

id │ pixels │ note          --carry id            pixels ──▶ input pixels        id ──▶ beside the outputs
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from signet.clients.score.formats import Format
from signet.serving.errors import UsageError
from signet.serving.tables import flat_columns
from signet.serving.tables.output_columns import OutputColumn, output_columns
from signet.serving.tensors.signature import Signature, nearest_hint


@dataclass(frozen=True)
class Plan:
    """How every row of a job is read and written."""

    signature: Signature
    columns: Mapping[str, tuple[str, ...]]
    """The columns of each input: the one that holds it, or several that are put side by side."""
    carry: tuple[str, ...] | None
    """Columns that are written beside the outputs; None: all that are no inputs."""
    prefix: str
    """The text before the name of each output."""
    flat: bool
    """Each number of an output gets a column of its own: `digit_0`, `digit_1` …"""
    format: Format
    """The format of what is written."""
    non_finite: str = "bare"
    """NaN and infinity in JSON: as the bare words, as `null`, or as a `string`."""
    schema: Any = None
    """The Arrow schema of the carried columns, where the format has one."""

    @cached_property
    def used(self) -> frozenset[str]:
        """The columns that are inputs."""
        return frozenset(name for names in self.columns.values() for name in names)

    @cached_property
    def output_columns(self) -> tuple[OutputColumn, ...]:
        """The columns that the outputs become."""
        return output_columns(self.signature, self.prefix, self.flat)

    @cached_property
    def output_names(self) -> frozenset[str]:
        """The names of these columns."""
        return frozenset(column.name for column in self.output_columns)

    @property
    def wanted(self) -> tuple[str, ...] | None:
        """The columns that have to be read; None: all."""
        return None if self.carry is None else (*self.used, *self.carry)

    def carries(self, names: Iterable[str]) -> list[str]:
        """Which of these columns are carried along, in their order."""
        if self.carry is None:
            return [name for name in names if name not in self.used]
        return [name for name in names if name in self.carry]


def mapping(options: Iterable[str], signature: Signature) -> dict[str, tuple[str, ...]]:
    """The columns of each input, by `--map INPUT=COLUMN[,COLUMN…]` or its own name. Raises `UsageError`."""
    columns: dict[str, tuple[str, ...]] = {name: (name,) for name in signature.inputs}
    for option in options:
        name, equals, given = option.partition("=")
        if not equals or not all(given.split(",")):
            raise UsageError(f"--map is {option!r}; expected INPUT=COLUMN or INPUT=COLUMN,COLUMN…")
        if name not in columns:
            hint = nearest_hint(name, columns)
            raise UsageError(f"--map names the input {name!r}{hint}; the model takes {', '.join(map(repr, columns))}")
        columns[name] = tuple(given.split(","))
    return columns


def find(columns: Mapping[str, tuple[str, ...]], names: list[str], where: str) -> dict[str, tuple[str, ...]]:
    """The mapping onto columns that there are: a lone `x` that is missing may lie there as `x_0`, `x_1` …

    Raises `UsageError`, which names the column, the nearest one and all there are.
    """
    return {name: _found(name, wanted, names, where) for name, wanted in columns.items()}


def check_carried(carry: Iterable[str], names: list[str], where: str) -> None:
    """Raise `UsageError` when a column is not there."""
    for name in carry:
        if name not in names:
            raise UsageError(
                f"{where} has no column {name!r} to carry{nearest_hint(name, names)}; it has {_listed(names)}"
            )


def check_outputs(plan: Plan, names: Iterable[str], where: str) -> None:
    """Raise `UsageError` when a column that is carried has the name of one that comes."""
    both = sorted(plan.output_names.intersection(plan.carries(names)))
    if both:
        raise UsageError(f"{where} has a column {both[0]!r}, as has the answer; give the outputs another --prefix")


def _found(name: str, wanted: tuple[str, ...], names: list[str], where: str) -> tuple[str, ...]:
    missing = [column for column in wanted if column not in names]
    if not missing:
        return wanted
    if wanted == (name,):
        try:
            if flat := flat_columns.of(name, names):
                return flat
        except UsageError as error:
            raise UsageError(f"{where}: {error}") from error
    marks = len(names) == 1 and any(mark in names[0] for mark in ",;\t|")
    hint = " Is it written with another delimiter? Then say --delimiter" if marks else ""
    raise UsageError(
        f"{where} has no column {missing[0]!r} for the input {name!r}{nearest_hint(missing[0], names)}; "
        f"it has {_listed(names)}: say --map {name}=COLUMN{'.' if hint else ''}{hint}"
    )


def _listed(names: list[str]) -> str:
    most = 20
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(map(repr, names[:most])) + more
