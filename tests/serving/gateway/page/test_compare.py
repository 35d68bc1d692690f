"""Two versions, and two inputs, side by side in a real browser, on a model whose difference is known."""

import json
import re
from collections.abc import Iterator
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Page, expect

from tests import browser
from tests.serving.gateway.page import people

ROW = {"text": "<b>Mary</b>", "x": [10, 20, 30]}
OTHER = {"text": "<b>Mary</b>", "x": [1, 2, 3]}


@pytest.fixture(scope="module")
def url(tmp_path_factory) -> Iterator[str]:
    with people.served(tmp_path_factory) as url:
        yield url


def address(url: str, **query: object) -> str:
    said = {name: value if isinstance(value, str) else json.dumps(value) for name, value in query.items()}
    return f"{url}/#/models/people/compare?{urlencode(said)}"


def predictions(page: Page) -> list[dict]:
    """The bodies of what the page asks from now on."""
    asked: list[dict] = []
    page.on("request", lambda sent: asked.append(sent.post_data_json) if ":predict" in sent.url else None)
    return asked


def test_two_versions_are_asked_at_once_and_their_difference_is_said(url):
    with browser.page(address(url, version="1", against="2", row=ROW)) as page:
        verdict = page.locator(".verdict")
        expect(verdict).to_have_text(
            "Version 2 against version 1: age 2.1 years lower; old is in the first answer only. Same: echo, kind."
        )
        for version in ("1", "2"):
            side = page.get_by_role("region", name=f"Version {version}", exact=True)
            expect(side).to_contain_text("<b>Mary</b>")
            expect(side).to_contain_text(re.compile(f"Answered by version {version} in .* ms"))
        changes = page.locator(".changes li")
        expect(changes).to_have_text(
            [
                re.compile("Breaks calls: .*output old is in version 1 only"),
                re.compile("Breaks calls: version 2 has no signature extra"),
            ]
        )
        scores = page.get_by_role("region", name="Scores of both versions").get_by_role("row")
        expect(scores.nth(1)).to_have_text("age, error32−1")
        assert browser.axe(page) == []
        page.get_by_role("button", name="Swap").click()
        expect(verdict).to_contain_text("Version 1 against version 2: age 2.1 years higher")
        assert "version=2" in page.url
        assert "against=1" in page.url


def test_a_signature_that_one_version_lacks_is_not_asked_there(url):
    with browser.page(address(url, version="1", against="2", signature="extra", row={"x": 1})) as page:
        expect(page.locator(".tab .note")).to_contain_text("Version 2 has no signature extra")


def test_two_inputs_go_in_one_request_and_what_differs_is_marked(url):
    with browser.page(address(url, mode="inputs", row=ROW), width=390, dark=True) as page:
        asked = predictions(page)
        ask = page.get_by_role("button", name="Ask both")
        second = page.get_by_role("group", name="Second input")
        expect(page.get_by_text("Both inputs are the same")).to_be_visible()
        ask.click()
        expect(page.locator(".verdict")).to_have_text("Same answer, in all outputs.")
        second.locator("[data-input=text] textarea").fill("John")
        expect(page.get_by_text("Inputs that differ: text.")).to_be_visible()
        expect(page.locator("[data-differs]")).to_have_count(2)
        ask.click()
        expect(page.locator(".verdict")).to_have_text(
            "Second input against first input: echo “John” instead of “<b>Mary</b>”. Same: age, kind."
        )
        assert [len(body["instances"]) for body in asked] == [2, 2]
        assert browser.axe(page) == []
        page.get_by_role("button", name="Swap").click()
        expect(page.locator(".verdict")).to_contain_text("echo “<b>Mary</b>” instead of “John”")
        page.get_by_role("button", name="Copy the first over").click()
        expect(page.get_by_text("Both inputs are the same")).to_be_visible()


def test_a_link_brings_both_inputs_and_a_bad_one_is_told_on_its_side(url):
    bad = {"text": "x", "x": [-1, 2, 3]}
    with browser.page(address(url, mode="inputs", row=ROW, other=bad), allow=[400, 500]) as page:
        first = page.get_by_role("region", name="First input", exact=True)
        second = page.get_by_role("region", name="Second input", exact=True)
        expect(second.get_by_role("alert")).to_contain_text("below zero")
        expect(first.locator(".answer")).to_be_visible()
        expect(page.locator(".verdict")).to_have_count(0)


def test_a_mode_is_an_address_whose_errors_are_told(url):
    with browser.page(address(url, mode="constructor"), allow=[503]) as page:
        expect(page.get_by_role("button", name="Two versions")).to_have_attribute("aria-pressed", "true")
        page.route("**/card", lambda asked: asked.fulfill(status=503, json={"error": "no model server"}))
        page.get_by_role("button", name="Two inputs").click()
        expect(page.get_by_role("alert")).to_contain_text("no model server")
        page.unroute_all()
        page.get_by_role("button", name="Try again").click()
        expect(page.get_by_role("button", name="Two inputs")).to_have_attribute("aria-pressed", "true")
        expect(page.get_by_role("group", name="Second input")).to_be_visible()
        page.go_back()
        expect(page.get_by_role("button", name="Ask both")).to_be_visible()


def test_with_one_version_it_is_said_how_to_get_another(url):
    with browser.page(f"{url}/#/models/newest/compare?mode=versions") as page:
        expect(page.locator(".tab")).to_contain_text("Only version 2 of newest is available")
        expect(page.locator(".tab pre")).to_have_text("model_version_policy { all {} }")
