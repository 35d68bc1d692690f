"""What an export is doing, and for how long: a moving line on a terminal's standard error, and nothing elsewhere."""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn


class ExportProgress:
    """The line of one export; use it as a context, at whose end the line is gone."""

    def __init__(self, console: Console) -> None:
        columns = (SpinnerColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
        self._line = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self._task = self._line.add_task("", total=None)

    def __enter__(self) -> Self:
        self._line.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._line.stop()

    def say(self, text: str) -> None:
        """Show what is being done now."""
        self._line.update(self._task, description=text)
