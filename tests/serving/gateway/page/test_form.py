"""The form of Try in a real Chromium: what people write, draw and give is what is sent, and errors stand where they belong."""

import io
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from PIL import Image

from tests import browser, servers
from tests.made_models import made

if TYPE_CHECKING:
    from playwright.sync_api import Page

_MODEL = """
import sys, tensorflow as tf

def spec(name, shape, dtype=tf.float32):
    return tf.TensorSpec(shape, dtype, name=name)

def size(data):
    return tf.shape(tf.io.decode_image(data, expand_animations=False))[:2]

module = tf.Module()
module.functions = {
    "from_bytes": tf.function(
        lambda picture: {"size": tf.map_fn(size, picture, fn_output_signature=tf.int32)},
        [spec("picture", [None], tf.string)]),
    "facts": tf.function(
        lambda age, member, scores: {"age": age + 0, "member": tf.identity(member), "scores": scores * 1},
        [spec("age", [None], tf.int8), spec("member", [None, 1], tf.bool), spec("scores", [None, 2])]),
    "table": tf.function(lambda x: {"total": tf.reduce_sum(x, [1, 2])}, [spec("x", [None, None, 3])]),
    "colours": tf.function(lambda image: {"mean": tf.reduce_mean(image, [1, 2])}, [spec("image", [None, 6, 8, 3])]),
    "columns": tf.function(
        lambda x, weights: {"y": tf.linalg.matvec(x, weights)}, [spec("x", [None, 2]), spec("weights", [2])]),
    "any": tf.function(lambda x: {"y": x * 2}, [spec("x", None)]),
    "ink": tf.function(lambda image: {"mean": tf.reduce_mean(image, [1, 2])}, [spec("image", [None, 28, 28, 1])]),
    "newest": tf.function(lambda: {"id": tf.constant([1253261109769874438], tf.int64)}, []),
}
tf.saved_model.save(module, sys.argv[1] + "/forms/1", signatures={
    name: function.get_concrete_function() for name, function in module.functions.items()})
"""

REST = ("table", "colours", "columns", "any")


