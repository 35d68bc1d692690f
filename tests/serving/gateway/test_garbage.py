"""A program behind the gateway that is no model server, or answers as none does: 502 with a sentence, and nothing else."""

import asyncio
import logging
import socket
import threading

import grpc
import numpy as np
import pytest

from signet.clients.client import http_messages
from signet.serving.errors import BadGateway, InvalidInput, NotFound, Overloaded, ServingError, Unavailable
from signet.serving.gateway.backends import remote_answers
from signet.serving.gateway.backends.addresses import Address
from signet.serving.gateway.backends.label_cache import MOST, LabelCache
from tests.serving.gateway.other_program import ROWS, broken, gateway_at, metadata, predicted, program, status

SIGNATURE = remote_answers.signatures_of(metadata("serving_default"))[1]["serving_default"]


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (b"\xff\xfe\xfd garbage", "the answer is no tensorflow.serving.PredictResponse"),
        (b"", "the answer lacks output 'y'; its outputs: none"),
        (predicted(z=ROWS), "the answer lacks output 'y'; its outputs: 'z'"),
        (predicted(y=ROWS.astype(np.int64)), "output 'y' has type number 9; the signature says y: float (None, 2)"),
        (predicted(y=ROWS[0]), "output 'y' has shape (2,); the signature says y: float (None, 2)"),
        (predicted(y=ROWS[:, :1]), "output 'y' has shape (2, 1); the signature says y: float (None, 2)"),
        (broken(ROWS, tensor_content=b"\0" * 7), "output 'y' is no tensor: tensor_content has 7 bytes"),
        (broken(ROWS, dtype=101), "output 'y' has type number 101"),
    ],
)
def test_an_answer_that_is_none_is_502_with_a_sentence(answer, problem, caplog):
    async def run():
        async with program(Predict=answer) as (address, *_), gateway_at(address) as (ask, *_):
            got, body = await ask()
            assert got == 502
            assert body["error"].startswith(f"model server {address.target}: {problem}")

    caplog.set_level(logging.WARNING)
    asyncio.run(run())
    assert not caplog.records


def test_a_good_server_answers_in_the_place_of_one_that_gives_garbage():
    async def run():
        async with (
            program(Predict=b"\xff") as (bad, *_),
            program() as (good, *_),
            gateway_at(bad, good) as (ask, _, upstream),
        ):
            assert [(await ask())[0] for _ in range(8)] == [200] * 8
            assert [server.is_ejected() for server in upstream.servers] == [True, False]

    asyncio.run(run())


@pytest.mark.parametrize(
    "answer",
    [b"\xff\xfe", b"", status(-1), status(1, code=99), grpc.StatusCode.UNIMPLEMENTED],
)
def test_a_poll_that_is_answered_with_garbage_tells_nothing_and_is_made_again(answer, caplog):
    async def run():
        async with (
            program(GetModelStatus=answer) as (address, said, asked),
            gateway_at(address, poll_s=0.01) as (ask, backend, _),
        ):
            assert backend.missing() == ["m"]
            assert backend.last_statuses("m") == []
            assert (await ask())[0] == 503
            before = asked["GetModelStatus"]
            said["GetModelStatus"] = status(1)
            async with asyncio.timeout(30):
                while backend.missing():  # noqa: ASYNC110  # the poll tells nobody
                    await asyncio.sleep(0.01)
            assert asked["GetModelStatus"] > before
            assert (await ask())[0] == 200

    asyncio.run(run())
    assert not [record for record in caplog.records if record.exc_info]


@pytest.mark.parametrize(
    "answer",
    [b"\xff\xfe", b"", metadata(), metadata("serving_default", field="other")],
)
def test_signatures_that_are_garbage_leave_the_model_missing(answer, caplog):
    async def run():
        async with program(GetModelMetadata=answer) as (address, *_), gateway_at(address) as (ask, backend, _):
            assert backend.missing() == ["m"]
            assert (await ask())[0] in (502, 503)
            assert (await ask("/v1/models/m/versions/1:predict"))[0] == 502

    asyncio.run(run())
    assert not [record for record in caplog.records if record.exc_info]


