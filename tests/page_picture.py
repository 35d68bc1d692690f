"""Photographs the page for README: `python -m tests.page_picture`, which is `make docs-picture`.

README's Python ──▶ customers/1 ────────┐
signet train ──▶ question_answering/1 ──┴──▶ signet serve ──/──▶ chromium ──▶ docs/page.png, light
                                                                         ──▶ docs/page-changes.png, dark
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from PIL import Image

from tests import browser, servers
from tests.servers import ROOT
from tests.test_journey import OWN_MODEL

if TYPE_CHECKING:
    from playwright.sync_api import Page

CUSTOMER = {"age": 33, "visits": 4}
STORY = {
    "text": "Mary moved to the bathroom. John went to the hallway. Mary travelled to the office.",
    "question": "Where is Mary?",
}


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        models = Path(folder) / "models"
        (Path(folder) / "customers.py").write_text(OWN_MODEL)
        subprocess.run([sys.executable, "customers.py"], cwd=folder, check=True)
        train = [*servers.SIGNET, "train", "question_answering", "--models-dir", str(models)]
        subprocess.run(train, check=True)
        with servers.gateway("--models-dir", models) as (url, _):
            photograph(tried(url, "customers", CUSTOMER), ROOT / "docs/page.png", answered, height=800)
            photograph(tried(url, "question_answering", STORY), ROOT / "docs/page-changes.png", changed, dark=True)


def tried(url: str, model: str, row: dict[str, object]) -> str:
    """The address of the form with a row, which is asked at once."""
    return f"{url}/#/models/{model}/try?row={quote(json.dumps(row))}"


def answered(page: "Page") -> None:
    page.locator(".answer").wait_for()


def changed(page: "Page") -> None:
    page.get_by_role("button", name="See what changes").click()
    page.get_by_text("The strongest parts").wait_for()
    page.locator(".columns").evaluate("(columns) => columns.scrollIntoView()")


def photograph(
    url: str, picture: Path, ready: Callable[["Page"], None], *, dark: bool = False, height: int = 1000
) -> None:
    """Save what a browser shows of the page once it is ready."""
    with browser.page(url, dark=dark, width=1100, height=height) as page:
        ready(page)
        page.evaluate("document.activeElement.blur()")
        page.screenshot(path=picture)
    with Image.open(picture) as image:
        image.convert("RGB").quantize(128).save(picture, optimize=True)


if __name__ == "__main__":
    main()
