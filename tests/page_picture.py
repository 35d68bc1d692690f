"""Photographs the page of the model that the README makes: `python -m tests.page_picture`, which is `make docs-picture`.

README's Python ──▶ models/customers/1 ──▶ signet serve ──/docs──▶ chromium, headless ──▶ docs/page.png
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from tests import servers
from tests.servers import ROOT
from tests.test_journey import OWN_MODEL

PICTURE = ROOT / "docs/page.png"
SIZE = "1100,820"
"""To the end of the table of tensors, and the button below it."""
PREDICT = "customers/customers.predict"
"""The operation that is shown open."""


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "customers.py").write_text(OWN_MODEL)
        subprocess.run([sys.executable, "customers.py"], cwd=folder, check=True)
        with servers.gateway("--models-dir", Path(folder) / "models") as (url, _):
            photograph(f"{url}/docs#/{PREDICT}", PICTURE)


def photograph(url: str, picture: Path) -> None:
    """Save what a browser shows of the page once it has been drawn."""
    options = [
        "--headless",
        "--no-sandbox",
        "--hide-scrollbars",
        f"--window-size={SIZE}",
        "--virtual-time-budget=10000",
    ]
    subprocess.run(["chromium", *options, f"--screenshot={picture}", url], check=True, capture_output=True)
    # The browser goes to the operation, and leaves blank what is above it.
    image = Image.open(picture).convert("RGB")
    drawn = np.ptp(np.asarray(image), axis=1).any(axis=1)
    image.crop((0, int(drawn.argmax()), *image.size)).save(picture, optimize=True)


if __name__ == "__main__":
    main()
