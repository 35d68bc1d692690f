"""Rows that models take: each works as it stands, and is answered as is said; whoever has written them."""

import base64
import json
import shutil
from pathlib import Path
from typing import Any

import httpx
import jsonschema_rs
import numpy as np
import pytest

from signet.serving.gateway.page.rows import MOST_BYTES, MOST_ROWS
from signet.serving.tensors.signature import DEFAULT
from signet.training.export import warmup
from tests import servers
from tests.servers import GOLDEN_MODELS
from tests.serving.gateway.in_process import InProcess, gateway
from tests.serving.gateway.page.test_card_routes import add, asked
from tests.tfrecord import record
from tests.trained_by_presets import ALL, SMALL, trained

GOLDEN = ("mlp", "two_in", "mixed", "three_out", "clsreg")


def predicted(running: InProcess, model: str, told: dict[str, Any], outputs: list[str]) -> list[dict[str, Any]]:
    """What predict answers to the rows that are told, as they stand."""
    columns = "columns" in told
    bodies = [{"inputs": row} for row in told["rows"]] if columns else [{"instances": told["rows"]}]
    answers = []
    for body in bodies:
        options = {"named_outputs": True, "non_finite": "string", "output_filter": outputs}
        text = json.dumps({"signature_name": told["signature"], **options, **body}).encode()
        answer = running.ask("POST", f"/v1/models/{model}:predict".encode(), text)
        assert answer.status == 200, (model, told["signature"], answer.body)
        read = json.loads(answer.body)
        answers += [read["outputs"]] if columns else read["predictions"]
    return answers


def each(running: InProcess, model: str, *, random: bool = False) -> dict[str, dict[str, Any]]:
    """By signature, the rows that are told; those that there are work, and answers are right.

    random: whether nobody can tell the answers before.
    """
    found = {}
    for signature in asked(running, f"/v1/models/{model}/card")["signatures"]:
        told = asked(running, f"/v1/models/{model}/examples?signature={signature['name']}")
        found[signature["name"]] = told
        assert told["signature"] == signature["name"]
        assert told["rows"] or told["problem"]
        if not told["rows"]:
            continue
        outputs = [output["name"] for output in signature["outputs"] if output["holds"] != "other"]
        answers = predicted(running, model, told if signature["in_rows"] else told | {"columns": True}, outputs)
        if random:
            continue
        for row, said in zip(answers, told["answers"] or (), strict=bool(told["answers"])):
            for name, value in said.items():
                same_value(row[name], value)
    return found


def same_value(got: Any, said: Any) -> None:
    got, said = np.asarray(got), np.asarray(said)
    assert got.shape == said.shape
    if said.dtype.kind in "fiu":
        np.testing.assert_allclose(got, said, 1e-3, 1e-4)
    else:
        assert got.tolist() == said.tolist()


def write_golden(place: Path, content: Any) -> None:
    (place / "assets.extra").mkdir(exist_ok=True)
    text = content if isinstance(content, str) else json.dumps({"format": 1, "signatures": content})
    (place / "assets.extra" / "golden.json").write_text(text)


def test_rows_for_models_without_examples_are_made_up_and_work():
    with gateway(models_dir=GOLDEN_MODELS) as running:
        found = {(model, name): told for model in GOLDEN for name, told in each(running, model).items()}
    worked = {key for key, told in found.items() if told["rows"]}
    assert {("two_in", "serving_default"), ("mlp", "serving_default"), ("mixed", "serving_default")} <= worked
    assert {told["source"] for told in found.values()} == {"made up"}
    assert all(told["answers"] for key, told in found.items() if key in worked)


def test_what_is_told_is_as_the_document_says_with_each_backend(gateway_url):
    with httpx.Client(base_url=gateway_url, timeout=30) as client:
        known = client.get("/openapi.json").json()
        validator = jsonschema_rs.Draft202012Validator({**known, "$ref": "#/components/schemas/Rows"})
        for model in ("two_in", "mixed"):
            told = client.get(f"/v1/models/{model}/versions/1/examples").json()
            assert not [error.message for error in validator.iter_errors(told)]
            answer = client.post(f"/v1/models/{model}:predict", json={"instances": told["rows"], "named_outputs": True})
            assert answer.json()["predictions"] == told["answers"]


def check_exports(folder: Path, models: tuple[str, ...]) -> None:
    with gateway(models_dir=folder) as running:
        for model in models:
            golden = json.loads((folder / model / "1" / "assets.extra" / "golden.json").read_text())["signatures"]
            found = each(running, model)
            assert set(found) == set(golden)
            for name, told in found.items():
                assert told["source"] == "golden"
                assert len(told["rows"]) == len(told["answers"]) > 4
                for kind, rows in (("inputs", told["rows"]), ("outputs", told["answers"])):
                    for tensor, column in golden[name][kind].items():
                        same_value([row[tensor] for row in rows], column[: len(rows)])
            if "from_text" in found:
                assert all(isinstance(text, str) for row in found["from_text"]["rows"] for text in row.values())


