"""What a version says of itself and its pictures, over HTTP: exports, models of strangers, none at all."""

import json
import shutil
from pathlib import Path
from typing import Any

import httpx
import jsonschema_rs
import pytest

from tests import servers
from tests.servers import GOLDEN_MODELS
from tests.serving.gateway.in_process import InProcess, gateway, header

PNG = b"\x89PNG\r\n\x1a\n and more"
CARD = {
    "purpose": "Three outputs for four numbers.",
    "limits": ["Four numbers."],
    "data": {"description": "Made up.", "rows_per_epoch": 3},
    "model": {"parameters": 17, "summary": "…"},
    "digest": {"sha256": "abc"},
    "training": {"preset": "quick", "recipe": {"epochs": 2}},
    "scores": [{"output": "p", "metric": "accuracy", "value": 0.9, "baselines": {"one guess": 0.5}, "ceiling": None}],
    "pictures": ["model.png", "history.png"],
    "signatures": {
        "serving_default": {
            "inputs": {"x": {"meaning": "four numbers", "unit": "m", "values": "any", "labels": []}},
            "outputs": {"p": {"meaning": "the chances", "unit": "", "values": "", "labels": ["red", "green", "blue"]}},
            "batched": True,
            "golden_rows": 8,
            "padding": {"safe": True, "value": 0, "inputs": {"x": [1, 7]}},
        }
    },
}


def add(folder: Path, model: str, card: Any = None, version: int = 1) -> Path:
    """A version of a golden model, with a card: its folder."""
    place = folder / str(version)
    shutil.copytree(GOLDEN_MODELS / model / "1", place)
    if card is not None:
        (place / "assets.extra").mkdir()
        (place / "assets.extra" / "model-card.json").write_text(card if isinstance(card, str) else json.dumps(card))
    return place


def asked(running: InProcess, path: str, code: int = 200) -> dict[str, Any]:
    answer = running.ask("GET", path.encode())
    assert answer.status == code, answer.body
    return json.loads(answer.body)


def test_a_card_tells_what_the_export_says_of_its_live_signatures(tmp_path):
    place = add(tmp_path / "m", "three_out", CARD)
    (place / "assets.extra" / "model.png").write_bytes(PNG)
    (tmp_path / "m" / "labels.json").write_text('{"stable": 1}')
    with gateway(models_dir=tmp_path) as running:
        told = asked(running, "/v1/models/m/card")
        signatures = told.pop("signatures")
        assert told == {
            "name": "m",
            "version": 1,
            "versions": [{"version": 1, "state": "AVAILABLE", "error": ""}],
            "labels": {"stable": 1},
            "purpose": "Three outputs for four numbers.",
            "limits": ["Four numbers."],
            "data": "Made up.",
            "parameters": 17,
            "digest": "abc",
            "problem": "",
            "error": "",
            "training": {"preset": "quick", "recipe": {"epochs": 2}},
            "scores": CARD["scores"],
            "pictures": ["model.png"],
        }
        signature = next(one for one in signatures if one["name"] == "serving_default")
        tensors = {tensor["name"]: tensor for tensor in [*signature.pop("inputs"), *signature.pop("outputs")]}
        assert signature == {
            "name": "serving_default",
            "servable": True,
            "in_rows": True,
            "independent": True,
            "why": "",
            "padding": {"value": 0.0, "inputs": {"x": [1]}},
        }
        assert tensors["x"] == {
            **{"name": "x", "dtype": "float32", "shape": [-1, 4], "meaning": "four numbers", "unit": "m"},
            **{"values": "any", "labels": [], "holds": "numbers"},
        }
        assert tensors["p"]["labels"] == ["red", "green", "blue"]
        by_number = asked(running, "/v1/models/m/versions/1/card")
        assert by_number == asked(running, "/v1/models/m/card")
        answer = running.ask("GET", b"/v1/models/m/card")
        etag = header(answer, "etag")
        assert running.ask("GET", b"/v1/models/m/card", headers={b"if-none-match": etag.encode()}).status == 304


