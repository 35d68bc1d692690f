"""Runs checks and prints what came of each, for `test_protocol_clients.py` to read. Imports nothing of the project's."""

import json
import traceback
from collections.abc import Callable
from typing import Any


def run(checks: dict[str, Callable[[], Any]]) -> None:
    """Print one JSON object: the name of each check and "" or its traceback."""
    outcomes = {}
    for name, check in checks.items():
        try:
            check()
            outcomes[name] = ""
        except Exception:  # noqa: BLE001  # it is reported
            outcomes[name] = traceback.format_exc()
    print(json.dumps(outcomes))
