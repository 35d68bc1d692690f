"""Keys at the ports of a running gateway: attacks and answers in every protocol, in the clear and over TLS.

The table of docs/access.md is what this finds: `python -m tests.serving.gateway.test_access` writes it anew.
"""

import json
import re
import signal
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import grpc
import httpx
import pytest
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from signet.serving.gateway.access import key_file, tokens
from signet.serving.open_inference import open_inference_pb2 as pb2
from signet.serving.tensors.arrays import to_proto
from signet.serving.tensors.protos import get_model_metadata_pb2, model_management_pb2, predict_pb2
from tests import servers
from tests.certificates import Authority

PAGE = servers.ROOT / "docs/access.md"
TABLE = re.compile(r"(?<=<!-- table -->\n).*?(?=<!-- end of table -->)", re.DOTALL)
X = [[1.0, 2.0, 3.0, 4.0]]
PROTOCOLS = ("V1 HTTP", "V2 HTTP", "V1 gRPC", "V2 gRPC")


@dataclass
class Service:
    """A running gateway with keys: its ports, its file, and the tokens by name."""

    running: servers.Program
    url: str
    channel: grpc.Channel
    client: httpx.Client
    path: Path
    tokens: dict[str, str] = field(default_factory=dict)

    def http(self, path, body=None, headers=(), method="POST"):
        return self.client.request(method, f"{self.url}{path}", json=body, headers=list(headers), timeout=30)

    def grpc(self, path, message, answer, metadata=()):
        """The code of a unary call, and its error or answer."""
        call = self.channel.unary_unary(
            f"/{path}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=answer.FromString,
        )
        try:
            return "OK", call(message, metadata=metadata, timeout=30)
        except grpc.RpcError as error:
            return error.code().name, error

    def ask(self, protocol, headers, query=""):
        """The answer's status or code to a prediction of one row."""
        if protocol == "V1 HTTP":
            return self.http(f"/v1/models/three_out:predict{query}", {"inputs": {"x": X}}, headers).status_code
        if protocol == "V2 HTTP":
            inputs = [{"name": "x", "datatype": "FP32", "shape": [1, 4], "data": X}]
            return self.http(f"/v2/models/three_out/infer{query}", {"inputs": inputs}, headers).status_code
        metadata = [(name.lower(), value) for name, value in headers]
        if protocol == "V1 gRPC":
            message = predict_pb2.PredictRequest(model_spec={"name": "three_out"})
            message.inputs["x"].CopyFrom(to_proto(numpy_x()))
            path = "tensorflow.serving.PredictionService/Predict"
            return self.grpc(path, message, predict_pb2.PredictResponse, metadata)[0]
        return self.grpc(INFER, infer(), pb2.ModelInferResponse, metadata)[0]

    def show(self, name):
        return [("X-API-Key", self.tokens[name])]


def numpy_x():
    import numpy as np

    return np.float32(X)


INFER = "inference.GRPCInferenceService/ModelInfer"


def infer():
    message = pb2.ModelInferRequest(model_name="three_out")
    message.inputs.add(name="x", datatype="FP32", shape=[1, 4]).contents.fp32_contents.extend(X[0])
    return message


KEYS = {
    "all": {},
    "admin": {"admin": True},
    "other": {"models": ["two_in"]},
    "one": {"models": ["three_out"]},
    **{f"few {protocol}": {"requests_per_s": 0.001} for protocol in PROTOCOLS},
    **{f"rows {protocol}": {"rows_per_s": 0.001} for protocol in PROTOCOLS},
    "expired": {"expires": "2020-01-01T00:00:00Z"},
    "revoked": {},
}


@contextmanager
def service(folder: Path, *arguments: object, tls: bool) -> Iterator[Service]:
    path, shown = folder / "keys", {}
    for name, said in KEYS.items():
        created = tokens.create()
        key_file.add(path, created, name=name.replace(" ", "-"), **{"models": "*", **said})
        shown[name] = created.token
    authority = Authority()
    pair = authority.signs(folder)
    options = ("--tls-cert-file", pair.certificate, "--tls-key-file", pair.key) if tls else ()
    command = ("serve", "--http-port", "0", "--models-dir", servers.GOLDEN_MODELS, "--keys", path, *options, *arguments)
    with servers.program(*command) as running:
        match = running.read_until(r"ready at (https?)://localhost:(\d+) \(gRPC: localhost:(\d+)\)")
        url, place = f"{match[1]}://localhost:{match[2]}", f"localhost:{match[3]}"
        trusted = ssl.create_default_context(cadata=authority.pem.decode())
        credentials = grpc.ssl_channel_credentials(authority.pem)
        channel = grpc.secure_channel(place, credentials) if tls else grpc.insecure_channel(place)
        with channel, httpx.Client(verify=trusted, trust_env=False) as client:
            yield Service(running, url, channel, client, path, shown)


