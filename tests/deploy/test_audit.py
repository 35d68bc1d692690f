"""`make audit` against a service that speaks OSV's protocol: it fails unless every package was asked about."""

import json
import subprocess
import sys
from http.server import BaseHTTPRequestHandler

import pytest

from tests import servers

LOCK = f"orjson==3.9.0 \\\n    --hash=sha256:{'0' * 64}\nnumpy==1.0.0 \\\n    --hash=sha256:{'1' * 64}\n"
ADVISORY = {
    "id": "PYSEC-1-1",
    "modified": "2026-01-01T00:00:00Z",
    "published": "2026-01-01T00:00:00Z",
    "details": "deep nesting",
    "affected": [
        {
            "package": {"name": "orjson", "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "3.9.15"}]}],
        }
    ],
}


class Service(BaseHTTPRequestHandler):
    """Answers a question about one package."""

    known: dict[str, list[object]] = {}  # noqa: RUF012

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        body = json.dumps({"vulns": self.known.get(asked["package"]["name"], [])}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Not a word."""


def audit(folder, url):
    lock = folder / "some.lock"
    lock.write_text(LOCK)
    command = [sys.executable, servers.ROOT / "deploy" / "audit.py", "--requirement", lock]
    command += ["--vulnerability-service", "osv", "--osv-url", url, "--cache-dir", folder / "cache"]
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize(
    ("known", "code", "said"),
    [
        ({}, 0, "audit: 2 packages, advisories for 0 of them\n"),
        (
            {"orjson": [ADVISORY]},
            1,
            "orjson 3.9.0: PYSEC-1-1, mended in 3.9.15: deep nesting\naudit: 2 packages, advisories for 1 of them\n",
        ),
    ],
)
def test_what_the_service_knows_decides(tmp_path, known, code, said):
    class Knows(Service):
        pass

    Knows.known = known
    with servers.http_server(Knows) as url:
        done = audit(tmp_path, url)
    assert (done.returncode, done.stdout) == (code, said), done.stderr


def test_a_service_that_cannot_be_asked_is_no_good_news(tmp_path):
    done = audit(tmp_path, f"http://127.0.0.1:{servers.free_port()}")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("audit: the advisory service could not be asked, so nothing is proven: ")
