"""Photographs the page of the model that the README makes: `python -m tests.page_picture`, which is `make docs-picture`.

README's Python ──▶ models/customers/1 ──▶ signet serve ──/docs──▶ chromium ──▶ docs/page.png
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

from tests import browser, servers
from tests.servers import ROOT
from tests.test_journey import OWN_MODEL

PICTURE = ROOT / "docs/page.png"
SIZE = {"width": 1100, "height": 460}
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
    """Save what a browser shows of the page once the operation has been drawn."""
    with browser.page(url, **SIZE) as page:
        page.get_by_text('"instances": [').first.wait_for()
        page.locator(".opblock.is-open").evaluate("(operation) => operation.scrollIntoView()")
        page.screenshot(path=picture)
    with Image.open(picture) as image:
        image.convert("RGB").save(picture, optimize=True)


if __name__ == "__main__":
    main()
