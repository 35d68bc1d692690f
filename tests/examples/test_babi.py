"""The table of bAbI tasks: measured from files, resumed, printed."""

import json
import subprocess
import sys
from dataclasses import replace
from itertools import groupby

import numpy as np
import pytest

from examples.babi import measure
from signet.training import keras_start
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


def arguments(folder, *more):
    return list(map(str, ["--data", folder, "--results", folder / "results", *more]))


# Keras reads and writes weights in a way that numpy 2 warns of.
@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword")
def test_tasks_are_measured_once_and_shown_beside_published_figures(tmp_path, monkeypatch, capsys):
    """Two epochs each, in this process, which has imported TensorFlow once for all tests."""
    questions = stories.generate(12, np.random.default_rng(0))
    write(tmp_path / "qa1_where_train.txt", questions)
    write(tmp_path / "qa1_where_test.txt", questions)
    assert stories.read(tmp_path / "qa1_where_test.txt")[7].text == questions[7].text
    keras_start.start()
    from signet.training.models import question_answering

    monkeypatch.setattr(question_answering, "LEAST_EPOCHS", 2)
    monkeypatch.setattr(question_answering, "MOST_EPOCHS", 2)
    short = replace(question_answering.NOTEBOOK_PRESETS["quick"], epochs=2)
    monkeypatch.setattr(question_answering, "NOTEBOOK_PRESETS", {"quick": short})

    monkeypatch.setattr(sys, "argv", ["measure.py", *arguments(tmp_path, "--tasks", "1", "--preset", "quick")])
    assert measure.main() == 0
    rows = json.loads((tmp_path / "results" / "results.json").read_text())
    assert [(row["task"], row["architecture"], row["seed"]) for row in rows] == [(1, "notebook", 0), (1, "default", 0)]
    assert all(0 < row["accuracy"] <= 1 and row["date"] and row["versions"]["keras"] for row in rows)
    assert [row["epochs"] for row in rows] == [2, 2]
    capsys.readouterr()
    assert measure.main() == 0
    said = capsys.readouterr().out  # nothing was measured, so nothing else is said
    assert said == (tmp_path / "results" / "results.md").read_text()


def test_a_task_without_its_files_ends_the_program_with_a_sentence(tmp_path):
    command = [sys.executable, measure.__file__, *arguments(tmp_path, "--tasks", "2")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=280)
    assert done.returncode == 2
    assert "expected one file qa2_…_train.txt, found 0" in done.stdout


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
