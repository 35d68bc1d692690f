"""/openapi.json, /docs and their like on real gateways: examples that work, reloads, a browser, Schemathesis."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import httpx
import jsonschema_rs
import pytest
from playwright.sync_api import expect

from signet.serving.gateway.access import key_file, tokens
from signet.serving.gateway.http.v1_routes import ROUTES
from tests import browser, servers
from tests.servers import GOLDEN_MODELS, ROOT

MOST_OPEN = 8
"""Models up to which the page unfolds all."""

CARD = {
    "purpose": "Three outputs for four numbers.",
    "signatures": {
        "serving_default": {
            "inputs": {"x": {"meaning": "four numbers", "unit": "metres", "values": "any", "labels": []}},
            "outputs": {"p": {"meaning": "the chances", "unit": "", "values": "", "labels": ["red", "green", "blue"]}},
            "example": {"instances": [{"x": [0, 1, 2, 3]}]},
        }
    },
}


def document(url: str, path: str = "/openapi.json") -> dict[str, Any]:
    answer = httpx.get(url + path, timeout=30)
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "private, no-cache")
    return answer.json()


def resolved(document: dict[str, Any], value: dict[str, Any]) -> dict[str, Any]:
    """The value, or what it refers to."""
    if "$ref" not in value:
        return value
    kind, name = value["$ref"].removeprefix("#/components/").split("/")
    return document["components"][kind][name]


def examples(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Path, body and documented answers of each example of a model's own routes."""
    for template, operations in document["paths"].items():
        if "requestBody" not in operations.get("post", {}) or "{model}" in template:
            continue
        parameters = [resolved(document, one) for one in operations["post"]["parameters"]]
        path = template.format(**{one["name"]: one["example"] for one in parameters if one["in"] == "path"})
        body = resolved(document, operations["post"]["requestBody"])["content"]["application/json"]
        answers = resolved(document, operations["post"]["responses"]["200"])["content"]["application/json"]
        for title, example in body.get("examples", {}).items():
            yield path, example["value"], answers.get("examples", {}).get(title, {})


def add(base: Path, version: int, model: str) -> None:
    """A version that appears whole."""
    shutil.copytree(GOLDEN_MODELS / model / "1", base / ".writing")
    (base / ".writing").rename(base / str(version))


def test_each_example_is_answered_as_it_stands(gateway_url):
    asked = []
    with httpx.Client(base_url=gateway_url, timeout=30) as client:
        for path, body, answer in examples(document(gateway_url)):
            response = client.post(path, json=body)
            assert response.status_code == 200, (path, body, response.text)
            if answer:
                assert response.json() == answer["value"]
            asked.append(path)
    assert {"/v1/models/two_in:predict", "/v1/models/mixed/versions/1:predict"} <= set(asked)
    assert {"/v2/models/two_in/infer", "/v2/models/mixed/versions/1/infer"} <= set(asked)
    assert len(asked) > 80


def test_the_routes_that_errors_list_are_those_in_the_document(embedded_url):
    documented = {
        (method.upper(), re.sub(r"^(/v./models)/\w+(?=[:/])", r"\1/{model}", path))
        for path, operations in document(embedded_url)["paths"].items()
        for method in operations
    }
    listed = set()
    names = {"MODEL": "{model}", "/N": "/{version}", "LABEL": "{label}", "/FILE": "/{file}"}
    for line in ROUTES:
        method, route = re.sub(r"MODEL|/N|LABEL|/FILE", lambda found: names[found[0]], line).split()
        start, optional, end = re.fullmatch(r"([^[]*)(?:\[(.*)\])?(.*)", route).groups()
        places = ["", *optional.split("|")] if optional else [""]
        listed |= {(method, start + place + end) for place in places}
    without_labels = {route for route in listed if route[0] == "POST" and "labels" in route[1]}
    refused = {route for route in listed if "/repository/models/" in route[1]}
    assert len(refused) == 2
    assert documented == listed - without_labels - refused


