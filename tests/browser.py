"""Pages in a real Chromium, watched while a test uses them; and their pictures, for people who write them.

page(url) ──▶ a context of its own in the process's one Chromium ──▶ playwright's page, at that address
  while it is open: the console's errors and warnings, uncaught errors, violations of the policy,
      requests to other hosts ──▶ noted
  at its end: what was noted fails the test
axe(page) ──▶ what axe-core says that some people cannot use

.venv/bin/python -m tests.browser URL OUT.png [--dark] [--width 390] [--full] [--axe]
"""

import argparse
import asyncio
import atexit
import re
import shutil
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tests import programs

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request

TIMEOUT_S = 30
"""What playwright waits for something that a test says will come: machines are busy."""

ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
    "--use-fake-device-for-media-stream",  # a camera that shows a moving pattern
    "--use-fake-ui-for-media-stream",  # somebody who lets the page use it
)

TELL_VIOLATIONS = """addEventListener("securitypolicyviolation", (event) =>
    console.error(`violates ${event.effectiveDirective}: ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`))"""


@contextmanager
def page(
    url: str,
    *,
    dark: bool = False,
    width: int = 1280,
    height: int = 900,
    allow: Collection[int | str] = (),
    hosts: Collection[str] = (),
) -> Iterator["Page"]:
    """A page of its own, with no cookies or storage of others, that has loaded the URL. Fails at the end as said above.

    Wait with locators and playwright's `expect`; `page.wait_for_function` is an eval in the page, which its policy forbids.

    allow: HTTP statuses that the test provokes (Chromium calls them errors), and parts of other console errors.
    hosts: others, HOST:PORT, that may be asked beside the URL's.
    """
    problems: list[str] = []
    with _watched(url, problems, allow, {urlsplit(url).netloc, *hosts}, _options(dark, width, height)) as opened:
        try:
            yield opened
            _let_it_tell(opened)
        except BaseException as error:
            for problem in problems:
                error.add_note(f"The page: {problem}")
            raise
    assert not problems, "\n".join(["the page:", *problems])


def axe(page: "Page") -> list[str]:
    """What axe-core finds on the page as it is now, if it is serious or critical: rule, element, what to do."""
    page.evaluate((files("axe_playwright_python") / "axe.min.js").read_text())
    # preload: it would write what stylesheets import into the page, which the policies forbid; one rule for phones alone uses it
    found = page.evaluate("axe.run(document, {resultTypes: ['violations'], preload: false})")
    return [
        f"{rule['impact']} {rule['id']}: {' '.join(map(str, node['target']))}: {' '.join(node['failureSummary'].split())}"
        for rule in found["violations"]
        if rule["impact"] in {"serious", "critical"}
        for node in rule["nodes"]
    ]


def _options(dark: bool, width: int, height: int) -> dict[str, object]:
    """Those of a context. The language decides how a page writes numbers."""
    size = {"width": width, "height": height}
    return {"viewport": size, "color_scheme": "dark" if dark else "light", "locale": "en-GB"}


@contextmanager
def _watched(
    url: str, problems: list[str], allow: Collection[int | str], hosts: set[str], options: dict[str, object]
) -> Iterator["Page"]:
    """A page of a new context; problems grows while it is open."""
    with _context(options) as context:

        def console(message: "ConsoleMessage") -> None:
            if message.type in {"error", "warning"} and not _allowed(message.text, allow):
                problems.append(f"console: {message.text} ({message.location['url']})")

        def request(asked: "Request") -> None:
            where = urlsplit(asked.url)
            if where.scheme not in {"data", "blob"} and where.netloc not in hosts:
                problems.append(f"asked another host: {asked.method} {asked.url}")

        context.on("console", console)
        context.on("weberror", lambda error: problems.append(f"uncaught: {error.error}"))
        context.on("request", request)
        context.add_init_script(TELL_VIOLATIONS)
        opened = context.new_page()
        opened.goto(url)
        yield opened


def _allowed(text: str, allow: Collection[int | str]) -> bool:
    """Whether a test has said that this console error may come."""
    status = re.search(r"Failed to load resource: the server responded with a status of (\d+)", text)
    if status:
        return int(status[1]) in allow
    return any(part in text for part in allow if isinstance(part, str))


def _let_it_tell(page: "Page") -> None:
    """Wait for what the page has done up to now to be told: events come in order."""
    if not page.is_closed():
        page.evaluate("new Promise((done) => setTimeout(done))")


@contextmanager
def _context(options: dict[str, object]) -> Iterator["BrowserContext"]:
    """A context of the Chromium. While none is open, asyncio is as if there were no playwright, and tests may use it."""
    browser, loop = _chromium()
    asyncio._set_running_loop(loop)
    try:
        context = browser.new_context(**options)
        context.set_default_timeout(TIMEOUT_S * 1000)
        try:
            yield context
        finally:
            context.close()
    finally:
        asyncio._set_running_loop(None)


@cache
def _chromium() -> tuple["Browser", asyncio.AbstractEventLoop]:
    """The process's Chromium, from its first page until the process ends, and playwright's event loop.

    That loop lives in this thread, and counts as running even while nothing of playwright's runs.
    """
    from playwright.sync_api import expect, sync_playwright

    programs.need("chromium")
    expect.set_options(timeout=TIMEOUT_S * 1000)
    driver = sync_playwright().start()
    loop = asyncio.get_running_loop()
    browser = driver.chromium.launch(
        executable_path=shutil.which("chromium"), args=list(ARGUMENTS), timeout=2 * TIMEOUT_S * 1000
    )

    def stop() -> None:
        asyncio._set_running_loop(loop)
        browser.close()
        driver.stop()

    atexit.register(stop)
    return browser, loop


def main() -> int:
    """Takes the picture, and says what the page did wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.browser", description="A picture of a page.")
    parser.add_argument("url")
    parser.add_argument("picture", metavar="OUT.png")
    parser.add_argument("--dark", action="store_true")
    parser.add_argument("--width", type=int, default=1280)
    parser.add_argument("--height", type=int, default=900)
    parser.add_argument("--full", action="store_true", help="all of the page, not only what a window shows")
    parser.add_argument("--axe", action="store_true", help="also print what axe-core finds")
    asked = parser.parse_args()
    try:
        with page(asked.url, dark=asked.dark, width=asked.width, height=asked.height) as opened:
            settle(opened)
            opened.screenshot(path=asked.picture, full_page=asked.full)
            findings = axe(opened) if asked.axe else []
    except AssertionError as error:
        print(error, file=sys.stderr)
        return 1
    print("\n".join(findings))
    return 1 if findings else 0


def settle(page: "Page", at_most_s: float = 5) -> None:
    """Wait until the page asks for nothing any more, or goes on asking: for pictures, not for tests."""
    from playwright.sync_api import TimeoutError as StillAsking

    try:
        page.wait_for_load_state("networkidle", timeout=at_most_s * 1000)
    except StillAsking:
        print("the page goes on asking: pictured as it is", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
