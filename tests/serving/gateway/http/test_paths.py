"""Paths of the gateway: models of any name on every route, however their names are escaped."""

import json
import re
import socket
from urllib.parse import quote, urlsplit

import pytest

from signet.serving.gateway import server
from signet.serving.gateway.http import paths
from tests import servers
from tests.serving.gateway import in_process
from tests.serving.gateway.in_process import header

NAMES = (
    "two_in",
    "team/m",
    "a b",
    "schön",
    "a:b",
    "100%",
    "a+b",
    "x:predict",
    "a;v=1",
    "line\nend",
    "%41",
    "?#&",
    "stats",
)
PREDICT = b'{"instances": [{"a": [1, 2, 3], "b": [4, 5]}]}'
INFER = json.dumps(
    {
        "inputs": [
            {"name": "a", "shape": [1, 3], "datatype": "FP32", "data": [1, 2, 3]},
            {"name": "b", "shape": [1, 2], "datatype": "FP32", "data": [4, 5]},
        ]
    }
).encode()
V1 = (
    "",
    "/versions/1",
    "/labels/stable",
    "/metadata",
    "/versions/1/metadata",
    "/labels/stable/metadata",
    "/openapi.json",
)
V2 = ("/ready", "/config", "/stats", "/versions/1", "/versions/1/ready", "/versions/1/config", "/versions/1/stats")


@pytest.mark.parametrize(
    ("sent", "routed"),
    [
        (b"/v1/models/two_in:predict?key=a%20b", b"/v1/models/two_in:predict?key=a%20b"),
        (b"/v1/models/two%5Fin%3Apredict", b"/v1/models/two_in%3Apredict"),
        (b"/%76%31/m%2fx/%7e%7E%2d%2E%5f%30%41", b"/v1/m%2fx/~~-._0A"),
        ("/schön".encode(), b"/sch%C3%B6n"),
        (b"/\xff \x00\x7f%zz%4", b"/%FF%20%00%7F%zz%4"),
    ],
)
def test_a_path_is_routed_in_one_spelling(sent, routed):
    assert paths.normalized(sent) == routed
    assert paths.normalized(routed) == routed


def test_a_part_is_decoded_once():
    assert paths.decoded(b"team%2Fsch%C3%B6n") == "team/schön"
    assert paths.decoded("%2541") == "%41"
    assert paths.decoded(b"%FF") == "\ufffd"


@pytest.fixture(scope="module")
def named(tmp_path_factory):
    """A gateway with one model under many names."""
    path = tmp_path_factory.mktemp("config") / "models.config"
    entries = "".join(
        f"config {{ name: {json.dumps(name)} base_path: '{servers.GOLDEN_MODELS / 'two_in'}' model_platform: 'tensorflow' "
        "version_labels { key: 'stable' value: 1 } }"
        for name in NAMES
    )
    path.write_text(f"model_config_list {{ {entries} }}")
    with in_process.gateway(model_config_file=path) as running:
        yield running


def spellings(name: str) -> set[bytes]:
    """The ways to write a name into a path: all escaped, only what must be, and as curl sends what people type."""
    written = {
        "".join(f"%{byte:02x}" for byte in name.encode()).encode(),
        quote(name, safe="").encode(),
        quote(name, safe=":;+&@$'").encode(),
        "".join(character if character > "~" else quote(character, safe=":;+") for character in name).encode(),
    }
    return {part.replace(b":predict", b"%3Apredict") for part in written}  # bare, it is a verb


@pytest.mark.parametrize("name", NAMES)
def test_a_model_of_any_name_is_found_on_every_route(named, name):
    for part in spellings(name):
        for body, path in (
            *((PREDICT, b"/v1/models/%b" + rest) for rest in (b":predict", b"%%3Apredict", b"/versions/1:predict")),
            *((PREDICT, b"/v1/models/%b" + rest) for rest in (b"/labels/st%%61ble:predict", b":predict?a=b:predict")),
            *((INFER, b"/v2/models/%b" + rest) for rest in (b"/infer", b"/versions/1/infer", b"/infer?a=b")),
        ):
            answer = named.ask("POST", path % part, body)
            assert answer.status == 200, (path % part, answer.body)
        looks = [b"/v1/models/%b" % part + rest.encode() for rest in V1]
        looks += [b"/v2/models/%b" % part + rest.encode() for rest in V2]
        looks += [b"/v2/models/%b" % part] * (name != "stats")  # that path tells of all models
        for path in looks:
            for _ in range(3):  # between the two it may have become known whether rows share calls
                got, head = named.ask("GET", path), named.ask("HEAD", path)
                assert got.status == head.status == 200, (path, got.body)
                assert head.body == b""
                if int(header(head, "Content-Length")) == len(got.body):
                    break
            else:
                raise AssertionError(f"GET and HEAD of {path!r} differ in length")
        assert json.loads(named.ask("GET", b"/v1/models/%b" % part).body)["name"] == name


@pytest.mark.parametrize("path", ["/v1/models/schön", "/v1/models/sch%C3%B6n"])
@pytest.mark.parametrize("size", [1, 16, 10_000])
def test_utf8_in_a_path_passes_the_server_in_pieces_of_any_size(embedded_url, path, size):
    address = urlsplit(embedded_url)
    data = b"\r\n" + f"GET {path} HTTP/1.1\r\nHost: x\r\nX: ü\r\nConnection: close\r\n\r\n".encode()
    with socket.create_connection((address.hostname, address.port), timeout=30) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for start in range(0, len(data), size):
            connection.sendall(data[start : start + size])
        answer = connection.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 404 ")
    assert "Could not find any versions of model schön".encode() in answer


@pytest.mark.parametrize(
    ("path", "location"),
    [
        (b"/v1/models/", "../models"),
        (b"/v1/models/two_in/?x=%20", "../two_in?x=%20"),
        (b"/v1/models/two_in/metadata//", "../../metadata"),
        (b"/v1/models/two_in:predict/", "../two_in:predict"),
        (b"/docs/", "../docs"),
        (b"/v2/systemsharedmemory", "./systemsharedmemory/"),
    ],
)
def test_a_slash_too_many_is_taken_off_by_a_relative_redirect(named, path, location):
    """Behind TLS or a prefix `Host` and the scheme would be wrong, and a stranger's `Host` must lead nobody away."""
    for method in ("GET", "HEAD"):
        answer = named.ask(method, path, headers={b"host": b"evil.example"})
        assert (answer.status, header(answer, "Location")) == (307, location)


def test_a_name_with_a_line_end_begins_no_line_of_the_start_message(named, capsys):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server._announce(named.gateway, listener, None)
    line, page = capsys.readouterr().out.splitlines()
    assert line.startswith("Signet is ready at http://localhost:")
    assert "line\\nend" in line
    assert re.fullmatch(r"Page: http://localhost:\d+", page)
