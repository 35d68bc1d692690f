"""What changes the answer, in a real browser, on models whose answers are known to hang on one part.

made models ──gateway──▶ #/models/NAME/try?row=…&influence=open ──▶ heat, the strongest parts, inputs × outputs
"""

import base64
import io
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import pytest
from PIL import Image

from tests import browser, servers
from tests.made_models import made

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

_MODELS = """
import json, pathlib, sys, tensorflow as tf

def save(name, function, *specs, rows=None, **units):
    specs = [tf.TensorSpec([None, *shape], dtype, name=name) for name, shape, dtype in specs]
    module = tf.Module()
    module.function = tf.function(function, input_signature=specs)
    path = pathlib.Path(sys.argv[1]) / name / "1"
    tf.saved_model.save(module, path, signatures={"serving_default": module.function})
    outputs = {name: {"meaning": "", "unit": unit} for name, unit in units.items()}
    (path / "assets.extra").mkdir()
    (path / "assets.extra" / "model-card.json").write_text(
        json.dumps({"signatures": {"serving_default": {"outputs": outputs}}})
    )
    if rows:
        columns = {spec.name: tf.constant(rows[spec.name], spec.dtype) for spec in specs}
        answers = {name: plain(value.numpy()) for name, value in module.function(**columns).items()}
        golden = {"inputs": rows, "outputs": answers, "rtol": 1e-4, "atol": 1e-5}
        whole = {"format": 1, "signatures": {"serving_default": golden}}
        (path / "assets.extra" / "golden.json").write_text(json.dumps(whole))

def plain(array):
    return [each.decode() if isinstance(each, bytes) else each for each in array.tolist()]

def has(text, word):
    return tf.strings.regex_full_match(text, f"(?s).*{word}.*")

def judged(text):
    bad = has(text, "poison")
    return {"answer": tf.where(bad, "danger", "safe"), "answer_probability": tf.where(bad, 0.9, 0.7)}

def corner(image_bytes):
    def one(data):
        return tf.reduce_mean(tf.cast(tf.io.decode_png(data, channels=1), tf.float32)[:8, :8])
    return {"corner": tf.map_fn(one, image_bytes, fn_output_signature=tf.float32)}

def crossed(text, x):
    return {"alarm": tf.where(has(text, "fire"), 1.0, 0.0), "level": 10 * x[:, 2]}

def together(x):
    return {"y": 5 * x[:, 1] * tf.cast(tf.shape(x)[0], tf.float32)}

FLOAT = tf.float32
save("words", judged, ("text", [], tf.string), rows={"text": ["all is well", "some poison"]})
save("cell", lambda x: {"y": 3 * x[:, 5]}, ("x", [7], FLOAT), rows={"x": [[1.0] * 7, [2.0] * 7, [50.0] * 7]}, y="metres")
save(
    "one_of_two",
    lambda used, unused: {"y": 2 * used + 0 * unused},
    *(("used", [], FLOAT), ("unused", [], FLOAT)),
    rows={"used": [1.0, 5.0, 6.0], "unused": [1.0, 2.0, 3.0]},
)
save(
    "crossed",
    crossed,
    *(("text", [], tf.string), ("x", [5], FLOAT)),
    rows={"text": ["all is well", "nothing"], "x": [[0.0] * 5, [1.0] * 5]},
)
save("together", together, ("x", [5], FLOAT), rows={"x": [[1.0, 2.0, 3.0, 4.0, 5.0]]})
save("corner", corner, ("image_bytes", [], tf.string))
"""
_INDEPENDENT = ("words", "cell", "one_of_two", "crossed", "corner")


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    models = made(tmp_path_factory, _MODELS)
    switches = ",".join([*(f"{name}=on" for name in _INDEPENDENT), "together=off"])
    with servers.gateway("--models-dir", models, "--batch-models", switches) as (at, _):
        yield at


@contextmanager
def influence(url: str, model: str, row: dict[str, object], **options: object) -> Iterator[tuple["Page", list[dict]]]:
    """The page with the panel open and filled, and the bodies of all predict requests."""
    from playwright.sync_api import expect

    query = urlencode({"signature": options.pop("signature", ""), "row": json.dumps(row)})
    with browser.page(f"{url}/", **options) as page:
        asked: list[dict] = []
        page.on("request", lambda request: asked.append(request.post_data_json) if request.method == "POST" else None)
        page.goto(f"{url}/#/models/{model}/try?{query}")
        page.get_by_role("button", name="See what changes it").click()
        expect(page.get_by_role("button", name="Hide")).to_be_visible()
        yield page, asked


def strongest(page: "Page") -> list[list[str]]:
    """The table of the strongest parts: what each is, and what is said of it."""
    rows = page.locator(".influence-parts tbody tr").all()
    return [
        [" ".join(row.locator(cell).inner_text().split()) for cell in ("th", "td:not(:has(button))")] for row in rows
    ]


def matrix(page: "Page") -> dict[str, list[str]]:
    """How much each output changes with each input."""
    rows = page.locator(".influence-matrix tbody tr").all()
    return {row.locator("th").inner_text(): row.locator("td").all_inner_texts() for row in rows}


def section(page: "Page") -> "Locator":
    return page.get_by_role("region", name="What changes the answer")


def model_calls(url: str, model: str) -> tuple[float, float]:
    """Calls of the model, and their rows."""
    text = servers.get(f"{url}/metrics").text
    found = (
        re.search(rf'^signet_batch_rows_{kind}{{model="{model}"}} (\S+)$', text, re.MULTILINE)
        for kind in ("count", "sum")
    )
    count, rows = (float(match[1]) if match else 0.0 for match in found)
    return count, rows


