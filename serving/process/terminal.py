"""Consoles that draw, move and colour on terminals alone.

Notebooks and build services set FORCE_COLOR for programs whose output is a pipe; rich takes that for a terminal, and its bars
then leave a line for each turn of a spinner.
"""

import sys

from rich.console import Console


def console(*, stderr: bool = False, soft_wrap: bool = False, highlight: bool = True) -> Console:
    """A console on standard output or standard error, as that is now."""
    stream = sys.stderr if stderr else sys.stdout
    terminal = stream is not None and stream.isatty()
    return Console(stderr=stderr, force_terminal=terminal, soft_wrap=soft_wrap, highlight=highlight)