def test_rows_of_exports_are_their_golden_examples_and_answered_as_is_said(trained_models):
    check_exports(trained_models, SMALL)


@pytest.mark.long
@pytest.mark.timeout(1800)  # they are trained
def test_rows_of_all_eight_are_their_golden_examples_and_answered_as_is_said(tmp_path_factory):
    check_exports(trained(tmp_path_factory, ALL), ALL)


def test_golden_rows_come_with_the_answers_that_are_known(tmp_path):
    place = add(tmp_path / "m", "two_in")
    rows = {"a": [[i, 2.5, 3] for i in range(20)], "b": [[i, 5] for i in range(20)]}
    with gateway(models_dir=tmp_path) as running:
        body = json.dumps({"inputs": rows, "named_outputs": True}).encode()
        outputs = json.loads(running.ask("POST", b"/v1/models/m:predict", body).body)["outputs"]
    write_golden(place, {"serving_default": {"inputs": rows, "outputs": outputs}})
    with gateway(models_dir=tmp_path) as running:
        told = each(running, "m")["serving_default"]
        assert (told["source"], len(told["rows"]), len(told["answers"])) == ("golden", MOST_ROWS, MOST_ROWS)
        assert told["rows"][1] == {"a": [1.0, 2.5, 3.0], "b": [1.0, 5.0]}
    digest = {"sha256": "…", "dtype": "float32", "shape": [20, 1], "sample": {}}
    for more in (
        {"outputs": dict.fromkeys(outputs, digest)},
        {"outputs": outputs, "random": True},
        {"outputs": {"y": 3}},
    ):
        write_golden(place, {"serving_default": {"inputs": rows, **more}})
        with gateway(models_dir=tmp_path) as running:
            told = each(running, "m")["serving_default"]
            assert (told["source"], len(told["rows"]), told["answers"]) == ("golden", MOST_ROWS, None)


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[" * 100_000,
        {},
        {"serving_default": {"inputs": {"a": [[1, 2]], "b": [[1, 2]]}, "outputs": {}}},
        {"serving_default": {"inputs": {"a": {"sha256": "…"}, "b": {"sha256": "…"}}, "outputs": {}}},
        {"serving_default": {"inputs": {"a": [["\ud800"]], "b": [[float("nan"), 1]]}, "outputs": 1}},
        {"serving_default": {"inputs": {"a": [[float("nan"), 1, 2]], "b": [[1, 2]]}, "outputs": {}}},
    ],
    ids=range(7),
)
def test_golden_files_of_strangers_do_no_harm(tmp_path, content):
    write_golden(add(tmp_path / "m", "two_in"), content)
    with gateway(models_dir=tmp_path) as running:
        told = each(running, "m")["serving_default"]
        assert (told["source"], len(told["rows"])) == ("made up", 1)


def test_rows_of_warm_up_requests_go_before_what_is_made_up(tmp_path):
    """Each once, also where the golden file has digests in place of large arrays."""
    place = add(tmp_path / "m", "two_in")
    write_golden(place, {DEFAULT: {"inputs": {"a": {"sha256": "…"}, "b": {"sha256": "…"}}, "outputs": {}}})
    a = np.arange(9, dtype=np.float32).reshape(3, 3)
    b = np.array([[0, 1], [np.inf, 0], [4, 5]], np.float32)
    for file, rows in {"tf_serving_warmup_requests": [0, 0, 1], "example_requests": [0, 2]}.items():
        message = warmup.request("m", "", {"a": a[rows], "b": b[rows]}).SerializeToString()
        (place / "assets.extra" / file).write_bytes(record(message))
    with gateway(models_dir=tmp_path) as running:
        told = each(running, "m")[DEFAULT]
        assert (told["source"], told["answers"]) == ("warm-up", None)
        assert told["rows"] == [{"a": [0.0, 1.0, 2.0], "b": [0.0, 1.0]}, {"a": [6.0, 7.0, 8.0], "b": [4.0, 5.0]}]
        assert told["problem"] == "rows with numbers that are not finite are left out: strict JSON has none"


def test_a_row_of_the_card_goes_before_one_made_up_if_it_works(tmp_path):
    example = {"instances": [{"a": [7, 8, 9], "b": [1, 2]}]}
    for name, body in {"good": example, "bad": {"instances": ["\ud800"]}, "odd": {"a": [1]}}.items():
        add(tmp_path / name, "two_in", {"signatures": {"serving_default": {"example": body}}})
    with gateway(models_dir=tmp_path) as running:
        told = each(running, "good")["serving_default"]
        assert (told["source"], told["rows"]) == ("card", [{"a": [7.0, 8.0, 9.0], "b": [1.0, 2.0]}])
        for name in ("bad", "odd"):
            assert each(running, name)["serving_default"]["source"] == "made up"


