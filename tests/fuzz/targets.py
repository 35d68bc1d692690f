"""What is fuzzed: functions of bytes that may raise `SignetError` and nothing else, with inputs to start from.

They are the pure parts of the servers; `tests/serving/model_server/test_fuzz.py` and its neighbour send anything
to the running program.
"""

import asyncio
import gzip
import io
import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from google.protobuf.message import DecodeError

from signet.serving.engine import warmup
from signet.serving.errors import InvalidInput, SignetError, TooLarge
from signet.serving.h2 import frames
from signet.serving.h2.client import ClientConnection
from signet.serving.h2.server import ServerConnection
from signet.serving.http.connection import Connection
from signet.serving.http.server import HttpServer, Request, Response, answered_by
from signet.serving.json_arrays import number_arrays
from signet.serving.json_arrays.values import as_lists
from signet.serving.model_server import monitoring
from signet.serving.model_server.rest import predict_json, request_body, routes
from signet.serving.model_server.tfs_batching import parameters
from signet.serving.models import model_config
from signet.serving.open_inference import bodies, messages, open_inference_pb2, requests
from signet.serving.open_inference.requests import InferRequest, OutputTensor
from signet.serving.rest_dialect import examples_json
from signet.serving.rest_dialect.json_text import error_body, loads
from signet.serving.tensors import arrays as tensors
from signet.serving.tensors import dtypes
from signet.serving.tensors.arrays import Arrays
from signet.serving.tensors.protos import (
    classification_pb2,
    meta_graph_pb2,
    model_pb2,
    predict_pb2,
    prediction_log_pb2,
    tensor_pb2,
)
from signet.serving.tensors.signature import Signature, TensorSpec
from tests.serving.grpc_dialect import test_predict_bytes
from tests.serving.grpc_transport import test_channel, test_channel_garbage, test_channel_seam
from tests.serving.h2 import test_any_bytes, wire
from tests.serving.json_arrays.compiled import by_helper
from tests.serving.json_arrays.test_number_arrays import plain
from tests.tfrecord import record


@dataclass(frozen=True)
class Target:
    """One thing to fuzz."""

    run: Callable[[bytes], None]
    seeds: tuple[bytes, ...]


# JSON bodies


def _signature(**names: str) -> Signature:
    """dtypes by name; a tensor is both an input and an output."""
    by_name = {row.name: row for row in dtypes.ROWS}
    specs = {name: TensorSpec(name, by_name[dtype], None, f"{name}:0") for name, dtype in names.items()}
    return Signature("serving_default", specs, specs)


SIGNATURES = (
    _signature(x="float"),
    _signature(x="string"),
    _signature(x="int64"),
    _signature(x="uint8"),
    _signature(x="bool"),
    _signature(x="half"),
    _signature(a="float", b="int32"),
    _signature(x="double", s_bytes="string"),
)


def predict_body(data: bytes) -> None:
    """What is decoded goes back as an answer; the answer of a good request is JSON again."""
    try:
        document = loads(data)
    except InvalidInput as error:
        json.loads(error_body(str(error)).decode(errors="replace"))
        return
    for signature in SIGNATURES:
        try:
            arrays, layout = predict_json.decode(document, signature, b"true" in data or b"false" in data)
            answer = predict_json.encode(arrays, layout)
        except SignetError as error:
            json.loads(error_body(str(error)).decode(errors="replace"))
            continue
        assert set(arrays) == set(signature.inputs)
        assert json.loads(answer.decode(errors="replace")).keys() <= {"predictions", "outputs"}


def examples_body(data: bytes) -> None:
    with suppress(InvalidInput):
        examples_json.fill(loads(data), classification_pb2.ClassificationRequest().input)


def numbers(data: bytes) -> None:
    """Behind many numbers, which make the body worth simdjson's way, the data is a value as orjson reads it."""
    body = b'{"many": [' + b"0.5," * 1000 + b'0.5], "x": ' + data + b"}"
    try:
        expected = orjson.loads(body)
    except orjson.JSONDecodeError:
        expected = None
    try:
        value = as_lists(number_arrays.loads(body))
    except orjson.JSONDecodeError:
        value = None
    assert plain(value) == plain(expected)


