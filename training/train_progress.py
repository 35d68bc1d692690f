"""How far each training has come: bars on a terminal, now and then a line elsewhere.

progress = TrainProgress(console); line = progress.add("digits")
line.start(epochs, steps, done); line.epoch(3, {"loss": 0.2}); line.say("exporting")
"""

import time
from collections.abc import Mapping
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn
from rich.text import Text

LINE_EVERY_S = 5.0
"""Without a terminal: seconds between two lines of one training."""


class _Time(ProgressColumn):
    """The time that is left, while it learns; after that, while weights are judged and exported, the time that has passed."""

    def render(self, task: Task) -> Text:
        """`1:02 left`, `0:08 passed`; nothing as long as neither is known."""
        learning = task.total is not None and not task.finished
        seconds = task.time_remaining if learning else task.elapsed
        if seconds is None or task.total is None:
            return Text("")
        minutes, rest = divmod(int(seconds), 60)
        return Text(f"{minutes}:{rest:02d} {'left' if learning else 'passed'}", style="progress.remaining")


class TrainProgress:
    """All trainings of one run; use it as a context."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[state]}"),
            _Time(),
            console=console,
            disable=not console.is_terminal,
        )

    def __enter__(self) -> "TrainProgress":
        self._bars.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._bars.stop()

    def add(self, name: str) -> "ModelProgress":
        """A line for the training called `name`."""
        return ModelProgress(name, self._console, self._bars)


class ModelProgress:
    """One training: a bar on a terminal, else lines of text."""

    def __init__(self, name: str, console: Console, bars: Progress) -> None:
        self._name = name
        self._console = console
        self._bars = bars
        self._bar = bars.add_task(name, state="", total=None)
        self._epochs = self._steps = self._first = 0
        self._started = self._spoken = time.monotonic()

    def start(self, epochs: int, steps: int, done: int) -> None:
        """The run has `epochs` of `steps` batches each, `done` of them before now."""
        self._epochs, self._steps, self._first = epochs, steps, done
        self._started = self._spoken = time.monotonic()
        self._bars.reset(self._bar, total=epochs * steps, completed=done * steps)

    def say(self, state: str) -> None:
        """Show what is being done now, other than learning."""
        self._bars.update(self._bar, state=state)
        if not self._console.is_terminal:
            self._console.print(f"{self._name}: {state}", highlight=False, soft_wrap=True)

    def end(self, state: str) -> None:
        """Show what came of it; its time stands still from now on."""
        self.say(state)
        self._bars.stop_task(self._bar)

    def batch(self, done: int) -> None:
        """Move the bar: `done` batches of the whole run are learnt from."""
        self._bars.update(self._bar, completed=done)

    def epoch(self, done: int, logs: Mapping[str, float]) -> None:
        """Show the loss after `done` epochs of the whole run."""
        now = time.monotonic()
        state = f"epoch {done}/{self._epochs}, loss {logs['loss']:.4g}"
        self._bars.update(self._bar, state=state)
        if not self._console.is_terminal and (now - self._spoken >= LINE_EVERY_S or done == self._epochs):
            self._spoken = now
            left_s = (now - self._started) / (done - self._first) * (self._epochs - done)
            self._console.print(f"{self._name}: {state}, {left_s:.0f} s left", highlight=False, soft_wrap=True)
