"""What the command line says of a dataclass's field, so that name, type, default and meaning are written once.

    rows: Annotated[int, Option("Rows in a request.", min=1)] = 1
        ──signet/commands/spread.py──▶ --rows INTEGER RANGE  Rows in a request.  [default: 1; x>=1]

Nothing here needs the library that reads the command line.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Option:
    """How a field is given on the command line; a field without one is not."""

    help: str
    flag: str = ""
    """`--name`; empty: as the field is called."""
    also: str = ""
    """Another flag for the same, which is not shown."""
    metavar: str | None = None
    min: float | None = None
    max: float | None = None
    variable: str | None = None
    """The environment variable that says it where the command line does not."""
    is_argument: bool = False
    """Whether it is told from others by its place instead of a name."""
    choices: Sequence[str] = ()
    """The words that it may be; none: any."""
    section: str = ""
    """The heading of the help below which it stands; empty: that of all others."""
    complete: str = ""
    """What a shell may put for a word that somebody has begun to type: a function of signet/commands/completing.py."""
