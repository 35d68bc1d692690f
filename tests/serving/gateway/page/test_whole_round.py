"""Each trained model is tried through its form, with an answer that is known to be right: two in each run, all in `long`."""

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
import pytest

from tests import browser

if TYPE_CHECKING:
    from playwright.sync_api import Page

Check = Callable[["Page", str], None]
"""Uses the page of a model; the other is the server's URL."""


def ask(page: "Page") -> str:
    """The text of the answer to what the form holds."""
    page.get_by_role("button", name="Ask", exact=True).click()
    answer = page.locator(".answer")
    answer.wait_for()
    return " ".join(answer.inner_text().split())


def write(page: "Page", name: str, text: str) -> None:
    """Into the field of an input."""
    page.locator(f".field[data-input={name}] textarea").fill(text)


def as_json(page: "Page", name: str, value: Any) -> None:
    field = page.locator(f".field[data-input={name}]")
    field.get_by_text("as JSON").click()
    field.locator("textarea").fill(json.dumps(value))


def digits(page: "Page", url: str) -> None:
    """The pixels of a real digit that the training has not seen, beside what its writer meant."""
    from sklearn.datasets import load_digits

    pixels, meant = load_digits(return_X_y=True)
    right = 0
    for row, digit in list(zip(pixels, meant, strict=True))[-3:]:
        page.goto(f"{url}/#/models/digits/try?row={json.dumps({'pixels': row.tolist()})}")
        page.reload()
        right += ask(page).startswith(f"digit the chance of each digit {digit} ·")
    assert right == 3


def question_answering(page: "Page", url: str) -> None:
    write(page, "text", "Mary moved to the bathroom. John went to the hallway. Mary travelled to the office.")
    write(page, "question", "Where is Mary?")
    assert " office ·" in ask(page)
    write(page, "question", "Where is John?")
    assert " hallway ·" in ask(page)


def social_posts(page: "Page", url: str) -> None:
    answer = golden(url, "social_posts")
    text = ask(page)
    assert f"{answer['income']} ·" in text
    assert f"{answer['gender']} ·" in text
    assert f"{answer['age']:.2f}"[:4] in text
    assert "years" in text


def siamese_lstm(page: "Page", url: str) -> None:
    write(page, "left", "Maria Tanaka, 12 Garden Road")
    write(page, "right", "Maria Tanaka, 12 Garden Road")
    same = ask(page)
    write(page, "right", "Bob Quill, 9 Harbour Street")
    other = ask(page)
    assert "9" in same.split()[-2], same  # ninety-odd percent
    assert same != other
    assert "< " in other or float(other.split()[-2]) < 50, other


def two_cameras(page: "Page", url: str) -> None:
    assert f"{golden(url, 'two_cameras')['depth']:.1f} metres" in ask(page)


def picture(model: str) -> Check:
    """A network that reads files: the first of its golden pictures is in the form."""

    def check(page: "Page", url: str) -> None:
        assert f" {int(np.argmax(golden(url, model)['digit']))} ·" in ask(page)

    return check


def nested(page: "Page", _: str) -> None:
    """Turned by 60 degrees: (1, 0) comes to (1/2, √3/2)."""
    as_json(page, "x", [1.0])
    as_json(page, "y", [0.0])
    answer = ask(page)
    assert "0.5" in answer
    assert "0.866" in answer


def golden(url: str, model: str) -> dict[str, Any]:
    """What the model is due to answer to the row that its form begins with."""
    signature = httpx.get(f"{url}/v1/models/{model}/card").json()["signatures"][0]["name"]
    known = httpx.get(f"{url}/v1/models/{model}/examples", params={"signature": signature}).json()
    assert known["source"] == "golden"
    answer: dict[str, Any] = known["answers"][0]
    return answer


ROUND: dict[str, Check] = {
    "digits": digits,
    "question_answering": question_answering,
    "social_posts": social_posts,
    "inception": picture("inception"),
    "residual": picture("residual"),
    "siamese_lstm": siamese_lstm,
    "two_cameras": two_cameras,
    "nested": nested,
}


@pytest.mark.parametrize("model", ["digits", "question_answering"])
def test_a_model_gives_the_right_answer_in_its_form(trained_url, model):
    with browser.page(f"{trained_url}/#/models/{model}") as page:
        ROUND[model](page, trained_url)


@pytest.mark.long
@pytest.mark.parametrize("model", list(ROUND))
def test_each_of_eight_models_gives_the_right_answer_in_its_form(all_trained_url, model):
    with browser.page(f"{all_trained_url}/#/models/{model}") as page:
        ROUND[model](page, all_trained_url)


def test_the_first_answer_takes_two_clicks(trained_url):
    """On the card, and on Ask."""
    with browser.page(trained_url) as page:
        page.get_by_role("link", name="question_answering").first.click()
        assert golden(trained_url, "question_answering")["answer"] in ask(page)