@pytest.fixture(scope="module", params=["plain", "tls"])
def one(request, tmp_path_factory):
    """A gateway; over TLS with grpcio as its transport."""
    tls = request.param == "tls"
    with service(tmp_path_factory.mktemp("keys"), *(["--grpc-transport", "grpcio"] if tls else []), tls=tls) as running:
        yield running


def attacks(one: Service) -> dict[str, list[object]]:
    """Attack -> the answer in each protocol."""
    token = one.tokens["all"]
    wrong = token[:-1] + "%x" % (15 - int(token[-1], 16))

    def each(*headers, query=""):
        return [one.ask(protocol, headers, query) for protocol in PROTOCOLS]

    found = {
        "a key that holds, `Authorization: Bearer`": each(("Authorization", f"Bearer {token}")),
        "a key that holds, `X-API-Key`": each(("X-API-Key", token)),
        "no key": each(),
        "`Basic`": each(("Authorization", "Basic eDp5")),
        "what has not the form of a key": each(("Authorization", "Bearer eyJhbGciOiJub25lIn0.e30.")),
        "a key with another secret": each(("X-API-Key", wrong)),
        "a key that there never was": each(("X-API-Key", tokens.create().token)),
        "an expired key": each(*one.show("expired")),
        "another model's key": each(*one.show("other")),
        "two keys that differ": each(("Authorization", f"Bearer {token}"), *one.show("one")),
        "the same header twice": each(("X-API-Key", token), ("X-API-Key", one.tokens["one"])),
        "a header of 30 KB": each(("X-API-Key", "x" * 30_000)),
        "a key in the query": [*each(query=f"?key={token}&api_key={token}")[:2], "–", "–"],
    }
    for unit, what in (("few", "over its requests a second"), ("rows", "over its rows a second")):
        first = [one.ask(protocol, one.show(f"{unit} {protocol}")) for protocol in PROTOCOLS]
        assert first == [200, 200, "OK", "OK"]
        found[what] = [one.ask(protocol, one.show(f"{unit} {protocol}")) for protocol in PROTOCOLS]
    assert each(*one.show("revoked")) == [200, 200, "OK", "OK"]
    key_file.revoke(one.path, "revoked")
    one.running.process.send_signal(signal.SIGHUP)
    servers.wait_until(lambda: one.ask("V1 HTTP", one.show("revoked")) != 200, what="the reload")
    found["a revoked key, on the connection that it was used on"] = each(*one.show("revoked"))
    return found


def rendered(found: dict[str, list[object]]) -> str:
    lines = [["what is shown", *PROTOCOLS], ["---"] * 5, *([what, *map(str, cells)] for what, cells in found.items())]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def test_attacks_get_the_answers_of_the_page(one):
    (table,) = TABLE.findall(PAGE.read_text())
    assert rendered(attacks(one)) == table, "write it again: python -m tests.serving.gateway.test_access"


def test_refusals_are_in_the_dialects_words(one):
    answer = one.http("/v1/models/three_out:predict", {"inputs": {"x": X}})
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert list(answer.json()) == ["error"]
    assert "show a key: `Authorization: Bearer signet_ID_SECRET`" in answer.json()["error"]
    limited = one.http("/v2/models/three_out", None, one.show("few V2 HTTP"), "GET")
    assert (limited.status_code, int(limited.headers["retry-after"]) > 900) == (429, True)
    code, error = one.grpc(INFER, infer(), pb2.ModelInferResponse)
    assert (code, "show a key" in error.details()) == ("UNAUTHENTICATED", True)
    code, error = one.grpc(INFER, infer(), pb2.ModelInferResponse, [("x-api-key", one.tokens["few V2 gRPC"])])
    assert code == "RESOURCE_EXHAUSTED"
    assert int(dict(error.trailing_metadata())["grpc-retry-pushback-ms"]) > 900_000
    forbidden = one.http("/v1/models/three_out:predict", {"inputs": {"x": X}}, one.show("other"))
    assert forbidden.json() == {"error": "the key 'other' is not for the model 'three_out'"}


