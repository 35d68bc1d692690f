"""Rows of an Arrow table: CSV, Parquet, Arrow and TFRecord files.

    CSV records     ──csv_cells.py────▶ ┐
    tf.Examples     ──tf_examples.py──▶ ├ table ──arrow_cells.py───▶ inputs of all rows at once, else row by row
    Parquet, Arrow  ──────────────────▶ ┘   └─────arrow_values.py──▶ what is carried along, as JSON

Lists hold a row's numbers, nested as the input is or flat; so do columns side by side. A column of text holds numbers
as a CSV file writes them, or JSON lists. Types follow the rules of JSON requests: any number becomes a float, a whole
number another width that has room for it; nothing else is cast.
"""

import base64
from dataclasses import replace
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from signet.clients.client import values
from signet.clients.score.input import csv_cells, tf_examples
from signet.clients.score.input.arrow_values import json_values, plain
from signet.clients.score.input.chunk import Chunk
from signet.clients.score.input.csv_records import CsvRecords
from signet.clients.score.input.rows import Group, by_shape, of_row
from signet.clients.score.plan import Plan, check_carried, check_outputs, find
from signet.serving.errors import InvalidInput, UsageError
from signet.serving.tables.arrow_cells import single_cell, whole_column
from signet.serving.tables.columns import shaped
from signet.serving.tensors.arrays import Array, Arrays
from signet.serving.tensors.signature import TensorSpec


class ArrowRows:
    """The `ParsedRows` of a table, used by the one thread that scores the chunk."""

    def __init__(self, chunk: Chunk, plan: Plan) -> None:
        self._plan = plan
        self.bad: dict[int, str] = {}
        self._first_row = chunk.start.row
        self._lines: list[int] | None = None
        content = self._content = chunk.content
        self._sparse = isinstance(content, list)
        if isinstance(content, CsvRecords):
            self.table = csv_cells.table(content, plan.wanted, self.bad)
            self._lines = [record.line for record in content.records]
        elif self._sparse:
            self.table = tf_examples.table(content, plan, self.bad)
        else:
            self.table = plain(content)
        for name, value in chunk.source.partitions:
            if name not in self.table.column_names and (plan.wanted is None or name in plan.wanted):
                self.table = self.table.append_column(name, pa.array([value] * self.table.num_rows, pa.string()))
        self._path = chunk.source.shown
        self._arrays: dict[str, Any] = {}

    def groups(self) -> list[Group]:
        specs = self._plan.signature.inputs
        for name in self._plan.used:
            self._column(name)  # says what is missing, though there are no rows
        rows = self.table.num_rows
        if not rows:
            return []
        regular: dict[str, Array | None] = {name: self._regular(spec) for name, spec in specs.items()}
        if not self.bad and all(array is not None for array in regular.values()):
            return [(list(range(rows)), {name: array for name, array in regular.items() if array is not None})]
        alone: dict[int, Arrays] = {}
        for place in range(rows):
            if place in self.bad:
                continue
            try:
                alone[place] = {
                    name: self._one(spec, place) if (array := regular[name]) is None else array[place, ...]
                    for name, spec in specs.items()
                }
            except InvalidInput as error:
                self.bad[place] = str(error)
        return by_shape(alone)

    def carried(self, places: list[int]) -> list[dict[str, Any]]:
        table = self._chosen(places)
        names = table.column_names
        how = self._plan.non_finite
        columns = [json_values(column, name, how) for name, column in zip(names, table.columns, strict=True)]
        return (
            [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]
            if names
            else [{} for _ in places]
        )

    def carried_table(self, places: list[int]) -> Any:
        table = self._chosen(places)
        schema = self._plan.schema
        extra = [name for name in table.column_names if name not in schema.names]
        if extra:
            raise UsageError(
                f"{self._path} has a column {extra[0]!r}, which the first file lacks; say with --carry what to carry"
            )
        if table.schema.equals(schema, check_metadata=False):
            return table
        try:
            for name in set(schema.names) - set(table.column_names) if self._sparse else ():
                table = table.append_column(name, pa.nulls(table.num_rows))
            return table.select(schema.names).cast(schema)
        except (KeyError, pa.ArrowException) as error:
            raise UsageError(f"{self._path} has other columns than the first file: {error}") from error

    def original(self, place: int) -> Any:
        if isinstance(self._content, CsvRecords):
            return csv_cells.original(self._content, place)
        if self._sparse and not tf_examples.is_example(self._content[place]):
            return {"b64": base64.b64encode(self._content[place]).decode()}
        row = self.table.slice(place, 1)
        return {name: _to_mend(column, name) for name, column in zip(row.column_names, row.columns, strict=True)}

    def where(self, place: int) -> str:
        return f"row {self._first_row + place + 1}" if self._lines is None else f"line {self._lines[place]}"

    def _chosen(self, places: list[int]) -> Any:
        table = self.table.select(self._plan.carries(self.table.column_names))
        return table if len(places) == table.num_rows else table.take(pa.array(places, pa.int64()))

    def _column(self, name: str) -> Any:
        if name not in self._arrays:
            if name not in self.table.column_names:
                raise UsageError(f"{self._path} has no column {name!r}, as the first file has")
            column = self.table[name].combine_chunks()
            if isinstance(column, pa.ChunkedArray):
                column = pa.concat_arrays(column.chunks)
            self._arrays[name] = column.dictionary_decode() if pa.types.is_dictionary(column.type) else column
        return self._arrays[name]

    def _regular(self, spec: TensorSpec) -> Array | None:
        """An input of all rows at once; None where rows differ, lack something or do not fit."""
        columns = [self._column(name) for name in self._plan.columns[spec.name]]
        try:
            parts = [array for column in columns if (array := whole_column(column, spec)) is not None]
            if len(parts) < len(columns):
                return None
            array = parts[0] if len(parts) == 1 else np.stack(parts, axis=1)
            return values.to_array(spec, shaped(array, spec.shape))
        except (InvalidInput, ValueError, pa.ArrowException):
            return None

    def _one(self, spec: TensorSpec, place: int) -> Array:
        """An input of one row. Raises `InvalidInput`."""
        names = self._plan.columns[spec.name]
        cells = [single_cell(self._column(name)[place], name, spec) for name in names]
        found = values.to_array(TensorSpec(spec.name, spec.dtype, None, ""), cells[0] if len(names) == 1 else cells)
        return of_row(spec).check(shaped(found[np.newaxis], spec.shape)[0, ...])


