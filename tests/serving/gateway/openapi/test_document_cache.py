"""OpenAPI documents are made once for what is served, from cards of any content, and cost the model servers nothing."""

import asyncio
import json
import shutil

import grpc
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signet.serving.errors import Unavailable
from signet.serving.gateway.openapi import document_cache
from signet.serving.gateway.openapi.described_model import DescribedModel
from signet.serving.tensors.signature import Signature
from tests.servers import GOLDEN_MODELS
from tests.serving.gateway import in_process, other_program
from tests.serving.gateway.openapi.test_document import APP, spec

X, Y = spec("x", "float", (None, 2)), spec("y", "string", (None, 3))
BARE = DescribedModel("m", 3, {"serving_default": Signature("serving_default", {"x": X}, {"y": Y})}, versions=[3])

KEYS = st.sampled_from(
    [
        "signatures",
        "serving_default",
        "inputs",
        "outputs",
        "x",
        "y",
        "labels",
        "meaning",
        "unit",
        "values",
        "example",
        "purpose",
        "limits",
        "padding",
    ]
)
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(10**30, 10**40)
    | st.floats()
    | st.text(max_size=8)
    | st.just("\ud800")
)
JSON = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS | st.text(max_size=3), inner, max_size=4)
)


def card_of(tensor) -> dict:
    return {"signatures": {"serving_default": {"outputs": {"y": tensor}, "example": tensor}}, "purpose": tensor}


@settings(max_examples=20, deadline=None)
@given(JSON | JSON.map(card_of) | st.dictionaries(KEYS, JSON).map(card_of))
def test_whatever_a_card_holds_the_document_is_valid(validate, card):
    _, document = document_cache.written(BARE, card, {}, APP)
    validate(orjson.loads(document.body))


def nested(depth: int) -> object:
    value: object = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    "card",
    [
        card_of({"meaning": "half of \ud83d"}),
        card_of({"labels": [nested(5000)]}),
        card_of({"labels": ["a label"] * 1_000_000}),
        nested(5000),
    ],
)
def test_a_card_that_spoils_the_document_is_left_out(card, caplog):
    model, document = document_cache.written(BARE, card, {}, APP)
    if isinstance(card, dict):
        assert model is BARE
        assert "the card of model m, version 3, is left out" in caplog.text
    assert document == document_cache.written(BARE, {}, {}, APP)[1]


def calls(running: in_process.InProcess) -> float:
    registry = running.gateway.metrics.registry
    return registry.get_sample_value("signet_batch_rows_count", {"model": "two_in"}) or 0.0


def test_a_document_is_made_once_and_again_when_something_has_changed(tmp_path):
    shutil.copytree(GOLDEN_MODELS / "two_in", tmp_path / "two_in")
    with in_process.gateway(models_dir=tmp_path, batch_models="two_in=on") as running:  # known from the start
        for path in (b"/openapi.json", b"/v1/models/two_in/openapi.json"):
            first = running.ask("GET", path)
            tag = in_process.header(first, "ETag")
            before = calls(running)
            assert before > 0  # its example was tried
            again = running.ask("GET", path)
            assert again.body is first.body
            known = running.ask("GET", path, headers={b"if-none-match": tag.encode()})
            assert (known.status, known.body, in_process.header(known, "ETag")) == (304, b"", tag)
            assert calls(running) == before
        (tmp_path / "two_in" / "labels.json").write_text('{"stable": 1}')
        changed = running.ask("GET", b"/openapi.json", headers={b"if-none-match": tag.encode()})
        assert changed.status == 200
        assert b"/v1/models/two_in/labels/" in changed.body
        assert in_process.header(changed, "ETag") != tag


def test_many_who_ask_at_once_wait_for_one_document(tmp_path):
    async def run(gateway):
        found = await asyncio.gather(*(gateway.documents.document() for _ in range(20)))
        assert len({id(document) for document in found}) == 1

    shutil.copytree(GOLDEN_MODELS / "two_in", tmp_path / "two_in")
    with in_process.gateway(models_dir=tmp_path, batch_models="two_in=on") as running:  # known from the start
        running._runner.run(run(running.gateway))


def test_documents_metrics_and_readiness_cost_the_model_servers_no_call():
    async def run():
        async with other_program.program() as (address, said, asked), other_program.gateway_at(address) as (ask, *rest):
            got, whole = await ask("/openapi.json", method="GET")
            assert (got, "/v1/models/m:predict" in whole["paths"]) == (200, True)
            before = dict(asked)
            for _ in range(3):
                assert await ask("/openapi.json", method="GET") == (200, whole)
                assert (await ask("/readyz", method="GET"))[0] == 200
                assert (await ask("/metrics", method="GET"))[0] == 200
            _, upstream = rest
            said["GetModelStatus"] = grpc.StatusCode.UNAVAILABLE
            with pytest.raises(Unavailable):
                await upstream.poll_status(upstream.servers[0], "m", 2.0)
            before["GetModelStatus"] += 1
            _, missing = await ask("/openapi.json", method="GET")
            assert {"name": "m", "description": "Not available: model 'm' has no version that is available yet"} in (
                missing["tags"]
            )
            assert (await ask("/readyz", method="GET"))[0] == 503
            assert asked == before

    asyncio.run(run())


def test_a_model_that_cannot_answer_now_is_described_without_an_example():
    async def run():
        async with (
            other_program.program(Predict=b"\xff") as (address, *_),
            other_program.gateway_at(address) as (ask, *_),
        ):
            _, known = await ask("/openapi.json", method="GET")
            assert "examples" not in json.dumps(known["components"]["requestBodies"])
            assert known["paths"]["/v1/models/m:predict"]

    asyncio.run(run())