@pytest.mark.parametrize(
    ("method", "path", "codes"),
    [
        # nobody's, all's, another model's, an admin's
        ("GET", "/livez", (200, 200, 200, 200)),
        ("GET", "/readyz", (200, 200, 200, 200)),
        ("GET", "/v2/health/live", (200, 200, 200, 200)),
        ("HEAD", "/v2/health/ready", (200, 200, 200, 200)),
        ("GET", "/", (200, 200, 200, 200)),
        ("GET", "/page/nothing.js", (404, 404, 404, 404)),
        ("GET", "/docs", (200, 200, 200, 200)),
        ("GET", "/docs/swagger-ui.css", (200, 200, 200, 200)),
        ("GET", "/docs/swagger-ui.css/more", (401, 404, 404, 404)),
        ("GET", "/openapi.json", (401, 200, 200, 200)),
        ("GET", "/v2", (401, 200, 200, 200)),
        ("GET", "/nothing", (401, 404, 404, 404)),
        ("GET", "/metrics", (401, 403, 403, 200)),
        ("GET", "/metrics?x", (401, 403, 403, 200)),
        ("GET", "/%6detrics", (401, 403, 403, 200)),
        ("GET", "/v1/models/three_out", (401, 200, 403, 200)),
        ("GET", "/v1/models/three%5Fout/metadata", (401, 200, 403, 200)),
        ("GET", "/v1/models/three_out/versions/1/metadata", (401, 200, 403, 200)),
        ("GET", "/v1/models/three_out/openapi.json", (401, 200, 403, 200)),
        ("GET", "/v1/models/three_out/card", (401, 200, 403, 200)),
        ("GET", "/v1/models/three_out/versions/1/card", (401, 200, 403, 200)),
        ("GET", "/v1/models/three_out/versions/1/examples?signature=serving_default", (401, 200, 403, 200)),
        ("GET", "/v1/models/three_out/pictures/model.png", (401, 404, 403, 404)),
        ("GET", "/v1/models/three_out:predict", (401, 405, 403, 405)),
        ("GET", "/v2/models/three_out/ready", (401, 200, 403, 200)),
        ("GET", "/v2/models/three_out/versions/1/config", (401, 200, 403, 200)),
        ("GET", "/v2/models/three_out/stats", (401, 200, 403, 200)),
        ("GET", "/v2/models/two_in", (401, 200, 200, 200)),
        ("POST", "/v2/repository/index", (401, 200, 200, 200)),
        ("POST", "/v2/repository/models/two_in/unload", (401, 403, 403, 403)),
    ],
)
def test_each_route_wants_the_key_that_it_should(one, method, path, codes):
    shown = ((), one.show("all"), one.show("other"), one.show("admin"))
    assert tuple(one.http(path, None, headers, method).status_code for headers in shown) == codes


def test_lists_show_a_key_its_own_models_alone(one):
    shown = one.show("other")
    assert one.http("/v1/models", None, shown, "GET").json()["models"] == ["two_in"]
    assert {line["name"] for line in one.http("/v2/repository/index", {}, shown).json()} == {"two_in"}
    statistics = one.http("/v2/models/stats", None, shown, "GET").json()["model_stats"]
    assert {line["name"] for line in statistics} == {"two_in"}
    document = one.http("/openapi.json", None, shown, "GET").text
    assert "two_in" in document
    assert "three_out" not in document
    assert "three_out" in one.http("/openapi.json", None, one.show("all"), "GET").text
    metadata = [("x-api-key", one.tokens["other"])]
    service_name = "inference.GRPCInferenceService"
    _, index = one.grpc(
        f"{service_name}/RepositoryIndex", pb2.RepositoryIndexRequest(), pb2.RepositoryIndexResponse, metadata
    )
    assert {model.name for model in index.models} == {"two_in"}
    _, told = one.grpc(
        f"{service_name}/ModelStatistics", pb2.ModelStatisticsRequest(), pb2.ModelStatisticsResponse, metadata
    )
    assert {model.name for model in told.model_stats} == {"two_in"}


