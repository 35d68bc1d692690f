"""All views, in both themes, wide and on a phone: axe finds nothing serious, and nothing runs off the edge."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from tests import browser

if TYPE_CHECKING:
    from playwright.sync_api import Page

MODEL = "#/models/question_answering"


def _answered(page: "Page") -> None:
    """With an answer and all that stands below it."""
    page.get_by_role("button", name="Ask", exact=True).click()
    page.locator(".answer").wait_for()
    page.get_by_role("button", name="See what changes").click()
    page.get_by_text("The strongest parts").wait_for()
    for panel in page.locator("details:visible > summary").all():
        panel.click()


def _shown(text: str) -> Callable[["Page"], None]:
    return lambda page: page.get_by_text(text).locator("visible=true").first.wait_for()


VIEWS: dict[str, tuple[str, Callable[["Page"], None]]] = {
    "models": ("#/", _shown("Answers a question about a short story")),
    "try": (MODEL, _answered),
    "try digits": ("#/models/digits", _answered),
    "compare": (f"{MODEL}/compare", _shown("Compare")),
    "compare inputs": (f"{MODEL}/compare?mode=inputs", _shown("Compare")),
    "table": (f"{MODEL}/table", _shown("Table")),
    "about": (f"{MODEL}/about", _shown("Limits")),
    "live": ("#/live", _shown("Live")),
    "api": ("docs", _shown("question_answering")),
    "nowhere": ("#/nowhere", _shown("There is nothing here")),
}

SHAPES = {
    "light": (False, 1280),
    "dark": (True, 1280),
    "light-phone": (False, 390),
    "dark-phone": (True, 390),
    "light-small": (False, 320),
}
"""Whether it is dark, and the width in pixels."""

EACH_RUN = {
    "light": ["models", "try", "compare", "table", "about", "api"],
    "dark-phone": ["models", "try", "compare inputs", "live"],
}
"""In `make test`; the others in `make test-long`."""


def _cases() -> Iterator[Any]:
    for shape, (dark, width) in SHAPES.items():
        for view in VIEWS:
            marks = () if view in EACH_RUN.get(shape, ()) else pytest.mark.long
            yield pytest.param(view, dark, width, id=f"{view} {shape}", marks=marks)


@pytest.mark.parametrize(("view", "dark", "width"), list(_cases()))
def test_a_view_is_for_everybody(trained_url, view, dark, width):
    path, show = VIEWS[view]
    with browser.page(f"{trained_url}/{path}", dark=dark, width=width) as page:
        show(page)
        beyond = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert beyond <= 0, f"{beyond} pixels run off the edge"
        assert browser.axe(page) == []
