"""What the V1 dialect can do beyond plain predict, with each backend."""

import gzip
import json
import os
import zlib
from pathlib import Path

import httpx
import numpy as np
import pytest

from signet.clients.client.http_client import Client
from tests import servers
from tests.answers import assert_close
from tests.serving.gateway.http.test_v1_routes import RECORDED
from tests.serving.gateway.test_predict import TWO_IN, post
from tests.serving.gateway.test_server import X, add

THREE = {"instances": [[0, 1, 2, 3]]}


@pytest.mark.parametrize("name", [name for name in RECORDED if "classify" in name or "regress" in name])
def test_classify_and_regress_answer_as_recorded(gateway_url, name):
    request, recorded = RECORDED[name]["request"], RECORDED[name]["response"]
    if request["method"] != "POST" or "body" not in request:
        pytest.fail(f"{name} is not a POST with a body")
    answer = httpx.post(gateway_url + request["path"], content=request["body"].encode())
    assert answer.status_code == recorded["status"]
    if recorded["status"] == 200:
        assert answer.json() == json.loads(recorded["body"])
    else:
        assert answer.json().keys() == {"error"}


def test_only_the_wanted_outputs_come(gateway_url):
    answer = post(gateway_url, "three_out:predict", {**THREE, "output_filter": ["q", "r"]})
    assert [set(row) for row in answer.json()["predictions"]] == [{"q", "r"}]
    alone = post(gateway_url, "three_out:predict", {**THREE, "output_filter": ["q"]}).json()["predictions"]
    assert alone == [row["q"] for row in answer.json()["predictions"]]
    named = post(gateway_url, "three_out:predict", {**THREE, "output_filter": ["q"], "named_outputs": True})
    assert named.json() == {"predictions": [{"q": alone[0]}]}
    columns = post(gateway_url, "two_in:predict", {"inputs": {"a": [[1, 2, 3]], "b": [[4, 5]]}, "named_outputs": True})
    assert columns.json()["outputs"].keys() == {"output_0"}


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        (["qq"], "signature 'serving_default' has no output 'qq' (did you mean 'q'?); it gives 'p', 'q', 'r'"),
        (["q", "q"], "output 'q' is requested more than once"),
    ],
)
def test_wrong_outputs_are_named(gateway_url, names, problem):
    answer = post(gateway_url, "three_out:predict", {**THREE, "output_filter": names})
    assert (answer.status_code, answer.json()) == (400, {"error": problem})


def test_numbers_beyond_json_are_written_as_asked(gateway_url):
    body = {"signature_name": "f1", "instances": [0.0], "non_finite": "null"}
    assert post(gateway_url, "mixed:predict", body).json()["predictions"] == [{"div": None, "log": None}]


@pytest.mark.parametrize(
    ("accepted", "encoding", "unpack"),
    [("gzip", "gzip", gzip.decompress), ("deflate", "deflate", zlib.decompress), ("br, gzip;q=0", None, bytes)],
)
def test_large_answers_are_compressed_for_those_who_accept_it(gateway_url, accepted, encoding, unpack):
    body = {"instances": [[0, 1, 2, 3]] * 100}
    with httpx.stream(
        "POST",
        f"{gateway_url}/v1/models/three_out:predict",
        json=body,
        headers={"accept-encoding": accepted},
    ) as answer:
        raw = b"".join(answer.iter_raw())
    assert answer.headers.get("content-encoding") == encoding
    assert len(json.loads(unpack(raw))["predictions"]) == 100


@pytest.mark.parametrize(
    ("header", "value", "problem"),
    [
        ("x-request-timeout", "soon", "the time limit is 'soon'; expected a positive number of seconds"),
        ("x-request-timeout", "-1", "the time limit is '-1'"),
        ("x-signet-batching", "no", "X-Signet-Batching is 'no'; expected on or off"),
    ],
)
def test_wrong_headers_are_explained(gateway_url, header, value, problem):
    answer = post(gateway_url, "three_out:predict", THREE, headers={header: value})
    assert answer.status_code == 400
    assert problem in answer.json()["error"]


def test_a_request_may_go_alone(gateway_url):
    plain = post(gateway_url, "three_out:predict", THREE).json()
    alone = post(gateway_url, "three_out:predict", THREE, headers={"x-signet-batching": "off"})
    assert (alone.status_code, alone.json()) == (200, plain)


def test_the_callers_own_time_limit_is_kept(slow_model, tmp_path):
    (tmp_path / "slow").mkdir()
    (tmp_path / "slow" / "1").symlink_to(slow_model)
    with servers.gateway("--models-dir", tmp_path) as (url, _):
        answer = post(url, "slow:predict", {"instances": [1 << 30]}, headers={"x-request-timeout": "0.2"})
        assert (answer.status_code, answer.json()) == (504, {"error": "no answer within 0.2 seconds"})
        assert post(url, "slow:predict", {"instances": [3]}).json() == {"predictions": [3]}