def test_every_method_but_health_wants_a_key(one):
    service_name = "inference.GRPCInferenceService"
    for name in ("ServerLive", "ServerReady"):
        asked = getattr(pb2, f"{name}Request")()
        assert one.grpc(f"{service_name}/{name}", asked, getattr(pb2, f"{name}Response"))[0] == "OK"
    assert (
        one.grpc("grpc.health.v1.Health/Check", health_pb2.HealthCheckRequest(), health_pb2.HealthCheckResponse)[0]
        == "OK"
    )
    other, admin = [("x-api-key", one.tokens["other"])], [("x-api-key", one.tokens["admin"])]
    for name in ("ModelReady", "ModelMetadata", "ModelConfig", "ModelStatistics"):
        asked = getattr(pb2, f"{name}Request")(name="three_out")
        answer = getattr(pb2, f"{name}Response")
        codes = [one.grpc(f"{service_name}/{name}", asked, answer, shown)[0] for shown in ((), other, admin)]
        assert codes == ["UNAUTHENTICATED", "PERMISSION_DENIED", "OK"], name
    metadata = get_model_metadata_pb2.GetModelMetadataRequest(
        model_spec={"name": "three_out"}, metadata_field=["signature_def"]
    )
    path = "tensorflow.serving.PredictionService/GetModelMetadata"
    codes = [
        one.grpc(path, metadata, get_model_metadata_pb2.GetModelMetadataResponse, shown)[0]
        for shown in ((), other, admin)
    ]
    assert codes == ["UNAUTHENTICATED", "PERMISSION_DENIED", "OK"]
    path = "tensorflow.serving.ModelService/HandleReloadConfigRequest"
    _, error = one.grpc(
        path, model_management_pb2.ReloadConfigRequest(), model_management_pb2.ReloadConfigResponse, other
    )
    assert "--admin" in error.details()


def test_refused_calls_leave_a_line_that_says_who_asked_for_what(one, request):
    time.sleep(1.1)  # of what was refused in the second before only a sum may be told
    asked = {
        "who-1": ("inference.GRPCInferenceService/ModelReady", pb2.ModelReadyRequest(), pb2.ModelReadyResponse),
        "who-2": (INFER, infer(), pb2.ModelInferResponse),
    }
    for name, (path, message, answer) in asked.items():
        assert one.grpc(path, message, answer, [("x-request-id", name)])[0] == "UNAUTHENTICATED"
    first, second = (one.running.read_until(rf"request id={name} (.*)")[1] for name in asked)
    # grpcio does not say where a call comes from before its message is there.
    caller = "" if request.node.callspec.params["one"] == "tls" else "caller=127.0.0.1 "
    assert first.startswith(
        f'{caller}protocol=grpc path=/inference.GRPCInferenceService/ModelReady code=UNAUTHENTICATED error="show a key'
    )
    assert second.startswith(f"{caller}protocol=grpc_v2 ")
    assert "code=UNAUTHENTICATED" in second
    path = "/v1/models/two_in/metadata"
    assert one.http(path, None, [*one.show("one"), ("x-request-id", "who-3")], "GET").status_code == 403
    assert one.running.read_until("request id=who-3 (.*)")[1].startswith(
        f"key=one caller=127.0.0.1 protocol=http method=GET path={path} status=403"
    )
    asked_often = [one.ask("V1 HTTP", [*one.show("few V1 HTTP"), ("x-request-id", "who-4")]) for _ in range(4)]
    assert asked_often[-1] == 429
    assert one.running.read_until("request id=who-4 (.*)")[1].startswith(
        "key=few-V1-HTTP caller=127.0.0.1 protocol=v1 model=three_out version=unknown "
    )


def test_streams_want_a_key_for_each_request(one):
    def stream(messages, metadata):
        call = one.channel.stream_stream(
            "/inference.GRPCInferenceService/ModelStreamInfer",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=pb2.ModelStreamInferResponse.FromString,
        )
        return call(messages, metadata=metadata, timeout=30)

    with pytest.raises(grpc.RpcError) as error:
        list(stream(iter([infer()]), ()))
    assert error.value.code() is grpc.StatusCode.UNAUTHENTICATED
    (refused,) = stream(iter([infer()]), [("x-api-key", one.tokens["other"])])
    assert refused.error_message == "PERMISSION_DENIED: the key 'other' is not for the model 'three_out'"
    created, going, revoked = tokens.create(), threading.Event(), threading.Event()
    key_file.add(one.path, created, name="streaming", models="*")
    one.running.process.send_signal(signal.SIGHUP)
    shown = [("x-api-key", created.token)]
    servers.wait_until(lambda: one.ask("V2 gRPC", shown) == "OK", what="the reload")

    def messages():
        yield infer()
        going.wait(30)
        yield infer()  # others' keys have changed meanwhile
        revoked.wait(30)
        yield infer()

    answers = stream(messages(), shown)
    assert not next(answers).error_message
    key_file.add(one.path, tokens.create(), name="another", models="*")
    one.running.process.send_signal(signal.SIGHUP)
    going.set()
    assert not next(answers).error_message
    key_file.revoke(one.path, "streaming")
    one.running.process.send_signal(signal.SIGHUP)
    servers.wait_until(lambda: one.ask("V2 gRPC", shown) != "OK", what="the reload")
    revoked.set()
    with pytest.raises(grpc.RpcError) as error:
        next(answers)
    assert error.value.code() is grpc.StatusCode.UNAUTHENTICATED
    reflection = one.channel.stream_stream(
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        request_serializer=lambda message: message.SerializeToString(),
        response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
    )
    question = reflection_pb2.ServerReflectionRequest(list_services="")
    with pytest.raises(grpc.RpcError) as error:
        list(reflection(iter([question]), timeout=30))
    assert error.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert list(reflection(iter([question]), metadata=[("x-api-key", one.tokens["one"])], timeout=30))


