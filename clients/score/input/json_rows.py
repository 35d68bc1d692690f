"""Rows of JSON lines: an object with the inputs and more, or the bare value of a sole input.

    {"id": 7, "pixels": [0, 3, …]}  ──▶  input pixels, carried id

What is carried is written as it was read: long numbers, NaN and odd strings stay what they are.
"""

import base64
import json
import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import orjson

from signet.clients.client import values
from signet.clients.score.input.chunk import Chunk
from signet.clients.score.input.lines import TextLine
from signet.clients.score.input.rows import Group, by_shape, of_row
from signet.clients.score.input.sources import Partitions
from signet.clients.score.plan import Plan, check_outputs, find
from signet.serving.errors import InvalidInput, UsageError
from signet.serving.tables import flat_columns
from signet.serving.tensors.arrays import Arrays
from signet.serving.tensors.signature import TensorSpec, nearest_hint

_LONG_NUMBER = re.compile(rb"\d{19}")


class JsonRows:
    """The `ParsedRows` of lines, used by the one thread that scores the chunk."""

    def __init__(self, lines: list[TextLine], plan: Plan, partitions: Partitions = ()) -> None:
        """partitions: keys that the file's folders give every row."""
        self._lines, self._plan = lines, plan
        self.bad: dict[int, str] = {}
        self.documents: dict[int, dict[str, Any]] = {}
        """The rows that are not bad, by place."""
        self._carried: dict[int, dict[str, Any]] = {}
        """What is carried along, by place: as text for lines of JSON, as values with exact whole numbers for columns."""
        self._names: dict[tuple[str, ...], list[str]] = {}
        """The keys that are carried along, by the keys of a row: most rows have the same."""
        for place, line in enumerate(lines):
            try:
                document = parse(line.text, plan, partitions)
                self._carried[place] = self._carried_of(document, line.text)
            except InvalidInput as error:
                self.bad[place] = str(error)
            else:
                self.documents[place] = document
        if plan.schema is not None:
            self._fit_schema()

    def groups(self) -> list[Group]:
        specs = self._plan.signature.inputs
        if not self.documents:
            return []
        text = b"".join(line.text for line in self._lines)
        has_booleans = b"true" in text or b"false" in text
        try:
            stacked = {
                name: values.from_json(spec, self._values(spec, self.documents.values()), has_booleans=has_booleans)
                for name, spec in specs.items()
            }
            return [(list(self.documents), stacked)]
        except InvalidInput:
            pass  # they differ in shape, or one of them is wrong
        rows: dict[int, Arrays] = {}
        for place, document in self.documents.items():
            try:
                rows[place] = {
                    name: values.from_json(of_row(spec), *self._values(spec, [document]), has_booleans=has_booleans)
                    for name, spec in specs.items()
                }
            except InvalidInput as error:
                self.bad[place] = str(error)
        return by_shape(rows)

    def carried(self, places: list[int]) -> list[dict[str, Any]]:
        return [self._carried[place] for place in places]

    def carried_table(self, places: list[int]) -> Any:
        from signet.clients.score.input import json_columns  # noqa: PLC0415  # needs pyarrow

        return json_columns.taken(self._columns, places)

    def original(self, place: int) -> Any:
        text = self._lines[place].text.strip()
        try:
            json.loads(text)  # not only orjson's JSON: NaN may stand in it
        except (ValueError, RecursionError):
            return _text_or_bytes(text)
        return orjson.Fragment(text)

    def where(self, place: int) -> str:
        return f"line {self._lines[place].number}"

    def _values(self, spec: TensorSpec, documents: Iterable[dict[str, Any]]) -> list[Any]:
        """An input of each row, nested as the model takes it."""
        columns, shape = self._plan.columns[spec.name], spec.shape
        if len(columns) == 1:
            found = [document[columns[0]] for document in documents]
        else:
            found = [[document[column] for column in columns] for document in documents]
        if shape is None or (len(shape) < 3 and shape[1:] != (1,)):
            return found  # there is nothing to nest
        return [_nested(value, shape[1:]) for value in found]

    def _carried_of(self, document: dict[str, Any], text: bytes) -> dict[str, Any]:
        """The keys that are carried along. Raises `InvalidInput` for what cannot be."""
        keys = tuple(document)
        names = self._names.get(keys)
        if names is None:
            names = self._names[keys] = self._plan.carries(keys)
        taken = self._plan.output_names.intersection(names)
        if taken:
            raise InvalidInput(f"it has a key {min(taken)!r}, as has the answer; give the outputs another --prefix")
        carried = {name: document[name] for name in names}
        if self._plan.schema is not None:
            return _with_exact_numbers(carried, text)
        return _exact(carried, text, self._plan.non_finite)

    def _fit_schema(self) -> None:
        """Make the carried columns; rows with a key or a value that the first rows did not lead to expect are bad."""
        from signet.clients.score.input import json_columns  # noqa: PLC0415  # needs pyarrow

        expected = set(self._plan.schema.names) | self._plan.used
        for place, document in list(self.documents.items()):
            if self._plan.carry is None and not document.keys() <= expected:
                new = min(document.keys() - expected)
                self._spoil(place, f"it has a key {new!r}, which the first rows lack; say with --carry what to carry")
        self._columns, misfits = json_columns.table(
            {place: self._carried[place] for place in self.documents}, len(self._lines), self._plan.schema
        )
        for place, problem in misfits.items():
            self._spoil(place, problem)

    def _spoil(self, place: int, problem: str) -> None:
        self.bad[place] = problem
        self.documents.pop(place, None)


