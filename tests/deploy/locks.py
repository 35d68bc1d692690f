"""The lock files as data."""

import re

from tests.servers import ROOT

IMAGES = ("gateway", "model-store", "model-server", "training")


def pins(path: str) -> dict[str, tuple[str, frozenset[str]]]:
    """Name -> version and hashes of every package in a lock file."""
    found = {}
    for block in re.split(r"\n(?=\S)", (ROOT / path).read_text()):
        if block.startswith("#"):  # what was left out
            continue
        name, version = re.match(r"([\w.-]+)==([\w.]+)(?: ; .+)? \\\n", block).groups()
        found[name] = version, frozenset(re.findall(r"--hash=sha256:([0-9a-f]{64})", block))
    return found