def nests(data: bytes) -> None:
    """What the compiled helper takes out of a text, and what is left of it, make the value that orjson reads."""
    body = b'{"x": ' + data + b"}"
    with by_helper():
        try:
            value = as_lists(number_arrays.light_loads(body))
        except number_arrays.Heavy:
            return
    assert plain(value) == plain(orjson.loads(body))


def open_inference_rest(data: bytes) -> None:
    """The first two bytes say how many of the rest are JSON. What is decoded goes back as an answer."""
    length = int.from_bytes(data[:2], "little")
    body = data[2:]
    with suppress(SignetError):
        request = bodies.parse(body, None if length == 0xFFFF else min(length, len(body)))
        for signature, outputs in _open_inference_answers(request):
            text, json_bytes = bodies.encode("m", "1", request.id, outputs, "string")
            assert len(json.loads(text[:json_bytes])["outputs"]) == len(request.outputs or signature.outputs)


def open_inference_message(data: bytes) -> None:
    """Read the bytes as a ModelInferRequest; what is decoded goes back as an answer."""
    message = open_inference_pb2.ModelInferRequest()
    with suppress(DecodeError, SignetError):
        message.ParseFromString(data)
        request = messages.parse(message)
        for signature, outputs in _open_inference_answers(request):
            response = messages.encode("m", "1", request.id, outputs)
            assert len(response.outputs) == len(request.outputs or signature.outputs)


def _open_inference_answers(request: InferRequest) -> Iterator[tuple[Signature, list[OutputTensor]]]:
    """For every signature that takes the request, an answer with its inputs as outputs."""
    for signature in SIGNATURES:
        with suppress(SignetError):
            arrays = requests.decode(request, signature)
            assert arrays.keys() == signature.inputs.keys()
            if set(request.wanted) <= signature.outputs.keys():
                yield signature, requests.answer(request, signature, arrays, {})


# Messages and files


def tensor(data: bytes) -> None:
    """An array of the shape that the message says, which is written and read back as the same."""
    proto = tensor_pb2.TensorProto()
    with suppress(DecodeError, SignetError):
        proto.ParseFromString(data)
        array = tensors.from_proto(proto)
        for encode in (tensors.to_proto, tensors.to_typed_proto):
            again = tensors.from_proto(encode(array))
            assert again.dtype == array.dtype
            assert again.shape == array.shape
            assert again.tobytes() == array.tobytes() or array.dtype.kind in "fcO", encode


class _Version:
    """Stands for a loaded version: it has signatures, and its calls give zeros."""

    def __init__(self) -> None:
        self.name = "default"
        self.signatures = {"serving_default": SIGNATURES[6], "classify": _signature(inputs="string", scores="float")}
        self.signature_defs = dict.fromkeys(self.signatures, meta_graph_pb2.MetaGraphDef().signature_def["x"])

    def predict(self, signature: Signature, inputs: Arrays, outputs: Any) -> Arrays:
        rows = len(next(iter(inputs.values()))) if inputs and next(iter(inputs.values())).ndim else 1
        return {name: np.zeros((rows, 2), np.float32) for name in outputs or signature.outputs}


VERSION: Any = _Version()


@cache
def folder() -> Path:
    """For the files of this process; libFuzzer ends it without cleaning up: `test_fuzz.py` does."""
    made = Path(tempfile.mkdtemp())
    (made / warmup.FILE).parent.mkdir()
    return made


def warmup_file(data: bytes) -> None:
    """An even first byte: the rest is the file; an odd one: the rest is a record, whose checksums are right."""
    (folder() / warmup.FILE).write_bytes(data[1:] if not data or data[0] % 2 == 0 else record(data[1:]))
    with suppress(SignetError):
        warmup.warm_up(VERSION, folder(), run=_Version.predict)


def _file(read: Callable[[Path], object]) -> Callable[[bytes], None]:
    """A target that reads a file with the given content."""

    def run(data: bytes) -> None:
        file = folder() / "text"
        file.write_bytes(data)
        with suppress(SignetError):
            read(file)

    return run