@pytest.mark.parametrize("words", [b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", b"", b"\0" * 9, b"SSH-2.0-x\r\n"])
def test_another_protocol_on_the_port_is_said_in_a_sentence(words, caplog):
    """Without a sentence of the protocol there is nothing to read: the server does not answer, which is 503."""

    async def talk(_, writer):
        writer.write(words)
        await writer.drain()
        writer.close()

    async def run():
        server = await asyncio.start_server(talk, "127.0.0.1", 0, family=socket.AF_INET)
        async with server:
            port = server.sockets[0].getsockname()[1]
            async with gateway_at(Address(f"127.0.0.1:{port}")) as (ask, backend, _):
                got, body = await ask()
                assert got in (502, 503)
                assert "m" in body["error"]
                assert backend.missing() == ["m"]

    asyncio.run(run())
    assert not [record for record in caplog.records if record.exc_info]


def test_what_is_told_without_asking_is_what_the_last_poll_heard():
    async def run():
        async with program() as (address, said, asked), gateway_at(address) as (_, backend, upstream):
            before = dict(asked)
            assert [entry.version for entry in backend.last_statuses("m")] == [1]
            assert asked == before
            said["GetModelStatus"] = grpc.StatusCode.UNAVAILABLE
            with pytest.raises(Unavailable):
                await upstream.poll_status(upstream.servers[0], "m", 2.0)
            assert backend.last_statuses("m") == []

    asyncio.run(run())


# Labels


def test_labels_that_no_file_knows_cost_the_model_server_one_call_for_many_requests():
    async def run():
        async with program() as (address, said, asked), gateway_at(address) as (ask, *_):
            before = asked["GetModelMetadata"]
            path = "/v1/models/m/labels/stable:predict"
            assert {got for got, _ in await asyncio.gather(*(ask(path) for _ in range(40)))} == {200}
            assert {(await ask(path))[0] for _ in range(10)} == {200}
            assert asked["GetModelMetadata"] - before <= 2  # one, or another after a second
            said["GetModelMetadata"] = grpc.StatusCode.INVALID_ARGUMENT
            path = "/v1/models/m/labels/nobody:predict"
            before = asked["GetModelMetadata"]
            assert {got for got, _ in await asyncio.gather(*(ask(path) for _ in range(40)))} == {400}
            assert asked["GetModelMetadata"] - before <= 2

    asyncio.run(run())


def test_an_answer_about_a_label_holds_for_a_second_and_a_failed_question_for_none():
    async def run():
        now, asked, answers = 0.0, [], [3, None, Unavailable("away"), 4]

        async def ask(model, label):
            asked.append((model, label))
            answer = answers[len(asked) - 1]
            if isinstance(answer, ServingError):
                raise answer
            return answer

        cache = LabelCache(ask, lambda: now)
        assert await cache.version("m", "stable") == 3
        assert await cache.version("m", "stable") == 3
        now = 1.0
        assert await cache.version("m", "stable") is None
        now = 2.0
        with pytest.raises(Unavailable):
            await cache.version("m", "stable")
        assert await cache.version("m", "stable") == 4
        assert asked == [("m", "stable")] * 4

    asyncio.run(run())


def test_made_up_labels_are_asked_for_only_so_often():
    async def run():
        now, asked = 0.0, []

        async def ask(_, label):
            asked.append(label)

        cache = LabelCache(ask, lambda: now)
        for i in range(MOST):
            assert await cache.version("m", f"label{i}") is None
        for i in range(10):
            with pytest.raises(Overloaded, match="64 labels of model 'm'"):
                await cache.version("m", f"other{i}")
        assert await cache.version("m", "label0") is None
        assert len(asked) == MOST
        now = 1.5
        assert await cache.version("m", "other0") is None

    asyncio.run(run())


def test_502_is_an_error_of_the_client_too():
    error = http_messages.error_of(http_messages.Response(502, b'{"error": "the answer is no message"}'))
    assert isinstance(error, BadGateway)
    assert str(error) == "the answer is no message"
    assert not isinstance(error, InvalidInput | NotFound)


def test_a_large_answer_of_floats_is_read_in_a_thread(monkeypatch):
    """They are one copy of memory; a worker process would cost ten."""
    threads = []
    read = remote_answers._output

    def noted(spec, tensors):
        threads.append(threading.get_ident())
        return read(spec, tensors)

    rows = np.ones((40_000, 2), np.float32)

    async def run():
        async with program(Predict=predicted(y=rows)) as (address, *_), gateway_at(address) as (ask, *_):
            got, body = await ask()
            assert (got, body["predictions"][-1], len(body["predictions"])) == (200, [1, 1], 40_000)
        async with program(Predict=predicted(y=rows[:, :1])) as (address, *_), gateway_at(address) as (ask, *_):
            got, body = await ask()
            assert (got, "output 'y' has shape (40000, 1)" in body["error"]) == (502, True)

    monkeypatch.setattr(remote_answers, "_output", noted)
    asyncio.run(run())
    assert len(threads) == 2
    assert threading.get_ident() not in threads


def test_a_large_answer_in_other_typed_fields_is_read_by_a_worker(monkeypatch):
    texts = np.full((20_000, 2), b"a text", object)

    def read(spec, tensors):
        raise AssertionError("only a worker reads this")

    async def run():
        strings = metadata("serving_default", dtype=7)
        async with (
            program(Predict=predicted(y=texts), GetModelMetadata=strings) as (address, *_),
            gateway_at(address) as (ask, *_),
        ):
            got, body = await ask(body=b'{"instances": [["a", "b"]]}')
            assert (got, body["predictions"][-1], len(body["predictions"])) == (200, ["a text"] * 2, 20_000)
        async with (
            program(Predict=predicted(y=texts[:, :1]), GetModelMetadata=strings) as (address, *_),
            gateway_at(address) as (ask, *_),
        ):
            got, body = await ask(body=b'{"instances": [["a", "b"]]}')
            assert (got, "output 'y' has shape (20000, 1)" in body["error"]) == (502, True)

    monkeypatch.setattr(remote_answers, "_output", read)
    asyncio.run(run())


def test_answers_of_another_number_of_rows_are_none_where_rows_are_known_to_be_independent():
    assert remote_answers.outputs_of(SIGNATURE, ["y"], 2, predicted(y=ROWS))["y"].shape == (2, 2)
    assert remote_answers.outputs_of(SIGNATURE, ["y"], None, predicted(y=ROWS[:1]))["y"].shape == (1, 2)
    with pytest.raises(BadGateway, match="output 'y' has 1 rows for 2 rows of the inputs"):
        remote_answers.outputs_of(SIGNATURE, ["y"], 2, predicted(y=ROWS[:1]))
