"""The OpenAPI document, as tables: signatures, cards and labels in, paths and schemas out. No server."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import numpy as np
import pytest

from signet.serving.errors import InvalidInput
from signet.serving.gateway.openapi import document as openapi
from signet.serving.gateway.openapi import examples, tensors, v1
from signet.serving.gateway.openapi.described_model import DescribedModel, DescribedTensor, Example, Examples, TensorDoc
from signet.serving.gateway.openapi.named_schemas import NamedSchemas, class_name
from signet.serving.open_inference import bodies, requests
from signet.serving.rest_dialect import json_codec
from signet.serving.rest_dialect.json_codec import Layout
from signet.serving.tensors import dtypes, signature
from signet.serving.tensors.protos import saved_model_pb2
from signet.serving.tensors.signature import Signature, TensorSpec
from tests.servers import GOLDEN_MODELS
from tests.serving.gateway.openapi import app_without_gateway

APP = app_without_gateway()
DTYPES = {row.name: row for row in dtypes.ROWS}
FLOAT = {"type": ["number", "null"]}


def spec(name: str, dtype: str, shape: tuple[int | None, ...] | None) -> TensorSpec:
    return TensorSpec(name, DTYPES.get(dtype), shape, f"{name}:0")


def sign(inputs: list[TensorSpec], outputs: list[TensorSpec], name: str = "serving_default") -> Signature:
    return Signature(name, {one.name: one for one in inputs}, {one.name: one for one in outputs})


def model(*signatures: Signature, **known: object) -> DescribedModel:
    return DescribedModel("m", 3, {one.name: one for one in signatures}, {one.name: "" for one in signatures}, **known)


def golden(name: str) -> DescribedModel:
    message = saved_model_pb2.SavedModel.FromString((GOLDEN_MODELS / name / "1" / "saved_model.pb").read_bytes())
    protos = dict(message.meta_graphs[0].signature_def)
    read = {key: signature.from_signature_def(key, proto) for key, proto in protos.items()}
    return DescribedModel(name, 1, read, protos, versions=[1])


PIXELS = sign([spec("pixels", "float", (None, 2))], [spec("digit", "float", (None, 3))])
TWO = sign(
    [spec("text", "string", (None,)), spec("k", "int32", (None, 1))],
    [spec("answer", "string", (None,)), spec("crop_bytes", "string", (None,)), spec("p", "float", (None,))],
)
FILES = sign([spec("file", "string", (None,))], [spec("size", "int32", (None,))], "from_bytes")
SCALAR = sign([spec("x", "double", ())], [spec("y", "uint8", ())])
CARD = {
    "purpose": "Says which.",
    "limits": ["Only small ones."],
    "signatures": {
        "serving_default": {
            "inputs": {"pixels": {"meaning": "a picture", "unit": "ink", "values": "0 | 16", "labels": []}},
            "outputs": {
                "digit": {"meaning": "the chance", "unit": "", "values": "0 to 1", "labels": ["no", "yes", "?"]}
            },
            "example": {"instances": [[0.5, 1]]},
        }
    },
}


@pytest.mark.parametrize(
    ("one", "row"),
    [
        (spec("x", "float", (None,)), {"type": "number"}),
        (spec("x", "bool", (None,)), {"type": "boolean"}),
        (spec("x", "uint8", (None,)), {"type": "integer", "minimum": 0, "maximum": 255}),
        (spec("x", "string", (None,)), {"type": "string"}),
        (spec("x_bytes", "string", (None,)), {"$ref": "#/components/schemas/Bytes"}),
        (spec("x", "float", None), {}),
        (
            spec("x", "float", (None, None, 2)),
            {
                "type": "array",
                "items": {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2},
            },
        ),
    ],
)
def test_a_row_of_an_input_has_the_inner_shape(one, row):
    schema = v1.input_schema(DescribedTensor(one), row=True)
    assert {key: value for key, value in schema.items() if key not in ("description", "x-tensor")} == row


@pytest.mark.parametrize(
    ("one", "leaf"),
    [
        (spec("p", "float", (None,)), FLOAT),
        (spec("text", "string", (None,)), {"type": "string"}),
        (spec("crop_bytes", "string", (None,)), {"$ref": "#/components/schemas/Bytes"}),
        (spec("n", "int8", (None,)), {"type": "integer", "minimum": -128, "maximum": 127}),
    ],
)
def test_a_column_of_an_output_is_a_list_of_what_the_gateway_writes(one, leaf):
    schema = v1.output_schema(DescribedTensor(one), row=False)
    assert (schema["type"], schema["items"]) == ("array", leaf)


def test_a_tensor_tells_people_and_programs_what_the_card_says():
    doc = TensorDoc("the chance of each", "percent", "0 to 100", ("no", "yes"))
    schema = v1.output_schema(DescribedTensor(spec("p", "float", (None, 2)), doc), row=True)
    assert schema["description"] == (
        "The chance of each, percent. Values: 0 to 100. In order: 0 = no, 1 = yes. float32 (n, 2)"
    )
    assert schema["x-tensor"] == {
        "dtype": "float32",
        "shape": [-1, 2],
        "unit": "percent",
        "values": "0 to 100",
        "labels": ["no", "yes"],
    }


def test_very_many_labels_are_cut_for_people_only():
    labels = tuple(f"class {i}" for i in range(1000))
    schema = v1.output_schema(DescribedTensor(spec("p", "float", (None, 1000)), TensorDoc(labels=labels)), row=True)
    assert "99 = class 99, … 1000 in all" in schema["description"]
    assert len(schema["x-tensor"]["labels"]) == 1000


def test_labels_that_are_but_their_own_places_are_not_repeated():
    assert tensors.labels_text(["0", "1", "2"]) == ""
    assert tensors.labels_text(["1", "0"]) == "0 = 1, 1 = 0"


ROWS = "instances"
COLUMNS = "inputs"
BODIES = [
    (PIXELS, {ROWS: [[1, 2.5]]}),
    (PIXELS, {ROWS: [{"pixels": [1, 2]}, {"pixels": [3, 4]}]}),
    (PIXELS, {COLUMNS: [[1, 2]]}),
    (PIXELS, {COLUMNS: []}),
    (PIXELS, {COLUMNS: {"pixels": [[1, 2]]}, "signature_name": "serving_default"}),
    (PIXELS, {ROWS: [[1, 2]], "output_filter": ["digit"], "named_outputs": True, "non_finite": "null"}),
    (PIXELS, {ROWS: [[1, 2]], "something": "else"}),
    (PIXELS, {ROWS: []}),
    (PIXELS, {ROWS: [[1]]}),
    (PIXELS, {ROWS: [[1, 2], {"pixels": [1, 2]}]}),
    (PIXELS, {ROWS: [[1, True]]}),
    (PIXELS, {ROWS: [[1, "2"]]}),
    (PIXELS, {ROWS: [{"pixel": [1, 2]}]}),
    (PIXELS, {ROWS: [[1, 2]], COLUMNS: 3}),
    (PIXELS, {ROWS: [[1, 2]], "named_outputs": 1}),
    (PIXELS, {ROWS: [[1, 2]], "non_finite": "none"}),
    (PIXELS, {}),
    (PIXELS, []),
    (TWO, {ROWS: [{"text": "a", "k": [1]}, {"text": "b", "k": [2]}]}),
    (FILES, {ROWS: [{"file": {"b64": "/w=="}}], "signature_name": "from_bytes"}),
    (FILES, {ROWS: [{"b64": "/w=="}], "signature_name": "from_bytes"}),
    (FILES, {ROWS: [{"b64": 1}], "signature_name": "from_bytes"}),
    (FILES, {ROWS: [{"b64": "/w=="}, {"file": {"b64": "/w=="}}], "signature_name": "from_bytes"}),
    (TWO, {COLUMNS: {"text": ["a"], "k": [[1]]}}),
    (TWO, {ROWS: [{"text": "a"}]}),
    (TWO, {ROWS: [{"text": "a", "k": [1], "more": 1}]}),
    (TWO, {ROWS: [{"text": 1, "k": [1]}]}),
    (TWO, {ROWS: [{"text": "a", "k": [1.5]}]}),
    (TWO, {ROWS: [{"text": "a", "k": [1 << 31]}]}),
    (TWO, {ROWS: ["a"]}),
    (TWO, {COLUMNS: ["a"]}),
    (SCALAR, {COLUMNS: 1.5}),
    (SCALAR, {COLUMNS: {"x": 1}}),
    (SCALAR, {COLUMNS: [1.5]}),
    (SCALAR, {ROWS: [1.5]}),
    (sign([spec("x", "float", (2, 1))], [spec("y", "float", (2,))]), {ROWS: [[1], [2]]}),
    (sign([spec("x", "float", (2, 1))], [spec("y", "float", (2,))]), {ROWS: [[1]]}),
    (sign([spec("x", "float", (2, 1))], [spec("y", "float", (2,))]), {COLUMNS: [[1], [2], [3]]}),
]


def validator(document: dict[str, object], place: str) -> jsonschema_rs.Validator:
    return jsonschema_rs.Draft202012Validator(
        {**document, "$ref": f"#/components/{place}/content/application~1json/schema"}
    )


@pytest.mark.parametrize(("one", "body"), BODIES)
def test_the_schema_takes_what_the_gateway_takes(one, body):
    def taken() -> bool:
        try:
            json_codec.decode(json_codec.parse(json.dumps(body).encode()), one)
        except InvalidInput:
            return False
        return True

    document = openapi.document([model(one)], {}, APP)
    assert validator(document, "requestBodies/predict.m").is_valid(body) == taken()


@pytest.mark.parametrize(
    ("one", "body", "place", "parse"),
    [
        (TWO, {ROWS: [{"text": {"b64": "/w=="}, "k": [2]}]}, "predict", (json_codec.parse, json_codec.decode)),
        (FILES, {ROWS: ["a"], "signature_name": "from_bytes"}, "predict", (json_codec.parse, json_codec.decode)),
        (PIXELS, {ROWS: [[1, 2]], "non_finite": "string"}, "predict", (json_codec.parse, json_codec.decode)),
        (
            FILES,
            {
                "inputs": [{"name": "file", "datatype": "BYTES", "shape": [1], "data": [{"b64": "/w=="}]}],
                "parameters": {"signature_name": "from_bytes"},
            },
            "infer",
            (bodies.parse, requests.decode),
        ),
    ],
)
def test_some_of_what_the_gateway_takes_is_not_offered(one, body, place, parse):
    """Text has one form in the schemas, bytes another, numbers of answers two: unions of more make typed clients poor."""
    read, decode = parse
    decode(read(json.dumps(body).encode()), one)
    assert not validator(openapi.document([model(one)], {}, APP), f"requestBodies/{place}.m").is_valid(body)


X = {"name": "pixels", "datatype": "FP32", "shape": [1, 2], "data": [1, 2.5]}
TEXT = {"name": "text", "datatype": "BYTES", "shape": [1], "data": ["a"]}
K = {"name": "k", "datatype": "INT32", "shape": [1, 1], "data": [1]}
S = {"name": "x", "datatype": "FP64", "shape": [], "data": [1.5]}
HALF = sign([spec("x", "half", (None,)), spec("z", "bfloat16", (2,))], [spec("y", "bfloat16", (None,))], "half")
H = {"name": "x", "datatype": "FP16", "shape": [1], "data": [0.5]}
Z = {"name": "z", "datatype": "BF16", "shape": [2], "data": [1, 2]}
CHOSEN = {"parameters": {"signature_name": "half"}}
PARTLY = sign([spec("pixels", "float", (None, 2))], [spec("y", "float", (None,)), spec("c", "complex64", (None,))])
INFER_BODIES = [
    (PIXELS, {"inputs": [X]}),
    (PIXELS, {"inputs": [X], "id": "7", "parameters": {}, "outputs": []}),
    (PIXELS, {"inputs": [X], "id": None, "parameters": None, "outputs": None, "more": 1}),
    (PIXELS, {"inputs": [{**X, "data": [[1, 2]]}]}),
    (PIXELS, {"inputs": [{**X, "data": [["NaN", "-Infinity"]], "more": 1, "parameters": None}]}),
    (PIXELS, {"inputs": [{**X, "shape": [0, 2], "data": []}]}),
    (PIXELS, {"inputs": [X], "parameters": {"signature_name": "", "timeout": 5, "priority": 3, "another": [1]}}),
    (PIXELS, {"inputs": [X], "parameters": {"binary_data_output": True, "non_finite": "null"}}),
    (PIXELS, {"inputs": [X], "outputs": [{"name": "digit", "parameters": {"classification": 2, "binary_data": False}}]}),
    (PIXELS, {"inputs": [X], "outputs": [{"name": "digit", "parameters": None}]}),
    (PIXELS, {"inputs": [X], "id": 7}),
    (PIXELS, {"inputs": [X], "parameters": []}),
    (PIXELS, {"inputs": [X], "parameters": {"timeout": -1}}),
    (PIXELS, {"inputs": [X], "parameters": {"timeout": "5"}}),
    (PIXELS, {"inputs": [X], "parameters": {"binary_data_output": 1}}),
    (PIXELS, {"inputs": [X], "parameters": {"non_finite": "none"}}),
    (PIXELS, {"inputs": [X], "outputs": {}}),
    (PIXELS, {"inputs": [X], "outputs": [{"name": "digit", "parameters": {"classification": -1}}]}),
    (PIXELS, {"inputs": [X, X]}),
    (PIXELS, {"inputs": []}),
    (PIXELS, {"inputs": X}),
    (PIXELS, {"inputs": [{**X, "name": "pixel"}]}),
    (PIXELS, {"inputs": [{**X, "datatype": "FP64"}]}),
    (PIXELS, {"inputs": [{**X, "shape": [1, 3]}]}),
    (PIXELS, {"inputs": [{**X, "shape": [2]}]}),
    (PIXELS, {"inputs": [{**X, "shape": [-1, 2]}]}),
    (PIXELS, {"inputs": [{**X, "data": 1}]}),
    (PIXELS, {"inputs": [{**X, "data": [1, True]}]}),
    (PIXELS, {"inputs": [{**X, "data": [1, "2"]}]}),
    (PIXELS, {"inputs": [{**X, "data": [[1, 2, 3]]}]}),
    (PIXELS, {"inputs": [{**X, "parameters": {"content_type": 1}}]}),
    (PIXELS, {"inputs": [{**X, "parameters": {"binary_data_size": 8}}]}),
    (PIXELS, {"inputs": [{key: value for key, value in X.items() if key != "data"}]}),
    (PIXELS, {"instances": [[1, 2]]}),
    (PIXELS, []),
    (TWO, {"inputs": [TEXT, K]}),
    (TWO, {"inputs": [K, {**TEXT, "data": ["/w=="], "parameters": {"content_type": "base64"}}]}),
    (TWO, {"inputs": [TEXT]}),
    (TWO, {"inputs": [TEXT, TEXT]}),
    (TWO, {"inputs": [TEXT, K, K]}),
    (TWO, {"inputs": [TEXT, {**K, "data": [1.5]}]}),
    (TWO, {"inputs": [TEXT, {**K, "data": [1 << 31]}]}),
    (TWO, {"inputs": [K, {**TEXT, "data": [1]}]}),
    (SCALAR, {"inputs": [S]}),
    (SCALAR, {"inputs": [{**S, "data": 1.5}]}),
    (SCALAR, {"inputs": [{**S, "data": [1, 2]}]}),
    (SCALAR, {"inputs": [{**S, "shape": [1]}]}),
    (HALF, {"inputs": [H, Z], **CHOSEN}),
    (HALF, {"inputs": [H, {**Z, "data": ["NaN", 1]}], **CHOSEN}),
    (HALF, {"inputs": [H, {**Z, "data": [1]}], **CHOSEN}),
    (HALF, {"inputs": [H, {**Z, "datatype": "FP32"}], **CHOSEN}),
    (sign([spec("x", "bool", None)], [spec("y", "float", None)]), {"inputs": [{**S, "datatype": "BOOL", "data": [True]}]}),
]  # fmt: skip


@pytest.mark.parametrize(("one", "body"), INFER_BODIES)
def test_the_schema_takes_what_the_open_inference_protocol_takes(one, body):
    def taken() -> bool:
        try:
            requests.decode(bodies.parse(json.dumps(body).encode()), one)
        except InvalidInput:
            return False
        return True

    document = openapi.document([model(one)], {}, APP)
    assert validator(document, "requestBodies/infer.m").is_valid(body) == taken()


def test_both_dialects_carry_the_same_element_types():
    """So which signatures are offered is one question."""
    assert requests.DATATYPES.keys() == json_codec.JSON_DTYPES


def test_only_outputs_that_the_protocol_can_carry_may_be_named():
    check = validator(openapi.document([model(PARTLY)], {}, APP), "requestBodies/infer.m")
    assert check.is_valid({"inputs": [X], "outputs": [{"name": "y"}]})
    assert not check.is_valid({"inputs": [X], "outputs": [{"name": "c"}]})
    assert check.is_valid({"inputs": [X]})


INFER_ANSWERS = [
    (PIXELS, {"digit": np.ones((2, 3), np.float32)}, {}),
    (PIXELS, {"digit": np.array([[np.nan, np.inf, 0]], np.float32)}, {}),
    (PIXELS, {"digit": np.array([[np.nan, np.inf, 0]], np.float32)}, {"parameters": {"non_finite": "null"}}),
    (PIXELS, {"digit": np.ones((2, 3), np.float32)}, {"outputs": [{"name": "digit", "parameters": {"classification": 2}}]}),
    (TWO, {"answer": np.array([b"yes"], object), "crop_bytes": np.array([b"\xff"], object), "p": np.ones(1, np.float32)}, {}),
    (TWO, {"p": np.ones(1, np.float32)}, {"outputs": [{"name": "p"}], "id": "7"}),
    (SCALAR, {"y": np.array(7, np.uint8)}, {}),
    (HALF, {"y": np.array([1, np.inf], DTYPES["bfloat16"].numpy)}, {}),
]  # fmt: skip


@pytest.mark.parametrize(("one", "outputs", "asked"), INFER_ANSWERS)
def test_the_schema_holds_every_answer_of_the_open_inference_protocol(one, outputs, asked):
    check = validator(openapi.document([model(one)], {}, APP), "responses/infer.m")
    request = bodies.parse(json.dumps({"inputs": [], **asked}).encode())
    tensors = requests.answer(request, one, outputs, {})
    answer = json.loads(bodies.encode("m", "3", request.id, tensors, request.non_finite)[0])
    check.validate(answer)
    assert not check.is_valid({**answer, "more": 1})
    assert not check.is_valid({**answer, "outputs": []})


ANSWERS = [
    {"digit": np.ones((2, 3), np.float32)},
    {"digit": np.array([[np.nan, np.inf, 0]], np.float32)},
    {"answer": np.array([b"yes"], object), "crop_bytes": np.array([b"\xff"], object), "p": np.ones(1, np.float32)},
    {"crop_bytes": np.array([b"\xff"], object)},
]


@pytest.mark.parametrize("layout", Layout)
@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("outputs", ANSWERS)
def test_the_schema_holds_every_answer(outputs, layout, named):
    """As strict JSON: bare NaN is a number only for those who read more than that."""
    one = PIXELS if "digit" in outputs else TWO
    check = validator(openapi.document([model(one)], {}, APP), "responses/predict.m")
    answer = json.loads(json_codec.encode(outputs, layout, named=named, non_finite="null"))
    check.validate(answer)
    assert not check.is_valid({"predictions": [["no"]]})
    assert not check.is_valid({**answer, "more": 1})


def test_signatures_are_told_apart_by_their_name():
    other = sign([spec("posts", "string", (None,))], [spec("age", "float", (None,))], "from_text")
    check = validator(openapi.document([model(PIXELS, other)], {}, APP), "requestBodies/predict.m")
    assert check.is_valid({"signature_name": "from_text", "instances": ["a"]})
    assert not check.is_valid({"instances": ["a"]})
    assert not check.is_valid({"signature_name": "from_text", "instances": [[1, 2]]})
    assert not check.is_valid({"signature_name": "from_txt", "instances": ["a"]})


def test_the_page_shows_what_the_card_says():
    document = openapi.document([model(PIXELS, card=CARD)], {}, APP)
    text = document["paths"]["/v1/models/m:predict"]["post"]["description"]
    assert "- Only small ones." in text
    assert "| input | `pixels` | float32 | (n, 2) | a picture | ink | 0 \\| 16 |" in text
    assert "| output | `digit` | float32 | (n, 3) | the chance |  | 0 to 1; 0 = no, 1 = yes, 2 = ? |" in text
    assert document["tags"][0] == {"name": "m", "description": "Says which.\n\nVersion 3."}


@pytest.mark.parametrize(
    "card",
    [
        {"signatures": []},
        {"signatures": {"serving_default": {"inputs": {"pixels": "a picture"}, "outputs": 3}}},
        {"purpose": 3, "limits": "none", "signatures": {"serving_default": {"inputs": {"pixels": {"labels": 7}}}}},
    ],
)
def test_a_card_of_another_form_is_as_if_it_were_not_there(card):
    assert openapi.document([model(PIXELS, card=card)], {}, APP) == openapi.document([model(PIXELS)], {}, APP)


def test_labels_have_a_path_when_there_are_any():
    paths = openapi.document([model(PIXELS, labels={"canary": 4, "stable": 3}, versions=[3])], {}, APP)["paths"]
    (label,) = [one for one in paths["/v1/models/m/labels/{label}:predict"]["post"]["parameters"] if "name" in one]
    assert label["schema"] == {"type": "string", "enum": ["canary", "stable"]}
    assert label["description"] == "`canary` is version 4, `stable` is version 3"
    assert label["example"] == "stable"  # the other one's version is not loaded
    assert "/v1/models/m/labels/{label}:predict" not in openapi.document([model(PIXELS)], {}, APP)["paths"]


def test_classify_and_regress_stand_where_a_signature_allows_them():
    def verbs(name: str) -> set[str]:
        return {path.rpartition(":")[2] for path in v1.paths(golden(name), NamedSchemas({}))}

    assert verbs("clsreg") == {"predict", "classify", "regress"}
    assert verbs("two_in") == {"predict"}
    schemas = openapi.document([golden("clsreg")], {}, APP)["components"]["schemas"]
    assert schemas["ClsregRegressRequest"]["properties"]["signature_name"] == {"type": "string", "const": "regress"}


def test_what_json_cannot_carry_is_said_and_not_offered():
    whole = sign([spec("x", "int64", (None,))], [spec("y", "float", (None,))])
    complex_ = sign([spec("z", "complex64", (None,))], [spec("y", "float", (None,))], "complex")
    document = openapi.document([model(whole, complex_)], {}, APP)
    text = document["paths"]["/v1/models/m:predict"]["post"]["description"]
    assert text.count("that JSON cannot carry: use gRPC") == 1
    assert "MComplexRow" not in document["components"]["schemas"]


def signatures_offered(document: dict[str, Any], request: str) -> set[str]:
    schemas = document["components"]["schemas"]
    forms = [schemas[form["$ref"].removeprefix("#/components/schemas/")] for form in schemas[request]["oneOf"]]
    return {form["properties"]["signature_name"]["const"] for form in forms}


def test_16_bit_floats_are_numbers():
    document = openapi.document([golden("mixed")], {}, APP)
    assert "use gRPC" not in document["paths"]["/v1/models/mixed:predict"]["post"]["description"]
    assert signatures_offered(document, "MixedPredictRequest") == set(golden("mixed").signatures) - {
        "__saved_model_init_op"
    }


def test_the_open_inference_protocol_carries_16_bit_floats():
    document = openapi.document([golden("mixed")], {}, APP)
    text = document["paths"]["/v2/models/mixed/infer"]["post"]["description"]
    assert "| input | `x` | BF16 | (n) |" in text
    offered = document["components"]["schemas"]["MixedInferRequest"]["oneOf"]
    named = {schema["$ref"].removeprefix("#/components/schemas/") for schema in offered}
    signatures = set(golden("mixed").signatures) - {"__saved_model_init_op", "serving_default"}
    assert named == {"MixedTensorsRequest", *(class_name(("mixed", name, "TensorsRequest")) for name in signatures)}


def test_a_version_of_the_open_inference_protocol_may_be_a_label():
    paths = openapi.document([model(PIXELS, labels={"stable": 3}, versions=[3])], {}, APP)["paths"]
    version = paths["/v2/models/m/versions/{version}/infer"]["post"]["parameters"][0]
    assert (version["description"], version["example"]) == ("Available: 3. `stable` is version 3", 3)
    assert version["schema"]["anyOf"][1] == {"type": "string", "const": "stable"}


def test_each_model_has_the_routes_of_both_dialects_together():
    document = openapi.document([model(PIXELS)], {}, APP)
    assert [
        path for path, operations in document["paths"].items() if operations.get("post", {}).get("tags") == ["m"]
    ] == [
        "/v1/models/m:predict",
        "/v1/models/m/versions/{version}:predict",
        "/v2/models/m/infer",
        "/v2/models/m/versions/{version}/infer",
    ]
    alone = openapi.model_document(model(PIXELS), APP)["paths"]
    assert {"/v2/models/m/infer", "/v2/models/{model}", "/v2/models/{model}/versions/{version}/stats"} <= alone.keys()


def test_names_that_paths_and_components_cannot_hold_are_written_otherwise(validate):
    odd = DescribedModel("a b/é{x}", 1, {PIXELS.name: PIXELS})
    document = openapi.document([odd], {}, APP)
    assert "/v1/models/a%20b%2F%C3%A9%7Bx%7D:predict" in document["paths"]
    assert "/v2/models/a%20b%2F%C3%A9%7Bx%7D/infer" in document["paths"]
    assert "predict.a.20.b.2f..e9..7b.x.7d." in document["components"]["requestBodies"]
    validate(document)


def references(part: object) -> Iterator[str]:
    """What a document refers to."""
    if isinstance(part, dict):
        yield from [part["$ref"]] if isinstance(part.get("$ref"), str) else []
        part = list(part.values())
    if isinstance(part, list):
        for inner in part:
            yield from references(inner)


def named_parts(document: dict[str, dict[str, dict[str, object]]]) -> list[tuple[str, str]]:
    return [(kind, name) for kind, entries in document["components"].items() for name in entries]


@pytest.mark.parametrize("name", sorted(path.name for path in GOLDEN_MODELS.iterdir()))
def test_documents_are_valid_openapi(name, validate):
    for document in (
        openapi.document([golden(name)], {"gone": "no version"}, APP),
        openapi.model_document(golden(name), APP),
    ):
        validate(document)
        assert set(references(document)) <= {f"#/components/{kind}/{name}" for kind, name in named_parts(document)}
        identifiers = [operation["operationId"] for path in document["paths"].values() for operation in path.values()]
        assert len(set(identifiers)) == len(identifiers)


def test_a_model_without_a_version_is_listed_with_the_reason():
    document = openapi.document([model(PIXELS)], {"gone": "no version that loads"}, APP)
    assert {"name": "gone", "description": "Not available: no version that loads"} in document["tags"]
    assert document["paths"]["/v1/models/{model}"]["get"]["parameters"] == [{"$ref": "#/components/parameters/Model"}]
    parameter = document["components"]["parameters"]["Model"]
    assert parameter["schema"]["enum"] == ["gone", "m"]


def test_an_example_is_shown_in_rows_and_columns_with_its_answer():
    tried = Example({"instances": [{"pixels": [1, 2]}]}, {"predictions": [[0, 0, 1]]})
    parts = openapi.document([model(PIXELS, examples={"serving_default": Examples(tried, Example({}))})], {}, APP)[
        "components"
    ]
    asked = parts["requestBodies"]["predict.m"]["content"]["application/json"]["examples"]
    assert {title: entry["value"] for title, entry in asked.items()} == {
        "serving_default, rows": {"instances": [{"pixels": [1, 2]}]},
        "serving_default, columns": {"inputs": {"pixels": [[1, 2]]}},
    }
    (answer,) = parts["responses"]["predict.m"]["content"]["application/json"]["examples"].values()
    assert answer["value"] == {"predictions": [[0, 0, 1]]}


MADE_UP = [
    (PIXELS, {"instances": [{"pixels": [1.0, 1.0]}]}),
    (TWO, {"instances": [{"text": "text", "k": [1]}]}),
    (SCALAR, {"inputs": {"x": 1.0}}),
    (
        sign([spec("x", "bool", (2,))], [spec("y", "int8", (2,))], "b"),
        {"signature_name": "b", "instances": [{"x": True}] * 2},
    ),
    (
        sign([spec("x", "int64", (None, None))], [spec("y", "float", (None,)), spec("z", "complex64", (None,))]),
        {"output_filter": ["y"], "instances": [{"x": [1] * 8}]},
    ),
    (sign([spec("x", "float", None)], [spec("y", "float", None)]), {"instances": [{"x": 1.0}]}),
    (
        sign([spec("x", "float", (2, 1)), spec("k", "string", (None,))], [spec("y", "float", None)]),
        {"instances": [{"x": [1.0], "k": "text"}] * 2},
    ),
]


@pytest.mark.parametrize(("one", "body"), MADE_UP)
def test_an_example_can_be_made_up_from_a_signature(one, body):
    (made_up,) = examples.candidates(model(one), one, {})
    assert made_up == body
    json_codec.decode(json_codec.parse(json.dumps(made_up).encode()), one)


def test_the_cards_example_comes_first_and_the_golden_one_second():
    found = list(examples.candidates(model(PIXELS, card=CARD), PIXELS, {"serving_default": {"pixels": [7, 8]}}))
    assert found[:2] == [{"instances": [[0.5, 1]]}, {"instances": [{"pixels": [7, 8]}]}]


def test_no_example_is_made_up_where_nobody_would_read_it():
    large = sign([spec("image", "float", (None, 224, 224, 3))], [spec("y", "float", (None,))])
    assert list(examples.candidates(model(large), large, {})) == []


def test_golden_rows_that_cannot_be_read_are_none(tmp_path: Path):
    assert examples.first_rows(tmp_path) == {}
    (tmp_path / "assets.extra").mkdir()
    for text in ("{", "[]", '{"signatures": {"s": {"inputs": {"x": []}}}}', '{"signatures": {"s": 3}}'):
        (tmp_path / "assets.extra" / "golden.json").write_text(text)
        assert examples.first_rows(tmp_path) == {}
