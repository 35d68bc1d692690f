"""Triton's Python client, over HTTP and gRPC: `python tritonclient_checks.py HOST:PORT HOST:GRPC_PORT`."""

import queue
import sys
from functools import partial

import ml_dtypes
import numpy as np
import reporting
import tritonclient.grpc
import tritonclient.http
from tritonclient.utils import InferenceServerException

A, B = np.float32([[1, 2, 3], [0, 0, 1]]), np.float32([[4, 5], [1, 0]])
MODELS = ["clsreg", "mixed", "mlp", "three_out", "two_in"]
GRPC = tritonclient.grpc


def tensor(module, name, datatype, array, **options):
    made = module.InferInput(name, list(array.shape), datatype)
    made.set_data_from_numpy(array, **options)
    return made


def two_in(module, **options):
    return [tensor(module, "a", "FP32", A, **options), tensor(module, "b", "FP32", B, **options)]


def value(answer, *names):
    """The value of a field, in a message as in JSON."""
    for name in names:
        answer = answer[name] if isinstance(answer, dict | list) or isinstance(name, int) else getattr(answer, name)
    return answer


def health(module, client):
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("two_in")
    assert client.is_model_ready("two_in", "1")
    assert not client.is_model_ready("two_in", "9")


def metadata(module, client):
    assert value(client.get_server_metadata(), "name") == "signet"
    assert "binary_tensor_data" in value(client.get_server_metadata(), "extensions")
    model = client.get_model_metadata("two_in", "1")
    assert [value(one, "name") for one in value(model, "inputs")] == ["a", "b"]
    assert list(value(model, "inputs", 0, "shape")) == [-1, 3]
    assert value(model, "outputs", 0, "datatype") == "FP32"
    assert list(value(model, "versions")) == ["1"]


def config(module, client):
    answer = client.get_model_config("two_in")
    found = answer.config if module is GRPC else answer
    assert value(found, "platform") == "tensorflow_savedmodel"
    assert list(value(found, "input", 0, "dims")) == [3]


def index(module, client):
    answer = client.get_model_repository_index()
    lines = answer.models if module is GRPC else answer
    assert [(value(line, "name"), value(line, "version"), value(line, "state")) for line in lines] == [
        (name, "1", "READY") for name in MODELS
    ]


def statistics(module, client):
    def counts():
        (line,) = value(client.get_inference_statistics("three_out"), "model_stats")
        stats = value(line, "inference_stats")
        return np.array([
            int(value(line, "inference_count")), int(value(line, "execution_count")),
            int(value(stats, "success", "count")), int(value(stats, "fail", "count")),
        ])  # fmt: skip

    before = counts()
    x = np.zeros((3, 4), np.float32)
    client.infer("three_out", [tensor(module, "x", "FP32", x)])
    refused(client, "three_out", [tensor(module, "x", "FP32", x[:, :2])])
    assert (counts() - before).tolist() == [3, 1, 1, 1]


def bytes_both_ways(module, client):
    answer = client.infer("two_in", two_in(module), request_id="a-7")
    np.testing.assert_allclose(answer.as_numpy("output_0")[0], [2.7005463], rtol=1e-5)
    assert value(answer.get_response(), "id") == "a-7"
    assert value(answer.get_response(), "model_version") == "1"


def json_both_ways(module, client):
    inputs = two_in(module, binary_data=False)
    outputs = [module.InferRequestedOutput("output_0", binary_data=False)]
    answer = client.infer("two_in", inputs, outputs=outputs, model_version="1")
    np.testing.assert_array_equal(answer.as_numpy("output_0"), plain(module, client))


def json_and_bytes_mixed(module, client):
    inputs = [tensor(module, "a", "FP32", A, binary_data=False), tensor(module, "b", "FP32", B)]
    answer = client.infer("two_in", inputs, outputs=[module.InferRequestedOutput("output_0", binary_data=True)])
    np.testing.assert_array_equal(answer.as_numpy("output_0"), plain(module, client))


def plain(module, client):
    return client.infer("two_in", two_in(module)).as_numpy("output_0")


def compressed(module, client):
    kinds = ["gzip", "deflate"]
    for kind in kinds:
        if module is GRPC:
            answer = client.infer("two_in", two_in(module), compression_algorithm=kind)
        else:
            answer = client.infer(
                "two_in",
                two_in(module),
                request_compression_algorithm=kind,
                response_compression_algorithm=kind,
            )
        np.testing.assert_array_equal(answer.as_numpy("output_0"), plain(module, client))


def a_large_answer_compressed(module, client):
    x = np.arange(4000, dtype=np.float32).reshape(4, 1000)
    options = {} if module is GRPC else {"response_compression_algorithm": "gzip"}
    answer = client.infer("mixed", [tensor(module, "x", "FP32", x)], **options)
    assert answer.as_numpy("y").shape == x.shape


def some_outputs(module, client):
    x = tensor(module, "x", "FP32", np.float32([[0, 1, 2, 3]]))
    answer = client.infer("three_out", [x], outputs=[module.InferRequestedOutput(name) for name in ("r", "p")])
    assert [value(one, "name") for one in value(answer.get_response(), "outputs")] == ["r", "p"]
    assert answer.as_numpy("p").shape == (1, 3)


def classes(module, client):
    x = tensor(module, "x", "FP32", np.float32([[0, 1, 2, 3]]))
    answer = client.infer("three_out", [x], outputs=[module.InferRequestedOutput("p", class_count=2)])
    (row,) = answer.as_numpy("p").tolist()
    assert [text.decode().split(":")[1] for text in row] == ["2", "0"]