@pytest.fixture(scope="module")
def forms_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a gateway that serves a model with a field of nearly each kind, without a card."""
    with servers.gateway("--models-dir", made(tmp_path_factory, _MODEL)) as (url, _):
        yield url


@contextmanager
def form(url: str, model: str, query: str = "", **options: Any) -> Iterator["Page"]:
    """The page that tries a model, when its form is there."""
    with browser.page(f"{url}/#/models/{model}{query}", **options) as page:
        page.get_by_role("button", name="Ask").wait_for()
        yield page


def asked(page: "Page") -> Any:
    """Asks, and gives the row that was sent and the whole answer."""
    with page.expect_response("**:predict") as told:
        page.get_by_role("button", name="Ask").click()
    return sent(told.value.request.post_data), json.loads(told.value.text())


def sent(body: str) -> Any:
    """The first row of a body, or its columns; NaN in it is a number."""
    document = json.loads(body)
    return document["instances"][0] if "instances" in document else document["inputs"]


def field(page: "Page", name: str) -> Any:
    return page.locator(f'[data-input="{name}"]')


def picture(width: int, height: int, colour: tuple[int, int, int] = (255, 0, 128)) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(out, "PNG")
    return out.getvalue()


GIVE = """(element, [kind, bytes, name, type]) => {
    const data = new DataTransfer();
    if (bytes === null) data.setData("text", name);
    else data.items.add(new File([new Uint8Array(bytes)], name, { type }));
    const event = kind === "drop" ? new DragEvent(kind, { dataTransfer: data, bubbles: true, cancelable: true })
                                  : new ClipboardEvent(kind, { clipboardData: data, bubbles: true, cancelable: true });
    element.dispatchEvent(event);
}"""


def test_the_first_answer_takes_two_clicks(trained_url):
    from playwright.sync_api import expect

    known = httpx.get(f"{trained_url}/v1/models/question_answering/examples?signature=from_text").json()
    story, answer = known["rows"][0]["text"], known["answers"][0]["answer"]
    assert answer in story
    with browser.page(f"{trained_url}/#/") as page:
        page.get_by_role("link", name="question_answering", exact=True).click()
        page.get_by_role("button", name="Ask").click()
        expect(page.get_by_role("region", name="Answer", exact=True)).to_contain_text(answer)
        expect(page.get_by_label("text", exact=False).first).to_be_visible()


def test_the_numbers_of_a_drawing_are_sent_and_answered(trained_url):
    from playwright.sync_api import expect

    with form(trained_url, "digits") as page:
        page.get_by_role("button", name="Clear").click()
        pad = page.get_by_role("application", name=re.compile("pixels"))
        box = pad.bounding_box()
        x = box["x"] + box["width"] * 3.5 / 8
        page.mouse.move(x, box["y"] + box["height"] * 1.5 / 8)
        page.mouse.down()
        page.mouse.move(x, box["y"] + box["height"] * 6.5 / 8, steps=5)
        page.mouse.up()
        row, answer = asked(page)
        rows = [row["pixels"][at : at + 8] for at in range(0, 64, 8)]
        assert [line[3] for line in rows[1:7]] == [16] * 6
        assert all(0 < line[2] == line[4] < 16 for line in rows[2:6])
        assert all(line[at] == 0 for line in rows for at in (0, 1, 5, 6, 7))
        shown = field(page, "pixels").locator("table td").all_inner_texts()
        assert [float(number) for number in shown] == row["pixels"]
        direct = httpx.post(f"{trained_url}/v1/models/digits:predict", json={"instances": [row]}).json()
        assert answer["predictions"][0]["digit"] == pytest.approx(direct["predictions"][0], rel=1e-4)
        expect(page.get_by_role("region", name="Answer", exact=True)).to_contain_text("digit")

        pad.focus()
        for key in ("ArrowRight", "ArrowDown", " ", "ArrowRight", "5", "ArrowUp", "Delete"):
            page.keyboard.press(key)
        expect(field(page, "pixels")).to_contain_text("row 1, column 3: 0")
        page.keyboard.press("Control+Enter")
        expect(page.get_by_text("for what was asked before")).to_be_hidden()
        drawn = json.loads(row_of(page.url))["pixels"]
        assert (drawn[9], drawn[10]) == (16, 8)


def test_clear_empties_also_cells_below_the_range(trained_url):
    row = json.dumps({"pixels": [-5, 3] * 32}, separators=(",", ":"))
    with form(trained_url, "digits", f"?row={row}") as page:
        page.get_by_role("button", name="Clear").click()
        assert asked(page)[0] == {"pixels": [0] * 64}


def row_of(url: str) -> str:
    """The row in a page's address."""
    return dict(httpx.QueryParams(url.partition("#")[2].partition("?")[2]))["row"]


def test_pictures_are_uploaded_dropped_pasted_and_taken_by_the_camera(forms_url):
    from playwright.sync_api import expect

    with form(forms_url, "forms", "?signature=from_bytes", dark=True, width=390) as page:
        place = field(page, "picture")
        place.locator("input[type=file]").set_input_files(
            {"name": "a.png", "mimeType": "image/png", "buffer": picture(5, 3)}
        )
        expect(place).to_contain_text("a.png, ")
        expect(place).to_contain_text("5 × 3 pixels")
        assert asked(page)[1]["predictions"] == [{"size": [3, 5]}]
        drop = place.get_by_role("group")
        drop.evaluate(GIVE, ["drop", list(picture(7, 2)), "b.png", "image/png"])
        expect(place).to_contain_text("7 × 2 pixels")
        assert asked(page)[1]["predictions"] == [{"size": [2, 7]}]
        drop.evaluate(GIVE, ["paste", list(picture(4, 9)), "c.png", "image/png"])
        expect(place).to_contain_text("4 × 9 pixels")
        assert asked(page)[1]["predictions"] == [{"size": [9, 4]}]

        page.get_by_role("button", name="Camera").click()
        page.get_by_role("button", name="Take it").click()
        expect(place).to_contain_text("camera.png")
        height, width = asked(page)[1]["predictions"][0]["size"]
        expect(place).to_contain_text(f"{width} × {height} pixels")

        refuse = "() => { navigator.mediaDevices.getUserMedia = async () => { throw new DOMException('', 'NotAllowedError') } }"
        page.evaluate(refuse)
        page.get_by_role("button", name="Camera").click()
        expect(place.get_by_role("alert")).to_contain_text("the camera may not be used")


