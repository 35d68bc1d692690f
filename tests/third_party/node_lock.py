"""Pins the npm packages of a folder again, without saying where they come from: `python -m tests.third_party.node_lock`.

tests/third_party/NAME/package.json ──npm──▶ package-lock.json: versions and digests, no address of a registry
"""

import json
import subprocess
import tempfile
from pathlib import Path

from tests.third_party.environment import HERE

ELSEWHERE = ("resolved", "funding")
"""Keys of a package whose values are addresses."""


def main() -> None:
    for folder in sorted(path.parent for path in HERE.glob("*/package.json")):
        with tempfile.TemporaryDirectory() as place:
            (Path(place) / "package.json").write_text((folder / "package.json").read_text())
            options = ("--package-lock-only", "--ignore-scripts", "--no-audit", "--no-fund")
            subprocess.run(["npm", "install", *options], cwd=place, check=True)
            lock = json.loads((Path(place) / "package-lock.json").read_text())
        for package in lock["packages"].values():
            for key in ELSEWHERE:
                package.pop(key, None)
        (folder / "package-lock.json").write_text(json.dumps(lock, indent=1) + "\n")


if __name__ == "__main__":
    main()
