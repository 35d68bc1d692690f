"""Notebooks of the documentation: made from pages, and run. `python -m tests.notebooks` writes docs/tutorial.ipynb again.

docs/tutorial.md ──made──▶ docs/tutorial.ipynb        a notebook ──run(…)──▶ what its cells have printed
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from nbclient import NotebookClient

from tests.servers import ROOT

PAGE, TUTORIAL, CLIENT = (ROOT / "docs" / name for name in ("tutorial.md", "tutorial.ipynb", "client.ipynb"))
_CELL_S = 200
"""Seconds that one cell may take."""


def made() -> str:
    """The tutorial's page as a notebook: its blocks of Python and of shell are cells."""
    notebook = jupytext.read(PAGE)
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number}"
        cell.metadata.clear()
    notebook.metadata = nbformat.from_dict(
        {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    )
    return str(nbformat.writes(notebook)) + "\n"


def run(file: Path, folder: Path, places: Mapping[str, str], **variables: str) -> str:
    """Run a notebook in a folder; gives what its cells have printed and shown. Raises `CellExecutionError`.

    places: what stands for the host and port that the notebook names. variables: of the environment.
    """
    notebook = nbformat.read(file, as_version=4)
    for cell in notebook.cells:
        for printed, there in places.items():
            cell.source = cell.source.replace(printed, there)
    path = f"{ROOT / '.venv' / 'bin'}{os.pathsep}{os.environ['PATH']}"
    client = NotebookClient(
        notebook, timeout=_CELL_S, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    )
    client.execute(env={**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), **variables})
    cells = [cell.outputs for cell in notebook.cells if cell.cell_type == "code"]
    return "\n".join("".join(map(_said, outputs)) for outputs in cells)  # what a program prints comes in pieces


def _said(output: Mapping[str, Any]) -> str:
    return str(output.get("text") or output.get("data", {}).get("text/plain", ""))


if __name__ == "__main__":
    TUTORIAL.write_text(made())