def test_the_camera_ends_where_json_takes_its_place(forms_url):
    from playwright.sync_api import expect

    keep = """() => {
        const media = navigator.mediaDevices, open = media.getUserMedia.bind(media);
        media.getUserMedia = async (wish) => (window.stream = await open(wish));
    }"""
    with form(forms_url, "forms", "?signature=from_bytes") as page:
        page.evaluate(keep)
        states = "stream.getTracks().map((track) => track.readyState).join()"
        page.get_by_role("button", name="Camera").click()
        expect(page.get_by_role("button", name="Take it")).to_be_enabled()
        assert page.evaluate(states) == "live"
        page.get_by_role("button", name="picture as JSON").click()
        page.wait_for_function(f"{states} === 'ended'")
        page.get_by_role("button", name="picture as JSON").click()
        expect(page.get_by_role("button", name="Take it")).to_have_count(0)


@pytest.mark.parametrize("signature", ["any", "from_bytes"])
def test_a_file_that_is_read_after_the_view_was_left_changes_nothing(forms_url, signature):
    from playwright.sync_api import expect

    wait = """() => {
        const gate = new Promise((open) => (window.goOn = open)), read = FileReader.prototype.readAsDataURL;
        FileReader.prototype.readAsDataURL = function (file) { gate.then(() => read.call(this, file)); };
        File.prototype.text = () => gate.then(() => "[1]");
    }"""
    with form(forms_url, "forms", f"?signature={signature}") as page:
        page.evaluate(wait)
        page.locator("input[type=file]").first.set_input_files(
            {"name": "late.json", "mimeType": "application/json", "buffer": b"[1]"}
        )
        page.evaluate("location.hash = '#/models/forms?signature=table'")
        expect(page.get_by_label("x: row 1, column 1")).to_be_visible()
        later = "goOn(), new Promise((resolve) => setTimeout(resolve, 700))"  # longer than the URL is written after
        page.evaluate(later)
        assert page.url.endswith("#/models/forms?signature=table")


def test_a_picture_is_scaled_to_the_numbers_that_the_input_takes(forms_url):
    from playwright.sync_api import expect

    with form(forms_url, "forms", "?signature=colours") as page:
        place = field(page, "image")
        place.locator("input[type=file]").set_input_files(
            {"name": "large.png", "mimeType": "image/png", "buffer": picture(640, 480)}
        )
        expect(place).to_contain_text("large.png, 640 × 480 pixels, sent as 8 × 6 pixels")
        row, answer = asked(page)
        assert row["image"] == [[[255, 0, 128]] * 8] * 6
        assert answer["predictions"][0]["mean"] == [255, 0, 128]
        place.locator("input[type=file]").set_input_files({"name": "x.png", "mimeType": "image/png", "buffer": b"no"})
        expect(place.get_by_role("alert")).to_contain_text("x.png is no picture that the browser can read")


def test_a_block_of_a_spreadsheet_fills_a_grid_which_grows(forms_url):
    from playwright.sync_api import expect

    with form(forms_url, "forms", '?signature=table&row={"x":[[1,2,3]]}') as page:
        page.get_by_label("x: row 2, column 1").evaluate(GIVE, ["paste", None, "4\t5\t6\n7\t8\t9.5\n", ""])
        expect(page.get_by_label("x: row 4, column 1")).to_have_value("")
        row, answer = asked(page)
        assert row == {"x": [[1, 2, 3], [4, 5, 6], [7, 8, 9.5]]}
        assert answer["predictions"][0] == {"total": 45.5}
        page.get_by_label("x: row 3, column 3").focus()
        page.keyboard.press("ArrowDown")
        page.keyboard.type("1e-3")
        page.keyboard.press("ArrowLeft")
        expect(page.get_by_label("x: row 5, column 3")).to_be_visible()
        page.get_by_role("button", name="Ask").click()
        expect(field(page, "x").get_by_role("alert")).to_have_text("row 4, column 1: a number is missing here")
        expect(page.get_by_label("x: row 4, column 1")).to_be_focused()
        page.get_by_label("x: row 1, column 1").evaluate(GIVE, ["paste", None, "1\t2\t3\t4", ""])
        expect(field(page, "x").get_by_role("alert")).to_have_text("1 × 4 cells do not fit in from here")
        assert browser.axe(page) == []


