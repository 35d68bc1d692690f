"""Real pages in the browser of the tests: what a page does wrong fails the test that uses it."""

import asyncio
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from PIL import Image

from tests import browser
from tests.servers import ROOT

GOOD = '<!doctype html><html lang="en"><title>t</title><main><h1>Good</h1><button>b</button></main>'
POLICY = "default-src 'none'; script-src 'unsafe-inline'; connect-src 'self' http://localhost:*"
PAGES = {
    "/good": GOOD,
    "/console": "<title>done</title><script>console.error('it is broken')</script>",
    "/uncaught": "<script>setTimeout(() => { document.title = 'done'; throw new Error('nobody caught it') })</script>",
    "/promise": "<title>done</title><script>Promise.reject(new Error('nobody awaited it'))</script>",
    "/missing": "<script>fetch('/nowhere').finally(() => { document.title = 'done' })</script>",
    "/inline": '<title>done</title><p style="color: red">x</p>',
    "/elsewhere": "<script>fetch('http://localhost:PORT/good').finally(() => { document.title = 'done' })</script>",
    "/unusable": '<!doctype html><html lang="en"><title>t</title><main><input id="nameless"></main>',
}


class Pages(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        text = PAGES.get(self.path)
        self.send_response(200 if text else 404)
        self.send_header("Content-Type", "text/html")
        self.send_header("Access-Control-Allow-Origin", "*")
        self.send_header("Content-Security-Policy", POLICY)
        self.end_headers()
        self.wfile.write((text or "").replace("PORT", str(self.server.server_address[1])).encode())

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Pages) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_good_page_passes_as_it_was_asked_for(site):
    with browser.page(f"{site}/good", dark=True, width=390) as page:
        assert page.get_by_role("heading").inner_text() == "Good"
        assert page.evaluate("[innerWidth, matchMedia('(prefers-color-scheme: dark)').matches]") == [390, True]
        assert browser.axe(page) == []


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/console", "console: it is broken"),
        ("/uncaught", "uncaught: .*nobody caught it"),
        ("/promise", "uncaught: .*nobody awaited it"),
        ("/missing", r"console: .* status of 404 .*\(http://127.0.0.1:\d+/nowhere\)"),
        ("/inline", "console: violates style-src-attr: inline"),
        ("/elsewhere", r"asked another host: GET http://localhost:\d+/good"),
    ],
)
def test_what_a_page_does_wrong_fails_the_test_that_uses_it(site, path, told):
    with pytest.raises(AssertionError, match=told):
        use(site + path)


def use(url: str, **allowed: list[int | str]) -> None:
    """Have a page do all that it does."""
    from playwright.sync_api import expect

    with browser.page(url, **allowed) as page:
        expect(page).to_have_title("done")


def fail(url: str) -> None:
    """A test that fails for a reason of its own."""
    with browser.page(url) as page:
        assert page.title() == "other"


def test_what_a_page_did_wrong_is_told_beside_the_failure_of_the_test(site):
    with pytest.raises(AssertionError, match="other") as failure:
        fail(f"{site}/console")
    assert re.match(r"The page: console: it is broken \(http://127", failure.value.__notes__[0])


def test_what_a_test_provokes_may_come(site):
    use(f"{site}/missing", allow=[404])
    use(f"{site}/console", allow=["is broken"])
    use(f"{site}/elsewhere", hosts=[site.removeprefix("http://").replace("127.0.0.1", "localhost")])


def test_what_some_people_cannot_use_is_told(site):
    with browser.page(f"{site}/unusable") as page:
        (finding,) = browser.axe(page)
    assert finding.startswith("critical label: #nameless: Fix any of the following: ")


def test_between_pages_there_is_no_event_loop_and_each_page_is_new(site):
    async def one() -> int:
        return 1

    for _ in range(2):
        with browser.page(f"{site}/good") as page:
            assert page.evaluate("[localStorage.length, localStorage.setItem('a', 'b')][0]") == 0
        assert asyncio.run(one()) == 1


def test_a_page_has_a_camera(site):
    with browser.page(f"{site}/good") as page:
        track = page.evaluate("navigator.mediaDevices.getUserMedia({video: true}).then((s) => s.getTracks()[0].kind)")
    assert track == "video"


def test_a_picture_of_a_page_and_what_is_wrong_with_it(site, tmp_path):
    def picture(path: str, *options: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "tests.browser", site + path, str(tmp_path / "p.png"), *options]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)

    done = picture("/unusable", "--width", "400", "--height", "300", "--axe")
    assert done.returncode == 1
    assert done.stdout.startswith("critical label")
    with Image.open(tmp_path / "p.png") as image:
        assert image.size == (400, 300)
    done = picture("/console", "--dark", "--full")
    assert (done.returncode, "it is broken" in done.stderr) == (1, True)
