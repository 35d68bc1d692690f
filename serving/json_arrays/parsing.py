"""JSON text as TensorFlow Serving's dialect has it -> values.

    body ──words as numbers──▶ strict JSON ──read──▶ values ──first of equal names, numbers as words──▶ value

The dialect is strict JSON, but for NaN, Infinity, Inf and their negatives, which are numbers; a byte order mark before and any
text after the value are passed over; of a name that comes twice in an object the first counts. Strict parsers are several
times faster than one of the dialect, and give exactly the double that is written, so they read every body: beforehand each
of the words becomes a number that nobody sends, which is put right afterwards. Source: `json_tensor.cc`, RapidJSON.
"""

import codecs
import json
import random
import re
from collections.abc import Callable
from itertools import chain
from typing import Any

import numpy as np
import orjson
import rapidjson

from signet.serving.errors import InvalidInput
from signet.serving.tensors.arrays import Array

Read = Callable[[bytes], Any]
"""Reads strict JSON as `orjson.loads` does: raises its error, and gives an array at most where that has a list of numbers."""

PREFIX = "JSON Parse error: "
"""How messages about broken JSON begin."""

_STRING_OR_WORD = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|(-?NaN|-?Inf(?:inity)?)', re.DOTALL)
"""A string that is not closed goes to the end: else each quote in it would be tried as a beginning."""

_FEW, _SHORT = 16, 4096

_LONG_NUMBER = re.compile(r"\d{19}")

_SECRET = random.SystemRandom()
_MARKS = {number: _SECRET.uniform(1, 9) * 1e-303 for number in ("NaN", "Infinity", "-Infinity")}
"""What stands for the words in between, anew in every process: to guess one takes 2^52 tries."""
_MARK_TEXTS = {
    key: b" %b " % repr(_MARKS[word]).encode()  # longer than any word; with blanks, or NaN1 would be a number
    for key, word in {
        (b"N", False): "NaN",
        (b"N", True): "NaN",
        (b"I", False): "Infinity",
        (b"I", True): "-Infinity",
    }.items()
}
"""By the first letter of a word, and whether it has a minus."""
_NUMBERS = {mark: float(word) for word, mark in _MARKS.items()}
_PLAIN = {float, int, str, bool, type(None)}

_TOO_BIG_IS_AN_ERROR = rapidjson.NM_NATIVE | rapidjson.NM_NAN


def loads(body: bytes, read: Read = orjson.loads, *, raw_text: bool = False, trailing: bool = True) -> Any:
    """The value that a body holds, by the dialect's rules. Raises `InvalidInput` with the reason and its offset in bytes.

    raw_text: whether text may be other than UTF-8; its bytes are in the strings then as `surrogateescape` has them.
    trailing: whether anything may follow the value.
    """
    if not body:
        raise InvalidInput(f"{PREFIX}The document is empty")
    text = body.removeprefix(codecs.BOM_UTF8)
    marked = _marked(text)
    try:
        value, marked = _strict(marked, read, trailing)
    except orjson.JSONDecodeError as error:
        raw = _not_utf8(body)
        if raw is None or not raw_text:
            raise _broken(body, error, raw) from error
        value, marked = _raw(body, marked, read, trailing)
    else:
        if may_repeat_names(value, marked):
            del value  # two of them may not fit
            value = _first_of_equal_names(marked.decode())
    return _with_numbers(value) if len(marked) != len(text) else value


def _strict(text: bytes, read: Read, trailing: bool) -> tuple[Any, bytes]:
    """The value of strict JSON, and the text without what follows it."""
    try:
        return read(text), text
    except orjson.JSONDecodeError as error:
        if not (trailing and error.msg == "unexpected content after document"):
            raise
        text = text.decode()[: error.pos].encode()  # it counts characters
        return read(text), text


def _raw(body: bytes, marked: bytes, read: Read, trailing: bool) -> tuple[Any, bytes]:
    """The value of a body whose text is not UTF-8, and the text without what follows it."""
    text = marked.decode(errors="surrogateescape")
    as_utf8 = text.encode(errors="replace")  # a question mark for each byte
    try:
        used = _strict(as_utf8, read, trailing)[1]
    except orjson.JSONDecodeError as error:
        raise _broken(body, error, None) from error
    return _first_of_equal_names(text[: len(used.decode())]), used


def _not_utf8(body: bytes) -> UnicodeDecodeError | None:
    try:
        body.decode()
    except UnicodeDecodeError as error:
        return error
    return None