def test_numbers_are_checked_at_their_fields_and_sent_as_they_are_written(forms_url):
    from playwright.sync_api import expect

    with form(forms_url, "forms", "?signature=facts") as page:
        age, scores = field(page, "age"), field(page, "scores")
        age.get_by_role("textbox").fill("300")
        page.get_by_role("button", name="Ask").click()
        expect(age.get_by_role("alert")).to_have_text("300 is beyond int8, which goes from -128 to 127")
        expect(age.get_by_role("textbox")).to_be_focused()
        assert browser.axe(page) == []
        age.get_by_role("textbox").fill("-7")
        expect(age.get_by_role("alert")).to_be_hidden()
        page.get_by_role("checkbox", name="member").check()
        scores.get_by_role("textbox").first.fill("NaN")
        scores.get_by_role("textbox").last.fill("-inf")
        with page.expect_response("**:predict") as told:
            page.get_by_role("button", name="Ask").click()
        assert '"scores":[NaN,-Infinity]' in told.value.request.post_data
        answer = told.value.json()["predictions"][0]
        assert answer == {"age": -7, "member": [True], "scores": ["NaN", "-Infinity"]}


def test_what_was_emptied_stays_empty_as_json(forms_url):
    from playwright.sync_api import expect

    with form(forms_url, "forms", '?signature=facts&row={"age":7,"member":[true],"scores":[1,2]}') as page:
        for name in ("age", "scores"):
            toggle = page.get_by_role("button", name=f"{name} as JSON")
            toggle.click()
            expect(field(page, name).locator("textarea")).not_to_have_value("")
            toggle.click()
            for box in field(page, name).get_by_role("textbox").all():
                box.fill("")
            toggle.click()
            expect(field(page, name).locator("textarea")).to_have_value("")
            toggle.click()
            expect(field(page, name).get_by_role("textbox").first).to_have_value("")


def test_an_error_of_the_server_stands_at_the_field_that_it_names(forms_url):
    from playwright.sync_api import expect

    with form(forms_url, "forms", "?signature=facts", allow=[400]) as page:
        scores = field(page, "scores")
        scores.get_by_role("button", name="scores as JSON").click()
        area = scores.get_by_role("textbox")
        area.fill('[1, "two"]')
        page.get_by_role("button", name="Ask").click()
        expect(scores.get_by_role("alert")).to_contain_text("input 'scores'[0][1] is the string \"two\"")
        expect(area).to_be_focused()
        expect(area).to_have_attribute("aria-invalid", "true")
        area.fill("[1, 2")
        page.keyboard.press("Control+Enter")
        expect(scores.get_by_role("alert")).to_contain_text("this is not JSON")
        assert browser.axe(page) == []
        area.fill("3, 4")
        page.keyboard.press("Control+Enter")
        expect(scores.get_by_role("alert")).to_be_hidden()
        scores.get_by_role("button", name="scores as JSON").click()
        expect(scores.get_by_role("textbox").first).to_have_value("3")


def test_columns_are_asked_with_a_field_for_each(forms_url):
    with form(forms_url, "forms", '?signature=columns&row={"x":[[1,2],[3,4]],"weights":[10,1]}') as page:
        row, answer = asked(page)
        assert row == {"x": [[1, 2], [3, 4]], "weights": [10, 1]}
        assert answer["outputs"] == {"y": [12, 34]}


def test_a_value_of_any_rank_is_written_as_lines_of_numbers_or_dropped_as_a_file(forms_url):
    from playwright.sync_api import expect

    with form(forms_url, "forms", "?signature=any") as page:
        area = field(page, "x").get_by_role("textbox")
        area.fill("1,2\n3,4e-1\n")
        row, answer = asked(page)
        assert (row, answer["predictions"]) == ({"x": [[1, 2], [3, 0.4]]}, [{"y": [[2, 4], [6, 0.8]]}])
        field(page, "x").locator(".editor > div").evaluate(
            GIVE, ["drop", list(b"[[[1, NaN]]]"), "x.json", "application/json"]
        )
        expect(area).to_have_value("[[[1, NaN]]]")
        row, answer = asked(page)
        assert answer["predictions"] == [{"y": [[[2, "NaN"]]]}]


