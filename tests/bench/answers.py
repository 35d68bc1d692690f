"""Whether a server answers a load with the right values, asked once before it is timed; its answer's size.

Load ──▶ one request by httpx or grpcio ──▶ named arrays ══ the engine's own, to a tolerance ──▶ bytes of the answer
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import grpc
import httpx
import numpy as np

from signet.serving.tensors.arrays import Arrays, from_proto
from signet.serving.tensors.protos import predict_pb2
from tests.bench import rows
from tests.bench.contenders import Contender
from tests.bench.generators import PREDICT
from tests.bench.loads import Dialect, Load

RELATIVE, ABSOLUTE = 1e-3, 1e-4
"""Another build of TensorFlow, or a call of more rows, differs in the last digits of float32."""

POSTS = {"rest": rows.v1, "v2-binary": rows.v2_binary}
TIMEOUT_S = 60.0


class Wrong(Exception):
    """The answer is none, or has other values; the message says which, what was expected and what came."""


def check(contender: Contender, load: Load, expected: Arrays) -> int:
    """Ask once: the bytes of the answer, without heads. Raises Wrong."""
    if load.dialect == "grpc":
        answer = _called(contender.grpc_address, rows.message(load.model, load.rows), contender.headers)
    else:
        answer = _posted(contender.url, post(contender, load))
    compare(decode(load.dialect, answer), expected)
    return len(answer)


def post(contender: Contender, load: Load) -> rows.Post:
    """The load's request, as the server wants it."""
    request = POSTS[load.dialect](load.model, load.rows)
    return replace(request, headers={**request.headers, **contender.headers})


def compare(outputs: Mapping[str, Any], expected: Arrays) -> None:
    """Raises Wrong unless they have the same names, shapes and nearly the same values; a sole output may have no name."""
    if set(outputs) == {""} and len(expected) == 1:
        outputs = dict.fromkeys(expected, outputs[""])
    if outputs.keys() != expected.keys():
        raise Wrong(f"outputs {sorted(outputs)}; expected {sorted(expected)}")
    for name, wanted in expected.items():
        values = np.asarray(outputs[name])
        if values.shape != wanted.shape:
            raise Wrong(f"output {name!r} has shape {values.shape}; expected {wanted.shape}")
        if not np.allclose(values, wanted, RELATIVE, ABSOLUTE):
            furthest = np.abs(values - wanted).max()
            raise Wrong(f"output {name!r} is as far as {furthest:.3g} from the engine's own")


def decode(dialect: Dialect, answer: bytes) -> dict[str, Any]:
    """The outputs of an answer; "" names a sole output of V1. Raises Wrong when it is none."""
    try:
        if dialect == "grpc":
            message = predict_pb2.PredictResponse.FromString(answer)
            return {name: from_proto(tensor) for name, tensor in message.outputs.items()}
        if dialect == "rest":
            predictions = json.loads(answer)["predictions"]
            if isinstance(predictions[0], dict):
                return {name: [row[name] for row in predictions] for name in predictions[0]}
            return {"": predictions}
        head, end = json.JSONDecoder().raw_decode(answer.decode("latin-1"))
        outputs = {}
        for output in head["outputs"]:
            size = output["parameters"]["binary_data_size"]
            outputs[output["name"]] = np.frombuffer(answer[end : end + size], "<f4").reshape(output["shape"])
            end += size
        return outputs
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise Wrong(f"the answer is none: {answer[:200]!r}") from error


def _posted(url: str, request: rows.Post) -> bytes:
    headers = {"Content-Type": "application/json", **request.headers}
    try:
        response = httpx.post(url + request.path, content=request.body, headers=headers, timeout=TIMEOUT_S)
    except httpx.HTTPError as error:
        raise Wrong(f"no answer: {error!r}") from error
    if response.status_code != 200:
        raise Wrong(f"status {response.status_code}: {response.text[:200]}")
    return response.content


def _called(address: str, message: bytes, metadata: Mapping[str, str]) -> bytes:
    with grpc.insecure_channel(address) as channel:
        call = channel.unary_unary(PREDICT, request_serializer=bytes, response_deserializer=bytes)
        try:
            answer: bytes = call(message, timeout=TIMEOUT_S, metadata=tuple(metadata.items()))
        except grpc.RpcError as error:
            raise Wrong(f"grpc-status {error.code().name}: {error.details()}") from error
    return answer
