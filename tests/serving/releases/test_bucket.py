"""Releases in object stores: S3's protocol as moto's server speaks it, GCS's as far as objects of one bucket go."""

import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from signet.serving.errors import UsageError
from signet.serving.releases.store import ReleaseStore
from tests import servers
from tests.servers import ROOT

STEPS = """
    import json, sys
    from dataclasses import replace
    from signet.serving.errors import UsageError
    from signet.serving.releases.release import Release, Stage
    from signet.serving.releases.store import Conflict, ReleaseStore

    place, make = sys.argv[1:]
    if make: __import__("s3fs").S3FileSystem().mkdir("models")
    first = Release("digits", 1, 1, 2, Stage.CANARY, 0.05, salt="a1b2")
    store, other = ReleaseStore(place), ReleaseStore(place)
    said = [store.read("digits")]
    try:
        store.write(first, 0)
    except UsageError as error:
        print(json.dumps(str(error)))
        sys.exit()
    seen = other.read("digits")
    assert seen == first
    # Both have seen generation 1, down to its tag: one wins.
    paused = other._files.read("digits/release.json", 10_000)
    store.write(replace(first, share=0.5), 1)
    said.append(other._files.replace("digits/release.json", b"{}", paused))
    said.append(other._files.replace("digits/release.json", b"{}", None))
    for expected in (0, 1):
        try:
            other.write(replace(first, share=0.7), expected)
            said.append("won")
        except Conflict as error:
            said.append(error.generation)
    lowered = other.lower(seen, by="brake", reason="bad")
    said += [lowered.stage, store.read("digits") == lowered, [one.share for one in store.history("digits")]]
    print(json.dumps(said))
"""
SAID = '[null, false, false, 2, 2, "rolled_back", true, [0.05, 0.5, 0.0]]\n'


def said(place: str, variables: dict[str, str], make: str = "") -> str:
    """What the steps say at an address, in a process of its own, as these libraries keep threads and connections."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(STEPS), place, make],
        env={**os.environ, **variables},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_in_s3_who_has_not_seen_the_last_generation_is_refused():
    with servers.s3() as variables:
        assert said("s3://models", variables, "make") == SAID


class Gcs(BaseHTTPRequestHandler):
    """Objects of a bucket with their generations, by the JSON API; `obeys` is whether it looks at conditions."""

    server: "GcsServer"

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        found = self.server.objects.get(unquote(url.path.rpartition("/o/")[2]))
        if found is None:
            return self.answer(404, b"{}")
        content, generation = found
        if parse_qs(url.query).get("alt") == ["media"]:
            return self.answer(200, content)
        return self.answer(200, b'{"generation": "%d"}' % generation)

    def do_POST(self) -> None:
        query = parse_qs(urlsplit(self.path).query)
        content = self.rfile.read(int(self.headers["Content-Length"]))
        (name,), (wanted,) = query["name"], query["ifGenerationMatch"]
        with self.server.lock:
            _, generation = self.server.objects.get(name, (b"", 0))
            if self.server.obeys and int(wanted) != generation:
                return self.answer(412, b'{"error": {"message": "conditionNotMet"}}')
            self.server.count += 1
            self.server.objects[name] = content, 1_700_000 + self.server.count
        return self.answer(200, b"{}")

    def answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


class GcsServer(ThreadingHTTPServer):
    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Gcs)
        self.objects: dict[str, tuple[bytes, int]] = {}
        self.lock, self.count, self.obeys = threading.Lock(), 0, True


@pytest.fixture
def gcs() -> Iterator[GcsServer]:
    with GcsServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_in_gcs_too(gcs):
    variables = {"STORAGE_EMULATOR_HOST": f"http://127.0.0.1:{gcs.server_address[1]}"}
    assert said("gs://models/all", variables) == SAID
    assert gcs.objects.keys() == {
        f"all/digits/{name}" for name in (".release-probe", "release.json", "release-history.jsonl")
    }


def test_a_store_that_does_not_look_at_conditions_is_refused_before_anything_is_changed(gcs):
    gcs.obeys = False
    variables = {"STORAGE_EMULATOR_HOST": f"http://127.0.0.1:{gcs.server_address[1]}"}
    assert "does not keep to the conditions of puts" in said("gs://models", variables)
    assert gcs.objects.keys() == {"digits/.release-probe"}


def test_an_address_without_conditional_puts_is_refused():
    with pytest.raises(UsageError, match="memory:// has no conditional put here; expected a folder, s3:// or gs://"):
        ReleaseStore("memory://models")