def parameters(module, client):
    array = np.array([1, 2**40, -(2**62) - 1], np.int64)
    answer = client.infer(
        "mixed",
        [tensor(module, "i", "INT64", array)],
        parameters={"signature_name": "i64", "mine": "x"},
        timeout=5_000_000,
        priority=1,
    )
    assert answer.as_numpy("y").dtype == np.int64


def every_datatype(module, client):
    cases = {
        "b": ("b", "BOOL", np.array([True, False])),
        "i": ("i", "INT32", np.int32([-7, 7])),
        "u8": ("x", "UINT8", np.uint8([0, 100])),
        "d1": ("x", "FP64", np.float64([0.1, 1e300])),
        "hf": ("x", "FP16", np.float16([0.1, 2])),
        "f1": ("x", "FP32", np.float32([1, 2])),
    }
    for signature, (name, datatype, array) in cases.items():
        answer = client.infer(
            "mixed", [tensor(module, name, datatype, array)], parameters={"signature_name": signature}
        )
        output = value(answer.get_response(), "outputs", 0)
        assert value(output, "datatype") == datatype, signature
        assert answer.as_numpy(value(output, "name")).shape == array.shape


def brain_floats(module, client):
    array = np.array([1, -2.5], ml_dtypes.bfloat16)
    answer = client.infer("mixed", [tensor(module, "x", "BF16", array)], parameters={"signature_name": "bf"})
    assert value(answer.get_response(), "outputs", 0, "datatype") == "BF16"
    assert answer.as_numpy("y").shape == array.shape


def strings(module, client):
    array = np.array([b"ab", b"\xff\x00", "Größe".encode()], object)
    answer = client.infer("mixed", [tensor(module, "s", "BYTES", array)], parameters={"signature_name": "s"})
    assert answer.as_numpy("echo").tolist() == array.tolist()
    assert answer.as_numpy("len").tolist() == [2, 2, 7]


def not_finite(module, client):
    options = {} if module is GRPC else {"binary_data": False}
    answer = client.infer(
        "mixed",
        [tensor(module, "x", "FP32", np.float32([0]), **options)],
        outputs=[module.InferRequestedOutput(name, **options) for name in ("div", "log")],
        parameters={"signature_name": "f1"},
    )
    assert answer.as_numpy("div").tolist() == [np.inf]
    assert answer.as_numpy("log").tolist() == [-np.inf]


def refused(client, model, inputs, **options):
    return raised(partial(client.infer, model, inputs, **options))


def raised(call):
    try:
        call()
    except InferenceServerException as error:
        return error
    raise AssertionError("it was not refused")


def bad_requests(module, client):
    good = two_in(module)
    wide = tensor(module, "b", "FP32", np.zeros((1, 5), np.float32))
    double = tensor(module, "a", "FP64", A.astype(np.float64))
    cases = [
        ("two_in", good[:1], {}, "missing input 'b'", ("400", "StatusCode.INVALID_ARGUMENT")),
        ("two_in", [good[0], wide], {}, "input 'b' has shape (1, 5); the model takes (None, 2)", None),
        ("two_in", [double, good[1]], {}, "input 'a' has datatype 'FP64'; the model takes FP32", None),
        ("two_inn", good, {}, "did you mean 'two_in'?", ("404", "StatusCode.NOT_FOUND")),
        ("two_in", good, {"model_version": "9"}, "Specific(two_in, 9)", ("404", "StatusCode.NOT_FOUND")),
        ("two_in", good, {"outputs": [module.InferRequestedOutput("output_1")]}, "did you mean 'output_0'?", None),
        ("two_in", good, {"sequence_id": 4}, "'sequence_id'", ("501", "StatusCode.UNIMPLEMENTED")),
        ("two_in", good, {"parameters": {"signature_name": "x"}}, "has no signature 'x'", None),
    ]
    for model, inputs, options, message, statuses in cases:
        error = refused(client, model, inputs, **options)
        assert message in error.message(), error.message()
        if statuses:
            assert error.status() in statuses, error.status()


def models_are_not_loaded_by_request(module, client):
    for call in (client.load_model, client.unload_model):
        error = raised(partial(call, "two_in"))
        assert ("by request" in error.message(), error.status() in ("403", "StatusCode.PERMISSION_DENIED")) == (
            True,
            True,
        )


def a_stream(client):
    answers = queue.Queue()
    client.start_stream(lambda result, error: answers.put((result, error)))
    for number in range(20):
        client.async_stream_infer("two_in" if number != 7 else "nope", two_in(GRPC), request_id=str(number))
    for number in range(20):
        result, error = answers.get(timeout=30)
        assert ("NOT_FOUND" in str(error)) == (number == 7), error
        assert number == 7 or (result.get_response().id, result.as_numpy("output_0").shape[0]) == (str(number), 2)
    client.stop_stream()


BOTH = [
    health, metadata, config, index, statistics, bytes_both_ways, compressed, a_large_answer_compressed, some_outputs,
    classes, parameters, every_datatype, brain_floats, strings, not_finite, bad_requests,
    models_are_not_loaded_by_request,
]  # fmt: skip
HTTP_ONLY = [json_both_ways, json_and_bytes_mixed]

if __name__ == "__main__":
    over_http = tritonclient.http.InferenceServerClient(sys.argv[1])
    over_grpc = GRPC.InferenceServerClient(sys.argv[2])
    checks = {f"http {check.__name__}": partial(check, tritonclient.http, over_http) for check in BOTH + HTTP_ONLY}
    checks["grpc stream"] = partial(a_stream, over_grpc)
    reporting.run(checks | {f"grpc {check.__name__}": partial(check, GRPC, over_grpc) for check in BOTH})