def fitted(head: list[Chunk], plan: Plan) -> Plan:
    """The plan, held against the keys of the first rows; with the schema of what is carried, where the result has one.

    Inputs that no row has may lie in keys x_0, x_1 …. Raises `UsageError` for a key to carry that no row has.
    """
    where = head[0].source.shown
    check_outputs(plan, plan.carry or (), where)
    plan = _with_flat_columns(head, plan)
    if not plan.carry and not plan.format.has_schema:
        return plan
    documents = []
    for chunk in head:
        for line in chunk.content:
            with suppress(InvalidInput):
                documents.append(_with_exact_numbers(parse(line.text, plan, chunk.source.partitions), line.text))
    names = list(dict.fromkeys(key for document in documents for key in document))
    missing = [name for name in plan.carry or () if documents and name not in names]
    if missing:
        raise UsageError(
            f"none of the first {len(documents)} rows of {where} has a key {missing[0]!r} to carry"
            f"{nearest_hint(missing[0], names)}; they have {', '.join(map(repr, names[:20]))}"
        )
    if not plan.format.has_schema:
        return plan
    from signet.clients.score.input import json_columns  # noqa: PLC0415  # needs pyarrow

    carried = plan.carries(names) if plan.carry is None else list(plan.carry)
    return replace(plan, schema=json_columns.schema(documents, carried, plan.format))


def _with_flat_columns(head: list[Chunk], plan: Plan) -> Plan:
    for chunk in head:
        for line in chunk.content:
            with suppress(ValueError, UsageError):
                document = values.loads(line.text)
                if isinstance(document, dict):
                    names = [*document, *(name for name, _ in chunk.source.partitions)]
                    return replace(plan, columns=find(plan.columns, names, chunk.source.shown))
    return plan


def parse(text: bytes, plan: Plan, partitions: Partitions = ()) -> dict[str, Any]:
    """The object that a line holds, with a key for each column that is an input. Raises `InvalidInput`."""
    signature = plan.signature
    try:
        document = values.loads(text)
    except ValueError as error:
        whole = "" if text.strip()[-1:] in (b"}", b"]", b'"') else "; each line is to hold a whole row"
        raise InvalidInput(f"it is not JSON: {error}{whole}") from error
    bare = not isinstance(document, dict) or document.keys() == {"b64"}
    if bare and len(plan.used) == 1:
        return {next(iter(plan.used)): document, **dict(partitions)}
    if not isinstance(document, dict):
        expected = ", ".join(map(repr, plan.used))
        raise InvalidInput(f"it is no object; expected one with the inputs {expected}")
    for name, value in partitions:
        document.setdefault(name, value)
    if plan.used <= document.keys():
        return document
    if plan.used == signature.input_names:
        signature.check_names(document)
    missing = min(plan.used - document.keys())
    raise InvalidInput(f"it has no key {missing!r}, which --map names")


def _nested(value: Any, shape: tuple[int | None, ...]) -> Any:
    """A row's input as the model takes it: flat numbers in its shape, a lone number as the only one of (1,)."""
    if not isinstance(value, list):
        return [value] if shape == (1,) and isinstance(value, int | float) else value
    return value if value and isinstance(value[0], list) else flat_columns.nested(value, shape)


def _with_exact_numbers(carried: dict[str, Any], text: bytes) -> dict[str, Any]:
    """The same with whole numbers of any size, of which the quick parser makes floats beyond 64 bits."""
    # The text is searched only where a value may have been rounded: that takes as long as parsing it.
    if not any(map(_may_be_rounded, carried.values())) or not _LONG_NUMBER.search(text):
        return carried
    try:
        exact = json.loads(text)
    except (ValueError, RecursionError):
        return carried
    return {key: exact.get(key, value) for key, value in carried.items()} if isinstance(exact, dict) else carried


def _exact(carried: dict[str, Any], text: bytes, non_finite: str) -> dict[str, Any]:
    """The same keys with values that are written as they were read, but for what JSON has no word for."""
    if all(map(_is_written_as_read, carried.values())) and b"\\u" not in text:
        return carried
    # The quick parser makes floats of whole numbers beyond 64 bits and knows no half surrogate pairs.
    try:
        exact = json.loads(text)
        has_words = non_finite != "bare" and (b"NaN" in text or b"Infinity" in text)
        made = {key: exact.get(key, value) for key, value in carried.items()} if isinstance(exact, dict) else carried
        return {
            key: orjson.Fragment(_exact_text(values.in_json(value, non_finite) if has_words else value))
            for key, value in made.items()
        }
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"what it holds beside the inputs cannot be carried along: {error}") from error


def _may_be_rounded(value: Any) -> bool:
    return isinstance(value, list | dict) or (isinstance(value, float) and abs(value) >= 2**63)


def _text_or_bytes(text: bytes) -> Any:
    try:
        return text.decode()
    except UnicodeDecodeError:
        return {"b64": base64.b64encode(text).decode()}


def _is_written_as_read(value: Any) -> bool:
    return isinstance(value, str | None) or (isinstance(value, int) and -(2**63) <= value < 2**64)


def _exact_text(value: Any) -> bytes:
    try:
        return json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return json.dumps(value).encode()