# HTTP


def path(data: bytes) -> None:
    method, _, target = data.partition(b" ")
    with suppress(routes.VersionTooLarge):
        found = routes.parse(method.decode(errors="replace"), target)
        assert found is None or found.verb in ("predict", "classify", "regress", "status", "metadata")


def zipped_body(data: bytes) -> None:
    with suppress(TooLarge):
        assert len(request_body.unzip(data)) <= request_body.MAX_UNZIPPED_BYTES


class _Transport:
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        self.written = io.BytesIO()
        self.write = self.written.write

        self.closing = False

    def nothing(self) -> None: ...

    abort = write_eof = pause_reading = resume_reading = nothing

    def close(self) -> None:
        self.closing = True

    def is_closing(self) -> bool:
        return self.closing

    def get_write_buffer_size(self) -> int:
        return 0

    def set_write_buffer_limits(self, high: int) -> None: ...

    def get_extra_info(self, _: str) -> Any:
        return "127.0.0.1", 1


LOOP = asyncio.new_event_loop()


def connection(data: bytes) -> None:
    """The first byte says in how large pieces the rest arrives. What is answered is HTTP, and no task fails."""
    problems: list[dict[str, Any]] = []
    LOOP.set_exception_handler(lambda _, context: problems.append(context))

    async def answer(request: Request) -> Response:
        assert request.path
        return Response(200, request.body)

    async def feed() -> bytes:
        transport = _Transport()
        reader = Connection(HttpServer(answered_by(answer)))
        reader.connection_made(transport)
        size = data[0] + 1 if data else 1
        for start in range(1, len(data), size):
            reader.data_received(data[start : start + size])
            await asyncio.sleep(0)
        reader.eof_received()
        if others := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.wait(others)
        reader.connection_lost(None)
        return transport.written.getvalue()

    written = LOOP.run_until_complete(feed())
    assert not problems, problems
    assert not written or written.startswith(b"HTTP/"), written


# All of them

_TENSOR = tensors.to_typed_proto(np.arange(6, dtype=np.float32).reshape(2, 3))
_REQUEST = predict_pb2.PredictRequest(inputs={"a": _TENSOR, "b": tensors.to_proto(np.arange(2, dtype=np.int32))})
_LOG = prediction_log_pb2.PredictionLog(predict_log=prediction_log_pb2.PredictLog(request=_REQUEST))

# Answers of model servers


def predict_answer(data: bytes) -> None:
    """The bytes of a PredictResponse mean what protobuf's library says they mean, or are left to it."""
    assert test_predict_bytes.agree(data)


def server_frames(data: bytes) -> None:
    """Whatever a server sends to a client's channel that has calls, each of them ends once, and nothing is left of it."""

    async def run() -> None:
        playing = test_channel_seam.Play(100)
        for _ in range(3):
            playing.call(10)
        for _ in range(3):
            await asyncio.sleep(0)
        for line in playing.network.alive():
            line.to_client += line.server.take_output() + data
            for _ in range(4):
                await asyncio.sleep(0)
                line.carry(1 << 20)
        await playing.channel.close()
        for _ in range(4):
            await asyncio.sleep(0)
        assert [len(caller.ends) for caller in playing.callers] == [1, 1, 1]
        assert test_channel.is_clean(playing.channel)

    asyncio.run(run())


def http2(data: bytes) -> None:
    """Frames to a server's side of HTTP/2, or to a client's, as the first byte says; the second says where they are cut.

    The next four say what the owner of the connection does with the events. Frames mean the same whole and in pieces.
    """
    side: Any = (ServerConnection, ClientConnection)[data[0] % 2] if data else ServerConnection
    choices, sent = [byte % 6 for byte in data[2:6]], data[6:]
    pieces = test_any_bytes.cut(sent, range(0, len(sent), data[1] % 64 + 1 if len(data) > 1 else 1))
    assert test_any_bytes.run(side, pieces)[1:] == test_any_bytes.run(side, [sent])[1:]
    test_any_bytes.bear(side, pieces, choices)


