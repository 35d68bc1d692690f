"""Hostile and careless callers: any bytes in any manner, over sockets and over gRPC. Whoever is answered is told what is wrong.

payload (a request, good or bad, as bytes) × manner (whole, piece by piece, cut off, half-closed, unread …)
"""

import gzip
import json
import socket
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from random import Random
from typing import Any
from urllib.parse import urlsplit

import grpc
import numpy as np

from signet.serving.tensors.arrays import to_proto
from signet.serving.tensors.protos import predict_pb2
from tests.soak.good import Place

DEADLINE_S = 60.0
"""Seconds after which a caller has met a hang: nothing here takes long, but machines may be slow."""


def post(path: str, body: bytes | object, *headers: str) -> bytes:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return request("POST", path, content, f"Content-Length: {len(content)}", *headers)


def request(method: str, path: str, content: bytes = b"", *headers: str) -> bytes:
    """A request that is the last on its connection."""
    lines = [f"{method} {path} HTTP/1.1", "Host: x", *headers, "Connection: close"]
    return "\r\n".join([*lines, "", ""]).encode() + content


def kept(method: str, path: str, content: bytes = b"", *headers: str) -> bytes:
    """A request after which more may come on its connection."""
    lines = [f"{method} {path} HTTP/1.1", "Host: x", *headers, f"Content-Length: {len(content)}"]
    return "\r\n".join([*lines, "", ""]).encode() + content


def chunked(path: str, body: bytes, *trailers: str, extension: str = "", size: str | None = None) -> bytes:
    chunk = f"{size or f'{len(body):x}'}{extension}\r\n".encode() + body + b"\r\n0\r\n"
    return request("POST", path, chunk + "\r\n".join([*trailers, "", ""]).encode(), "Transfer-Encoding: chunked")


def in_chunks(path: str, body: bytes) -> bytes:
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in body)
    return request("POST", path, chunks + b"0\r\n\r\n", "Transfer-Encoding: chunked")


ROWS = {"instances": [[1, 2, 3, 4]]}
GOOD = json.dumps(ROWS).encode()
THREE, V2 = "/v1/models/three_out:predict", "/v2/models/three_out/infer"
TENSOR = {"name": "x", "datatype": "FP32", "shape": [1, 4], "data": [1, 2, 3, 4]}


def large(last: bytes) -> bytes:
    """A body with a megabyte of rows, the last of them as given."""
    return b'{"instances": [' + b"[1, 2, 3, 4]," * 80_000 + last + b"]}"


def tensor(**changes: object) -> dict[str, object]:
    return {"inputs": [{**TENSOR, **changes}]}