def test_the_examples_of_releases_are_done_as_they_stand_and_answers_are_as_the_document_says(tmp_path):
    """From the start to the canary, and back."""
    shutil.copytree(GOLDEN_MODELS / "two_in" / "1", tmp_path / "models" / "m" / "1")
    shutil.copytree(GOLDEN_MODELS / "two_in" / "1", tmp_path / "models" / "m" / "2")
    created = tokens.create()
    key_file.add(tmp_path / "keys", created, name="boss", models="*", admin=True)
    shown = {"authorization": f"Bearer {created.token}"}
    with (
        servers.gateway("--models-dir", tmp_path / "models", "--keys", tmp_path / "keys") as (url, _),
        httpx.Client(base_url=url, headers=shown, timeout=30) as client,
    ):
        known = client.get("/openapi.json").json()

        def check(schema: str, answer: httpx.Response) -> dict[str, Any]:
            assert answer.status_code == 200, answer.text
            validator = jsonschema_rs.Draft202012Validator({**known, "$ref": f"#/components/schemas/{schema}"})
            assert not [error.message for error in validator.iter_errors(answer.json())]
            return answer.json()

        def shown_bodies(action: str) -> list[dict[str, Any]]:
            content = known["paths"][f"/v1/models/{{model}}/release/{action}"]["post"]["requestBody"]["content"]
            return [example["value"] for example in content["application/json"]["examples"].values()]

        assert check("ReleaseStatus", client.get("/v1/models/m/release"))["verdict"] is None
        stages = []
        for action in ("start", "promote", "rollback"):
            for body in shown_bodies(action):
                path = f"/v1/models/m/release/{action}"
                answer = client.post(path, json=body)
                while "not available" in answer.text or "knows of" in answer.text:  # it is about to be loaded
                    answer = client.post(path, json=body)
                stages.append(check("Release", answer)["stage"])
        assert stages == ["gate", "shadow", "canary", "rolled_back"]
        told = check("ReleaseStatus", client.get("/v1/models/m/release"))
        assert told["verdict"]["decision"] == "not_yet"


def test_the_document_follows_what_is_loaded(tmp_path):
    base = tmp_path / "models" / "m"
    base.mkdir(parents=True)
    add(base, 1, "three_out")
    with servers.gateway("--models-dir", base.parent) as (url, _):
        assert "`x`" in document(url)["paths"]["/v1/models/m:predict"]["post"]["description"]
        add(base, 2, "two_in")
        servers.wait_until(lambda: httpx.get(f"{url}/v1/models").json()["details"][0]["versions"] == [2])
        known = document(url)
        text = known["paths"]["/v1/models/m:predict"]["post"]["description"]
        assert "`a`" in text
        assert "`x`" not in text
        assert next(body for path, body, _ in examples(known) if path == "/v1/models/m:predict") == {
            "instances": [{"a": [1.0, 1.0, 1.0], "b": [1.0, 1.0]}]
        }
        assert document(url, "/v1/models/m/openapi.json")["paths"].keys() <= known["paths"].keys()