def _broken(body: bytes, error: orjson.JSONDecodeError, not_utf8: UnicodeDecodeError | None) -> InvalidInput:
    """The error for a body that is broken JSON, in RapidJSON's words."""
    if not_utf8 is not None:
        place = not_utf8.start
        return InvalidInput(f"{PREFIX}the text is not UTF-8: byte 0x{body[place]:02x} at offset: {place}")
    text = body.removeprefix(codecs.BOM_UTF8)
    reason, offset = error.msg, error.pos
    try:
        as_utf8 = text.decode(errors="surrogateescape").encode(errors="replace")
        rapidjson.loads(as_utf8, number_mode=_TOO_BIG_IS_AN_ERROR)
    except (rapidjson.JSONDecodeError, RecursionError) as closer:
        match = re.match(r"Parse error at offset (\d+): (.*)", str(closer), re.DOTALL)
        reason, offset = (match[2], int(match[1])) if match else (str(closer), 0)
    return InvalidInput(f"{PREFIX}{reason} at offset: {offset + len(body) - len(text)}")


# Numbers that are not finite


def _marked(text: bytes) -> bytes:
    """The text with a number for each word that strict JSON does not know; of the same length only when there is none."""
    if b"N" not in text and b"I" not in text:  # one letter is found several times faster than a word
        return text
    if b"NaN" not in text and b"Inf" not in text:
        return text
    pieces: list[bytes] = []
    start = 0
    for match in _STRING_OR_WORD.finditer(text):
        if match[1] is not None:
            pieces += (text[start : match.start()], _MARK_TEXTS[match[1].removeprefix(b"-")[:1], match[1][:1] == b"-"])
            start = match.end()
    return b"".join([*pieces, text[start:]]) if pieces else text


def _with_numbers(document: Any) -> Any:
    """The document, changed in place, with the numbers that the marks stand for. Nests may be deeper than calls can be."""
    outermost = [document]
    left: list[Any] = [outermost]
    while left:
        node = left.pop()
        for key, value in node.items() if type(node) is dict else enumerate(node):
            kind = type(value)
            if kind is float:
                if value in _NUMBERS:
                    node[key] = _NUMBERS[value]
            elif kind is np.ndarray:
                node[key] = _array_with_numbers(value)
            elif kind is list:
                kinds = set(map(type, value))
                if not kinds <= _PLAIN:
                    left.append(value)
                elif float in kinds:
                    value[:] = [_NUMBERS.get(element, element) for element in value]
            elif kind is dict:
                left.append(value)
    return outermost[0]


def _array_with_numbers(array: Array) -> Array:
    if array.dtype.kind != "f":
        return array
    places = {number: array == mark for mark, number in _NUMBERS.items()}
    if not any(place.any() for place in places.values()):
        return array
    array = array.copy()
    for number, place in places.items():
        array[place] = number
    return array


# Equal names


def may_repeat_names(value: Any, text: bytes) -> bool:
    """Whether an object in the strict text may have had a name twice: its value then has fewer names than the text has colons.

    Colons in strings are counted only as far as is needed; the escape of one stands for a doubt.
    """
    left = _colons(text)
    if not left or (type(value) is dict and left == _names_above(value)):
        return False
    level = [value]
    while level:
        objects = [node for node in level if type(node) is dict]
        left -= sum(map(len, objects))
        if not left:
            return False
        if b"\\" in text and (b"\\u003a" in text or b"\\u003A" in text):
            return True
        strings = chain([node for node in level if type(node) is str], *objects)
        left -= "".join(strings).count(":")
        if not left:
            return False
        lists = [node for node in level if type(node) is list and not {str, list, dict}.isdisjoint(map(type, node))]
        level = [*chain.from_iterable(map(dict.values, objects)), *chain.from_iterable(lists)]
    return True


def _names_above(document: dict[str, Any]) -> int:
    """Names in it and in its rows or columns, which are all there are in most bodies."""
    names = len(document)
    for value in document.values():
        if type(value) is dict:
            names += len(value)
        elif type(value) is list and value and type(value[0]) is dict and set(map(type, value)) == {dict}:
            names += sum(map(len, value))
    return names


def _colons(text: bytes) -> int:
    """How many there are: where they are few, to look for one after another is much faster than to count."""
    if len(text) <= _SHORT:
        return text.count(b":")
    place = -1
    for found in range(_FEW):
        place = text.find(b":", place + 1)
        if place < 0:
            return found
    return _FEW + text.count(b":", place + 1)


def _first_of_equal_names(text: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_first, parse_int=_whole if _LONG_NUMBER.search(text) else None)
    except RecursionError as error:
        raise InvalidInput(f"{PREFIX}Maximum parse recursion depth exceeded! at offset: 0") from error


def _whole(digits: str) -> float:
    """A whole number; beyond 64 bits it is a double, as to every other parser here."""
    number = int(digits)
    return number if -(1 << 63) <= number < 1 << 64 else float(number)


def _first(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for name, member in pairs:
        value.setdefault(name, member)
    return value
