"""What the page shows of models: cards of all, everything of one, and releases; in a real browser, from real gateways."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from signet.serving.gateway.access import key_file, tokens
from signet.serving.releases.release import Release, Stage
from signet.serving.releases.store import ReleaseStore
from tests import browser, servers
from tests.serving.gateway.page.test_card_routes import CARD, add

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

SCRIPT = "<script>document.title = 'hacked'</script><img src=x onerror=\"document.title = 'hacked'\">"
OVERRIDE = "\u202eevil"
HOSTILE = "<img src=x onerror=alert(1)>"
"""A folder's name, too."""
BODY = {"instances": [{"a": [1, 2, 3], "b": [4, 5]}]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models as a server meets them: one with a card, with a version that fails, hostile, released."""
    folder = tmp_path_factory.mktemp("models")
    add(folder / "carded", "three_out", CARD)
    add(folder / "failing", "two_in")
    add(folder / "failing", "two_in", version=2)
    (folder / "failing" / "2" / "saved_model.pb").write_bytes(b"cut off")
    shutil.copytree(folder / "failing" / "2", folder / "hopeless" / "1")
    tensor = {"meaning": SCRIPT, "unit": OVERRIDE, "values": SCRIPT, "labels": [SCRIPT, OVERRIDE, "c"]}
    card = {
        **CARD,
        "purpose": f"{SCRIPT} {OVERRIDE} {'long ' * 20_000}",
        "limits": [SCRIPT],
        "data": {"description": SCRIPT},
        "training": {SCRIPT: SCRIPT},
        "scores": [{"output": SCRIPT, "metric": f"{SCRIPT} accuracy", "value": 0.5, "baselines": {SCRIPT: 0.4}}],
        "signatures": {"serving_default": {"inputs": {"x": tensor}, "outputs": {"p": tensor}}},
    }
    add(folder / HOSTILE, "three_out", card)
    for version in (1, 2):
        add(folder / "released", "two_in", version=version)
    made = Release("released", 1, 1, 2, Stage.CANARY, 0.5, 1.0, salt="s", at="2027-01-31T12:00:00Z", by="ana")
    ReleaseStore(folder).write(made, 0)
    return folder


@pytest.fixture(scope="module")
def url(folder: Path) -> Iterator[str]:
    with servers.gateway("--models-dir", folder, environment={"SIGNET_POLL_S": "0.1"}) as (url, _):
        yield url


def shown(page: "Page", model: str) -> "Locator":
    """The card of a model, once it says how that does."""
    card = page.locator("li.model").filter(has=page.get_by_role("heading", name=model, exact=True))
    card.locator(".states").wait_for()
    return card


def text(card: "Locator") -> str:
    return card.inner_text().replace("\u00a0", " ")


def about(page: "Page", model: str) -> None:
    page.goto(f"{page.url.partition('#')[0]}#/models/{httpx.URL('http://x/' + model).raw_path.decode()[1:]}/about")
    page.get_by_role("heading", name="Versions", exact=True).wait_for()


def ask(url: str, requests: int) -> None:
    """Requests of as many callers."""
    with httpx.Client(base_url=url) as client:
        for number in range(requests):
            answer = client.post("/v1/models/released:predict", json=BODY, headers={"X-Signet-Key": str(number)})
            assert answer.status_code == 200, answer.text


def test_somebody_sees_what_a_trained_model_is_for_and_how_good_it_is(trained_url):
    with browser.page(f"{trained_url}/#/") as page:
        said = text(shown(page, "digits"))
        for words in (
            "Version 1 is available",
            "Says which digit, 0 to 9, a small grey picture of a handwritten digit shows.",
            "pixels a picture of 8 x 8 pixels, row by row from the top left (brightness of the stroke)",
            "digit the chance of each digit",
            "digit: accuracy 9",
            "support vector machine, 99.1 %",
        ):
            assert words in said, said
        assert "text the story" in text(shown(page, "question_answering")), "its friendliest signature"
        assert browser.axe(page) == []
        page.get_by_role("link", name="About digits").click()
        scores = page.get_by_role("region", name="Scores on held-out rows")
        assert "higher is better" in scores.inner_text()
        assert "commonest 10.2 %the model is better" in text(scores).replace("\n", "")
        takes = page.get_by_role("region", name="Takes: serving_default").inner_text()
        assert "float32 (any, 64)" in takes
        assert "0 (paper) to 16 (ink)" in takes
        for name in ("Network", "Learning curve"):
            picture = page.get_by_role("button", name=f"{name}, larger")
            picture.scroll_into_view_if_needed()
            picture.locator("img").wait_for()
            assert picture.locator("img").evaluate("(image) => image.naturalWidth") > 300
        page.get_by_role("button", name="Network, larger").click()
        large = page.get_by_role("dialog", name="Network")
        assert browser.axe(page) == []
        page.keyboard.press("Escape")
        large.wait_for(state="detached")


def test_cards_tell_states_and_the_reason_of_a_failure(url):
    with browser.page(f"{url}/#/", dark=True, width=390) as page:
        said = text(shown(page, "failing"))
        assert "Version 1 is available" in said
        assert "Version 2 failed: it is not whole: saved_model.pb cannot be read" in said
        assert "No card says what it is for." in said
        assert "Version 2 answers 50 % of the requests, version 1 the others." in text(shown(page, "released"))
        assert "Version 1 failed: it is not whole" in text(shown(page, "hopeless"))
        carded = text(shown(page, "carded"))
        assert "p: accuracy 90.0 %\nbetter than one guess, 50.0 %" in carded
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        assert browser.axe(page) == []
        about(page, "hopeless")
        assert "Version 1 failed: it is not whole" in page.get_by_role("region", name="Versions").inner_text()
        about(page, "carded")
        takes = page.get_by_role("region", name="Takes: serving_default")
        assert takes.evaluate("(table) => table.scrollWidth <= table.clientWidth"), "cells stand below each other"
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        assert browser.axe(page) == []


def test_a_version_that_is_not_served_is_not_shown_as_callers_usual_one(url):
    with browser.page(f"{url}/#/models/failing?version=2") as page:
        picker = page.get_by_label("Version", exact=True)
        picker.wait_for()
        assert picker.input_value() == "2"
        picker.select_option("")
        page.get_by_role("button", name="Ask").wait_for()


def test_models_come_and_go_while_somebody_looks(url, folder):
    with browser.page(f"{url}/#/") as page:
        card = shown(page, "failing")
        card.get_by_role("link", name="Try").focus()
        aside = folder.parent / "aside"
        shutil.copytree(folder / "failing" / "1", aside / "1")
        aside.rename(folder / "appearing")
        look_again(page, url, lambda names: "appearing" in names)
        shown(page, "appearing").get_by_text("Version 1 is available").wait_for()
        names = page.locator("li.model h2").all_inner_texts()
        assert names == sorted(names)
        assert card.get_by_role("link", name="Try").evaluate("(link) => link === document.activeElement")
        shutil.rmtree(folder / "appearing")
        look_again(page, url, lambda names: "appearing" not in names)
        page.get_by_role("heading", name="appearing").wait_for(state="detached")


def look_again(page: "Page", url: str, when: Any) -> None:
    """Come back to the window, once the server says so."""
    servers.wait_until(lambda: when(httpx.get(f"{url}/v1/models").json()["models"]), what="what is served")
    page.evaluate("dispatchEvent(new Event('focus'))")


def test_what_a_stranger_has_written_is_text(url):
    with browser.page(f"{url}/#/") as page:
        card = shown(page, HOSTILE)
        assert SCRIPT in card.inner_text()
        assert len(card.inner_text()) < 2000
        assert card.bounding_box()["height"] < 1000
        about(page, HOSTILE)
        said = page.locator("main").inner_text()
        assert said.count(SCRIPT) > 10
        assert page.locator("main script, main img[src=x]").count() == 0
        overrides = page.get_by_text(OVERRIDE).all()
        isolated = "(found) => found.closest('bdi, p, li, dd') !== null"
        assert overrides
        assert all(one.evaluate(isolated) for one in overrides)
        assert page.title() == f"Signet: {HOSTILE}"


def test_a_release_is_shown_with_its_evidence_and_its_next_step(url, folder):
    ask(url, 60)
    with browser.page(f"{url}/#/") as page:
        shown(page, "released").get_by_role("link", name="Its evidence").click()
        release = page.get_by_role("region", name="Release", exact=True)
        release.wait_for()
        said = text(release)
        for words in (
            "Version 2 answers 50 % of the requests, version 1 the others.",
            "Since 31 Jan 2027, ",
            "by ana",
            "of 200 requests in this step. Until then a promotion is refused.",
            f"signet release promote released --url {url}",
            "signet release rollback released",
            "1 process of this service tells this; no brake has stopped the candidate.",
        ):
            assert words in said, said
        counts = httpx.get(f"{url}/v1/models/released/release").json()["replicas"][0]["evidence"]["steps"]
        rows = release.get_by_role("region", name="Requests of both versions").locator("tr").all_inner_texts()
        sides = [sum(step[side]["requests"] for step in counts) for side in ("stable", "candidate")]
        assert rows[0].split("\t")[1:] == ["Version 1", "Version 2"]
        assert sum(sides) == 60
        assert rows[1].split("\t") == ["Requests", *map(str, sides)]
        assert rows[2].split("\t") == ["Errors", "0", "0"]
        assert "21,333" in release.get_by_role("region", name="Evidence against the candidate").inner_text()
        assert browser.axe(page) == []
        store = ReleaseStore(folder)
        back = Release("released", 2, 1, 2, Stage.ROLLED_BACK, salt="s", by="signet", reason=f"3 errors of 3 {SCRIPT}")
        store.write(back, 1)
        taken = release.get_by_text("Version 2 was taken back; version 1 answers everything.")
        taken.wait_for()  # it looks again by itself
        assert f"3 errors of 3 {SCRIPT}" in release.inner_text()
        assert page.get_by_role("listitem").filter(has_text="Taken back").get_attribute("aria-current") == "step"


@pytest.fixture(scope="module")
def with_keys(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, dict[str, str]]]:
    """The URL of a gateway with keys, whose release nobody has checked, and the keys by who has them."""
    folder = tmp_path_factory.mktemp("keys")
    secrets = {}
    for name, models, admin in (("boss", "*", True), ("ana", "*", None), ("stranger", ["others"], None)):
        created = tokens.create()
        key_file.add(folder / "keys", created, name=name, models=models, admin=admin)
        secrets[name] = created.token
    models = folder / "models"
    for version in (1, 2):
        add(models / "released", "two_in", version=version)
    ReleaseStore(models).write(Release("released", 1, 1, 2, Stage.GATE, salt="s"), 0)
    with servers.gateway("--models-dir", models, "--keys", folder / "keys", "--no-release-check") as (url, _):
        yield url, secrets


@contextmanager
def signed_in(with_keys: tuple[str, dict[str, str]], name: str, allow: list[int]) -> "Iterator[Page]":
    """The page for one who has given a key."""
    url, secrets = with_keys
    with browser.page(
        f"{url}/page/page.css", allow=[401, *allow]
    ) as page:  # 401: the icon that a browser asks for there
        page.evaluate("(key) => sessionStorage.setItem('signet-key', key)", secrets[name])
        page.goto(f"{url}/#/")
        yield page
        assert page.get_by_role("dialog").count() == 0


def test_who_has_no_admins_key_is_told_so_and_not_asked_for_one(with_keys):
    with signed_in(with_keys, "ana", [403]) as page:
        assert "waits at the gate" not in text(shown(page, "released"))
        about(page, "released")
        release = page.get_by_role("region", name="Release", exact=True)
        release.get_by_text("is shown to an admin's key").wait_for()
        assert "the key 'ana' is not for this" in release.inner_text()


def test_an_admin_sees_that_nobody_has_checked_a_candidate(with_keys):
    with signed_in(with_keys, "boss", []) as page:
        shown(page, "released").get_by_role("link", name="Its evidence").click()
        release = page.get_by_role("region", name="Release", exact=True)
        release.get_by_text("Version 2 waits at the gate; version 1 answers everything.").wait_for()
        said = text(release)
        assert "Version 2 is not checked: checks are turned off (SIGNET_RELEASE_CHECK)" in said
        assert "signet release check released 2" in said
        assert "with an admin's key in SIGNET_KEY" in said


def test_where_there_is_no_model_the_page_says_how_to_add_one(with_keys):
    with signed_in(with_keys, "stranger", []) as page:
        page.get_by_role("heading", name="Nothing is served yet").wait_for()
        said = page.locator("main").inner_text()
        assert "signet export FILE.keras --name NAME" in said
        assert "the key that you use is for none of the models" in said
        assert browser.axe(page) == []


def test_models_of_a_model_server_are_shown_without_cards(remote_url):
    with browser.page(f"{remote_url}/#/") as page:
        said = text(shown(page, "two_in"))
        for words in ("Version 1 is available", "No card", "a float32", "output_0 float32"):
            assert words in said, said
        about(page, "two_in")
        assert "float32 (any, 3)" in page.get_by_role("region", name="Takes: serve").inner_text()
        assert browser.axe(page) == []


@pytest.mark.long
def test_a_hundred_models_ask_for_what_is_seen_and_are_found(tmp_path):
    for number in range(100):
        add(tmp_path / f"model_{number:03}", "two_in", json.dumps({"purpose": f"Number {number}."}))
    with (
        servers.gateway("--models-dir", tmp_path) as (url, _),
        browser.page("about:blank", hosts=[url.removeprefix("http://")]) as page,
    ):
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"{url}/#/")
        shown(page, "model_000")
        assert page.locator("li.model").count() == 100
        assert 3 < sum(one.endswith("/card") for one in asked) < 40
        field = page.get_by_role("searchbox", name="Find a model")
        field.fill("model_09")
        page.get_by_text("10 of 100").wait_for()
        assert "Number 99." in text(shown(page, "model_099"))
        field.fill("")
        page.locator("li.model").last.scroll_into_view_if_needed()
        shown(page, "model_098")


@pytest.mark.long
def test_what_the_gate_refuses_is_shown_with_its_reasons(tmp_path):
    add(tmp_path / "m", "two_in")
    add(tmp_path / "m", "mlp", version=2)
    ReleaseStore(tmp_path).write(Release("m", 1, 1, 2, Stage.GATE, salt="s"), 0)
    with (
        servers.gateway("--models-dir", tmp_path, environment={"SIGNET_POLL_S": "0.1"}) as (url, _),
        browser.page(f"{url}/#/models/m/about") as page,
    ):
        release = page.get_by_role("region", name="Release", exact=True)
        release.get_by_text("Version 2 was taken back; version 1 answers everything.").wait_for()
        found = release.get_by_role("region", name="What the gate found")
        found.get_by_text("input 'a' is gone").first.wait_for()
        assert found.locator("tbody tr").first.inner_text().startswith("Refused\tsignature\t")
        assert "Version 2 is refused: signature: " in release.inner_text()
        assert browser.axe(page) == []
