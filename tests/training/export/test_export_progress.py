"""The line that tells what an export is doing."""

import io
import re

from rich.console import Console

from signet.training.export.export_progress import ExportProgress


def shown(terminal: bool) -> str:
    file = io.StringIO()
    with ExportProgress(Console(file=file, force_terminal=terminal, color_system=None, width=80)) as progress:
        progress.say("writing")
        progress._line.refresh()
    return file.getvalue()


def test_a_terminal_shows_what_is_done_and_for_how_long():
    assert re.search(r"0:00:0\d writing", shown(True))


def test_nothing_is_written_elsewhere():
    assert shown(False) == ""