def test_each_card_is_as_the_document_says(gateway_url):
    answer = httpx.get(f"{gateway_url}/openapi.json", timeout=30)
    assert answer.status_code == 200, answer.text
    known = answer.json()
    validator = jsonschema_rs.Draft202012Validator({**known, "$ref": "#/components/schemas/Card"})
    for model in ("mlp", "two_in", "mixed", "three_out", "clsreg"):
        told = httpx.get(f"{gateway_url}/v1/models/{model}/card").json()
        assert not [error.message for error in validator.iter_errors(told)]
        assert [one["state"] for one in told["versions"]] == ["AVAILABLE"]
        assert told["version"] == 1
        assert told["signatures"]
        assert (told["purpose"], told["problem"]) == ("", "")
        assert [one["name"] for one in told["signatures"]] == sorted(
            (one["name"] for one in told["signatures"]), key=lambda name: (name != "serving_default", name)
        )


def of_signature(**said: Any) -> str:
    return json.dumps({"signatures": {"serving_default": said}})


STRANGE = {
    "no JSON": "{",
    "no object": "[1]",
    "half a character": '{"purpose": "\\ud800", "scores": [{"output": "\\udfff", "baselines": {"\\ud800": 1}}]}',
    "a number of a thousand digits": '{"model": {"parameters": 1' + "0" * 1_000 + "}}",
    "a number that Python refuses": '{"model": {"parameters": 1' + "0" * 5_000 + "}}",
    "NaN": '{"scores": [{"value": NaN, "ceiling": Infinity}], "training": {"seconds": -Infinity}}',
    "other types": json.dumps(
        {"purpose": 1, "limits": "x", "data": [], "model": 3, "digest": "d", "training": [1], "scores": {"a": 1}}
    ),
    "other types of signatures": json.dumps({"signatures": [1]}),
    "nested deep": '{"training": ' + '{"a": ' * 300 + "1" + "}" * 301,
    "a million labels": of_signature(outputs={"p": {"labels": ["x"] * 1_000_000}}),
    "labels that are no text": of_signature(outputs={"p": {"labels": [[1], None, {"a": float("nan")}]}}),
    "a padding with nothing": of_signature(padding={"safe": True, "value": float("nan"), "inputs": {"x": [1]}}),
    "a padding without bounds": of_signature(padding={"safe": True, "value": 1, "inputs": {"x": [1e300, -1]}}),
    "texts without end": json.dumps({"purpose": "x" * 3_000_000, "limits": ["y" * 9_000] * 900}),
}


@pytest.mark.parametrize("card", STRANGE.values(), ids=STRANGE)
def test_cards_of_strangers_are_told_as_far_as_they_go(tmp_path, card):
    add(tmp_path / "m", "three_out", card)
    with gateway(models_dir=tmp_path) as running:
        answer = running.ask("GET", b"/v1/models/m/card")
        assert answer.status == 200
        assert len(answer.body) < 1 << 20
        told = json.loads(answer.body, parse_constant=pytest.fail)
        assert [tensor["name"] for tensor in told["signatures"][0]["inputs"]] == ["x"]
        assert str(tmp_path) not in answer.body.decode()


def test_what_is_left_out_of_a_card_is_said(tmp_path):
    add(tmp_path / "m", "three_out", STRANGE["other types"])
    add(tmp_path / "broken", "three_out", "{")
    with gateway(models_dir=tmp_path) as running:
        problem = asked(running, "/v1/models/m/card")["problem"]
        assert "left out of its card: purpose (no text), limits (no list)" in problem
        assert asked(running, "/v1/models/broken/card")["problem"].startswith(
            "the card assets.extra/model-card.json cannot be read: Expecting property name"
        )


def test_models_without_a_version_say_why(tmp_path):
    (tmp_path / "empty").mkdir()
    broken = tmp_path / "broken" / "3"
    broken.mkdir(parents=True)
    (broken / "saved_model.pb").write_bytes(b"no graph")
    add(tmp_path / "broken", "three_out")
    with gateway(models_dir=tmp_path, allow_missing=True) as running:
        told = asked(running, "/v1/models/empty/card")
        assert (told["name"], told["version"], told["versions"], told["signatures"]) == ("empty", None, [], [])
        assert told["error"] == "model 'empty' has no version that is available yet"
        told = asked(running, "/v1/models/broken/versions/3/card")
        assert (told["version"], told["signatures"]) == (3, [])
        assert told["error"]
        assert {one["version"]: one["state"] for one in told["versions"]} == {3: "END", 1: "AVAILABLE"}
        assert asked(running, "/v1/models/broken/card")["version"] == 1
        assert "Could not find version 9 of model" in asked(running, "/v1/models/broken/versions/9/card", 404)["error"]
        assert "(did you mean 'empty'?)" in asked(running, "/v1/models/emty/card", 404)["error"]
        assert "version" in asked(running, "/v1/models/broken/versions/x/card", 400)["error"]


