"""The code that the page shows for a call is run, as it stands, and answers what the page was answered.

calls ──javascript/codes.js──▶ code in each language ──sh, python, tsc and node, grpcurl──▶ answers == predict's

Each call's code lies in a folder of its own, with the files that it reads.
"""

import base64
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import httpx
import numpy as np
import pytest

from signet.serving.gateway.access import key_file, tokens
from signet.serving.tensors.arrays import from_proto
from signet.serving.tensors.protos import tensor_pb2
from tests import programs, servers
from tests.serving.gateway.page.test_literals import HERE
from tests.serving.grpc_dialect.test_service_descriptors import Reflected
from tests.third_party import environment

TEXT = "it's \"so\"\n\t$HOME `id` \\ %s \u2028\u202e 😀👩‍👩‍👧 ü日本 </script> ''"
NOISE = base64.b64encode(bytes(range(256)) * 4).decode()
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(1000)).decode()
NODE_TYPES = """
declare const process: { env: Record<string, string | undefined> };
declare module "node:fs/promises" { export function readFile(name: string, encoding: string): Promise<string>; }
"""


SAYS_VERSION = {
    "curl": "/versions/2:predict",
    "python": "version=2",
    "typescript": "/versions/2:predict",
    "grpcPython": "version=2",
    "grpcurl": '"version": 2',
}


@dataclass
class Asked:
    """A call: the page's request, and the answer to it."""

    call: dict[str, Any]
    answer: Any = None

    def one(self, outputs: dict[str, Any]) -> dict[str, Any]:
        """Of whole columns, such as clients give, what is answered to the one row."""
        return {name: values[0] for name, values in outputs.items()} if self.call["signature"]["in_rows"] else outputs


CALLS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "text": ("mixed", "s", {"s": TEXT}),
    "empty text": ("mixed", "s", {"s": ""}),
    "long text": ("mixed", "s", {"s": TEXT * 100}),
    "bytes": ("mixed", "s", {"s": {"b64": "/wBB"}}),
    "many bytes": ("mixed", "s", {"s": {"b64": NOISE}}),
    "picture": ("mixed", "s", {"s": {"b64": PNG}}),
    "boolean": ("mixed", "b", {"b": True}),
    "whole number": ("mixed", "i64", {"i": -(2**53)}),
    "small whole number": ("mixed", "u8", {"i": 1, "x": 200}),
    "number": ("mixed", "d1", {"x": 0.1}),
    "half": ("mixed", "hf", {"x": 1.5}),
    "bfloat16": ("mixed", "bf", {"x": -2.75}),
    "not finite": ("mixed", "serving_default", {"x": ["NaN", "Infinity", -0.5]}),
    "many numbers": ("mixed", "serving_default", {"x": [place / 7 for place in range(3000)]}),
    "two inputs": ("two_in", "serving_default", {"a": [1, 2.5, -3], "b": [1e-7, 1e21]}),
    "three outputs": ("three_out", "serve", {"x": [1, 2, 3, 4]}),
    "columns": ("mixed", "rank0out", {"x": [[1, 2], [3, 4]]}),
    "scalar": ("mixed", "scalar", {"x": 2.5}),
}


def called(
    url: str, address: str, key: str, model: str, signature: str, row: dict[str, Any], version: int | None = None
) -> Asked:
    """The call as the page makes it."""
    headers = {"X-API-Key": key} if key else {}
    card = httpx.get(f"{url}/v1/models/{model}/card", headers=headers, timeout=60).json()
    described = next(each for each in card["signatures"] if each["name"] == signature)
    row = {tensor["name"]: row[tensor["name"]] for tensor in described["inputs"]}
    call = {"page": f"{url}/", "grpc": address, "keys": bool(key), "model": model, "version": version}
    return Asked({**call, "signature": described, "row": row})