def test_a_body_of_who_has_no_key_is_not_read(one):
    port = int(one.url.rpartition(":")[2])
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    for path in ("/v1/models/three_out:predict", "/v2/repository/index", "/anything"):
        with ExitStack() as stack:
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=30))
            if one.url.startswith("https"):
                connection = stack.enter_context(trusting.wrap_socket(connection))
            connection.sendall(f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 50000000\r\n\r\n".encode())
            assert connection.recv(1000).startswith(b"HTTP/1.1 401 ")


def test_who_asks_is_counted_and_no_secret_is_told(one):
    one.ask("V1 HTTP", one.show("one"))
    text = one.http("/metrics", None, one.show("admin"), "GET").text
    assert re.search(r'signet_key_requests_total\{code="OK",key="one"\} [1-9]', text)
    assert re.search(r'signet_access_refused_total\{reason="no_key"\} [1-9]', text)
    assert "signet_keys_up_to_date 1.0" in text
    said = text + one.running.output + json.dumps([one.http(path, None, (), "GET").text for path in ("/", "/metrics")])
    hashes = [key.hash.hex() for key in key_file.read(one.path)]
    for secret in (*(token[-64:] for token in one.tokens.values()), *hashes):
        assert secret not in said


def test_requests_are_asked_by_the_old_keys_or_by_the_new_ones(one):
    """While the file changes under them, on connections that are kept: nothing in between, never a 500."""
    files = []
    before = one.path.read_bytes()
    for _ in range(2):
        one.path.write_bytes(before)
        created = tokens.create()
        key_file.add(one.path, created, name="swapped", models="*")
        files.append((one.path.read_bytes(), created.token))
    seen: list[tuple[int, int]] = []
    done = threading.Event()

    def ask(i):
        while not done.is_set():
            seen.append((i, one.ask(PROTOCOLS[i], [("X-API-Key", files[i][1])])))
            seen.append((2, one.ask(PROTOCOLS[i], one.show("all"))))

    callers = [threading.Thread(target=ask, args=(i,)) for i in range(2)]
    for caller in callers:
        caller.start()
    try:
        for i in (0, 1) * 5:
            beside = one.path.with_suffix(".new")
            beside.write_bytes(files[i][0])
            beside.replace(one.path)
            one.running.process.send_signal(signal.SIGHUP)
            servers.wait_until(lambda i=i: one.ask("V1 HTTP", [("X-API-Key", files[i][1])]) == 200, what="the reload")
            assert one.ask("V2 HTTP", [("X-API-Key", files[1 - i][1])]) == 401
    finally:
        done.set()
        for caller in callers:
            caller.join()
        one.path.write_bytes(before)
    assert {code for i, code in seen if i == 2} == {200}
    assert {code for i, code in seen if i != 2} == {200, 401}


def test_a_service_of_two_processes_asks_for_keys_too(tmp_path):
    with service(tmp_path, "--processes", "2", tls=False) as one:
        assert {one.ask("V1 HTTP", ()) for _ in range(4)} == {401}
        assert [one.ask(protocol, one.show("all")) for protocol in PROTOCOLS] == [200, 200, "OK", "OK"]
        assert one.http("/metrics", None, one.show("admin"), "GET").text.count("\nsignet_keys ") == 1


def test_the_file_is_looked_at_before_there_are_processes(tmp_path):
    (tmp_path / "keys").write_text("{}\n")
    with servers.program("serve", "--processes", "2", "--keys", tmp_path / "keys") as running:
        running.process.wait(30)
        assert running.stop() == 2
    assert "keys, line 1: there is no 'name'; expected" in running.output


def main() -> None:
    with TemporaryDirectory() as folder, service(Path(folder), tls=False) as one:
        PAGE.write_text(TABLE.sub(lambda _: rendered(attacks(one)), PAGE.read_text()))


if __name__ == "__main__":
    main()
