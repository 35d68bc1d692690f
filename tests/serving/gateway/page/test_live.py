"""The last minutes of a gateway as a browser draws them, from what it really counts; the page's clock is the test's."""

import json
import math
import re
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import httpx
from playwright.sync_api import Locator, Page, Request, expect
from prometheus_client.parser import text_string_to_metric_families

from tests import browser, programs, servers
from tests.servers import GOLDEN_MODELS, ROOT

PARSER = ROOT / "serving/gateway/page/static/live/exposition.js"
SCRIPT = """
import { readFileSync } from "node:fs";
const { parse } = await import(process.argv[1]);
const { samples, types } = parse(readFileSync(0, "utf8"));
const told = samples.map(({ name, labels, value }) => [name, labels, String(value)]);
console.log(JSON.stringify({ samples: told, types: [...types] }));
"""
ROW = {"instances": [{"a": [1, 1, 1], "b": [1, 1]}]}
LOOK_MS = 2000


@contextmanager
def gateway(port: int) -> Iterator[str]:
    with servers.gateway("--models-dir", GOLDEN_MODELS, "--http-port", str(port)) as (url, _):
        yield url


def ask(url: str, times: int, body: object = ROW, model: str = "two_in") -> None:
    with httpx.Client(base_url=url, timeout=30) as client:
        for _ in range(times):
            client.post(f"/v1/models/{model}:predict", json=body)


@contextmanager
def live(url: str, path: str = "/#/live", **options: object) -> Iterator[Page]:
    """The page, having looked twice with a gap between: from then on it looks when the test says so, each two seconds."""
    with browser.page(url + path, **options) as page:
        page.clock.install()
        page.reload()
        expect(page.locator(".standing")).to_contain_text("looking every two seconds")
        with page.expect_request_finished(is_metrics):
            page.clock.pause_at(page.evaluate("Date.now()") / 1000 + 20)
        yield page
        page.clock.resume()  # what watches the page waits by it


def look(page: Page) -> None:
    """Have the page look at the metrics once more."""
    with page.expect_request_finished(is_metrics) as finished:
        page.clock.run_for(LOOK_MS)
    finished.value.response().body()
    page.wait_for_timeout(100)  # of this process's clock: the page has taken it, and waits for the next time


def is_metrics(request: Request) -> bool:
    return request.url.endswith("/metrics")


def panel(page: Page, title: str) -> Locator:
    return page.get_by_role("region", name=title, exact=True)


def row(page: Page, title: str, line: str) -> Locator:
    """The values of a line: at the moment that is looked at, and the highest."""
    return (
        panel(page, title)
        .get_by_role("row")
        .filter(has=page.get_by_role("rowheader", name=line, exact=True))
        .locator("td")
    )


def test_the_parser_reads_what_prometheus_client_reads(embedded_url):
    programs.need("node")
    ask(embedded_url, 3)
    ask(embedded_url, 1, {}, model="nope")
    text = httpx.get(f"{embedded_url}/metrics", headers={"accept": "text/plain"}).text
    text += 'more{a="\\\\ \\" \\n } , ü",le="+Inf"} NaN\nmore{a=""} -Inf\nmore{a="b"} +Inf\nmore 1e-05\n'
    run = ["node", "--input-type=module", "-e", SCRIPT, str(PARSER)]
    done = subprocess.run(run, input=text, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    read = json.loads(done.stdout)
    families = list(text_string_to_metric_families(text))
    expected = [(sample.name, sample.labels, number(sample.value)) for each in families for sample in each.samples]
    told = [(name, labels, number(float(value.replace("Infinity", "inf")))) for name, labels, value in read["samples"]]
    order = str
    assert sorted(told, key=order) == sorted(expected, key=order)
    assert len(told) > 100
    types = {name.removesuffix("_total"): kind for name, kind in read["types"]}
    assert types == {each.name: each.type for each in families if each.type != "unknown"}


def number(value: float) -> float | str:
    return "nan" if math.isnan(value) else value


def test_charts_follow_the_load_tell_errors_and_outlive_a_restart():
    """Of an idle server it says so; while the server is away nothing is drawn, and then it goes on."""
    port = servers.free_port()
    refused = ["Failed to load resource: net::ERR_"]
    with ExitStack() as first, live(url := first.enter_context(gateway(port)), allow=refused) as page:
        expect(page.get_by_text(re.compile("^No requests since .*, when this page began to look"))).to_be_visible()
        expect(panel(page, "Requests per second")).to_contain_text("No requests since")
        ask(url, 8)
        ask(url, 2, {"instances": "none"})
        look(page)
        expect(row(page, "Requests per second", "two_in").first).to_have_text("5")  # ten in two seconds
        expect(row(page, "Errors per second", "INVALID_ARGUMENT").first).to_have_text("1")
        expect(row(page, "Half within (p50)", "two_in").first).to_have_text(re.compile(r"^(≤ )?[\d.,]+ m?s$"))
        expect(row(page, "Rows a call", "two_in").first).to_have_text("1")
        expect(row(page, "Where the time goes", "model").first).to_contain_text("ms")
        expect(page.locator(".idle")).to_have_text("")
        ask(url, 30)
        look(page)
        expect(row(page, "Requests per second", "two_in").first).to_have_text("10")  # forty in four

        moment = panel(page, "Errors per second").get_by_role("slider")
        moment.press("ArrowLeft")
        expect(moment).to_have_attribute("aria-valuetext", re.compile(r"^\d\d:\d\d:\d\d: INVALID_ARGUMENT 1$"))
        expect(row(page, "Requests per second", "two_in").first).to_have_text("5")  # all charts tell of the same moment
        moment.press("Escape")
        expect(row(page, "Requests per second", "two_in").first).to_have_text("10")

        first.close()
        page.clock.run_for(LOOK_MS)
        expect(page.locator(".standing")).to_contain_text("no metrics since")
        expect(page.get_by_role("alert").filter(has_text="no answer from the server")).to_be_visible()
        with gateway(port):
            look(page)
            ask(url, 4)
            look(page)
            expect(page.locator(".standing")).to_contain_text("looking every two seconds")
            expect(row(page, "Requests per second", "two_in").first).to_have_text("2")
            path = panel(page, "Requests per second").locator(".chart path").get_attribute("d")
            assert path.count("M") == 2  # and a gap between
            page.clock.resume()  # axe waits by it
            assert browser.axe(page) == []


def test_a_model_of_many_is_chosen_by_the_address(embedded_url):
    with live(embedded_url, "/#/live?model=two_in") as page:
        expect(page.get_by_text(re.compile("^No requests of two_in since"))).to_be_visible()
        expect(page.locator(".idle pre")).to_have_text(
            f"curl -s {embedded_url}/v1/models/two_in:predict -d '{json.dumps(ROW, separators=(',', ':'))}'"
        )
        ask(embedded_url, 2)
        look(page)
        expect(row(page, "Requests per second", "two_in").first).to_have_text("1")
        expect(row(page, "Time of a request", "99 % (p99)").first).to_contain_text(re.compile("m?s$"))
        expect(row(page, "99 % by protocol", "V1 HTTP").first).to_contain_text(re.compile("m?s$"))
        expect(page.get_by_role("row").filter(has_text="available")).to_have_count(1)
        page.get_by_label("Model", exact=True).select_option("mixed")
        expect(page).to_have_url(re.compile(r"#/live\?model=mixed$"))
        expect(page.get_by_text(re.compile("^No requests of mixed"))).to_be_visible()
