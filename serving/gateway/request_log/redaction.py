"""Which columns of a request log are left empty: `social_posts.text,*.picture*,digits.output.digit`.

A pattern is held against MODEL.COLUMN, the columns being called as in the files (`models/request_columns.py`). One that names
a model, but none of its columns, is a mistake by which something could leak: nothing is logged of that model then.
"""

from collections.abc import Iterable
from fnmatch import fnmatchcase


class Redaction:
    """The patterns of one log."""

    def __init__(self, patterns: Iterable[str]) -> None:
        self._patterns = tuple(patterns)

    def hidden(self, model: str, columns: Iterable[str]) -> frozenset[str]:
        """Those of a model's columns that are left empty."""
        return frozenset(
            column for column in columns if any(fnmatchcase(f"{model}.{column}", pattern) for pattern in self._patterns)
        )

    def amiss(self, model: str, columns: Iterable[str]) -> str:
        """The first pattern that names the model, but none of its columns, which are those of all its signatures; or nothing."""
        names = [f"{model}.{column}" for column in columns]
        for pattern in self._patterns:
            if pattern.startswith(f"{model}.") and not any(fnmatchcase(name, pattern) for name in names):
                return pattern
        return ""