BAD: dict[str, Callable[[Random], bytes]] = {
    "broken JSON": lambda r: post(THREE, GOOD[: r.randrange(len(GOOD))]),
    "wrong shapes": lambda r: post(THREE, {"instances": [[1] * r.choice([0, 1, 3, 5, 100])]}),
    "ragged rows": lambda r: post(THREE, {"instances": [[1, 2, 3, 4]] * r.randrange(1, 2000) + [[1]]}),
    "a row of another type": lambda r: post(THREE, {"instances": [[1, 2, 3, 4]] * 500 + [[1, 2, 3, True]]}),
    "a large body that ends ragged": lambda r: post(THREE, large(b"[1]")),
    "words for numbers": lambda r: post(THREE, {"instances": [["a", None, {}, []]]}),
    "deep lists": lambda r: post(THREE, b'{"instances": ' + b"[" * r.choice([50, 900, 20_000])),
    "deep closed lists": lambda r: post(THREE, b'{"instances": ' + b"[" * 5000 + b"]" * 5000 + b"}"),
    "deep objects": lambda r: post(THREE, b'{"instances": ' + b'{"a":' * 3000 + b"1" + b"}" * 3001),
    "a long number": lambda r: post(THREE, b'{"instances": [[' + b"9" * 5000 + b"x]]}"),
    "both keys": lambda r: post(THREE, {"instances": [[1, 2, 3, 4]], "inputs": [[1, 2, 3, 4]]}),
    "no such input": lambda r: post(THREE, {"inputs": {f"x{r.random()}": [[1, 2, 3, 4]]}}),
    "unknown models": lambda r: post(f"/v1/models/nobody{r.random()}:predict", ROWS),
    "unknown versions": lambda r: post(f"/v1/models/three_out/versions/{r.randrange(2, 10**9)}:predict", ROWS),
    "unknown labels": lambda r: post(f"/v1/models/three_out/labels/nobody{r.random()}:predict", ROWS),
    "unknown signatures": lambda r: post(THREE, {**ROWS, "signature_name": f"nobody{r.random()}"}),
    "unknown paths": lambda r: request("GET", f"/nobody/{r.random()}/%2F%3A%00"),
    "unknown methods": lambda r: request(r.choice(["PUT", "DELETE", "TRACE", "PATCH"]), THREE),
    "what is no gzip": lambda r: post(THREE, GOOD, "Content-Encoding: gzip"),
    "cut gzip": lambda r: post(THREE, gzip.compress(GOOD)[:-9], "Content-Encoding: gzip"),
    "a bomb of gzip": lambda r: post(THREE, gzip.compress(b"[" * 4_000_000, 1), "Content-Encoding: gzip"),
    "chunks of no size": lambda r: chunked(THREE, GOOD, size=r.choice(["-1", "0x5", "g", "fffffffffffffffff"])),
    "two lengths": lambda r: request("POST", THREE, GOOD, "Content-Length: 2", f"Content-Length: {len(GOOD)}"),
    "length and chunks": lambda r: request("POST", THREE, b"0\r\n\r\n", "Content-Length: 5", "Transfer-Encoding: chunked"),
    "bytes that are no request": lambda r: r.randbytes(r.randrange(1, 300)) + b"\r\n\r\n",
    "a TLS hello": lambda r: b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + r.randbytes(64) + b"\r\n\r\n",
    "HTTP/2": lambda r: b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0" * 20,
    "a long URL": lambda r: request("GET", "/" + "a" * 100_000),
    "a long head": lambda r: request("GET", "/", b"", "X: " + "a" * 200_000),
    "folded fields": lambda r: request("GET", "/", b"", "X: a\r\n b"),
    "V2 shapes that lie": lambda r: post(V2, tensor(shape=r.choice([[2, 4], [-1, 4], [4, 1], [2**40, 2**40]]))),
    "V2 unknown datatypes": lambda r: post(V2, tensor(datatype=r.choice(["FP33", "", "INT64", None, 7]))),
    "V2 broken JSON": lambda r: post(V2, json.dumps(tensor()).encode()[: -r.randrange(1, 50)]),
    "V2 ragged data": lambda r: post(V2, tensor(data=[[1, 2, 3], [4]])),
    "V2 sizes that lie": lambda r: v2_bytes(r.choice([0, 8, 15, 17, 2**31, -1]), b"\0" * 16),
    "V2 heads that lie": lambda r: post(V2, tensor(), f"Inference-Header-Content-Length: {r.choice([0, 7, 10**9, -1])}"),
    "V2 unknown models": lambda r: post(f"/v2/models/nobody{r.random()}/infer", tensor()),
}  # fmt: skip
"""Requests that must be refused."""

