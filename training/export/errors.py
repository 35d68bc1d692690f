"""Why nothing was published, in a sentence; and what others raise, as one.

BadModel       the file or the model cannot be exported
ExportFailed   what was written is not what the model is, or cannot be put where it belongs
"""

import re

from signet.serving.errors import SignetError, UsageError


class BadModel(UsageError):
    """The file does not hold a model that can be exported."""


class ExportFailed(SignetError):
    """The export was given up, and nothing was published."""


def said_by(error: BaseException) -> str:
    """An error that nobody foresaw, as one sentence: its first line that says something; a refusal inside it as it is."""
    inner: BaseException | None = error
    while inner is not None:
        if isinstance(inner, SignetError):
            return str(inner)
        inner = inner.__cause__ or inner.__context__
    text = str(error)
    if "No space left on device" in text:
        return "the disk is full; nothing was published"
    line = first_line(text)
    return f"{type(error).__name__}: {line}; nothing was published" if line else f"{error!r}; nothing was published"


def first_line(text: str) -> str:
    """The first line that says something; Keras says first which layer it was, and in bold letters."""
    lines = (re.sub(r"\x1b\[\d*m", "", line).strip() for line in text.splitlines())
    telling = (
        line for line in lines if line and not line.startswith(("Exception encountered", "in user code", "File "))
    )
    return next(telling, "").rstrip(".")[:_MOST_SAID]


_MOST_SAID = 500
"""Characters of an error of others that are passed on."""
