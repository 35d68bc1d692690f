"""Rows of JSON lines: an object with the inputs and more, or the bare value of a sole input.

    {"id": 7, "pixels": [0, 3, …]}  ──▶  input pixels, carried id

What is carried is written as it was read: long numbers, NaN and odd strings stay what they are.
"""

import base64
import json
import re
from contextlib import suppress
from dataclasses import replace
from typing import Any

import orjson

from signet.clients.client import flat_columns, values
from signet.clients.score.input.chunk import Chunk
from signet.clients.score.input.lines import TextLine
from signet.clients.score.input.rows import Group, by_shape, of_row
from signet.clients.score.input.sources import Partitions
from signet.clients.score.plan import Plan, find
from signet.serving.errors import InvalidInput, UsageError
from signet.serving.tensors.arrays import Arrays
from signet.serving.tensors.signature import nearest_hint

_LONG_NUMBER = re.compile(rb"\d{19}")


class JsonRows:
    """A `ParsedRows` of lines."""

    def __init__(self, lines: list[TextLine], plan: Plan, partitions: Partitions = ()) -> None:
        """partitions: keys that the file's folders give every row."""
        self._lines, self._plan, self._partitions = lines, plan, partitions
        self.bad: dict[int, str] = {}
        self.documents: dict[int, dict[str, Any]] = {}
        """By place, those that are not bad."""
        self._exact: dict[int, dict[str, Any]] = {}
        """What is carried: as text for lines of JSON, as values with exact whole numbers for columns."""
        for place, line in enumerate(lines):
            try:
                document = parse(line.text, plan, partitions)
                self._texts_of_carried(place, document)
            except InvalidInput as error:
                self.bad[place] = str(error)
            else:
                self.documents[place] = document
        if plan.schema is not None:
            self._fit_schema()

    def groups(self) -> list[Group]:
        specs = self._plan.signature.inputs
        places = list(self.documents)
        if not places:
            return []
        try:
            stacked = {
                name: values.from_json(
                    spec,
                    [self._value(place, name) for place in places],
                    has_booleans=any(_has_booleans(self._lines[place].text) for place in places),
                )
                for name, spec in specs.items()
            }
            return [(places, stacked)]
        except InvalidInput:
            pass  # they differ in shape, or one of them is wrong
        rows: dict[int, Arrays] = {}
        for place in places:
            try:
                rows[place] = self._arrays(place)
            except InvalidInput as error:
                self.bad[place] = str(error)
        return by_shape(rows)

    def carried(self, places: list[int]) -> list[dict[str, Any]]:
        return [self._exact[place] for place in places]

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

    def _value(self, place: int, name: str) -> Any:
        document, columns = self.documents[place], self._plan.columns[name]
        value = document[columns[0]] if len(columns) == 1 else [document[column] for column in columns]
        shape = self._plan.signature.inputs[name].shape
        if shape is None or (len(shape) < 3 and shape[1:] != (1,)):
            return value  # there is nothing to nest
        if not isinstance(value, list):
            return [value] if shape[1:] == (1,) and isinstance(value, int | float) else value
        return value if value and isinstance(value[0], list) else flat_columns.nested(value, shape[1:])

    def _arrays(self, place: int) -> Arrays:
        has_booleans = _has_booleans(self._lines[place].text)
        return {
            name: values.from_json(of_row(spec), self._value(place, name), has_booleans=has_booleans)
            for name, spec in self._plan.signature.inputs.items()
        }

    def _texts_of_carried(self, place: int, document: dict[str, Any]) -> None:
        """Prepare the keys that are carried along. Raises `InvalidInput` for what cannot be."""
        names = self._plan.carries(document)
        taken = self._plan.output_names.intersection(names)
        if taken:
            raise InvalidInput(f"it has a key {min(taken)!r}, as has the answer; give the outputs another --prefix")
        text, carried = self._lines[place].text, {name: document[name] for name in names}
        if self._plan.schema is not None:
            self._exact[place] = _with_exact_numbers(carried, text)
        else:
            self._exact[place] = _exact(carried, text, self._plan.non_finite)

    def _fit_schema(self) -> None:
        """Make the carried columns; rows with a key or a value that the first rows did not lead to expect are bad."""
        from signet.clients.score.input import json_columns  # noqa: PLC0415  # needs pyarrow

        known = set(self._plan.schema.names) | self._plan.used
        for place, document in list(self.documents.items()):
            if self._plan.carry is None and not document.keys() <= known:
                new = min(document.keys() - known)
                self._spoil(place, f"it has a key {new!r}, which the first rows lack; say with --carry what to carry")
        self._columns, misfits = json_columns.table(
            {place: self._exact[place] for place in self.documents}, len(self._lines), self._plan.schema
        )
        for place, problem in misfits.items():
            self._spoil(place, problem)

    def _spoil(self, place: int, problem: str) -> None:
        self.bad[place] = problem
        self.documents.pop(place, None)


def check_carried(head: list[Chunk], plan: Plan) -> None:
    """Raise `UsageError` for a key to carry that none of the first rows has."""
    if not plan.carry:
        return
    parsed = (_parsed(line, plan, chunk.source.partitions) for chunk in head for line in chunk.content)
    documents = [found[0] for found in parsed if found]
    names = list(dict.fromkeys(key for document in documents for key in document))
    missing = [name for name in plan.carry if documents and name not in names]
    if missing:
        raise UsageError(
            f"none of the first {len(documents)} rows of {head[0].source.shown} has a key {missing[0]!r} to carry"
            f"{nearest_hint(missing[0], names)}; they have {', '.join(map(repr, names[:20]))}"
        )


def _parsed(line: TextLine, plan: Plan, partitions: Partitions) -> tuple[dict[str, Any], bytes] | None:
    """The object of a line, and its text; None for a bad one."""
    try:
        return parse(line.text, plan, partitions), line.text
    except InvalidInput:
        return None


def schema(head: list[Chunk], plan: Plan) -> Any:
    """The Arrow schema of the keys that are carried, by the values of the first rows."""
    from signet.clients.score.input import json_columns  # noqa: PLC0415  # needs pyarrow

    documents = []
    for chunk in head:
        rows = (parsed for line in chunk.content if (parsed := _parsed(line, plan, chunk.source.partitions)))
        documents += [_with_exact_numbers(document, text) for document, text in rows]
    names = (
        plan.carry if plan.carry is not None else plan.carries(dict.fromkeys(key for row in documents for key in row))
    )
    return json_columns.schema(documents, list(names), plan.format)


def with_flat_columns(head: list[Chunk], plan: Plan) -> Plan:
    """The plan, where inputs that no row has lie in keys x_0, x_1 … of the first rows."""
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


def _has_booleans(text: bytes) -> bool:
    return b"true" in text or b"false" in text


def _with_exact_numbers(carried: dict[str, Any], text: bytes) -> dict[str, Any]:
    """The same with whole numbers of any size, of which the quick parser makes floats beyond 64 bits."""
    if not _LONG_NUMBER.search(text):
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
