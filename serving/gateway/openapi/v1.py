"""A model's routes in TensorFlow Serving's REST dialect in the OpenAPI document: predict, classify and regress.

DescribedModel ──▶ predict by the one builder of `dialect.py`, and classify and regress where a signature allows them
"""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from signet.serving.errors import InvalidInput
from signet.serving.gateway.openapi import dialect, tensors
from signet.serving.gateway.openapi.described_model import (
    DescribedModel,
    DescribedTensor,
    Examples,
    in_rows,
    servable_outputs,
)
from signet.serving.gateway.openapi.dialect import Dialect, Values
from signet.serving.gateway.openapi.named_schemas import NamedSchemas
from signet.serving.gateway.openapi.schemas import (
    BOOLEAN,
    TEXT,
    Schema,
    any_of,
    array,
    closed,
    errors,
    explained,
    only,
    ref,
    without,
)
from signet.serving.grpc_dialect import example_inference
from signet.serving.tensors.signature import DEFAULT, Signature

SCHEMAS: dict[str, Schema] = {
    "NamedOutputs": explained("Whether also the only output gets its name; without it: no", BOOLEAN),
    "NonFinite": explained(
        "How NaN and infinity are written: `bare`, which is not strict JSON, or as `null`; without it `bare`. As a "
        "`string` too, but then the schemas of answers do not hold",
        only("bare", "null"),
    ),
    "Example": {
        "description": "One tf.Example: the features by name, each a value or a list of them. The literal decides the "
        "type: 2.0 is a float, 2 and true are integers, strings and base64 are bytes",
        "type": "object",
        "additionalProperties": any_of(ref("Feature"), array(ref("Feature"))),
    },
    "Feature": any_of({"type": "number"}, BOOLEAN, TEXT, ref("Bytes")),
}


_NUMBER: Schema = {"type": ["number", "null"]}
"""Of an answer: also one that is not finite, as the schemas of requests offer it."""


def paths(model: DescribedModel, named: NamedSchemas) -> dict[str, Schema]:
    """Path -> its operations."""
    return dialect.paths(model, PREDICT) | _classify(model, named) | _regress(model, named)


# Predict


def _bodies(model: DescribedModel, signature: Signature, named: NamedSchemas) -> list[Schema]:
    """Rows by name, rows that are values of the only input, and columns."""
    counts = [spec.shape[0] for spec in signature.inputs.values() if spec.shape and spec.shape[0] is not None]
    limits = {"minItems": counts[0], "maxItems": counts[0]} if counts else {"minItems": 1}
    parts = partial(dialect.parts, model, signature)
    columns = named.add(parts("Columns"), _by_name(model, signature, row=False))
    inputs = named.any_of(parts("Inputs"), columns, *_alone(model, signature, row=False))
    in_columns = named.add(parts("ColumnsRequest"), _body(signature, "inputs", inputs, "instances"))
    if not in_rows(signature):
        return [in_columns]
    forms = [("RowsRequest", named.add(parts("Row"), _by_name(model, signature, row=True)))]
    forms += [("ValuesRequest", _no_object(value)) for value in _alone(model, signature, row=True)]
    return [
        *(named.add(parts(name), _body(signature, "instances", array(row, **limits), "inputs")) for name, row in forms),
        in_columns,
    ]


def _by_name(model: DescribedModel, signature: Signature, *, row: bool) -> Schema:
    return closed({tensor.spec.name: input_schema(tensor, row=row) for tensor in model.inputs(signature)})


def _no_object(schema: Schema) -> Schema:
    """So that a body has one form also where an input of unknown rank may be anything."""
    return schema if "type" in schema or "$ref" in schema else {**schema, "not": {"type": "object"}}


def _alone(model: DescribedModel, signature: Signature, *, row: bool) -> list[Schema]:
    """The value of the only input, which needs no name; none where there are several."""
    tensors = model.inputs(signature)
    return [input_schema(tensor, row=row) for tensor in tensors if len(tensors) == 1]


def input_schema(tensor: DescribedTensor, *, row: bool) -> Schema:
    """One row of an input, or all."""
    text = ref("Bytes") if tensor.holds_bytes else TEXT
    element = tensors.element_of(tensor.spec, text, {"type": "number"})
    schema = tensors.schema_of(tensor, element, row=row)
    if tensor.spec.shape and tensor.spec.shape[-1] == 1:  # in words: a schema would allow a mixture
        schema["description"] += ". The last axis may be left out: a flat list of values will do"
    return schema


def _body(signature: Signature, key: str, value: Schema, other: str) -> Schema:
    """key: what holds the inputs. other: a key that must not be there."""
    return {
        "type": "object",
        "properties": {
            "signature_name": only(signature.name),
            key: value,
            "output_filter": {
                "description": "Only these outputs; empty: all",
                **array(only(*servable_outputs(signature))),
                "uniqueItems": True,
            },
            "named_outputs": ref("NamedOutputs"),
            "non_finite": ref("NonFinite"),
        },
        "required": [key] if signature.name == DEFAULT else ["signature_name", key],
        **without(other),
    }


def _answers(model: DescribedModel, named: NamedSchemas) -> list[Schema]:
    rows = [signature for signature in model.servable_signatures if in_rows(signature)]
    columns = model.servable_signatures
    predictions = _outputs(model, rows, named, row=True) if rows else {}
    outputs = _outputs(model, columns, named, row=False)
    return [
        *([named.add((model.name, "Predictions"), closed({"predictions": array(predictions)}))] if rows else []),
        named.add((model.name, "Columns", "Answer"), closed({"outputs": outputs})),
    ]