ODD: dict[str, Callable[[Random], bytes]] = {
    "a large body": lambda r: post(THREE, large(b"[1, 2, 3, 4]")),
    "a large body that ends with no number": lambda r: post(THREE, large(b"[1, 2, 3, NaN]")),
    "a large body of V2": lambda r: post(V2, tensor(shape=[50_000, 4], data=[0.5] * 200_000)),
    "a large answer": lambda r: post("/v1/models/mixed:predict", {"signature_name": "s", "instances": ["é" * 1000] * 1000}),
    "rows": lambda r: post(THREE, {"instances": [[1, 2, 3, r.random()]] * r.choice([1, 10, 1000])}),
    "not UTF-8": lambda r: post("/v1/models/mixed:predict", b'{"signature_name": "s", "instances": ["\xff"]}'),
    "numbers that are none": lambda r: post(THREE, b'{"instances": [[NaN, Infinity, -Infinity, 1e999]]}'),
    "gzip": lambda r: post(THREE, gzip.compress(GOOD), "Content-Encoding: gzip"),
    "gzip of several members": lambda r: post(THREE, gzip.compress(GOOD[:9]) + gzip.compress(GOOD[9:]), "Content-Encoding: gzip"),
    "V2": lambda r: post(V2, tensor()),
    "V2 bytes": lambda r: v2_bytes(16, b"\0" * 16),
    "trailers": lambda r: chunked(THREE, GOOD, "Content-Encoding: gzip", "X-Request-Timeout: 0", "X: " + "a" * 100),
    "extensions of chunks": lambda r: chunked(THREE, GOOD, extension=";" + "a" * 200),
    "one body in many chunks": lambda r: in_chunks(THREE, GOOD),
    "Expect": lambda r: post(THREE, GOOD, "Expect: 100-continue"),
    "an upgrade": lambda r: request("GET", "/livez", b"", "Upgrade: websocket", "Connection: upgrade"),
    "an upgrade with a body": lambda r: post(THREE, GOOD, "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__"),
    "many upgrades": lambda r: kept("GET", "/livez", b"", "Upgrade: x", "Connection: upgrade") * 40 + request("GET", "/livez"),
    "a pipeline": lambda r: (kept("GET", "/livez") + kept("POST", THREE, GOOD)) * 5 + request("GET", "/livez"),
    "HEAD": lambda r: request("HEAD", r.choice(["/", "/livez", "/v1/models/three_out", "/metrics"])),
    "OPTIONS": lambda r: request("OPTIONS", r.choice(["*", "/", THREE])),
    "HTTP/1.0": lambda r: request("GET", "/livez").replace(b"HTTP/1.1", b"HTTP/1.0"),
    "no Host": lambda r: request("GET", "/livez").replace(b"Host: x\r\n", b""),
    "two Hosts": lambda r: request("GET", "/livez", b"", "Host: y"),
    "absolute URL": lambda r: request("GET", "http://x/livez"),
    "blank lines first": lambda r: b"\r\n" * 10 + request("GET", "/livez"),
    "a time limit": lambda r: post(THREE, GOOD, f"X-Request-Timeout: {r.choice(['-1', 'nan', '1e-9', 'x'])}"),
    "another content type": lambda r: post(THREE, b"a=b", "Content-Type: application/x-www-form-urlencoded"),
    "an unknown coding": lambda r: post(THREE, GOOD, "Content-Encoding: br"),
    "a byte order mark": lambda r: post(THREE, b"\xef\xbb\xbf" + GOOD),
    "keys twice": lambda r: post(THREE, b'{"instances": [], "instances": [[1, 2, 3, 4]]}'),
    "zero rows": lambda r: post(THREE, {"instances": []}),
    "a query": lambda r: post(THREE + "?a=b", GOOD),
    "escapes in the path": lambda r: post("/v1/models/three%5Fout%3Apredict", GOOD),
    "an initialiser as signature": lambda r: post(THREE, {**ROWS, "signature_name": "__saved_model_init_op"}),
}  # fmt: skip
"""Requests that one server may answer and another refuse."""

UNFINISHED: dict[str, Callable[[Random], bytes]] = {
    "half a head": lambda r: post(THREE, GOOD)[: r.randrange(1, 60)],
    "half a body": lambda r: post(THREE, GOOD)[: -r.randrange(1, 10)],
    "half a chunk": lambda r: request("POST", THREE, b"ff\r\n" + GOOD, "Transfer-Encoding: chunked"),
    "half a large body": lambda r: request("POST", THREE, b"[" * 1_000_000, "Content-Length: 60000000"),
    "half a trailer": lambda r: chunked(THREE, GOOD, "X: y")[:-3],
    "a drip of line ends": lambda r: b"\r\n" * 50,
    "nothing": lambda r: b"",
}
"""Requests of which the server waits for more, while their sender goes away."""


