"""The text of an error for the log: what was wrong, without the values that a caller has sent.

    input 'age' is the number 93; the model takes string ──▶ input 'age' is the number …; the model takes string

The caller gets the whole text. The log is read by others, and kept: names of tensors stay, and whatever stands in quotes
besides, in braces, or as a number behind "is", goes.
"""

import re

MOST = 300
"""Characters of a text that are kept."""

_NAMED = r"input|output|signature|model|inputs|outputs|parameter|feature"
_HIDDEN = re.compile(
    rf"""
    (?P<kept>\b(?:{_NAMED})[ ]'[A-Za-z0-9_./:-]{{1,100}}'
      | '(?:instances|inputs|examples|signature_name|output_filter|named_outputs|non_finite|contents|raw_input_contents)')
    | JSON[ ]Value:.*
    | "(?:[^"\\]|\\.)*(?:"|$)
    | '(?:[^'\\]|\\.)*(?:'|$)
    | \{{.*
    | (?:(?<=\bis[ ])|(?<=\bnumber[ ])|(?<==[ ]))[+-]?[0-9.][0-9.eE+-]*
    """,
    re.VERBOSE | re.DOTALL,
)


_OURS = frozenset(("RESOURCE_EXHAUSTED", "UNAVAILABLE", "DEADLINE_EXCEEDED"))
"""Codes of errors whose texts never have values in them. Of others a model, too, may quote what it was given."""


def for_log(text: str, code: str) -> str:
    """The text, bounded. code: of the error."""
    if code in _OURS:
        return text[:MOST]
    return _HIDDEN.sub(lambda match: match["kept"] or "…", text)[:MOST]