@pytest.fixture(params=["embedded", "remote"])
def described_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A gateway with one model `m` that has a card and labels."""
    base = tmp_path / "models" / "m"
    base.mkdir(parents=True)
    add(base, 1, "three_out")
    (base / "1" / "assets.extra").mkdir()
    (base / "1" / "assets.extra" / "model-card.json").write_text(json.dumps(CARD))
    (base / "labels.json").write_text('{"stable": 1}')
    if request.param == "embedded":
        with servers.gateway("--models-dir", base.parent) as (url, _):
            yield url
        return
    with (
        servers.model_server("--model_name=m", f"--model_base_path={base}") as (address, _),
        servers.gateway("--backend", address, "--models-dir", base.parent) as (url, _),
    ):
        yield url


def test_cards_and_labels_are_told(described_url):
    known = document(described_url, "/v1/models/m/openapi.json")
    assert known["info"]["title"] == "m"
    assert known["info"]["description"].startswith("Three outputs for four numbers.")
    text = known["paths"]["/v1/models/m:predict"]["post"]["description"]
    assert "| input | `x` | float32 | (n, 4) | four numbers | metres | any |" in text
    assert "0 = red, 1 = green, 2 = blue" in text
    asked = [(path, body) for path, body, _ in examples(known)]
    assert ("/v1/models/m/labels/stable:predict", {"instances": [{"x": [0, 1, 2, 3]}]}) in asked
    x = {"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [0.0, 1.0, 2.0, 3.0]}
    assert ("/v2/models/m/infer", {"inputs": [x]}) in asked
    for path, body in asked:
        assert httpx.post(described_url + path, json=body).status_code == 200


def test_a_model_without_a_version_is_listed_as_such(tmp_path):
    (tmp_path / "empty").mkdir()
    shutil.copytree(GOLDEN_MODELS / "two_in", tmp_path / "two_in")
    with servers.gateway("--models-dir", tmp_path, "--allow-missing") as (url, _):
        tags = {tag["name"]: tag["description"] for tag in document(url)["tags"]}
        assert tags["empty"] == "Not available: model 'empty' has no version that is available yet"
        answer = httpx.get(f"{url}/v1/models/empty/openapi.json")
        assert (answer.status_code, answer.json().keys()) == (503, {"error"})


def test_the_document_of_an_unknown_model_is_404(gateway_url):
    answer = httpx.get(f"{gateway_url}/v1/models/two_inn/openapi.json")
    assert answer.status_code == 404
    assert "(did you mean 'two_in'?)" in answer.json()["error"]


@pytest.mark.parametrize("path", ["two_in:predict", "two_in/versions/1:classify", "nope/labels/stable:regress"])
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_an_inference_by_another_method_is_405(embedded_url, method, path):
    answer = httpx.request(method, f"{embedded_url}/v1/models/{path}")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert answer.json()["error"].startswith(f"Malformed request: {method} /v1/models/{path}. Routes: POST /v1/models")


def test_the_page_takes_nothing_from_elsewhere(embedded_url):
    page = httpx.get(f"{embedded_url}/docs")
    policy = page.headers["content-security-policy"]
    assert "script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"https?:|//", page.text.replace("<!doctype html>", ""))
    names = re.findall(r'(?:href|src)="((?:docs|page)/[^"]+)"', page.text)
    assert len(names) == 4
    for name in names:
        file = httpx.get(f"{embedded_url}/{name}")
        assert file.status_code == 200
        assert re.fullmatch(r"no-cache|public, max-age=\d+", file.headers["cache-control"])
        assert file.headers["content-type"].startswith("text/css" if name.endswith("css") else "text/javascript")
    assert httpx.get(f"{embedded_url}/docs/other.js").status_code == 404


def test_the_page_has_the_frame_of_the_other_pages(embedded_url):
    start = httpx.get(embedded_url, headers={"accept": "text/html"}).text
    docs = httpx.get(f"{embedded_url}/docs").text
    links = [
        re.findall(r'<a href="(?:\./)?([^"]+)"[^>]*>(.*?)</a>', page.partition("<nav")[2]) for page in (start, docs)
    ]
    assert links[0] == links[1] == [("#/", "Models"), ("#/live", "Live"), ("docs", "API")]


def test_the_package_shows_openapi_3_1():
    script = (files("fastapi_offline") / "static" / "swagger-ui-bundle.js").read_text()
    assert re.search(r'PACKAGE_VERSION:"5\.', script)


def test_a_browser_shows_every_model_and_asks_no_other_host(embedded_url):
    with browser.page(f"{embedded_url}/docs#/mlp/mlp.predict") as page:
        page.get_by_text('"instances": [').first.wait_for()  # the example of the operation that the address opens
        page.locator('[data-tag="open inference protocol"]').wait_for()
        shown = page.locator("[data-path]").evaluate_all("(found) => found.map((one) => one.dataset.path)")
        folded = page.locator('[data-tag][data-is-open="false"]').evaluate_all(
            "(found) => found.map((one) => one.dataset.tag)"
        )
    known = document(embedded_url)
    closed = {tag["name"] for tag in known["tags"] if "x-closed" in tag}
    assert closed == {"service", "open inference protocol"}
    assert [tag["name"] for tag in known["tags"]][-2:] == ["service", "open inference protocol"]
    tags = {
        path: tag
        for path, operations in known["paths"].items()
        for operation in operations.values()
        for tag in operation["tags"]
    }
    models = {tag for tag in tags.values() if tag not in closed}
    assert len(models) <= MOST_OPEN
    assert set(shown) == {path for path, tag in tags.items() if tag not in closed}
    assert set(folded) == closed


@pytest.mark.parametrize(
    ("dark", "width"),
    [
        (True, 390),
        pytest.param(False, 1280, marks=pytest.mark.long),
        pytest.param(True, 1280, marks=pytest.mark.long),
        pytest.param(False, 390, marks=pytest.mark.long),
        pytest.param(True, 320, marks=pytest.mark.long),
    ],
)
def test_one_model_is_read_and_asked_in_both_themes_at_any_width(embedded_url, dark, width):
    with browser.page(f"{embedded_url}/docs?model=two_in", dark=dark, width=width) as page:
        expect(page.get_by_role("heading", level=1)).to_have_text("API of two_in")
        page.locator(".opblock-summary-control").first.click()
        page.get_by_role("button", name="Try it out").click()
        page.get_by_role("button", name="Execute").click()
        expect(page.locator(".live-responses-table .response-col_status").last).to_have_text(re.compile("200"))
        assert browser.axe(page) == []
        assert page.evaluate("document.documentElement.scrollWidth") == width  # nothing runs off
        paths = page.locator("[data-path]").evaluate_all("(found) => found.map((one) => one.dataset.path)")
        assert paths[0] == "/v1/models/two_in:predict"
        assert all("two_in" in path for path in paths)
        ground, ink = page.evaluate(
            "['backgroundColor', 'color'].map((name) => getComputedStyle(document.querySelector('.opblock'))[name])"
        )
        assert (lightness(ground) < lightness(ink)) == dark


def lightness(colour: str) -> float:
    """Of rgb(1, 2, 3), from 0 to 255."""
    return sum(map(float, re.findall(r"[\d.]+", colour)[:3])) / 3


def test_a_word_finds_operations_and_the_address_holds_what_is_open(embedded_url):
    with browser.page(f"{embedded_url}/docs") as page:
        shown = page.locator("[data-path]")
        shown.first.wait_for()
        page.get_by_label("Filter").fill("protocol mlp")
        expect(shown).to_have_text(["/v2/models/mlp/infer"])
        page.locator(".opblock-summary-control").click()
        expect(page).to_have_url(re.compile(r"#/mlp/mlp\.infer$"))
        page.get_by_label("Filter").fill("")
        expect(page.locator('[data-path="/v1/models/two_in:predict"]')).to_be_visible()
        page.get_by_label("Model", exact=True).select_option("two_in")
        expect(page.get_by_role("heading", level=1)).to_have_text("API of two_in")
        page.get_by_role("link", name="Try it by a form").click()
        expect(page).to_have_url(f"{embedded_url}/#/models/two_in")
        expect(page.get_by_role("heading", level=1)).to_have_text("two_in")


def test_a_model_that_there_is_not_is_told_in_the_servers_words(embedded_url):
    with browser.page(f"{embedded_url}/docs?model=%3Cb%3Etwo_inn", allow=[404]) as page:
        expect(page.get_by_role("alert")).to_contain_text("<b>two_inn")
        page.get_by_role("link", name="The API of all models").click()
        page.locator('[data-tag="mlp"]').wait_for()


@pytest.mark.parametrize("served", ["embedded_url", pytest.param("remote_url", marks=pytest.mark.long)])
def test_schemathesis_finds_no_answer_that_the_document_does_not_tell(served, request, tmp_path):
    gateway_url = request.getfixturevalue(served)
    """Some hundred requests, good and bad, always the same.

    Not checked: that all good data is taken. A schema cannot say that columns have equally many rows.
    """
    done = subprocess.run(
        [
            Path(sys.executable).with_name("st"),
            "run",
            f"{gateway_url}/openapi.json",
            "--phases=examples,coverage,fuzzing",
            "--max-examples=3",
            "--exclude-path-regex=mlp|three_out",  # nothing about them is new
            "--generation-deterministic",
            "--exclude-checks=positive_data_acceptance",
            "--warnings=off",
            "--no-color",
        ],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "SCHEMATHESIS_HOOKS": "tests.serving.gateway.schemathesis_hooks"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    counted = re.search(r"(\d+) generated, (\d+) passed", done.stdout)
    assert counted[1] == counted[2]
    assert int(counted[1]) > 300