def test_signatures_without_rows_or_with_odd_types_have_rows_that_work_too(odd_models, rows_models):
    with gateway(models_dir=odd_models) as running:
        found = each(running, "complex")
        assert found["serving_default"]["rows"]
        assert "z" not in found["serving_default"]["answers"][0]
        assert (found["real"]["rows"], found["real"]["answers"]) == ([], None)
        assert found["real"]["problem"] == "JSON cannot carry its inputs, or none of its outputs: use gRPC"
        assert each(running, "several")["double"]["rows"]
    with gateway(models_dir=rows_models) as running:
        found = each(running, "rows", random=True)
        assert found["constant"]["rows"] == [{}]
        assert {name for name, told in found.items() if not told["rows"]} == {"never", "pictures"}


def test_answers_to_rows_that_hang_on_each_other_are_not_told_for_each(tmp_path, rows_models):
    golden = {"inputs": {"text": ["a", "b"]}, "outputs": {"y": ["<a>", "<b>"]}}
    for name, batched in {"joined": True, "alone": False}.items():
        shutil.copytree(rows_models / "rows", tmp_path / name)
        write_golden(tmp_path / name / "1", {"text": golden})
        card = {"signatures": {"text": {"batched": batched, "golden_rows": 2}}}
        (tmp_path / name / "1" / "assets.extra" / "model-card.json").write_text(json.dumps(card))
    with gateway(models_dir=tmp_path) as running:
        told = asked(running, "/v1/models/joined/examples?signature=text")
        assert told["answers"] == [{"y": "<a>"}, {"y": "<b>"}]
        assert asked(running, "/v1/models/alone/examples?signature=text") == told | {"answers": None}


def test_there_are_never_more_than_may_be_sent(tmp_path):
    place = add(tmp_path / "m", "clsreg")
    texts = [{"b64": base64.b64encode(bytes([i]) * (1 << 20)).decode()} for i in range(4)]
    with gateway(models_dir=tmp_path) as running:
        signatures = asked(running, "/v1/models/m/card")["signatures"]
    name, tensor = next(
        (one["name"], one["inputs"][0]["name"]) for one in signatures if one["inputs"][0]["holds"] == "bytes"
    )
    write_golden(place, {name: {"inputs": {tensor: texts}, "outputs": {}}})
    with gateway(models_dir=tmp_path) as running:
        answer = running.ask("GET", f"/v1/models/m/examples?signature={name}".encode())
        told = json.loads(answer.body)
        assert len(answer.body) < MOST_BYTES + 1_000
        assert (told["source"], len(told["rows"])) == ("golden", 1)
        assert "more than 2 MiB" in told["problem"]


def test_what_is_found_is_kept_while_the_version_lives(tmp_path, monkeypatch):
    write_golden(add(tmp_path / "m", "two_in"), {"serving_default": {"inputs": {"a": [[1, 2, 3]], "b": [[1, 2]]}}})
    with gateway(models_dir=tmp_path) as running:
        first = running.ask("GET", b"/v1/models/m/examples").body
        (tmp_path / "m" / "1" / "assets.extra" / "golden.json").unlink()
        assert running.ask("GET", b"/v1/models/m/examples").body == first
        assert "has no signature 'nope'; it has" in asked(running, "/v1/models/m/examples?signature=nope", 400)["error"]
        asked(running, "/v1/models/m/versions/2/examples", 404)


def test_each_of_several_processes_tells_the_same(tmp_path):
    folder = tmp_path / "models"
    golden = {"inputs": {"a": [[1, 2, 3]], "b": [[1, 2]]}, "outputs": {}}
    write_golden(
        add(folder / "m", "two_in", {"signatures": {"serving_default": {"batched": False}}}), {DEFAULT: golden}
    )
    with servers.gateway("--models-dir", folder, "--processes", "2") as (url, _):
        for path, key in {"card": "signatures", "examples": "rows", "versions/1/examples": "rows"}.items():
            # Each finds out for itself whether rows are independent, in a moment.
            servers.wait_until(lambda path=path: len(_told_by_all(url, path)) == 1, what="one answer")
            assert json.loads(_told_by_all(url, path).pop())[key]


def _told_by_all(url: str, path: str) -> set[str]:
    """What is said on eight connections: the processes take turns."""
    return {httpx.get(f"{url}/v1/models/m/{path}").text for _ in range(8)}
