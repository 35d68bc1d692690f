"""An answer in a real browser: what it says, what it cost, its code, and what a stranger's model may put into it."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import httpx
import pytest

from tests import browser, programs, servers
from tests.serving.gateway.page.test_card_routes import CARD, add

if TYPE_CHECKING:
    from playwright.sync_api import Page

ROW = {"x": [1, 2, 3, 4]}
OUTPUTS = {
    "p": {"meaning": "what it may be", "unit": "", "values": "0 to 1", "labels": ["red", "green", "blue"]},
    "q": {"meaning": "how far it is", "unit": "metres, by tape", "values": "any number", "labels": []},
    "r": {"meaning": "", "unit": "", "values": "", "labels": ["<b>left</b>", "right"]},
}


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder: Path = tmp_path_factory.mktemp("models")
    inputs = CARD["signatures"]["serving_default"]["inputs"]
    add(
        folder / "carded",
        "three_out",
        {**CARD, "signatures": {"serving_default": {"inputs": inputs, "outputs": OUTPUTS}}},
    )
    with servers.gateway("--models-dir", folder) as (url, _):
        yield url


@contextmanager
def answered(url: str, model: str = "carded", row: Any = ROW, **options: Any) -> Iterator["Page"]:
    """The answer to a row that stands in the URL."""
    with browser.page(f"{url}/#/models/{model}/try?row={quote(json.dumps(row))}", **options) as page:
        page.locator(".answer").wait_for()
        yield page


def predicted(url: str) -> dict[str, Any]:
    answer = httpx.post(f"{url}/v1/models/carded:predict", json={"instances": [ROW]}, timeout=60)
    prediction: dict[str, Any] = answer.json()["predictions"][0]
    return prediction


def test_outputs_are_told_in_words_and_bars_by_size(url):
    with answered(url) as page:
        prediction = predicted(url)
        shown = {name: page.locator(f"[data-output={name}]") for name in OUTPUTS}
        named = sorted(zip(prediction["p"], OUTPUTS["p"]["labels"], strict=True), reverse=True)
        rows = [text.split() for text in shown["p"].locator("tr").all_inner_texts()]
        assert rows == [[label, f"{value * 100:.1f}", "%"] for value, label in named]
        assert shown["p"].locator(".headline").inner_text() == f"{named[0][1]} · {named[0][0] * 100:.1f} %"
        assert shown["q"].locator(".headline").inner_text().endswith(" metres")
        assert "how far it is, in metres, by tape" in shown["q"].inner_text()
        assert "<b>left</b>" in shown["r"].inner_text()
        assert all(
            page.locator(".track").evaluate_all("all => all.map((each) => each.closest('[aria-hidden=true]') !== null)")
        )


def test_an_answer_is_read_out_in_one_line_and_not_with_all_that_stands_below(url):
    with answered(url) as page:
        heard = page.locator("main [role=status]", has_text="Answer:")
        assert page.locator(".result").evaluate("(place) => place.closest('[aria-live]') === null")
        assert len(heard.inner_text()) < 320
        assert page.locator("[data-output=p] .headline").inner_text() in heard.inner_text()
        page.locator(".result [aria-live=polite]").first.wait_for(state="attached")  # of a button, which says "Copied"
        assert all(page.locator(".result [aria-live]").evaluate_all("all => all.map((each) => each.closest('button'))"))


def test_an_answer_that_comes_while_somebody_goes_on_writing_is_said_to_be_of_before(url):
    held: list[Any] = []

    def hold(route: Any) -> None:
        held.append(route)

    with answered(url) as page:
        page.route("**:predict", hold)
        with page.expect_request("**:predict"):
            page.get_by_role("button", name="Ask").click()
        page.get_by_label("x: place 1", exact=True).fill("7")
        held[0].continue_()
        page.locator(".result:not([aria-busy])").wait_for()
        assert page.get_by_text("for what was asked before").is_visible()


def test_time_is_told_by_stage_with_version_and_request(url):
    with answered(url) as page:
        panel = page.locator(".time-panel")
        assert "version 1 answered" in panel.inner_text()
        panel.get_by_text("Time per stage").click()
        stages = panel.locator("tr th").all_inner_texts()
        assert {"read", "decode", "queue", "model", "encode", "between"} <= set(stages)
        assert panel.locator(".request-id code").inner_text()


def test_code_of_the_call_is_shown_by_language_and_runs(url, tmp_path):
    programs.need("curl")
    with answered(url) as page:
        panel = page.locator(".code-panel")
        panel.get_by_text("Code of this call").click()
        tabs = panel.get_by_role("tab")
        tabs.first.wait_for()
        assert tabs.all_inner_texts() == ["curl", "Python", "TypeScript", "gRPC, Python", "grpcurl"]
        code = panel.locator("pre").inner_text()
        done = subprocess.run(["sh", "-c", code], capture_output=True, check=True, cwd=tmp_path)
        assert json.loads(done.stdout)["predictions"] == [predicted(url)]
        tabs.first.press("ArrowRight")
        assert panel.get_by_role("tab", selected=True).inner_text() == "Python"
        assert f'Client("{url}")' in panel.locator("pre").inner_text()
        page.locator(".raw-panel summary").click()
        page.locator(".raw-panel pre").first.wait_for()
        raw = page.locator(".raw-panel").inner_text()
        assert "POST /v1/models/carded:predict" in raw
        assert "Server-Timing: " in raw
        assert browser.axe(page) == []


def test_a_text_and_its_chance_are_one_answer(trained_url):
    row = {"text": "Mary moved to the bathroom.", "question": "Where is Mary?"}
    with answered(trained_url, "question_answering", row, width=390, dark=True) as page:
        assert page.locator(".answer dt").count() == 1
        word, _, chance = page.locator(".headline").inner_text().partition(" · ")
        assert word.isalpha()
        assert chance.endswith(" %")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        assert browser.axe(page) == []


SHOWN = """async ([outputs, prediction, before]) => {
  const { answerView } = await import("./page/answer/answer.js");
  const signature = { name: "s", inputs: [], outputs, servable: true, in_rows: true };
  const view = answerView(signature, prediction, before ? { before } : {});
  document.querySelector("main").replaceChildren(view);
  return [view.querySelectorAll("*").length, document.documentElement.scrollWidth];
}"""


def test_raw_shows_what_was_sent_and_what_came(url):
    with answered(url, row={"x": [1, -0.0, 3, 4]}) as page:
        with page.expect_response("**:predict") as told:
            page.get_by_role("button", name="Ask").click()
        page.locator(".raw-panel summary").click()
        headers = told.value.request.all_headers()
        shown = page.locator(".raw-panel .headers").first.inner_text().splitlines()[1:]
        assert {"X-Signet-Timing: on", "Content-Type: application/json"} <= set(shown)
        assert all(headers[name.lower()] == value for name, value in (line.split(": ") for line in shown))
        assert "-0.0" in told.value.request.post_data
        bodies = page.locator(".raw-panel pre:not(.headers)").all_inner_texts()
        blank = str.maketrans("", "", " \n")
        sent = [told.value.request.post_data, told.value.text()]
        assert [body.translate(blank) for body in bodies] == [body.translate(blank) for body in sent]


def output(name: str, **more: Any) -> dict[str, Any]:
    said = dict.fromkeys(("meaning", "unit", "values"), "")
    return {"name": name, "dtype": "float32", "shape": None, "labels": [], "holds": "numbers", **said, **more}


def test_whatever_a_model_answers_is_shown_and_bounded(url):
    many = [place / 7 for place in range(100_000)]
    labels = ["x" * 5000, *(f"label {place}" for place in range(999))]
    with browser.page(f"{url}/#/", width=390) as page:
        outputs = [
            output("many"),
            output("named", labels=labels),
            output("wide"),
            output("grey"),
            output("file", holds="bytes"),
            output("text", holds="text"),
            output("deep", holds="other"),
        ]
        answer = {
            "many": many,
            "named": many[:1000],
            "wide": [many[:300]] * 300,
            "grey": [[[place] for place in range(8)]] * 8,
            "file": {
                "b64": "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
            },
            "text": "<script>alert(1)</script>" * 1000,
            "deep": {"a": [[many[:5000]]]},
            "unknown": None,
        }
        before = {**answer, "named": many[:1000][::-1], "text": "other"}
        for earlier in (None, before):
            elements, width = page.evaluate(SHOWN, [outputs, answer, earlier])
            assert elements < 5000
            assert width <= 390
        assert page.locator("canvas").count() == 1
        assert page.locator("img").evaluate("image => image.decode().then(() => image.naturalWidth)") == 1
        assert page.locator("[data-output=named] .changed").inner_text().startswith("Changed: before ")
        assert page.locator("[data-output=named] .was").count() == 10
        page.locator("[data-output=named] .more button").click()
        assert page.locator("[data-output=named] tr").count() == 1000
        focused = "document.activeElement.closest('tr, pre, li')"
        assert page.evaluate(f"{focused}.rowIndex") == 10  # not lost with the button
        page.locator("[data-output=deep] .more button").click()
        assert page.evaluate(f"{focused}.className") == "json"
        assert page.evaluate(SHOWN, [[], {}, None])[0] == 1
        assert page.locator("main").inner_text() == "The answer has no outputs."
