"""What the three clients have in common: one set of methods, with one meaning."""

import asyncio
import inspect
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from signet.clients.client.grpc_client import GrpcClient
from signet.clients.client.http_client import AsyncClient, Client
from signet.clients.client.infer_messages import BINARY_FROM_BYTES
from signet.serving.errors import InvalidInput, NotFound, ServingError, Unavailable
from tests.answers import assert_close

METHODS = ("predict", "predict_frame", "describe", "signature", "models", "wait_ready", "close")


class Waiting:
    """An AsyncClient whose methods wait, so that one test serves all clients."""

    def __init__(self, url: str) -> None:
        self._runner = asyncio.Runner()
        self._client = AsyncClient(url)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._client, name)
        return lambda *arguments, **options: self._runner.run(method(*arguments, **options))

    def __enter__(self) -> "Waiting":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
        self._runner.close()


@pytest.fixture(params=["Client", "AsyncClient", "GrpcClient"])
def client(request, embedded_gateway) -> Iterator[Any]:
    url, address = embedded_gateway
    makes = {"Client": Client, "AsyncClient": Waiting, "GrpcClient": GrpcClient}
    with makes[request.param](address if request.param == "GrpcClient" else url) as made:
        yield made


@pytest.mark.parametrize("method", METHODS)
def test_the_methods_take_the_same(method):
    first, *others = (
        [(p.name, p.kind, p.default, p.annotation) for p in inspect.signature(getattr(cls, method)).parameters.values()]
        for cls in (Client, AsyncClient, GrpcClient)
    )
    assert all(other == first for other in others)


def test_outputs_by_name(client):
    outputs = client.predict("three_out", {"x": [[1, 2, 3, 4]]})
    assert {name: (array.shape, array.dtype) for name, array in outputs.items()} == {
        "p": ((1, 3), np.float32),
        "q": ((1, 1), np.float32),
        "r": ((1, 2), np.float32),
    }
    np.testing.assert_allclose(outputs["p"][0], [0.04161947, 0.0059305714, 0.95245], rtol=1e-5)


@pytest.mark.parametrize("rows", [1, 1000])
def test_some_of_the_outputs(client, rows):
    x = np.ones((rows, 4), np.float32)
    everything = client.predict("three_out", {"x": x})
    for wanted in (["r"], ["p", "r"], ["p", "q", "r"]):
        outputs = client.predict("three_out", {"x": x}, outputs=wanted)
        assert sorted(outputs) == wanted
        for name in wanted:
            np.testing.assert_allclose(outputs[name], everything[name], rtol=1e-6)
    with pytest.raises(InvalidInput, match=re.escape("has no output 'rr' (did you mean 'r'?); it has 'p', 'q', 'r'")):
        client.predict("three_out", {"x": x}, outputs=["rr"])


def test_large_arrays_and_answers(client):
    x = np.random.default_rng(0).random((BINARY_FROM_BYTES, 3)).astype(np.float32)
    outputs = client.predict("mixed", {"x": x})
    assert outputs["y"].shape == x.shape
    outputs["y"][0] = 0  # whoever gets an array may write to it


@pytest.mark.parametrize("signature", ["hf", "bf"])
def test_dtypes_that_json_has_not(client, signature):
    array = client.predict("mixed", {"x": [1, 2.5]}, signature=signature)["y"]
    assert array.dtype == client.signature("mixed", signature).outputs["y"].dtype.numpy


@pytest.mark.parametrize("repeat", [1, BINARY_FROM_BYTES])
def test_strings_bytes_and_files(client, tmp_path, repeat):
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\r\n" * repeat)
    outputs = client.predict("mixed", {"s": ["é", b"\xff\x00", tmp_path / "picture.png"]}, signature="s")
    assert outputs["echo_bytes"].tolist() == ["é".encode(), b"\xff\x00", b"\x89PNG\r\n" * repeat]
    with pytest.raises(InvalidInput, match=r"input 's': .*nothing.png cannot be read: No such file"):
        client.predict("mixed", {"s": [tmp_path / "nothing.png"]}, signature="s")
    with pytest.raises(InvalidInput, match="input 'x' holds the path of a file; the model takes float"):
        client.predict("mixed", {"x": [tmp_path / "picture.png"]})


@pytest.mark.parametrize(
    ("options", "cls", "problem"),
    [
        ({"version": 9}, NotFound, "9"),
        ({"label": "canary"}, ServingError, "canary"),
        ({"version": 1, "label": "stable"}, InvalidInput, "both version 1 and label 'stable' are given"),
        ({"signature": "serv"}, ServingError, "has no signature 'serv' (did you mean 'serve'?)"),
    ],
)
def test_mistakes_are_named(client, options, cls, problem):
    with pytest.raises(cls, match=re.escape(problem)):
        client.predict("two_in", {"a": [[1, 2, 3]], "b": [[1, 2]]}, **options)


