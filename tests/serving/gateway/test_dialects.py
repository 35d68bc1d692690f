"""One model, many dialects: the same tensors through each give identical numbers, embedded and remote.

V1 rows, V1 columns, V2 JSON, V2 bytes, V2 mixed, TensorFlow Serving's Predict, ModelInfer typed and raw
"""

import base64
import json

import grpc
import httpx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from signet.serving.open_inference import open_inference_pb2 as v2
from signet.serving.open_inference.binary import from_bytes, to_bytes
from signet.serving.open_inference.requests import datatype
from signet.serving.tensors import dtypes
from signet.serving.tensors.arrays import Arrays, as_string_array, from_proto, to_proto
from signet.serving.tensors.protos import predict_pb2

Outputs = dict[str, np.ndarray]

# TensorFlow's threads take subnormal numbers for zero, the calling thread does not.
FLOATS = st.floats(-1e6, 1e6, width=32, allow_subnormal=False)


def rows_of(dtype: object, *inner: int, elements: object = None) -> st.SearchStrategy:
    """Arrays of one to three rows."""
    return st.integers(1, 3).flatmap(lambda rows: st_numpy.arrays(dtype, (rows, *inner), elements=elements))


STRINGS = st.lists(st.binary(max_size=5), min_size=1, max_size=3).map(lambda values: np.array(values, object))

CASES = {
    ("two_in", ""): st.integers(1, 3).flatmap(
        lambda rows: st.fixed_dictionaries({
            "a": st_numpy.arrays(np.float32, (rows, 3), elements=FLOATS),
            "b": st_numpy.arrays(np.float32, (rows, 2), elements=FLOATS),
        })
    ),
    ("three_out", ""): st.fixed_dictionaries({"x": rows_of(np.float32, 4, elements=FLOATS)}),
    ("mixed", ""): st.fixed_dictionaries({"x": rows_of(np.float32, 5, elements=FLOATS)}),
    ("mixed", "f1"): st.fixed_dictionaries({"x": rows_of(np.float32, elements=FLOATS)}),
    ("mixed", "d1"): st.fixed_dictionaries({"x": rows_of(np.float64, elements=st.floats(-1e300, 1e300, allow_subnormal=False))}),
    ("mixed", "i64"): st.fixed_dictionaries({"i": rows_of(np.int64)}),
    ("mixed", "u8"): st.fixed_dictionaries({"x": rows_of(np.uint8)}),
    ("mixed", "b"): st.fixed_dictionaries({"b": rows_of(np.bool_)}),
    ("mixed", "s"): st.fixed_dictionaries({"s": STRINGS}),
}  # fmt: skip


class Gateway:
    """Asks one gateway in every dialect."""

    def __init__(self, url: str, address: str) -> None:
        self.http = httpx.Client(base_url=url, timeout=30)
        self.channel = grpc.insecure_channel(address)

    def close(self) -> None:
        self.http.close()
        self.channel.close()

    def v1_rows(self, model: str, signature: str, inputs: Arrays) -> Outputs:
        columns = {name: jsonable(array) for name, array in inputs.items()}
        rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        body = {"signature_name": signature, "instances": rows, "named_outputs": True}
        predictions = self._v1(model, body)["predictions"]
        return {name: array_of([row[name] for row in predictions]) for name in predictions[0]}

    def v1_columns(self, model: str, signature: str, inputs: Arrays) -> Outputs:
        columns = {name: jsonable(array) for name, array in inputs.items()}
        outputs = self._v1(model, {"signature_name": signature, "inputs": columns, "named_outputs": True})["outputs"]
        return {name: array_of(value) for name, value in outputs.items()}

    def _v1(self, model: str, body: dict) -> dict:
        answer = self.http.post(f"/v1/models/{model}:predict", content=json.dumps(body))
        assert answer.status_code == 200, answer.text
        return json.loads(answer.text)

    def v2_json(self, model: str, signature: str, inputs: Arrays) -> Outputs:
        return self._v2(model, signature, inputs, binary=set(), binary_out=False)

    def v2_bytes(self, model: str, signature: str, inputs: Arrays) -> Outputs:
        return self._v2(model, signature, inputs, binary=set(inputs), binary_out=True)

    def v2_mixed(self, model: str, signature: str, inputs: Arrays) -> Outputs:
        return self._v2(model, signature, inputs, binary=set(list(inputs)[:1]), binary_out=False)

    def _v2(self, model: str, signature: str, inputs: Arrays, binary: set[str], binary_out: bool) -> Outputs:
        tensors, blobs = [], []
        for name, array in inputs.items():
            line = {"name": name, **described(array)}
            if name in binary:
                blobs.append(to_bytes(array))
                tensors.append({**line, "parameters": {"binary_data_size": len(blobs[-1])}})
            elif array.dtype == object:
                tensors.append({**line, "data": [in_base64(value) for value in array], **BASE64})
            else:
                tensors.append({**line, "data": array.reshape(-1).tolist()})
        parameters = {"signature_name": signature, "binary_data_output": binary_out}
        text = json.dumps({"inputs": tensors, "parameters": parameters}).encode()
        headers = {"Inference-Header-Content-Length": str(len(text))} if blobs else {}
        answer = self.http.post(f"/v2/models/{model}/infer", content=text + b"".join(blobs), headers=headers)
        assert answer.status_code == 200, answer.text
        length = int(answer.headers.get("inference-header-content-length", len(answer.content)))
        rest = memoryview(answer.content)[length:]
        outputs = {}
        for output in json.loads(answer.content[:length])["outputs"]:
            shape, dtype = tuple(output["shape"]), DTYPES[output["datatype"]]
            said = output.get("parameters", {})
            if "binary_data_size" in said:
                outputs[output["name"]] = from_bytes(rest[: said["binary_data_size"]], dtype, shape, "")
                rest = rest[said["binary_data_size"] :]
            elif said.get("content_type") == "base64":
                values = [base64.b64decode(value) for value in output["data"]]
                outputs[output["name"]] = np.array(values, object).reshape(shape)
            else:
                values = [float(value) if value in WORDS else value for value in output["data"]]
                outputs[output["name"]] = array_of(values).reshape(shape)
        return outputs

    def grpc_v1(self, model: str, signature: str, inputs: Arrays) -> Outputs:
        request = predict_pb2.PredictRequest()
        request.model_spec.name, request.model_spec.signature_name = model, signature
        for name, array in inputs.items():
            request.inputs[name].CopyFrom(to_proto(array))
        answer = self._call("tensorflow.serving.PredictionService/Predict", request, predict_pb2.PredictResponse)
        return {name: from_proto(value) for name, value in answer.outputs.items()}

    def grpc_v2_typed(self, model: str, signature: str, inputs: Arrays) -> Outputs:
        tensors = [{"name": name, **described(array), "contents": typed(array)} for name, array in inputs.items()]
        answer = self._model_infer(model, signature, inputs=tensors)
        assert not answer.raw_output_contents
        return {
            output.name: array_of(list(getattr(output.contents, FIELDS[output.datatype]))).reshape(list(output.shape))
            for output in answer.outputs
        }

    def grpc_v2_raw(self, model: str, signature: str, inputs: Arrays) -> Outputs:
        tensors = [{"name": name, **described(array)} for name, array in inputs.items()]
        raw = [to_bytes(array) for array in inputs.values()]
        answer = self._model_infer(model, signature, inputs=tensors, raw_input_contents=raw)
        return {
            output.name: from_bytes(memoryview(content), DTYPES[output.datatype], tuple(output.shape), "")
            for output, content in zip(answer.outputs, answer.raw_output_contents, strict=True)
        }

    def _model_infer(self, model: str, signature: str, **fields: object) -> v2.ModelInferResponse:
        parameters = {"signature_name": {"string_param": signature}}
        request = v2.ModelInferRequest(model_name=model, parameters=parameters, **fields)
        return self._call("inference.GRPCInferenceService/ModelInfer", request, v2.ModelInferResponse)

    def _call(self, path: str, request: object, response_class: object) -> object:
        rpc = self.channel.unary_unary(
            f"/{path}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=response_class.FromString,
        )
        return rpc(request, timeout=30)