def fitted(head: list[Chunk], plan: Plan) -> Plan:
    """The plan, held against the columns of the first rows; with the schema of what is carried, where the result has one.

    Raises `UsageError` for a column that is missing, or that an output has too.
    """
    where, names = head[0].source.shown, _header(head)
    plan = replace(plan, columns=find(plan.columns, names, where))
    check_carried(plan.carry or (), names, where)
    check_outputs(plan, names, where)
    return replace(plan, schema=_schema(head, plan)) if plan.format.has_schema else plan


def _header(head: list[Chunk]) -> list[str]:
    """The names of the columns, as far as the first chunks tell."""
    content = head[0].content
    if isinstance(content, CsvRecords):
        names = list(content.header)
    elif not isinstance(content, list):
        names = list(content.column_names)
    else:
        records = (record for chunk in head for record in chunk.content if tf_examples.is_example(record))
        names = [name for record in records for name in tf_examples.features(record)]
    return list(dict.fromkeys([*names, *(name for name, _ in head[0].source.partitions)]))


def _schema(head: list[Chunk], plan: Plan) -> Any:
    """The Arrow schema of the columns that are carried, as the first chunks have it."""
    found: dict[str, Any] = {}
    for chunk in head:
        if found and not isinstance(chunk.content, list) and chunk.source is not head[0].source:
            break  # other files are held against the first
        table = ArrowRows(chunk, plan).table
        for field in table.schema:
            if field.name not in found or pa.types.is_null(found[field.name].type):
                found[field.name] = pa.field(field.name, field.type)
    return pa.schema([found[name] for name in plan.carries(found)])


def _to_mend(column: Any, name: str) -> Any:
    """The only value of a column, for a dead letter that is to be mended and scored again.

    A decimal is the number that it is, where a carried one would be text.
    """
    if pa.types.is_decimal(column.type):
        value = column[0].as_py()
        return None if value is None else orjson.Fragment(str(value))
    try:
        return json_values(column, name)[0]
    except UsageError:  # a time that no calendar has
        return str(column.cast(pa.int64())[0].as_py())