def v2_bytes(said: int, content: bytes) -> bytes:
    parameters = {"binary_data_size": said}
    line = {"name": "x", "datatype": "FP32", "shape": [1, 4], "parameters": parameters}
    head = json.dumps({"inputs": [line]}).encode()
    return post(V2, head + content, f"Inference-Header-Content-Length: {len(head)}")


def whole(connection: socket.socket, data: bytes, _: Random) -> bytes:
    connection.sendall(data)
    return read(connection)


def piece_by_piece(connection: socket.socket, data: bytes, random: Random) -> bytes:
    """Send bytes in up to six pieces, a few milliseconds apart."""
    cuts = sorted(random.randrange(len(data) + 1) for _ in range(5))
    for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True):
        connection.sendall(data[start:end])
        time.sleep(random.random() * 0.02)
    return read(connection)


def half_closed(connection: socket.socket, data: bytes, _: Random) -> bytes:
    connection.sendall(data)
    connection.shutdown(socket.SHUT_WR)
    return read(connection)


def cut_off(connection: socket.socket, data: bytes, random: Random) -> None:
    connection.sendall(data[: random.randrange(len(data) + 1)])


def left_unread(connection: socket.socket, data: bytes, random: Random) -> None:
    connection.sendall(data)
    time.sleep(random.random() * 0.05)


def reset(connection: socket.socket, data: bytes, random: Random) -> None:
    """Close a socket so that the other end sees ECONNRESET instead of the end of the stream."""
    left_unread(connection, data, random)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


Manner = Callable[[socket.socket, bytes, Random], bytes | None]
ANSWERED: tuple[Manner, ...] = (whole, piece_by_piece, half_closed)
LEFT: tuple[Manner, ...] = (cut_off, left_unread, reset)


def read(connection: socket.socket) -> bytes:
    """Read to the end; a peer that has refused the rest may reset the connection behind its answer."""
    received = b""
    with suppress(ConnectionResetError):
        while piece := connection.recv(1 << 16):
            received += piece
    return received


def send(url: str, data: bytes, manner: Manner, random: Random) -> bytes | None:
    """The bytes that came back, or None when they were not waited for."""
    place = urlsplit(url)
    with socket.create_connection((place.hostname, place.port), timeout=DEADLINE_S) as connection:
        try:
            return manner(connection, data, random)
        except (BrokenPipeError, ConnectionResetError):  # it was refused before all of it was sent
            return b""


def statuses(received: bytes) -> list[int]:
    """The status of the first answer, and 100 before it."""
    found = []
    while received.startswith(b"HTTP/"):
        found.append(int(received[9:12]))
        if found[-1] != 100:
            break
        received = received.partition(b"\r\n\r\n")[2]
    return found


class Caller:
    """Sends everything to the places. For one thread."""

    def __init__(self, places: list[Place]) -> None:
        self._places = places
        self._channels = {place.name: grpc.insecure_channel(place.address) for place in places}

    def close(self) -> None:
        for channel in self._channels.values():
            channel.close()

    def kinds(self) -> list[tuple[str, Callable[[Random], None]]]:
        """Everything that this caller can send, by name."""
        found: list[tuple[str, Callable[[Random], None]]] = []
        for place in self._places:
            for payloads, manners in ((BAD, ANSWERED), (ODD, ANSWERED), (UNFINISHED, LEFT), (BAD | ODD, LEFT)):
                refused = payloads is BAD
                found += [
                    (f"{place.name}: {name}", sending(place, make, manners, refused)) for name, make in payloads.items()
                ]
            channel = self._channels[place.name]
            found += [(f"{place.name}: gRPC, {name}", calling(place, channel, call)) for name, call in CALLS.items()]
            found.append((f"{place.name}: gRPC's port, other bytes", knocking(place)))
        return found


def sending(
    place: Place, make: Callable[[Random], bytes], manners: tuple[Manner, ...], refused: bool
) -> Callable[[Random], None]:
    def call(random: Random) -> None:
        manner = random.choice(manners)
        data = make(random)
        received = send(place.url, data, manner, random)
        if received:
            *_, status = statuses(received) or [0]
            told = f"{manner.__name__} {data[:200]!r}: {received[:300]!r}"
            excused = status in (501, 504, 505) or (status == 503 and place.name == "remote")  # see good.eventually
            assert 400 <= status < 500 or excused or (status == 200 and not refused), told

    return call


