"""The twenty bAbI tasks, one model a task: accuracy of both networks beside published figures, as a table.

    python examples/babi/measure.py --data tasks_1-20_v1-2/en ──▶ results.json, a row for each task and network
                                                                  results.md, the table

Rows that are there are kept, so that an interrupted run goes on. The published figures, test accuracy in % with 1,000
questions to learn from: an LSTM (Weston et al. 2015, arXiv:1502.05698) and memory networks of three hops (MemN2N,
Sukhbaatar et al. 2015, arXiv:1503.08895: position encoding, linear start, random noise).
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from signet.serving.errors import SignetError
from signet.training import train
from signet.training.model import BadData
from signet.training.options import ARCHITECTURES, PRESETS, TrainOptions
from signet.training.train_progress import TrainProgress

TASKS = range(1, 21)
LSTM = (50, 20, 20, 61, 70, 48, 49, 45, 64, 44, 72, 74, 94, 27, 21, 23, 51, 52, 8, 91)
# fmt: off
MEMN2N = (99.9, 91.8, 58.2, 95.6, 86.3, 92.1, 79.7, 88.3, 86.4, 90.3,
          99.3, 100, 99.7, 99.1, 100, 99.6, 49, 89.5, 18.6, 100)
# fmt: on
RESULTS = Path(__file__).parent


def measure(file: Path, architecture: str, seed: int, preset: str, console: Console) -> dict[str, Any]:
    """Train on one task and judge by its test questions. Raises BadData, Diverged."""
    started = time.process_time()
    options = TrainOptions(preset=preset, seed=seed, data=file, architecture=architecture)
    with tempfile.TemporaryDirectory() as work, TrainProgress(console) as progress:
        line = progress.add(f"{file.name.partition('_')[0]} {architecture}")
        fitted = train.fitted("question_answering", options, Path(work), line)
    (score,) = fitted.scores
    return {
        "architecture": architecture,
        "accuracy": round(score.value, 4),
        "majority": round(score.baselines["commonest answer"], 4),
        "epochs": len(fitted.history.epochs),
        "best_epoch": fitted.history.best_epoch,
        "cpu_seconds": round(time.process_time() - started),
        "seed": seed,
        "preset": preset,
        "date": datetime.now(UTC).date().isoformat(),
        "versions": fitted.run["versions"],
    }


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The rows as a Markdown table with a last line of means."""
    reached = {(row["task"], row["architecture"]): row for row in rows}
    lines = [
        "| task | commonest answer | notebook | published LSTM | default | published MemN2N | CPU s, notebook and default |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    columns: list[list[float]] = []
    for task, lstm, memn2n in zip(TASKS, LSTM, MEMN2N, strict=True):
        both = [reached.get((task, architecture)) for architecture in ("notebook", "default")]
        if not all(both):
            lines.append(f"| {task} | not measured yet | | {lstm} | | {memn2n} | |")
            continue
        notebook, default = (row for row in both if row)
        figures = [100 * notebook["majority"], 100 * notebook["accuracy"], lstm, 100 * default["accuracy"], memn2n]
        columns.append(figures)
        seconds = f"{notebook['cpu_seconds']}, {default['cpu_seconds']}"
        lines.append(f"| {task} | " + " | ".join(f"{figure:.1f}" for figure in figures) + f" | {seconds} |")
    if columns:
        means = [sum(column) / len(column) for column in zip(*columns, strict=True)]
        lines.append(f"| mean of {len(columns)} | " + " | ".join(f"{mean:.1f}" for mean in means) + " | |")
    dates = sorted({row["date"] for row in rows})
    seeds = sorted({row["seed"] for row in rows})
    head = (
        "Accuracy in % on the test questions of the twenty bAbI tasks (English, 1,000 questions to learn from, one model a "
        f"task). Seed {', '.join(map(str, seeds))}; {' to '.join(dict.fromkeys([dates[0], dates[-1]]))}; made by "
        "`make bench-babi`, which says in `measure.py` where the published figures are from."
    )
    return "\n".join([head, "", *lines, ""])


def main() -> int:
    """Measure what is missing, then print the table."""
    parser = argparse.ArgumentParser(
        prog="python examples/babi/measure.py",
        description="Accuracy of both question answering networks on the twenty bAbI tasks, beside published figures. "
        "At most three minutes of processor time a task and network; an interrupted run goes on where it stopped.",
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with qa1_…_train.txt, qa1_…_test.txt, …")
    parser.add_argument("--seed", type=int, default=0, help="of first weights and order (default: 0)")
    parser.add_argument("--preset", choices=PRESETS, default="full", help="quick or full (default: full)")
    parser.add_argument("--tasks", type=int, nargs="*", default=list(TASKS), choices=TASKS, metavar="N")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of results.json and results.md")
    options = parser.parse_args()
    train.quiet_tensorflow()
    console = Console(soft_wrap=True, highlight=False)
    options.results.mkdir(parents=True, exist_ok=True)
    kept = options.results / "results.json"
    rows: list[dict[str, Any]] = json.loads(kept.read_text()) if kept.exists() else []
    try:
        for task in options.tasks:
            for architecture in ARCHITECTURES[::-1]:
                wanted = (task, architecture, options.seed, options.preset)
                if any((row["task"], row["architecture"], row["seed"], row["preset"]) == wanted for row in rows):
                    continue
                files = list(options.data.glob(f"qa{task}_*_train.txt"))
                if len(files) != 1:
                    raise BadData(f"{options.data}: expected one file qa{task}_…_train.txt, found {len(files)}")
                rows.append({"task": task, **measure(files[0], architecture, options.seed, options.preset, console)})
                writing = kept.with_suffix(".writing")
                writing.write_text("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n")
                writing.rename(kept)
    except KeyboardInterrupt:
        console.print("interrupted: the same command goes on with the tasks that are missing")
        return 130
    except SignetError as error:
        console.print(str(error))
        return error.exit_code
    text = table([row for row in rows if (row["seed"], row["preset"]) == (options.seed, options.preset)])
    (options.results / "results.md").write_text(text)
    sys.stdout.write(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
