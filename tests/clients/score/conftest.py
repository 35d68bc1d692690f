"""What the tests of scoring share: a quick way to run a job, and rows of the golden model three_out."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from signet.clients.score.job import score
from signet.clients.score.options import ScoreOptions, ScoreSummary
from signet.serving.tensors.dtypes import ROWS
from signet.serving.tensors.signature import Signature, TensorSpec

BY_NAME = {row.name: row for row in ROWS}


def signature(outputs: str = "y", **inputs: tuple[str, tuple[int | None, ...]]) -> Signature:
    """Inputs by name: dtype and shape; outputs of one letter each: a float for each row."""
    specs = {name: TensorSpec(name, BY_NAME[dtype], shape, "") for name, (dtype, shape) in inputs.items()}
    return Signature("sig", specs, {name: TensorSpec(name, BY_NAME["float"], (None,), "") for name in outputs})


def total(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """A model: the sum of each row."""
    return {"y": arrays["x"].sum(axis=1)}


def run(job: ScoreOptions) -> ScoreSummary:
    return score(job, Console(file=io.StringIO()))


def write_rows(path: Path, rows: int) -> Path:
    """JSON lines that three_out takes."""
    values = np.random.default_rng(0).random((rows, 4)).round(3)
    path.write_text("".join(json.dumps({"id": i, "x": row.tolist()}) + "\n" for i, row in enumerate(values)))
    return path


def read_rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, with its bytes."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def job(tmp_path: Path, embedded_url: str) -> Callable[..., ScoreOptions]:
    """Makes a job of three_out, from in.jsonl to the folder `out` unless told otherwise."""

    def make(**options: Any) -> ScoreOptions:
        given = {
            "model": "three_out",
            "inputs": [str(tmp_path / "in.jsonl")],
            "output": str(tmp_path / "out"),
            "url": embedded_url,
            "batch_rows": 8,
            **options,
        }
        return ScoreOptions(**given)

    return make
