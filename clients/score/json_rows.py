"""Rows of JSON lines: an object with the inputs and more, or the bare value of a sole input.

    {"id": 7, "pixels": [0, 3, …]}  ──▶  input pixels, carried id

What is carried is written as it was read: long numbers, NaN and odd strings stay what they are.
"""

import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import orjson

from clients import values
from clients.score.chunks import Chunk, Line
from clients.score.plan import Plan
from clients.score.rows import Group, by_shape, of_row
from serving.errors import InvalidInput, UsageError
from serving.signature import nearest_hint
from serving.tensors import Arrays


class JsonRows:
    """A `Batch` of lines."""

    def __init__(self, lines: list[Line], plan: Plan) -> None:
        self._lines, self._plan = lines, plan
        self.bad: dict[int, str] = {}
        self.documents: dict[int, dict[str, Any]] = {}
        """By place, those that are not bad."""
        self._exact: dict[int, dict[str, Any]] = {}
        for place, line in enumerate(lines):
            try:
                document = parse(line.text, plan)
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
        from clients.score import json_columns  # noqa: PLC0415  # needs pyarrow

        return json_columns.taken(self._columns, places)

    def original(self, place: int) -> Any:
        text = self._lines[place].text.strip()
        try:
            json.loads(text)  # not only orjson's JSON: NaN may stand in it
        except (ValueError, RecursionError):
            return text.decode(errors="replace")
        return orjson.Fragment(text)

    def where(self, place: int) -> str:
        return f"line {self._lines[place].number}"

    def _value(self, place: int, name: str) -> Any:
        document, columns = self.documents[place], self._plan.columns[name]
        return document[columns[0]] if len(columns) == 1 else [document[column] for column in columns]

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
        self._exact[place] = _exact({name: document[name] for name in names}, self._lines[place].text)

    def _fit_schema(self) -> None:
        """Make the carried columns; rows with a key or a value that the first rows did not lead to expect are bad."""
        from clients.score import json_columns  # noqa: PLC0415  # needs pyarrow

        known = set(self._plan.schema.names) | self._plan.used
        for place, document in list(self.documents.items()):
            if self._plan.carry is None and not document.keys() <= known:
                new = min(document.keys() - known)
                self._spoil(place, f"it has a key {new!r}, which the first rows lack; say with --carry what to carry")
        self._columns, misfits = json_columns.table(self.documents, len(self._lines), self._plan.schema)
        for place, problem in misfits.items():
            self._spoil(place, problem)

    def _spoil(self, place: int, problem: str) -> None:
        self.bad[place] = problem
        self.documents.pop(place, None)


def check_carried(head: list[Chunk], plan: Plan) -> None:
    """Raise `UsageError` for a key to carry that none of the first rows has."""
    if not plan.carry:
        return
    documents = [document for chunk in head for document in _parsed(chunk.content, plan)]
    names = list(dict.fromkeys(key for document in documents for key in document))
    missing = [name for name in plan.carry if documents and name not in names]
    if missing:
        raise UsageError(
            f"none of the first {len(documents)} rows of {head[0].source.path} has a key {missing[0]!r} to carry"
            f"{nearest_hint(missing[0], names)}; they have {', '.join(map(repr, names[:20]))}"
        )


def _parsed(lines: list[Line], plan: Plan) -> Iterator[dict[str, Any]]:
    for line in lines:
        with suppress(InvalidInput):
            yield parse(line.text, plan)


def schema(head: list[Chunk], plan: Plan) -> Any:
    """The Arrow schema of the keys that are carried, by the values of the first rows."""
    from clients.score import json_columns  # noqa: PLC0415  # needs pyarrow

    documents = [document for chunk in head for document in JsonRows(chunk.content, plan).documents.values()]
    names = (
        plan.carry if plan.carry is not None else plan.carries(dict.fromkeys(key for row in documents for key in row))
    )
    return json_columns.schema(documents, list(names))


def parse(text: bytes, plan: Plan) -> dict[str, Any]:
    """The object that a line holds, with a key for each column that is an input. Raises `InvalidInput`."""
    signature = plan.signature
    try:
        document = values.loads(text)
    except ValueError as error:
        raise InvalidInput(f"it is not JSON: {error}") from error
    bare = not isinstance(document, dict) or document.keys() == {"b64"}
    if bare and len(plan.used) == 1:
        return {next(iter(plan.used)): document}
    if not isinstance(document, dict):
        expected = ", ".join(map(repr, plan.used))
        raise InvalidInput(f"it is no object; expected one with the inputs {expected}")
    if plan.used <= document.keys():
        return document
    if plan.used == signature.input_names:
        signature.check_names(document)
    missing = min(plan.used - document.keys())
    raise InvalidInput(f"it has no key {missing!r}, which --map names")


def _has_booleans(text: bytes) -> bool:
    return b"true" in text or b"false" in text


def _exact(carried: dict[str, Any], text: bytes) -> dict[str, Any]:
    """The same keys with values that are written as they were read."""
    if all(isinstance(value, str | int | None) for value in carried.values()) and b"\\u" not in text:
        return carried
    # The quick parser makes floats of whole numbers beyond 64 bits and knows no half surrogate pairs.
    try:
        exact = json.loads(text)
        return {key: orjson.Fragment(_exact_text(exact[key])) for key in carried}
    except (ValueError, KeyError, RecursionError) as error:
        raise InvalidInput(f"what it holds beside the inputs cannot be carried along: {error}") from error


def _exact_text(value: Any) -> bytes:
    try:
        return json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return json.dumps(value).encode()
