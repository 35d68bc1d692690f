"""The table of bAbI tasks: measured from files, resumed, printed."""

import json
import subprocess
import sys
from itertools import groupby

import numpy as np

from examples.babi import measure
from signet.training.data import stories


def write(path, questions):
    """The questions of whole stories, as a file in the bAbI format."""
    with path.open("w") as file:
        for _, asked in groupby(questions, key=lambda question: question.story):
            number, told = 0, 0
            for question in asked:
                for sentence in question.text[told:]:
                    number += 1
                    file.write(f"{number} {sentence}\n")
                told = len(question.text)
                number += 1
                file.write(f"{number} {question.question}\t{question.answer}\t1\n")


def run(folder, *arguments):
    command = [
        sys.executable,
        measure.__file__,
        "--data",
        folder,
        "--results",
        folder / "results",
        *arguments,
    ]
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, timeout=280)


def test_tasks_are_measured_once_and_shown_beside_published_figures(tmp_path):
    questions = stories.generate(60, np.random.default_rng(0))
    write(tmp_path / "qa1_where_train.txt", questions)
    write(tmp_path / "qa1_where_test.txt", questions)
    assert stories.read(tmp_path / "qa1_where_test.txt")[7].text == questions[7].text
    first = run(tmp_path, "--tasks", "1", "--preset", "quick")
    assert first.returncode == 0, first.stderr
    rows = json.loads((tmp_path / "results" / "results.json").read_text())
    assert [(row["task"], row["architecture"], row["seed"]) for row in rows] == [(1, "notebook", 0), (1, "default", 0)]
    assert all(0 < row["accuracy"] <= 1 and row["date"] and row["versions"]["keras"] for row in rows)
    again = run(tmp_path, "--tasks", "1", "--preset", "quick")
    assert again.returncode == 0
    assert (
        again.stdout == (tmp_path / "results" / "results.md").read_text()
    )  # nothing was measured, so nothing else is said
    missing = run(tmp_path, "--tasks", "2")
    assert missing.returncode == 1
    assert "expected one file qa2_…_train.txt, found 0" in missing.stdout


def test_the_table_says_what_is_not_measured_yet():
    row = {"task": 1, "majority": 0.2, "cpu_seconds": 9, "date": "2026-11-24", "seed": 0}
    rows = [{**row, "architecture": name, "accuracy": value} for name, value in (("notebook", 0.5), ("default", 0.99))]
    lines = measure.table(rows).splitlines()
    assert "| 1 | 20.0 | 50.0 | 50.0 | 99.0 | 99.9 | 9, 9 |" in lines
    assert "| 2 | not measured yet | | 20 | | 91.8 | |" in lines
    assert lines[-1] == "| mean of 1 | 20.0 | 50.0 | 50.0 | 99.0 | 99.9 | |"


def test_the_kept_results_are_whole():
    """`examples/babi/`: every task and network, within three minutes of processor time."""
    rows = json.loads((measure.RESULTS / "results.json").read_text())
    assert {(row["task"], row["architecture"]) for row in rows} == {
        (task, name) for task in measure.TASKS for name in ("notebook", "default")
    }
    assert all(row["cpu_seconds"] <= 180 for row in rows)
    assert (measure.RESULTS / "results.md").read_text() == measure.table(rows)