@pytest.fixture
def versions(tmp_path: Path) -> tuple[Path, Path]:
    """A folder with the versions 1 and 2 of `m`, and a model config file that serves both."""
    folder = tmp_path / "models"
    (folder / "m").mkdir(parents=True)
    add(folder / "m", 1)
    add(folder / "m", 2)
    config = tmp_path / "models.config"
    write_labels(config, folder, {"stable": 1})
    return folder, config


def write_labels(config: Path, folder: Path, labels: dict[str, int]) -> None:
    entries = " ".join(f'version_labels {{ key: "{name}" value: {version} }}' for name, version in labels.items())
    text = (
        f'model_config_list {{ config {{ name: "m" base_path: "{folder / "m"}" model_platform: "tensorflow" '
        f"model_version_policy {{ all {{}} }} {entries} }} }}"
    )
    aside = config.with_suffix(".writing")
    aside.write_text(text)
    os.replace(aside, config)


def version_of(url: str, label: str) -> int | str:
    answer = post(url, f"m/labels/{label}:predict", X)
    return int(answer.headers["x-signet-model-version"]) if answer.status_code == 200 else answer.json()["error"]


@pytest.mark.parametrize("backend", ["embedded", "remote"])
def test_labels_of_the_model_config_file_are_followed(versions, backend):
    folder, config = versions
    with servers.model_server(f"--model_config_file={config}", "--allow_version_labels_for_unavailable_models") as (
        address,
        _,
    ):
        arguments = ["--backend", address] if backend == "remote" else []
        with servers.gateway("--model-config-file", config, *arguments) as (url, _):
            servers.wait_until(lambda: version_of(url, "stable") == 1, what="version 1")
            write_labels(config, folder, {"stable": 2, "old": 1})
            assert (version_of(url, "stable"), version_of(url, "old")) == (2, 1)
            assert "label: stabel (did you mean 'stable'?)" in version_of(url, "stabel")
            status = httpx.get(f"{url}/v1/models/m/labels/old").json()
            assert [entry["version"] for entry in status["model_version_status"]] == ["1"]
            assert httpx.get(f"{url}/v1/models/m/labels/old/metadata").json()["model_spec"]["version"] == "1"


def test_labels_of_a_folder_are_followed(versions):
    folder, _ = versions
    with servers.gateway("--models-dir", folder) as (url, _):
        assert "Labels of 'm': it has none" in version_of(url, "stable")
        for labels, expected in (({"stable": 2}, 2), ({"stable": 9}, "Servable not found"), ("oops", "Servable not")):
            (folder / "m" / ".labels").write_text(json.dumps(labels))
            os.replace(folder / "m" / ".labels", folder / "m" / "labels.json")
            got = version_of(url, "stable")
            assert got == expected or str(expected) in str(got)


def test_labels_that_only_the_model_server_knows_are_asked_for(versions):
    _, config = versions
    with (
        servers.model_server(f"--model_config_file={config}", "--allow_version_labels_for_unavailable_models") as (
            address,
            _,
        ),
        servers.gateway("--backend", address, "--models", "m") as (url, _),
    ):
        servers.wait_until(lambda: version_of(url, "stable") == 1, what="version 1")
        assert "Unrecognized servable version label: beta" in version_of(url, "beta")


def test_a_version_that_a_job_needs_stays_loaded(versions):
    folder, _ = versions
    job = {"x-signet-job": "nightly"}
    with servers.gateway("--models-dir", folder) as (url, _):
        assert post(url, "m/versions/2:predict", X, headers=job).status_code == 200
        add(folder / "m", 3)
        servers.wait_until(lambda: post(url, "m:predict", X).headers["x-signet-model-version"] == "3", what="version 3")
        add(folder / "m", 4)
        servers.wait_until(lambda: post(url, "m/versions/3:predict", X).status_code == 404, what="the end of version 3")
        assert post(url, "m/versions/2:predict", X, headers=job).status_code == 200


def test_the_root_says_alive_to_programs_and_shows_a_page_to_people(gateway_url):
    assert httpx.get(gateway_url).json() == {"status": "alive"}
    page = httpx.get(gateway_url, headers={"accept": "text/html,*/*;q=0.8"})
    assert page.headers["content-type"].startswith("text/html")


def test_many_numbers_give_the_same_answers_as_few(gateway_url):
    rows = np.random.default_rng(0).random((300, 3), np.float32).tolist()
    many = post(gateway_url, "two_in:predict", {"inputs": {"a": rows, "b": [[4, 5]] * 300}}).json()["outputs"]
    few = [post(gateway_url, "two_in:predict", {"instances": [{**TWO_IN, "a": row}]}).json() for row in rows[:5]]
    assert_close(many[:5], [answer["predictions"][0] for answer in few])


def test_the_metadata_tells_the_digest_that_a_card_has(versions):
    folder, _ = versions
    card = folder / "m" / "2" / "assets.extra" / "model-card.json"
    card.parent.mkdir(exist_ok=True)
    card.write_text(json.dumps({"digest": {"sha256": "0123abcd"}}))
    with servers.gateway("--models-dir", folder) as (url, _), Client(url) as client:
        assert httpx.get(f"{url}/v1/models/m/metadata").json()["digest"] == "0123abcd"
        assert client.describe("m").digest == "0123abcd"