_ASKED = wire.request(1) + wire.data(1, b"\0\0\0\0\1x", end=True)
_ANSWERED = wire.answer(1) + wire.data(1) + wire.frame(1, 5, 1, wire.TRAILERS)

TARGETS = {
    "http2": Target(
        http2,
        (
            b"\0\x08\2\3\1\4" + _ASKED + wire.request(3) + wire.window(0, 9) + wire.rst(3),
            b"\0\0\0\0\0\0" + wire.settings(_4=0, _1=0, _5=20_000) + _ASKED + wire.window(1, 70_000),
            b"\0\x3f\4\5\0\0"
            + wire.frame(1, 0x28, 1, b"\1\0\0\0\0\1" + wire.block(*wire.REQUEST) + b"\0")
            + wire.frame(9, 4, 1)
            + wire.frame(0, 8, 1, b"\2data..")
            + wire.frame(6, 0, 0, bytes(8)),
            b"\1\x10\3\3\0\0" + wire.settings(_3=2) + _ANSWERED + wire.window(0, 100_000) + wire.window(3, 1),
            b"\1\x20\1\0\0\0" + wire.answer(1, status="100") + wire.answer(3, end=True) + wire.frame(7, 0, 0, bytes(8)),
        ),
    ),
    "predict_answer": Target(
        predict_answer,
        (
            predict_pb2.PredictResponse(
                outputs={"y": tensors.to_typed_proto(np.ones((2, 2), np.float32))},
                model_spec=model_pb2.ModelSpec(name="m"),
            ).SerializeToString(),
            predict_pb2.PredictResponse(
                outputs={
                    "s": tensors.to_proto(np.array([b"ab", b""], object)),
                    "i": tensors.to_typed_proto(np.arange(-3, 300)),
                    "b": tensors.to_proto(np.ones(3, np.uint8)),
                }
            ).SerializeToString(),
        ),
    ),
    "server_frames": Target(
        server_frames,
        (
            test_channel_garbage.good(1) + test_channel_garbage.good(3),
            frames.settings({frames.MAX_CONCURRENT_STREAMS: 1}) + frames.go_away(1, 0) + test_channel_garbage.good(1),
            frames.rst_stream(3, frames.REFUSED_STREAM)
            + frames.window_update(0, 9)
            + frames.frame(frames.PING, 0, 0, b"8" * 8),
        ),
    ),
    "predict_body": Target(
        predict_body,
        (
            b'{"instances": [[1.5, 2], [3, -4e2]], "signature_name": "x"}',
            b'{"inputs": {"a": [[NaN], [-Infinity]], "b": [1]}}',
            b'{"instances": [{"x": "caf\xe9"}, {"x": {"b64": "aGk="}}]}',
            b'\xef\xbb\xbf{"instances": [true, false, null]} tail',
            b'{"instances": [{"x": 1.5, "s_bytes": "hi"}]}',
        ),
    ),
    "examples_body": Target(
        examples_body,
        (
            b'{"context": {"k": 5}, "examples": [{"x": [1.5, 2.5], "s": "hi"}, {"b": {"b64": "aGk="}, "t": true}]}',
            b'{"examples": [{"x": 18446744073709551615}], "signature_name": "y"}',
        ),
    ),
    "nests": Target(
        nests,
        (
            b"[" + b"0.5," * 40 + b"1]",
            b"[" + b"[1, 2.5e3],\n" * 20 + b"[-3, 4E-2]]",
            b'[{"a": [' + b"1,2,3," * 20 + b"4]}, [[], [5], true]]",
            b'"[1,2", "y": [' + b"9223372036854775807," * 33 + b"-9223372036854775808]",
            b"[[[" + b"1.7976931348623157e308,0.000000000000000000123," * 20 + b"12345678901234567890.5]]]",
        ),
    ),
    "numbers": Target(
        numbers,
        (
            b"[[1, 2.5], [-3, 4e2]]",
            b"[1, [2], {}, true, null]",
            b"[18446744073709551615, -9223372036854775808]",
            b"[" + b"[1,2,3]," * 20 + b'[4,5,"a"]]',
            b'{"a\\u0000": [], "a": "[", "a": 1e400}',
        ),
    ),
    "open_inference_rest": Target(
        open_inference_rest,
        (
            b'\xff\xff{"id": "7", "inputs": [{"name": "x", "shape": [2], "datatype": "FP32", "data": [1, "NaN"]}]}',
            b'\xff\xff{"inputs": [{"name": "x", "shape": [1, 1], "datatype": "BYTES", "data": [["aGk="]], '
            b'"parameters": {"content_type": "base64"}}], "outputs": [{"name": "x"}]}',
            b'\x68\x00{"inputs": [{"name": "x", "shape": [1], "datatype": "INT64", "parameters": {"binary_data_size": 8}}]}  '
            b"\1\0\0\0\0\0\0\0",
            b'\xff\xff{"inputs": [{"name": "x", "shape": [2], "datatype": "FP32", "data": [1, 2]}], '
            b'"outputs": [{"name": "x", "parameters": {"classification": 1}}], "parameters": {"timeout": 5}}',
            b"\0\0raw",
        ),
    ),
    "open_inference_message": Target(
        open_inference_message,
        (
            open_inference_pb2.ModelInferRequest(
                inputs=[{"name": "x", "datatype": "FP32", "shape": [2], "contents": {"fp32_contents": [1, 2]}}],
                outputs=[{"name": "x", "parameters": {"classification": {"int64_param": 1}}}],
                parameters={"timeout": {"int64_param": 5}, "signature_name": {"string_param": "s"}},
            ).SerializeToString(),
            open_inference_pb2.ModelInferRequest(
                inputs=[{"name": "x", "datatype": "BYTES", "shape": [1]}], raw_input_contents=[b"\2\0\0\0hi"]
            ).SerializeToString(),
        ),
    ),
    "tensor": Target(
        tensor,
        (
            _TENSOR.SerializeToString(),
            tensors.to_proto(np.ones((3, 1), np.int64)).SerializeToString(),
            tensors.to_proto(np.array([b"a", b""], object)).SerializeToString(),
            tensors.to_typed_proto(np.ones(2, np.complex64)).SerializeToString(),
            tensors.to_typed_proto(np.ones(2, np.float16)).SerializeToString(),
            tensors.to_typed_proto(np.ones(2, np.uint8)).SerializeToString(),
        ),
    ),
    "warmup_file": Target(
        warmup_file, (b"\0" + record(_LOG.SerializeToString()), b"\1" + _LOG.SerializeToString(), b"\0not records")
    ),
    "model_config_file": Target(
        _file(model_config.read),
        (
            b'model_config_list { config { name: "m" base_path: "/m" model_platform: "tensorflow" version_labels '
            b'{ key: "stable" value: 1 } model_version_policy { specific { versions: 1 versions: 2 } } } }',
            b"custom_model_config { }",
        ),
    ),
    "batching_file": Target(
        _file(lambda file: parameters.read(str(file), per_version=False).of(folder())),
        (
            b"max_batch_size { value: 64 } batch_timeout_micros { value: 0 } num_batch_threads { value: 2 }",
            b"allowed_batch_sizes: 1 allowed_batch_sizes: 1000 enable_large_batch_splitting { value: true }",
        ),
    ),
    "monitoring_file": Target(
        _file(lambda file: monitoring.metrics_path(str(file))), (b'prometheus_config { enable: true path: "/m" }',)
    ),
    "path": Target(
        path,
        (
            b"POST /v1/models/m/versions/12:predict",
            b"GET /v1/models/m%2fx/labels/stable/metadata",
            b"GET /v1/models/m/versions/99999999999999999999",
        ),
    ),
    "zipped_body": Target(zipped_body, (gzip.compress(b'{"instances": [1]}', mtime=0),)),
    "connection": Target(
        connection,
        (
            b"\xffPOST /v1/models/m:predict HTTP/1.1\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\nhi",
            b"\x07GET http://h/a?b HTTP/1.0\r\nConnection: keep-alive\r\n\r\nHEAD / HTTP/1.1\r\nHost: x\r\n\r\n",
            b"\x03POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
            b"\xffGET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\nPRI * HTTP/2.0\r\n\r\n",
        ),
    ),
}