def test_the_word_that_an_answer_hangs_on_is_found_in_one_call_of_the_model(url):
    story = [f"w{place}" for place in range(56)]
    text = " ".join([*story[:30], "poison <img src=x>", *story[30:]])  # 60 words
    calls, rows = model_calls(url, "words")
    with influence(url, "words", {"text": text}) as (page, asked):
        assert strongest(page) == [["“poison”", "the answer becomes “safe” (70.0 %)"]]
        assert "59 parts without any effect" in section(page).inner_text()
        assert section(page).locator(".hot.more.other[data-part]").all_inner_texts() == ["poison"]
        assert section(page).locator("img").count() == 0
        assert page.get_by_text("61 rows in 1 request").is_visible()
    assert [len(body["instances"]) for body in asked] == [1, 61]
    assert model_calls(url, "words") == (calls + 2, rows + 62)


def test_a_word_is_left_out_in_the_form_at_a_click(url):
    from playwright.sync_api import expect

    with influence(url, "words", {"text": "a poison, truly"}) as (page, _):
        section(page).locator(".hot", has_text="poison").last.click()
        assert "Without “poison” in text, the answer becomes “safe” (70.0 %)." in section(page).inner_text()
        page.locator(".influence-detail").get_by_role("button", name="Leave it out").click()
        expect(page.get_by_role("textbox", name=re.compile("^text"))).to_have_value("a, truly")
        expect(page.get_by_role("button", name="Ask")).to_be_focused()
        expect(page.get_by_text("No part alone changes answer.")).to_be_visible()  # open, it asks again
        page.get_by_role("button", name="Hide").click()
        assert "influence" not in page.url
        assert page.locator(".influence-body").inner_text() == ""


def test_the_cell_that_an_answer_hangs_on_is_found(url):
    with influence(url, "cell", {"x": [9, 8, 7, 6, 5, 4, 3]}) as (page, asked):
        assert strongest(page) == [["place 6 (4)", "“y” falls by 6 metres, to 6"]]  # the examples' median there is 2
        cell = section(page).locator(".hot.cell.more, .hot.cell.less")
        assert cell.all_inner_texts() == ["4"]
        cell.hover()
        told = page.locator(".influence-detail").inner_text()
        assert told.strip() == "With 2 in place of 4 at place 6 in x, “y” falls by 6 metres, to 6."
    assert [len(body["instances"]) for body in asked] == [1, 8]


def test_of_two_inputs_the_used_one_alone_has_an_effect(url):
    with influence(url, "one_of_two", {"used": 3, "unused": 4}) as (page, _):
        assert all(part.endswith("in used") for part, _ in strongest(page))
        assert matrix(page) == {"used": ["4.667"], "unused": ["0"]}  # the mean of 4, 4 and 6


def test_each_output_has_its_own_part(url):
    with influence(url, "crossed", {"text": "no fire here", "x": [1, 2, 30, 4, 5]}) as (page, _):
        assert [part for part, _ in strongest(page)] == ["“fire” in text"]
        page.get_by_role("group", name="Output").get_by_role("button", name="level").click()
        assert [part for part, _ in strongest(page)] == ["place 3 (30) in x"]
        assert matrix(page) == {"text": ["1", "0"], "x": ["0", "295"]}


def test_rows_that_change_each_others_answers_are_asked_alone(url):
    with influence(url, "together", {"x": [1, 10, 3, 4, 5]}) as (page, asked):
        assert strongest(page) == [["place 2 (10)", "“y” falls by 40, to 10"]]
        assert {len(body["instances"]) for body in asked} == {1}
        assert "6 rows in 6 requests" in section(page).inner_text()


def test_the_patches_that_an_answer_hangs_on_are_found_in_a_picture(url):
    picture = Image.new("L", (24, 24), 40)
    picture.paste(200, (2, 2, 8, 8))
    file = io.BytesIO()
    picture.save(file, "PNG")
    row = {"image_bytes": {"b64": base64.b64encode(file.getvalue()).decode()}}
    with influence(url, "corner", row) as (page, _):
        patches = section(page).locator("rect.more")
        places = {(int(each.get_attribute("x")), int(each.get_attribute("y"))) for each in patches.all()}
        assert places == {(0, 0), (3, 0), (6, 0), (0, 3), (3, 3), (6, 3), (0, 6), (3, 6), (6, 6)}
        assert section(page).locator("rect.less").count() == 0


def test_the_sentence_that_answers_a_question_has_the_strongest_word(trained_url):
    story = "Mary went to the kitchen. John moved to the bathroom."
    row = {"text": story, "question": "Where is John?"}
    with influence(trained_url, "question_answering", row, signature="from_text") as (page, asked):
        assert strongest(page)[0][0] == "“bathroom” in text"
        assert "the answer becomes" in strongest(page)[0][-1]
        assert len(asked) == 2


@pytest.mark.parametrize(
    ("dark", "width"),
    [
        pytest.param(False, 1280, marks=pytest.mark.long),
        pytest.param(True, 390, marks=pytest.mark.long),
        pytest.param(True, 1280, marks=pytest.mark.long),
        pytest.param(False, 390, marks=pytest.mark.long),
    ],
)
def test_everybody_can_use_it(url, dark, width):
    row = {"text": "no fire here", "x": [1, 2, 30, 4, 5]}
    with influence(url, "crossed", row, dark=dark, width=width) as (page, _):
        assert browser.axe(page) == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