def test_models_and_signatures(client):
    served = {model.name: model for model in client.models()}
    assert sorted(served) == ["clsreg", "mixed", "mlp", "three_out", "two_in"]
    two_in = served["two_in"]
    assert two_in.versions == (1,)
    for signature in (two_in.signatures["serving_default"], client.signature("two_in")):
        assert [str(spec) for spec in signature.inputs.values()] == ["a: float (None, 3)", "b: float (None, 2)"]
    assert client.describe("two_in", version=1).number == 1


def test_waiting_for_all_models_or_for_one(client):
    client.wait_ready()
    client.wait_ready(10, model="two_in")
    with pytest.raises(Unavailable, match=r"is not ready after 0\.5 s: .*nope"):
        client.wait_ready(0.5, model="nope")


def test_labels_are_followed(changing):
    def stands_for(version: int) -> None:
        aside = changing.folder / "labels.aside"
        aside.write_text(json.dumps({"stable": version}))
        aside.rename(changing.folder / "labels.json")

    inputs = {"x": [[1, 2, 3, 4]]}
    stands_for(1)
    with Client(changing.url) as http, GrpcClient(changing.grpc) as grpc, Waiting(changing.url) as asynchronous:
        clients = (http, grpc, asynchronous)
        for client in clients:
            assert client.describe("m", label="stable").number == 1
            assert client.predict("m", inputs, label="stable").keys() == {"p", "q", "r"}
            large = {"x": np.ones((2000, 4), np.float32)}
            assert client.predict("m", large, label="stable")["p"].shape == (2000, 3)
        changing.put(2, "mixed")
        stands_for(2)
        for client in clients:
            assert client.predict("m", inputs, label="stable").keys() == {"y"}


# Tables

NUMBERS = [[1.0, 2.0, 3.0, 4.0], [0.0, 0.0, 0.0, 0.0], [4.0, 3.0, 2.0, 1.0]]


def frames(column: str, values: list[Any]) -> list[Any]:
    ids = list(range(len(values)))
    return [
        pd.DataFrame({"id": ids, column: values}, index=[f"row {i}" for i in ids]),
        pl.DataFrame({"id": ids, column: values}),
        pa.table({"id": ids, column: values}),
        pa.RecordBatch.from_pydict({"id": ids, column: values}),
    ]


def cells(frame: Any, column: str) -> list[Any]:
    values = frame[column]
    return list(values.to_pylist() if hasattr(values, "to_pylist") else values.to_list())


@pytest.mark.parametrize("rows", [1, 2, 1024])
def test_frames_give_frames_of_the_same_kind(client, rows):
    expected = client.predict("three_out", {"x": NUMBERS})
    for frame in frames("x", NUMBERS):
        answer = client.predict_frame("three_out", frame, rows=rows, outputs=["p", "q"])
        assert type(answer) is type(frame)
        assert_close(cells(answer, "p"), expected["p"])
        assert_close(cells(answer, "q"), expected["q"][:, 0])
    assert list(client.predict_frame("three_out", frames("x", NUMBERS)[0]).index) == ["row 0", "row 1", "row 2"]


def test_frames_of_texts_and_of_arrays(client):
    for frame in frames("s", ["é", "", "abc"]):
        answer = client.predict_frame("mixed", frame, signature="s")
        assert cells(answer, "echo") == ["é", "", "abc"]
    arrays = pd.DataFrame({"x": [np.float32(row) for row in NUMBERS]})
    np.testing.assert_allclose(
        np.stack(client.predict_frame("three_out", arrays)["p"]),
        client.predict("three_out", {"x": NUMBERS})["p"],
        rtol=1e-5,
    )


def test_frames_of_single_numbers(client):
    for frame in frames("x", [1.0, 2.0]):
        answer = client.predict_frame("mixed", frame, signature="d1")
        assert len(answer) == 2


def test_frames_that_do_not_fit_are_explained(client):
    for frame in frames("y", NUMBERS):
        with pytest.raises(InvalidInput, match="missing input 'x'; unknown inputs 'id', 'y'"):
            client.predict_frame("three_out", frame)
    for value in ([1, 2], {"x": [1]}, np.ones(3)):
        with pytest.raises(InvalidInput, match="expected a DataFrame of pandas or polars, or a Table of pyarrow"):
            client.predict_frame("three_out", value)
    with pytest.raises(InvalidInput, match="input 'x' has rows of different lengths"):
        client.predict_frame("three_out", pd.DataFrame({"x": [np.ones(4), np.ones(3)]}))
