"""The dialect of a CSV file: its delimiter, encoding and quoting, as the user says or as its beginning tells.

    b"id;x\\r\\n1;2\\r\\n" ──detect──▶ Dialect(";", "utf-8", "double"), "the delimiter ';', as its first rows tell"

What is found is told to the user. A guess is made only where just one reading fits the header and the first rows.
"""

import codecs
import csv
import io
from dataclasses import dataclass
from typing import Annotated, Any

from signet.serving.errors import UsageError
from signet.serving.options import Option

HEAD_BYTES = 1 << 16
"""How much of a file is read to tell its dialect."""
DELIMITERS = (",", ";", "\t", "|")
QUOTINGS: dict[str, dict[str, Any]] = {
    "double": {"quotechar": '"', "doublequote": True},
    "backslash": {"quotechar": '"', "doublequote": True, "escapechar": "\\"},
    "single": {"quotechar": "'", "doublequote": True},
    "none": {"quoting": csv.QUOTE_NONE},
}
"""What `csv.reader` is told. double: RFC 4180, "" is a quote in quotes; backslash: \\" too; single: ' quotes; none:
quotes are text."""

_NAMED = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";", "pipe": "|", "space": " "}
_WIDE = ("utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be")
_MARKS = (  # the longer first: UTF-32's begins as UTF-16's does
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_SAMPLE_ROWS = 20
CSV = "CSV files"
"""The section of the help with these options."""


@dataclass(frozen=True)
class Dialect:
    """The delimiter, encoding and quoting of a CSV file; an empty text stands for what the file itself tells."""

    delimiter: Annotated[
        str,
        Option(
            "One character, or tab. [default: , or tab by the name; ; tab or | where the first rows say so]",
            section=CSV,
        ),
    ] = ""
    encoding: Annotated[
        str,
        Option("utf-8, utf-16, cp1252, latin-1 … [default: as the file's beginning tells]", section=CSV),
    ] = ""
    quoting: Annotated[
        str,
        Option(
            'double: "" is a quote within quotes, as RFC 4180 has it; backslash: \\" too; single: quotes '
            "are '; none: quotes are text. [default: double, or backslash where the first "
            "rows say so]",
            choices=tuple(QUOTINGS),
            section=CSV,
        ),
    ] = ""

    @property
    def format(self) -> dict[str, Any]:
        """The arguments of `csv.reader`."""
        return {"delimiter": self.delimiter, **QUOTINGS[self.quoting]}

    @property
    def marks(self) -> tuple[str, ...]:
        """The characters without which a line is a record, and its cells lie between the delimiters."""
        quoting = QUOTINGS[self.quoting]
        return tuple(quoting[key] for key in ("quotechar", "escapechar") if key in quoting)

    @property
    def is_wide(self) -> bool:
        """Whether a character takes two bytes or four."""
        return self.encoding in _WIDE

    @property
    def errors(self) -> str:
        """How bytes that are no text are kept, so that every text has the bytes it came from."""
        return "surrogatepass" if self.is_wide else "surrogateescape"


UNKNOWN = Dialect()
"""The dialect of which the user says nothing."""


def of_options(delimiter: str, encoding: str, quoting: str) -> Dialect:
    """The dialect that `--delimiter`, `--encoding` and `--quoting` ask for. Raises `UsageError`."""
    mark = _NAMED.get(delimiter.lower(), delimiter)
    if len(mark) > 1 or mark in ("\r", "\n", '"'):
        raise UsageError(f"--delimiter is {delimiter!r}; expected one character, or {', '.join(_NAMED)}")
    if quoting and quoting not in QUOTINGS:
        raise UsageError(f"--quoting is {quoting!r}; expected {', '.join(QUOTINGS)}")
    return Dialect(mark, _encoding(encoding) if encoding else "", quoting)


def detect(head: bytes, asked: Dialect, usual: str, whole: bool) -> tuple[Dialect, str]:
    """The dialect of a file that begins so, and what of it is worth telling. usual: the delimiter of its format.

    whole: whether the head is all there is.
    """
    encoding, reason = _marked(head, asked.encoding)
    encoded = f"the encoding {encoding}, {reason}" if reason else ""
    text = codecs.getincrementaldecoder(encoding)(Dialect(encoding=encoding).errors).decode(head, whole)
    text = text.removeprefix("\ufeff")
    rows = io.StringIO(text, newline="").readlines()
    if not whole and len(rows) > 1:
        rows.pop()  # it may be cut
    said = _said(rows)
    delimiter, quoting, why = _separated(rows[1:] if said else rows, asked, said or usual)
    if said and not asked.delimiter:
        why = f"the delimiter {said!r}, as its first line says"
    return Dialect(delimiter, encoding, quoting), "; ".join(filter(None, [encoded, why]))


def says_delimiter(line: str) -> bool:
    """Whether a file's first line is none of its records but Excel's `sep=;`."""
    return bool(_said([line]))


def _said(rows: list[str]) -> str:
    first = rows[0].rstrip("\r\n") if rows else ""
    return first[4] if len(first) == 5 and first.lower().startswith("sep=") else ""


def encoding(name: str) -> str:
    """The codec's own name. Raises LookupError for those in which a text may have come from other bytes."""
    try:
        found = codecs.lookup(name).name
        if found in (*_WIDE, "utf-16", "utf-32", "utf-8"):
            return found
        if found == "utf-8-sig":
            return "utf-8"
        if len(bytes(range(256)).decode(found, "surrogateescape")) == 256:
            return found
    except (UnicodeError, ValueError):
        pass
    raise LookupError(name)


def _encoding(name: str) -> str:
    try:
        return encoding(name)
    except LookupError:
        raise UsageError(
            f"--encoding is {name!r}; expected utf-8, utf-16, cp1252, latin-1 or another of one byte a character"
        ) from None


def _marked(head: bytes, asked: str) -> tuple[str, str]:
    """The encoding, and why it is not the usual one."""
    mark = next((name for bom, name in _MARKS if head.startswith(bom)), "")
    if asked in ("utf-16", "utf-32"):
        return (mark if mark.startswith(asked) else f"{asked}-le"), ""
    if asked or mark:
        return asked or mark, "" if asked or mark == "utf-8" else "as its byte order mark says"
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        pass
    else:
        halves = [name for name, zeros in (("utf-16-le", head[1::2]), ("utf-16-be", head[::2])) if _are_zeros(zeros)]
        return (halves[0], "as every other byte is zero") if halves else ("utf-8", "")
    kept = head.decode("utf-8", "surrogateescape")
    if all(letter.isascii() or "\udc80" <= letter <= "\udcff" for letter in kept):
        try:
            head.decode("cp1252")
        except UnicodeDecodeError:
            return "utf-8", ""
        return "cp1252", "as it is no UTF-8 from its first letter beyond ASCII on"
    return "utf-8", ""


def _are_zeros(half: bytes) -> bool:
    return len(half) > 1 and half.count(0) > len(half) * 3 // 4


def _separated(rows: list[str], asked: Dialect, usual: str) -> tuple[str, str, str]:
    """The delimiter and the quoting, and what of it is not usual."""
    quoting, guesses = asked.quoting or "double", []
    delimiter = asked.delimiter or usual
    if not asked.delimiter and not _width(rows, Dialect(usual, "", quoting), header_only=True) > 1:
        others = [mark for mark in DELIMITERS if mark != usual and _width(rows, Dialect(mark, "", quoting)) > 1]
        if len(others) == 1:
            delimiter = others[0]
            guesses.append(f"the delimiter {delimiter!r}, as its first rows tell")
    if not asked.quoting and any('\\"' in row for row in rows):
        plain, escaped = (_width(rows, Dialect(delimiter, "", name)) for name in ("double", "backslash"))
        if escaped > 1 and not plain:
            quoting = "backslash"
            guesses.append("quotes within quotes behind a backslash, as its first rows tell")
    return delimiter, quoting, "; ".join(guesses)


def _width(rows: list[str], dialect: Dialect, header_only: bool = False) -> int:
    """The cells of each of the first rows; 0 where they differ."""
    widths: list[int] = []
    try:
        for cells in csv.reader(rows, **dialect.format):
            if cells:
                widths.append(len(cells))
            if len(widths) > _SAMPLE_ROWS or (header_only and widths):
                break
    except csv.Error:
        return 0
    return widths[0] if len(set(widths)) == 1 else 0