def test_cards_come_from_the_folder_also_before_a_model_server(tmp_path):
    add(tmp_path / "m", "three_out", CARD)
    with (
        servers.model_server("--model_name=m", f"--model_base_path={tmp_path / 'm'}") as (address, _),
        servers.gateway("--backend", address, "--models-dir", tmp_path) as (url, _),
    ):
        told = httpx.get(f"{url}/v1/models/m/card").json()
        assert (told["purpose"], told["version"], told["data"]) == (CARD["purpose"], 1, "Made up.")


def test_a_model_server_that_is_away_is_said():
    with gateway(backend="127.0.0.1:9", models="m") as running:
        told = asked(running, "/v1/models/m/card")
        assert (told["version"], told["versions"], told["signatures"]) == (None, [], [])
        assert "no model server says which versions of 'm' it has" in told["error"]
        for path in ("versions/3/card", "examples", "pictures/model.png"):
            assert "cannot connect to" in asked(running, f"/v1/models/m/{path}", 503)["error"]


def test_types_that_cannot_travel_are_told(odd_models):
    with gateway(models_dir=odd_models) as running:
        signatures = {one["name"]: one for one in asked(running, "/v1/models/complex/card")["signatures"]}
        outputs = {one["name"]: (one["dtype"], one["holds"]) for one in signatures["serving_default"]["outputs"]}
        assert outputs["z"] == ("complex64", "other")
        assert outputs["q"] == ("unsupported", "other")
        assert signatures["serving_default"]["servable"]
        assert not signatures["real"]["servable"]


def test_pictures_are_plain_files_of_the_version_alone(tmp_path):
    place = add(tmp_path / "m", "three_out", {}) / "assets.extra"
    (place / "model.png").write_bytes(PNG)
    (tmp_path / "secret.png").write_bytes(PNG + b" a secret")
    (place / "history.png").symlink_to(tmp_path / "secret.png")
    other = add(tmp_path / "linked", "three_out")
    (other / "assets.extra").symlink_to(place)
    odd = add(tmp_path / "odd", "three_out", {}) / "assets.extra"
    (odd / "model.png").write_bytes(b"<svg onload=alert(1)>")
    (odd / "history.png").write_bytes(PNG + bytes(4 << 20))
    with gateway(models_dir=tmp_path) as running:
        for path in ("/v1/models/m/pictures/model.png", "/v1/models/m/versions/1/pictures/model.png"):
            answer = running.ask("GET", path.encode())
            assert (answer.status, answer.body) == (200, PNG)
            assert header(answer, "content-type") == "image/png"
            assert header(answer, "cache-control") == "private, no-cache"
            again = running.ask("GET", path.encode(), headers={b"if-none-match": header(answer, "etag").encode()})
            assert (again.status, again.body) == (304, b"")
        for path, why in {
            "/v1/models/m/pictures/history.png": "this version has no history.png",
            "/v1/models/m/pictures/model-card.json": "there is no picture 'model-card.json'; versions may have",
            "/v1/models/m/pictures/..%2Fmodel.png": "there is no picture '../model.png'",
            "/v1/models/linked/pictures/model.png": "this version has no model.png",
            "/v1/models/odd/pictures/model.png": "this version's model.png is no PNG",
            "/v1/models/odd/pictures/history.png": "cannot be read, or has more than 4 MiB",
            "/v1/models/m/versions/7/pictures/model.png": "Specific(m, 7)",
        }.items():
            assert why in asked(running, path, 404)["error"]
        assert asked(running, "/v1/models/m/card")["pictures"] == ["model.png"]
