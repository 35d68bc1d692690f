"""What models, cards and callers say is text on every page, whatever it looks like."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from signet.serving.tensors.protos import saved_model_pb2
from tests import browser, servers

MARKUP = "<img src=x onerror=document.title='taken'>"
MODEL = f"two{MARKUP}\"'&amp;"
NAMES = {"a": "constructor", "b": "__proto__", "output_0": "toString"}
"""What each object of JavaScript has already."""
VIEWS = ("", "/compare", "/table", "/about")


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a gateway with a model whose name, tensors, card and labels are markup."""
    folder = tmp_path_factory.mktemp("hostile") / "models"
    version = folder / MODEL / "1"
    shutil.copytree(servers.GOLDEN_MODELS / "two_in" / "1", version)
    _rename(version / "saved_model.pb", lambda name: f"{name}{MARKUP}")
    named = folder / "named" / "1"
    shutil.copytree(servers.GOLDEN_MODELS / "two_in" / "1", named)
    _rename(named / "saved_model.pb", lambda name: NAMES.get(name, name))
    extra = version / "assets.extra"
    extra.mkdir()
    tensor = {"meaning": MARKUP, "unit": MARKUP, "values": MARKUP, "labels": [MARKUP] * 2}
    said = {name: {f"{name}{MARKUP}": tensor for name in ("a", "b", "s", "d")} for name in ("inputs", "outputs")}
    card = {
        "purpose": MARKUP,
        "limits": [MARKUP],
        "data": {"description": MARKUP},
        "training": {MARKUP: MARKUP},
        "scores": [{"output": MARKUP, "metric": MARKUP, "value": 1, "baselines": {MARKUP: 0.5}, "ceiling": None}],
        "pictures": [MARKUP],
        "notes": [MARKUP],
        "signatures": {"serving_default": said},
    }
    (extra / "model-card.json").write_text(json.dumps(card))
    (folder / MODEL / "labels.json").write_text(json.dumps({MARKUP: 1}))
    with servers.gateway("--models-dir", folder) as (url, _):
        yield url


def _rename(path: Path, new: Callable[[str], str]) -> None:
    saved = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    signature = saved.meta_graphs[0].signature_def["serving_default"]
    for tensors in (signature.inputs, signature.outputs):
        for name in list(tensors):
            if new(name) != name:
                tensors[new(name)].CopyFrom(tensors[name])
                del tensors[name]
    path.write_bytes(saved.SerializeToString())


@pytest.mark.parametrize("path", ["/", "/docs", *(f"/#/models/{quote(MODEL, safe='')}{view}" for view in VIEWS)])
def test_markup_in_names_cards_and_labels_is_shown_as_it_is(hostile, path):
    with browser.page(hostile + path) as page:
        page.get_by_text(MARKUP).locator("visible=true").first.wait_for()
        assert page.locator("main img[src='x'], body img[src='x']").count() == 0
        assert page.title() != "taken"


def test_markup_in_answers_and_errors_is_shown_as_it_is(hostile):
    with browser.page(f"{hostile}/#/models/{quote(MODEL, safe='')}", allow=[400]) as page:
        page.get_by_role("button", name="Ask").click()
        page.locator(".answer").get_by_text(MARKUP).first.wait_for()
        assert page.locator("img[src='x']").count() == 0
        row = json.dumps({f"a{MARKUP}": [MARKUP], f"b{MARKUP}": [1, 2]})
        page.goto(f"{hostile}/#/models/{quote(MODEL, safe='')}/try?row={quote(row)}")
        page.reload()
        page.get_by_role("button", name="Ask").click()
        page.get_by_text(MARKUP).locator("visible=true").first.wait_for()
        assert page.locator("img[src='x']").count() == 0


def test_names_that_each_object_has_are_inputs_and_outputs_like_others(hostile):
    with browser.page(f"{hostile}/#/models/named") as page:
        with page.expect_response("**:predict") as told:
            page.get_by_role("button", name="Ask").click()
        assert set(json.loads(told.value.request.post_data)["instances"][0]) == {"constructor", "__proto__"}
        assert told.value.ok
        page.locator("[data-output=toString]").wait_for()
        row = quote(json.dumps({"constructor": 2}))
        page.goto(f"{hostile}/#/models/named/constructor?row={row}")  # no tab, and one of two inputs
        page.get_by_role("button", name="Ask").wait_for()
        assert page.get_by_role("navigation", name="Of this model").locator("[aria-current=page]").inner_text() == "Try"
        assert page.locator(".answer").count() == 0