def _outputs(model: DescribedModel, signatures: Sequence[Signature], named: NamedSchemas, *, row: bool) -> Schema:
    """What these signatures may give: all outputs by name, some by name, or the value of one.

    Those with more outputs come first: a generated client takes the first form all of whose names are there.
    """
    what = "Prediction" if row else "Outputs"
    whole, some, alone = [], dict[str, list[Schema]](), list[Schema]()
    for signature in sorted(signatures, key=lambda each: -len(servable_outputs(each))):
        schemas = {tensor.spec.name: output_schema(tensor, row=row) for tensor in model.servable_outputs(signature)}
        whole.append(named.add(dialect.parts(model, signature, what), closed(schemas)))
        for name, schema in schemas.items():
            bare = {key: value for key, value in schema.items() if key not in ("description", "x-tensor")}
            alone += [] if bare in alone else [bare]
            if len(schemas) > 1:
                forms = some.setdefault(name, [])
                forms += [] if bare in forms else [bare]
    if some:  # of an `output_filter`
        properties = {name: any_of(*forms) for name, forms in some.items()}
        whole.append(named.add((model.name, "Some", what), closed({}, **properties) | {"minProperties": 1}))
    return named.any_of((model.name, "Any", what), *whole, *alone)


def output_schema(tensor: DescribedTensor, *, row: bool) -> Schema:
    """One row of an output, or all."""
    text = ref("Bytes") if tensor.holds_bytes else TEXT
    return tensors.schema_of(tensor, tensors.element_of(tensor.spec, text, _NUMBER), row=row)


def _examples(signature: Signature, examples: Examples) -> tuple[Values, Values]:
    """An example with its answer; when it has rows, the same in columns too."""
    body, answer = examples.predict
    requests = {f"{signature.name}, {'rows' if 'instances' in body else 'columns'}": body}
    rows = body.get("instances")
    if rows and all(isinstance(row, Mapping) and row.keys() == signature.inputs.keys() for row in rows):
        rest = {key: value for key, value in body.items() if key != "instances"}
        columns = {name: [row[name] for row in rows] for name in signature.inputs}
        requests[f"{signature.name}, columns"] = {**rest, "inputs": columns}
    if answer is None:
        return requests, {}
    return requests, {f"{signature.name}, {'rows' if 'predictions' in answer else 'columns'}": answer}


PREDICT = Dialect(
    base="/v1/models/",
    colon=":",
    verb="predict",
    label_paths=True,
    rules="Rows go in `instances` and come back as `predictions`, columns go in `inputs` and come back as `outputs`.\n\n"
    "Other bodies are told by their `Content-Type`, other answers by `Accept`: a form (`multipart/form-data`) with a part a row "
    "of each input, `text/csv` with a header, and where the server has pyarrow `application/vnd.apache.arrow.stream` and "
    "`application/vnd.apache.parquet` with a column an input. What a JSON body says in `signature_name`, `output_filter`, "
    "`named_outputs` and `non_finite` then stands in the query.",
    refusal="It takes or gives a type that JSON cannot carry: use gRPC.",
    dtype=tensors.dtype_text,
    bodies=_bodies,
    answers=_answers,
    examples=_examples,
    answer={
        "description": "The outputs: `predictions` for rows, `outputs` for columns",
        "headers": dialect.VERSION_HEADER,
    },
    errors={**dialect.ERRORS, **errors(406)},
)


# Classify and regress


def _classify(model: DescribedModel, named: NamedSchemas) -> dict[str, Schema]:
    pair = {
        "description": "Label and score",
        "type": "array",
        "prefixItems": [TEXT, {"type": "number"}],
        "items": any_of(TEXT, {"type": "number"}),
        "minItems": 2,
        "maxItems": 2,
    }
    names = _takers(model, example_inference.classify_outputs)
    return _of_examples(model, "classify", names, "the classes of each example", array(pair), named)


def _regress(model: DescribedModel, named: NamedSchemas) -> dict[str, Schema]:
    names = _takers(model, example_inference.regress_outputs)
    return _of_examples(model, "regress", names, "a value for each example", {"type": "number"}, named)


def _takers(model: DescribedModel, outputs: Callable[[DescribedModel, Signature], tuple[str, ...]]) -> list[str]:
    """The signatures that take serialized examples and have the outputs of a method."""
    names = []
    for signature in model.callable_signatures:
        if all(spec.dtype and spec.dtype.is_string for spec in signature.inputs.values()):
            with contextlib.suppress(InvalidInput):
                outputs(model, signature)
                names.append(signature.name)
    return names


def _of_examples(
    model: DescribedModel, verb: str, names: list[str], gives: str, result: Schema, named: NamedSchemas
) -> dict[str, Schema]:
    """The paths of a method; none without a signature for it."""
    if not names:
        return {}
    body = {
        "type": "object",
        "properties": {
            "signature_name": only(*names),
            "context": {"description": "Features that every example has too", **ref("Example")},
            "examples": array(ref("Example"), minItems=1),
        },
        "required": ["examples"] if DEFAULT in names else ["signature_name", "examples"],
    }
    answer = {
        "description": f"{gives[:1].upper()}{gives[1:]}",
        "headers": dialect.VERSION_HEADER,
        "content": {
            "application/json": {"schema": named.add((model.name, verb, "Answer"), closed({"results": array(result)}))}
        },
    }
    shared = {
        "description": f"Gives {gives}. The model's graph says which features it takes, its signatures do not.",
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": named.add((model.name, verb, "Request"), body)}},
        },
        "responses": {"200": answer, **dialect.ERRORS},
    }
    return dialect.operations(model, PREDICT, verb, shared)