def test_the_address_brings_back_what_was_there(trained_url):
    from playwright.sync_api import expect

    with form(trained_url, "question_answering") as page:
        text = field(page, "text").get_by_role("textbox")
        text.fill("Mary went to the kitchen. 100 % & more?")
        page.get_by_role("link", name="Compare").click()
        expect(page.get_by_role("link", name="Compare")).to_be_focused()
        page.go_back()
        expect(text).to_have_value("Mary went to the kitchen. 100 % & more?")
        page.get_by_label("Signature").focus()
        page.get_by_label("Signature").select_option("serving_default")
        expect(page.get_by_label("Signature")).to_have_value("serving_default")
        expect(page.get_by_label("Signature")).to_be_focused()
        page.go_back()
        page.reload()
        expect(text).to_have_value("Mary went to the kitchen. 100 % & more?")
        text.fill("long " * 3000)
        expect(page.get_by_text("too long for the URL")).to_be_visible()


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("?row={x", "The values in this link are not JSON"),
        ('?row={"txt":"a"}', 'values for "txt", which from_text does not take'),
        ("?signature=nope", 'There is no signature "nope"'),
    ],
)
def test_a_broken_link_is_told(trained_url, query, said):
    from playwright.sync_api import expect

    with form(trained_url, "question_answering", query) as page:
        expect(page.get_by_text(said)).to_be_visible()


def every_example_is_sent_as_it_is(url: str, model: str, most: int) -> None:
    """Clicks examples of each signature, and holds what is sent against what was given."""
    card = httpx.get(f"{url}/v1/models/{model}/card").json()
    for signature in card["signatures"]:
        name = signature["name"]
        known = httpx.get(f"{url}/v1/models/{model}/examples?signature={name}").json()
        with form(url, model, f"?signature={name}", allow=[400]) as page:
            more = page.get_by_role("button", name=re.compile(r"^\d+ more$"))
            if more.count():
                more.click()
            for index, row in enumerate(known["rows"][:most]):
                with page.expect_response("**:predict") as told:
                    page.get_by_role("button", name=re.compile(rf"^Example {index + 1}\b")).click()
                assert sent(told.value.request.post_data) == row, (name, index)


@pytest.mark.long
@pytest.mark.parametrize("model", ["digits", "question_answering"])
def test_examples_are_sent_as_they_are_known(trained_url, model):
    every_example_is_sent_as_it_is(trained_url, model, 2)


@pytest.mark.long
@pytest.mark.parametrize(
    "model",
    ["digits", "question_answering", "social_posts", "inception", "residual", "siamese_lstm", "two_cameras", "nested"],
)
def test_all_examples_of_all_models_are_sent_as_they_are_known(all_trained_url, model):
    every_example_is_sent_as_it_is(all_trained_url, model, 16)


def test_a_signature_without_inputs_is_asked_waited_for_and_a_long_whole_number_shown_with_all_its_digits(forms_url):
    from playwright.sync_api import expect

    held: list[Any] = []

    def hold(route: Any) -> None:  # playwright marks its handlers, which `append` cannot be
        held.append(route)

    with form(forms_url, "forms", "?signature=newest") as page:
        expect(page.locator("form.sheet")).to_contain_text("This signature takes no inputs.")
        expect(page.locator(".example")).to_have_count(0)
        page.route("**:predict", hold)
        page.get_by_role("button", name="Ask").click()
        waiting = page.get_by_role("status").filter(has_text="Waiting for the server")
        expect(waiting).to_be_visible()  # of an answer that is late
        held[0].continue_()
        expect(waiting).to_have_count(0)
        expect(page.locator("[data-output=id] .headline")).to_have_text("1253261109769874438")


def test_what_colours_tell_is_told_in_the_colours_of_the_user_too(forms_url):
    colour = "element => getComputedStyle(element).backgroundColor"
    with form(forms_url, "forms", "?signature=ink") as page:
        page.emulate_media(forced_colors="active")
        page.get_by_role("button", name="Ask").click()
        bar = page.locator(".stage-bar").first
        assert bar.locator(".stage").first.evaluate(colour) != bar.evaluate(colour)
        draw, erase = page.get_by_role("button", name="Draw image"), page.get_by_role("button", name="Erase image")
        assert draw.evaluate(colour) != erase.evaluate(colour)


@pytest.mark.parametrize(
    "signature", ["facts", "from_bytes", "ink", *(pytest.param(name, marks=pytest.mark.long) for name in REST)]
)
def test_forms_are_usable_by_all(forms_url, signature):
    with form(forms_url, "forms", f"?signature={signature}", width=390, dark=True) as page:
        assert browser.axe(page) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