DIALECTS = ("v1_rows", "v1_columns", "v2_json", "v2_bytes", "v2_mixed", "grpc_v1", "grpc_v2_typed", "grpc_v2_raw")
DTYPES = {datatype(row, ""): row for row in dtypes.ROWS if not row.name.startswith("complex")}
FIELDS = {
    "BOOL": "bool_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}
WORDS = ("NaN", "Infinity", "-Infinity")
BASE64 = {"parameters": {"content_type": "base64"}}


def described(array: np.ndarray) -> dict:
    return {"datatype": datatype(dtypes.from_numpy(array.dtype), ""), "shape": list(array.shape)}


def typed(array: np.ndarray) -> dict:
    return {FIELDS[described(array)["datatype"]]: array.reshape(-1).tolist()}


def in_base64(value: bytes) -> str:
    return base64.b64encode(value).decode()


def jsonable(array: np.ndarray) -> list:
    return [{"b64": in_base64(value)} for value in array] if array.dtype == object else array.tolist()


def array_of(values: list) -> np.ndarray:
    """JSON's or a message's values as array; strings as bytes, however they came."""
    if values and isinstance(values[0], dict):
        values = [base64.b64decode(value["b64"]) for value in values]
    if values and isinstance(values[0], str | bytes):
        return as_string_array(np.array(values, object))
    return np.array(values)


@pytest.fixture(scope="module", params=["embedded", "remote"])
def asked(request):
    gateway = Gateway(*request.getfixturevalue(f"{request.param}_gateway"))
    yield gateway
    gateway.close()


@pytest.mark.parametrize(("model", "signature"), CASES)
def test_every_dialect_gives_identical_numbers(asked, model, signature):
    @settings(max_examples=15, deadline=None, database=None)
    @given(CASES[model, signature])
    def check(inputs):
        reference = asked.grpc_v2_raw(model, signature, inputs)
        for dialect in DIALECTS:
            outputs = getattr(asked, dialect)(model, signature, inputs)
            assert outputs.keys() == reference.keys(), dialect
            for name, expected in reference.items():
                if dialect.startswith("v1") and expected.dtype == object and not name.endswith("_bytes"):
                    continue  # V1 replaces what is no UTF-8
                got = outputs[name]
                if expected.dtype.kind in "fiu":
                    got = got.astype(expected.dtype)  # JSON has but numbers
                np.testing.assert_array_equal(got, expected, f"{dialect}, output {name!r}")

    check()


@pytest.mark.parametrize("model", ["two_in", "three_out"])
def test_both_backends_give_the_same(embedded_gateway, remote_gateway, model):
    rng = np.random.default_rng(5)
    shapes = {"two_in": {"a": (7, 3), "b": (7, 2)}, "three_out": {"x": (7, 4)}}[model]
    inputs = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    answers = []
    for places in (embedded_gateway, remote_gateway):
        gateway = Gateway(*places)
        answers.append(gateway.v2_bytes(model, "", inputs))
        gateway.close()
    for name, array in answers[0].items():
        np.testing.assert_array_equal(array, answers[1][name])
