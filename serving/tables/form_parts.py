"""The parts of a form, `multipart/form-data`, as tensors: a part a row of the input that is called so.

    -F left_camera=@l.jpg -F right_camera=@r.jpg -F age=33 ──read──▶ left_camera (1,) bytes, right_camera (1,), age (1, 1)

Strings are the bytes of their parts, or JSON where a part's type or the input's rows ask for it; numbers are JSON, or one as
people write it. File names say nothing here. Source: RFC 7578.
"""

import re
from collections.abc import Iterable
from typing import Any, NamedTuple

import multipart

from signet.serving.errors import InvalidInput
from signet.serving.json_arrays import parsing
from signet.serving.tables import columns, text_cells
from signet.serving.tensors.arrays import Arrays
from signet.serving.tensors.padding import PaddingRule
from signet.serving.tensors.signature import Signature, TensorSpec

WHAT = "the form"

MOST_PARTS = 10_000
"""Parts of a form: each costs some microseconds, however small it is."""
_MOST_HEADERS, _HEADER_BYTES = 8, 1 << 12
_MOST_NAME = 1 << 10

_BOUNDARY = re.compile(r';[ \t]*boundary=(?:"([^"\\]{1,70})"|([!-~]{1,70}?))[ \t]*(?:;|$)', re.IGNORECASE)
"""As RFC 2046 has it, 5.1.1: at most 70 characters."""


class Part(NamedTuple):
    """One part of a form."""

    name: str
    content: bytes
    is_json: bool
    """Whether its own Content-Type says so."""


def read(body: bytes, content_type: str, signature: Signature, fill: PaddingRule | None) -> Arrays:
    """The inputs of a body. content_type: with its boundary. Raises `InvalidInput`, which names the part."""
    found = parts(body, content_type)
    names = list(dict.fromkeys(part.name for part in found))
    inputs = columns.of_inputs(signature, names, WHAT)
    by_name: dict[str, list[Part]] = {name: [] for name in names}
    for part in found:
        by_name[part.name].append(part)

    def column(spec: TensorSpec, name: str, alone: bool) -> list[Any]:
        rows = by_name[name]
        single = not alone or columns.takes_single(spec, len(rows))
        return [_value(spec, part, i, single) for i, part in enumerate(rows)]

    return columns.arrays(inputs, column, signature, fill)


def parts(body: bytes, content_type: str) -> list[Part]:
    """The parts in their order. Raises `InvalidInput` for a form that is broken, cut off or has too many of them."""
    boundary = _BOUNDARY.search(content_type)
    if not boundary:
        raise InvalidInput(
            "the Content-Type multipart/form-data lacks its boundary of at most 70 characters: leave the header to "
            "whoever writes the form, such as curl -F"
        )
    parser = multipart.PushMultipartParser(
        boundary[1] or boundary[2],
        content_length=len(body),
        max_header_size=_HEADER_BYTES,
        max_header_count=_MOST_HEADERS,
        max_segment_count=MOST_PARTS,
        strict=True,
    )
    found: list[Part] = []
    try:
        with parser:
            _collect(parser.parse(body), found)
    except multipart.ParserLimitReached as error:
        raise InvalidInput(
            f"{WHAT} has too much: {error}. It may have {MOST_PARTS} parts, each of {_MOST_HEADERS} headers of "
            f"{_HEADER_BYTES} bytes"
        ) from error
    except (multipart.MultipartError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{WHAT} is broken after {len(found)} parts: {error}") from error
    if not found:
        raise InvalidInput(f"{WHAT} has no parts; expected one for each input, such as -F NAME=@FILE")
    return found


def _collect(events: Iterable[Any], found: list[Part]) -> None:
    segment: Any = None
    content: list[bytes] = []
    for event in events:
        if event is None:
            found.append(_part(segment, b"".join(content)))
        elif isinstance(event, multipart.MultipartSegment):
            segment, content = event, []
        else:
            content.append(bytes(event))


def _part(segment: Any, content: bytes) -> Part:
    name = segment.name
    if not name or len(name) > _MOST_NAME:
        raise InvalidInput(f'a part of {WHAT} has no name; expected Content-Disposition: form-data; name="INPUT"')
    encoding = segment.header("Content-Transfer-Encoding", "binary").strip().lower()
    if encoding not in ("binary", "8bit", "7bit"):
        raise InvalidInput(
            f"part {name[:100]!r} has the Content-Transfer-Encoding {encoding[:40]!r}, which forms do not use any more; "
            "send its bytes as they are"
        )
    kind = (segment.content_type or "").partition(";")[0].strip().lower()
    return Part(name, content, kind == "application/json" or kind.endswith("+json"))


def _value(spec: TensorSpec, part: Part, row: int, single: bool) -> Any:
    """The value of one part."""
    dtype = spec.dtype
    if dtype is not None and dtype.is_string and single and not part.is_json:
        return part.content
    where = f"part {part.name[:100]!r}"
    number = f" {row + 1}" if row else ""
    if part.is_json or part.content.lstrip()[:1] in (b"[", b"{"):
        try:
            return parsing.loads(part.content, trailing=False)
        except InvalidInput as error:
            raise InvalidInput(f"{where}{number}: {error}") from error
    try:
        text = part.content.decode()
    except UnicodeDecodeError as error:
        takes = dtype.name if dtype else "a type that cannot be sent"
        raise InvalidInput(
            f"{where}{number} is no text: byte 0x{part.content[error.start]:02x} at offset {error.start}; "
            f"input {spec.name!r} takes {takes}, as JSON"
        ) from None
    return text_cells.cell(spec, text, single=single, where=where, row=row)
