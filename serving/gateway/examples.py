"""Ready-to-paste requests, from the golden examples that lie beside a model in `assets.extra/golden.json`."""

import json
import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from serving.signature import DEFAULT

FRIENDLY = ("from_text", "from_bytes", DEFAULT)
"""Signatures by how easily a person writes their inputs."""


def curl_commands(models_dir: Path, models: Iterable[str], url: str) -> list[str]:
    """One command for each model that has golden examples."""
    commands = []
    for model in models:
        body = example_body(models_dir / model)
        if body is not None:
            commands.append(f"curl -s {url}/v1/models/{model}:predict -d {shlex.quote(json.dumps(body))}")
    return commands


def example_body(model_dir: Path) -> dict[str, Any] | None:
    """A predict body with the first golden example of the newest version; None when there is none to read."""
    versions = sorted(
        (child for child in model_dir.iterdir() if child.name.isdecimal()), key=lambda path: int(path.name)
    )
    for version in reversed(versions):
        try:
            signatures = json.loads((version / "assets.extra" / "golden.json").read_text())["signatures"]
            name = next(name for name in FRIENDLY if name in signatures)
            row = {key: column[0] for key, column in signatures[name]["inputs"].items()}
        except (OSError, ValueError, KeyError, IndexError, StopIteration):
            continue
        body: dict[str, Any] = {} if name == DEFAULT else {"signature_name": name}
        return {**body, "instances": [row]}
    return None