def knocking(place: Place) -> Callable[[Random], None]:
    """Send whatever is no gRPC to the gRPC port."""

    def knock(random: Random) -> None:
        data = random.choice(
            [BAD["bytes that are no request"](random), b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + random.randbytes(50)]
        )
        send(f"http://{place.address}", data, random.choice(LEFT), random)  # fmt: skip

    return knock


def predict(model: str = "three_out", signature: str = "", **inputs: np.ndarray) -> bytes:
    message = predict_pb2.PredictRequest()
    message.model_spec.name, message.model_spec.signature_name = model, signature
    for name, array in inputs.items():
        message.inputs[name].CopyFrom(to_proto(array))
    return message.SerializeToString()


def repeated_string(random: Random) -> bytes:
    """A request whose one string of 10 kB stands for a thousand rows."""
    message = predict_pb2.PredictRequest()
    message.model_spec.name, message.model_spec.signature_name = "mixed", "s"
    tensor = message.inputs["s"]
    tensor.dtype = 7
    tensor.tensor_shape.dim.add().size = random.choice([1000, 2**40])
    tensor.string_val.append(b"a" * 10_000)
    return message.SerializeToString()


PREDICT, INFER = "tensorflow.serving.PredictionService/Predict", "inference.GRPCInferenceService/ModelInfer"
CALLS: dict[str, Callable[[Random], tuple[str, bytes]]] = {
    "random bytes": lambda r: (r.choice([PREDICT, INFER]), r.randbytes(r.randrange(200))),
    "unknown services": lambda r: (f"nobody{r.random()}/Predict", b""),
    "unknown methods": lambda r: (f"tensorflow.serving.PredictionService/Nobody{r.random()}", b""),
    "unknown models": lambda r: (PREDICT, predict(f"nobody{r.random()}")),
    "unknown signatures": lambda r: (PREDICT, predict(signature=f"nobody{r.random()}", x=np.zeros((1, 4), np.float32))),
    "wrong shapes": lambda r: (PREDICT, predict(x=np.zeros((r.randrange(4), r.randrange(4)), np.float32))),
    "wrong dtypes": lambda r: (PREDICT, predict(x=np.zeros((1, 4), np.int64))),
    "other inputs": lambda r: (PREDICT, predict(y=np.zeros((1, 4), np.float32))),
    "a string for many rows": lambda r: (PREDICT, repeated_string(r)),
    "an initialiser": lambda r: (PREDICT, predict(signature="__saved_model_init_op")),
}
TOLD = {
    "OK",
    "CANCELLED",
    "DEADLINE_EXCEEDED",
    "FAILED_PRECONDITION",
    "INVALID_ARGUMENT",
    "NOT_FOUND",
    "RESOURCE_EXHAUSTED",
    "UNIMPLEMENTED",
}
"""gRPC codes that put the fault where it is: with the caller, or with the load."""


def calling(
    place: Place, channel: grpc.Channel, call: Callable[[Random], tuple[str, bytes]]
) -> Callable[[Random], None]:
    def invoke(random: Random) -> None:
        method, content = call(random)
        rpc: Any = channel.unary_unary(f"/{method}", request_serializer=bytes, response_deserializer=bytes)
        timeout_s = random.choice([DEADLINE_S, DEADLINE_S, 0.001])
        future = rpc.future(content, timeout=timeout_s, wait_for_ready=True)
        if random.random() < 0.2:
            future.cancel()
        try:
            code, text = future.code().name, future.details() or ""
        except grpc.FutureCancelledError:
            code, text = "CANCELLED", ""
        unreadable = code == "INTERNAL" and "cannot be read" in text  # as TensorFlow Serving says it
        excused = code == "UNAVAILABLE" and place.name == "remote"  # see good.eventually
        assert code in TOLD or unreadable or excused, f"{method} {content[:200]!r}: {code}, {text}"
        assert code != "DEADLINE_EXCEEDED" or timeout_s < 1, f"{method}: no answer"

    return invoke