class Codes:
    """The code of calls, written to folders, and how each language's is run."""

    def __init__(self, calls: dict[str, Asked], folder: Path, key: str) -> None:
        programs.need("node")
        listed = json.dumps([asked.call for asked in calls.values()])
        script = HERE / "codes.js"
        done = subprocess.run(["node", script], input=listed.encode(), capture_output=True, check=True)
        self.calls, self.folder, self.key = calls, folder, key
        self.codes = dict(zip(calls, json.loads(done.stdout), strict=True))
        for name, asked in calls.items():
            headers = {"X-API-Key": key, "Content-Type": "application/json"}
            path, body = (self.codes[name][part] for part in ("path", "body"))
            answer = httpx.post(asked.call["page"] + path, content=body, headers=headers, timeout=60)
            assert answer.status_code == 200, answer.text
            asked.answer = first(answer.json())

    def write(self, language: str, file: str) -> list[Path]:
        """The folder of each call, with its code in a file of this name."""
        folders = []
        for name in self.calls:
            code = self.codes[name][language]
            folder = self.folder / language / name.replace(" ", "-")
            folder.mkdir(parents=True)
            (folder / file).write_text(code["text"])
            for needed in code["files"]:
                content = needed["content"].encode()
                (folder / needed["name"]).write_bytes(
                    base64.b64decode(content) if needed["holds"] == "bytes" else content
                )
            folders.append(folder)
        return folders

    def run(self, *command: str | Path, cwd: Path | None = None, **variables: str) -> str:
        """What the program prints; it has the key."""
        given = {**os.environ, "SIGNET_KEY": self.key, **variables}
        done = subprocess.run(command, cwd=cwd or self.folder, env=given, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def check(self, answers: list[Any]) -> None:
        for (name, asked), answer in zip(self.calls.items(), answers, strict=True):
            assert answer.keys() == asked.answer.keys(), name
            for output, value in answer.items():
                assert equal(value, asked.answer[output]), (name, output, value, asked.answer[output])


def equal(a: Any, b: Any) -> bool:
    """Whether two outputs are the same, as far as float32 can, and however bytes and infinity are written."""
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(equal, a, b))
    a, b = plain(a), plain(b)
    if isinstance(a, float) and isinstance(b, float):
        return bool(np.isclose(a, b, rtol=1e-6, atol=0, equal_nan=True))
    return type(a) is type(b) and bool(a == b)


def plain(value: Any) -> Any:
    if isinstance(value, dict):
        value = base64.b64decode(value["b64"])
    if isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if value in ("NaN", "Infinity", "-Infinity"):
        return float(value)
    return value.encode() if isinstance(value, str) else value


ALL_PYTHON = """
import contextlib, io, json, os, runpy, sys
from base64 import b64encode

def listed(value):
    if isinstance(value, list):
        return [listed(each) for each in value]
    return {"b64": b64encode(value).decode()} if isinstance(value, bytes) else value

answers = []
for folder in sys.argv[1:]:
    os.chdir(folder)
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        told = runpy.run_path("code.py")
    assert all(name in said.getvalue() for name in told["outputs"])
    answers.append({name: listed(array.tolist()) for name, array in told["outputs"].items()})
print(json.dumps(answers))
"""

ALL_NODE = """
const answers = [];
for (const folder of process.argv.slice(2)) {
  process.chdir(folder);
  const said = [];
  const log = console.log;
  console.log = (value) => said.push(value);
  await import(`${folder}/code.js`);
  console.log = log;
  if (said.length !== 1) throw new Error(`${folder} printed ${said.length} times`);
  answers.push(said[0]);
}
console.log(JSON.stringify(answers));
"""

GRPCURL = """#!/bin/sh
# Notes what it is called with; the test makes the call.
printf '%s\\0' "$@" > arguments
for last in "$@"; do [ "$last" = @ ] && cat > stdin; done; :
"""


@pytest.fixture(scope="module")
def keyed_gateway(tmp_path_factory) -> Iterator[tuple[str, str, str]]:
    """A gateway that asks for a key, with a second version of a model: its URL, its gRPC address, and a key."""
    folder = tmp_path_factory.mktemp("keyed")
    shutil.copytree(servers.GOLDEN_MODELS / "mixed" / "1", folder / "models" / "mixed" / "2")
    created = tokens.create()
    key_file.add(folder / "keys", created, name="page", models="*")
    with servers.gateway("--models-dir", folder / "models", "--keys", folder / "keys") as (url, running):
        yield url, servers.grpc_address(running), created.token


@pytest.fixture(scope="module")
def codes(embedded_gateway, keyed_gateway, tmp_path_factory) -> Codes:
    url, address = embedded_gateway
    keyed_url, keyed_address, key = keyed_gateway
    asked = {name: called(url, address, "", *call) for name, call in CALLS.items()}
    text = "mixed", "s", {"s": TEXT}
    asked["with a key"] = called(keyed_url, keyed_address, key, *text)
    asked["of a version"] = called(keyed_url, keyed_address, key, *text, version=2)
    asked["file and key"] = called(keyed_url, keyed_address, key, "mixed", "s", {"s": {"b64": PNG}})
    return Codes(asked, tmp_path_factory.mktemp("codes"), key)


