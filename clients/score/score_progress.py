"""The progress of a job: a bar on a terminal, now and then a line elsewhere.

with ScoreProgress(console, "digits", total_bytes) as progress: progress.advance(rows, source_bytes); progress.note("…")
"""

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

LINE_EVERY_S = 5.0
"""Seconds between two lines where there is no terminal."""


class ScoreProgress:
    """Shows the rows that are done, by their part of the sources' bytes; use it as a context.

    One thread advances it; any thread of the job may leave a note.
    """

    def __init__(self, console: Console, name: str, total_bytes: int | None) -> None:
        """total_bytes: None for a source whose size is not known, such as a pipe."""
        self._console, self._name, self._total = console, name, total_bytes
        self._bars = Bars(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TaskProgressColumn(),
            TextColumn("{task.fields[state]}"),
            TimeRemainingColumn(compact=True, elapsed_when_finished=True),
            console=console,
            disable=not console.is_terminal,
        )
        self._bar = self._bars.add_task(name, total=total_bytes, state="")
        self._rows = self._bytes = self._before_rows = self._before_bytes = 0
        self._note = ""
        self._started = self._spoken = time.monotonic()

    def __enter__(self) -> "ScoreProgress":
        self._bars.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._bars.stop()

    def resume(self, rows: int, source_bytes: int) -> None:
        """Begin with what was done before, which does not count for the rate."""
        self._before_rows, self._before_bytes = rows, source_bytes
        self._show()

    def advance(self, rows: int, source_bytes: int) -> None:
        """Add rows that are done, and the bytes that they took of the sources."""
        self._rows += rows
        self._bytes += source_bytes
        self._note = ""
        self._show()

    def note(self, text: str) -> None:
        """Show what keeps the job from going on, until it does."""
        self._note = text
        self._show()

    def _show(self) -> None:
        now = time.monotonic()
        elapsed_s = max(now - self._started, 1e-9)
        done_bytes = self._before_bytes + self._bytes
        state = f"{self._before_rows + self._rows:,} rows, {self._rows / elapsed_s:,.0f} rows/s"
        note = f"; {self._note}" if self._note else ""
        self._bars.update(self._bar, completed=done_bytes, state=state + note)
        if self._console.is_terminal or now - self._spoken < LINE_EVERY_S:
            return
        self._spoken = now
        left = (
            f", {elapsed_s / self._bytes * (self._total - done_bytes):.0f} s left"
            if self._total and self._bytes
            else ""
        )
        self._console.print(f"{self._name}: {state}{left}{note}", highlight=False, markup=False, soft_wrap=True)
