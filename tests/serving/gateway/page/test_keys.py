"""The page of a gateway that asks for keys: once for all who wait, kept by the tab alone, and shown nowhere."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from playwright.sync_api import Page, expect

from signet.serving.gateway.access import key_file, tokens
from tests import browser, servers
from tests.servers import GOLDEN_MODELS

STORED = "[Object.values(localStorage), document.cookie, location.href]"


class Guarded(NamedTuple):
    url: str
    plain: str
    """A key for `two_in` alone."""
    admin: str


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    keys: Path = tmp_path_factory.mktemp("keys") / "keys.jsonl"
    plain, admin = tokens.create(), tokens.create()
    key_file.add(keys, plain, name="plain", models=["two_in"])
    key_file.add(keys, admin, name="boss", models="*", admin=True)
    with servers.gateway("--models-dir", GOLDEN_MODELS, "--keys", keys) as (url, _):
        yield Guarded(url, plain.token, admin.token)


def enter(page: Page, key: str) -> None:
    page.get_by_role("dialog").get_by_role("textbox").fill(key)
    page.get_by_role("button", name="Use it").click()


def test_a_key_is_asked_for_once_and_kept_by_the_tab_alone(guarded):
    with browser.page(guarded.url, allow=[401, 403]) as page:
        dialog = page.get_by_role("dialog")
        expect(dialog).to_contain_text("This server asks for a key")
        expect(page.get_by_role("button", name="Key")).to_be_hidden()
        enter(page, tokens.create().token)
        expect(dialog.get_by_role("alert")).to_contain_text("That key does not hold.")
        assert browser.axe(page) == []
        enter(page, guarded.plain)
        expect(page.get_by_role("link", name="two_in").first).to_be_visible()
        expect(page.get_by_role("link", name="mlp")).to_have_count(0)  # it is for others
        expect(dialog).to_have_count(0)
        assert guarded.plain not in str(page.evaluate(STORED)) + page.content()
        assert guarded.plain in page.evaluate("Object.values(sessionStorage)")

        page.goto(f"{guarded.url}/docs?model=two_in")
        page.locator(".opblock-summary-control").first.click()
        page.get_by_role("button", name="Try it out").click()
        page.get_by_role("button", name="Execute").click()
        expect(page.locator(".live-responses-table .response-col_status").last).to_have_text(re.compile("200"))
        assert guarded.plain not in page.content()

        page.get_by_role("button", name="Key").click()
        page.get_by_role("button", name="Forget the key").click()
        expect(page.get_by_role("dialog")).to_contain_text("This server asks for a key")  # the page has begun anew
        assert page.evaluate("sessionStorage.length") == 0


def test_who_goes_without_is_asked_again_only_after_a_click(guarded):
    with browser.page(guarded.url, allow=[401, 403]) as page:
        page.get_by_role("button", name="Go without").click()
        expect(page.get_by_role("alert")).to_contain_text("key")
        page.get_by_role("link", name="Live").click()
        expect(page.get_by_role("heading", name="This is shown to admins")).to_be_visible()
        page.get_by_role("link", name="Models").click()
        expect(page.get_by_role("button", name="Try again")).to_be_visible()
        expect(page.get_by_role("dialog")).to_have_count(0)
        page.get_by_role("button", name="Try again").click()
        expect(page.get_by_role("dialog")).to_be_visible()
        page.keyboard.press("Escape")
        page.get_by_role("button", name="Key").click()
        enter(page, guarded.plain)
        expect(page.get_by_role("link", name="two_in").first).to_be_visible()


def test_live_says_that_it_is_for_admins_and_goes_on_with_such_a_key(guarded):
    with browser.page(f"{guarded.url}/#/live", allow=[401, 403]) as page:
        expect(page.get_by_role("heading", name="This is shown to admins")).to_be_visible()
        expect(page.get_by_role("dialog")).to_have_count(0)  # what looks by itself asks nobody
        page.get_by_role("button", name="Show a key").click()
        enter(page, guarded.plain)
        expect(page.get_by_role("alert").filter(has_text="admin")).to_be_visible()
        page.get_by_role("button", name="Show a key").click()
        enter(page, guarded.admin)
        expect(page.get_by_role("region", name="Requests per second")).to_be_visible()
        expect(page.get_by_role("heading", name="This is shown to admins")).to_have_count(0)
        page.get_by_label("Model").select_option("mlp")
        expect(page.get_by_label("A request to try")).to_contain_text('-H "X-API-Key: $SIGNET_KEY"')
        assert guarded.admin not in str(page.evaluate(STORED)) + page.content()