def test_curl(codes):
    programs.need("curl")
    folders = codes.write("curl", "code.sh")
    codes.check([first(json.loads(codes.run("sh", "-e", "code.sh", cwd=folder))) for folder in folders])


def first(answer: Any) -> Any:
    assert "error" not in answer, answer
    return answer["predictions"][0] if "predictions" in answer else answer["outputs"]


@pytest.mark.parametrize("language", ["python", "grpcPython"])
def test_python(codes, language):
    folders = codes.write(language, "code.py")
    answers = json.loads(codes.run(sys.executable, "-c", ALL_PYTHON, *folders))
    codes.check([asked.one(answer) for asked, answer in zip(codes.calls.values(), answers, strict=True)])


def test_typescript(codes):
    folders = codes.write("typescript", "code.ts")
    top = codes.folder / "typescript"
    (top / "package.json").write_text('{"type": "module"}')
    (top / "node.d.ts").write_text(NODE_TYPES)
    (top / "all.js").write_text(ALL_NODE)
    tsc = environment.node("typescript") / "node_modules" / ".bin" / "tsc"
    options = ("--strict", "--target", "es2022", "--module", "nodenext", "--lib", "es2022,dom", "--skipLibCheck")
    codes.run(tsc, *options, *(folder / "code.ts" for folder in folders), "node.d.ts", cwd=top)
    codes.check(json.loads(codes.run("node", top / "all.js", *folders)))


def test_grpcurl(codes):
    """By what the command line asks of grpcurl, which is no package of Debian's: the test calls in its place."""
    bin_ = codes.folder / "bin"
    bin_.mkdir()
    (bin_ / "grpcurl").write_text(GRPCURL)
    (bin_ / "grpcurl").chmod(0o755)
    answers = []
    for folder, asked in zip(codes.write("grpcurl", "code.sh"), codes.calls.values(), strict=True):
        codes.run("sh", "-e", "code.sh", cwd=folder, PATH=f"{bin_}:{os.environ['PATH']}")
        plaintext, *options, address, method = (folder / "arguments").read_text().split("\0")[:-1]
        assert plaintext == "-plaintext"
        assert options[:-2] == (["-H", f"X-API-Key: {codes.key}"] if asked.call["keys"] else [])
        flag, message = options[-2:]
        assert flag == "-d"
        text = (folder / "stdin").read_text() if message == "@" else message
        outputs = answered_by_grpc(address, codes.key, method, json.loads(text))
        answers.append(asked.one({name: with_base64(array.tolist()) for name, array in outputs.items()}))
    codes.check(answers)


def answered_by_grpc(address: str, key: str, method: str, message: Any) -> dict[str, Any]:
    """The outputs that a method answers, of which only reflection tells; asked with the key."""
    service, _, name = method.rpartition("/")
    with grpc.insecure_channel(address) as channel:
        reflected = Reflected(grpc.intercept_channel(channel, WithKey(key)))
        (described,) = [each for each in reflected.methods(service) if each.name == name]
        answer = reflected.call(described, message)
    return {
        name: from_proto(tensor_pb2.TensorProto.FromString(tensor.SerializeToString()))
        for name, tensor in answer.outputs.items()
    }


class WithKey(grpc.UnaryUnaryClientInterceptor, grpc.StreamStreamClientInterceptor):  # type: ignore[misc]
    """Shows the key with every call."""

    def __init__(self, key: str) -> None:
        self._metadata = (("x-api-key", key),)

    def intercept_unary_unary(self, go: Any, details: Any, request: Any) -> Any:
        return go(details._replace(metadata=self._metadata), request)

    def intercept_stream_stream(self, go: Any, details: Any, requests: Any) -> Any:
        return go(details._replace(metadata=self._metadata), requests)


def with_base64(value: Any) -> Any:
    if isinstance(value, list):
        return list(map(with_base64, value))
    return {"b64": base64.b64encode(value).decode()} if isinstance(value, bytes) else value


def test_the_key_stands_in_no_code_and_is_asked_for(codes):
    assert codes.key not in json.dumps(codes.codes)
    for language in ("curl", "python", "typescript", "grpcPython", "grpcurl"):
        assert "SIGNET_KEY" in codes.codes["with a key"][language]["text"]
        assert "SIGNET_KEY" not in codes.codes["text"][language]["text"]


def test_a_version_that_was_picked_is_asked_for(codes):
    for language, said in SAYS_VERSION.items():
        assert said in codes.codes["of a version"][language]["text"]
        assert said not in codes.codes["with a key"][language]["text"]
