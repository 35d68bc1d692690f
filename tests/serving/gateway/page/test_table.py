"""A file of rows in a real browser: read, asked, shown, sorted, downloaded; and files that are none."""

import csv
import io
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pyarrow as pa
import pytest
from playwright.sync_api import Locator, Page, expect

from tests import browser, servers
from tests.serving.gateway.page import people
from tests.serving.tables.test_round_trip import parquet

BAD = 77
TEXTS = ("=1+1", '<img src="x" onerror="document.title=1">', 'a "quoted",\nline', "")
ROWS = [
    {"id": f"r{place}", "text": TEXTS[place % 4], "x": [place % 40 if place != BAD else -1, 1.5, place % 7]}
    for place in range(300)
]


def as_csv(rows: list[dict]) -> bytes:
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(["id", "text", "x_0", "x_1", "x_2"])
    writer.writerows([row["id"], row["text"], *row["x"]] for row in rows)
    return out.getvalue().encode("utf-8-sig")


def as_jsonl(rows: list[dict]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def as_parquet(rows: list[dict]) -> bytes:
    return parquet(pa.Table.from_pylist([row | {"x": list(map(float, row["x"]))} for row in rows]))


FILES = {"csv": as_csv, "jsonl": as_jsonl, "parquet": as_parquet}


@pytest.fixture(scope="module")
def url(tmp_path_factory) -> Iterator[str]:
    with people.served(tmp_path_factory) as url:
        yield url


def table(url: str) -> str:
    return f"{url}/#/models/people/table"


def choose(page: Page, name: str, content: bytes) -> None:
    page.get_by_label("A file of rows").set_input_files({"name": name, "mimeType": "", "buffer": content})


def drop(page: Page, name: str, content: bytes) -> None:
    """As a user drops a file from elsewhere."""
    transfer = page.evaluate_handle(
        """([name, content]) => {
            const transfer = new DataTransfer();
            transfer.items.add(new File([Uint8Array.from(content)], name));
            return transfer;
        }""",
        [name, list(content)],
    )
    page.locator(".drop-file").dispatch_event("drop", {"dataTransfer": transfer})


def lines(page: Page) -> Locator:
    return page.locator(".table-grid tbody tr")


def downloaded(page: Page, button: str) -> str:
    with page.expect_download() as saved:
        page.get_by_role("button", name=button).click()
    return Path(saved.value.path()).read_bytes().decode()


def expected(url: str) -> list[dict]:
    """The answers to the good rows, in one request by another program."""
    good = [{"text": row["text"], "x": row["x"]} for row in ROWS if row["x"][0] >= 0]
    answer = httpx.post(f"{url}/v1/models/people:predict", json={"instances": good}, timeout=30)
    return answer.json()["predictions"]


@pytest.mark.parametrize("kind", [pytest.param("csv", marks=pytest.mark.long), "jsonl", "parquet"])
def test_all_rows_of_a_file_get_their_answers_and_a_bad_one_its_reason(url, kind):
    with browser.page(table(url), allow=[400, 500]) as page:
        (drop if kind == "jsonl" else choose)(page, f"rows.{kind}", FILES[kind](ROWS))
        expect(page.locator(".running [role=status]")).to_contain_text("299 rows answered by version 2")
        expect(page.locator(".running [role=status]")).to_contain_text("1 failed")
        said = "The gateway has read it" if kind == "parquet" else "Read in this browser"
        expect(page.locator(".notes")).to_contain_text(said)
        told = list(map(json.loads, downloaded(page, "Download JSON lines").splitlines()))
        assert [row["id"] for row in told] == [row["id"] for row in ROWS]
        assert "below zero" in told[BAD].pop("error")
        good = [row for place, row in enumerate(told) if place != BAD]
        answers = expected(url)
        assert [row["echo"] for row in good] == [answer["echo"] for answer in answers]
        for name in ("age", "kind"):
            flat = [each for row in good for each in (row[name] if name == "kind" else [row[name]])]
            wanted = [each for row in answers for each in (row[name] if name == "kind" else [row[name]])]
            assert flat == pytest.approx(wanted, rel=1e-5, abs=1e-6)
        page.get_by_label("only rows that failed").check()
        expect(lines(page)).to_have_count(1)
        expect(lines(page)).to_contain_text("below zero")


def test_the_table_is_sorted_searched_and_paged_and_nothing_in_it_is_markup(url):
    with browser.page(table(url)) as page:
        choose(page, "rows.csv", as_csv([row for row in ROWS if row["x"][0] >= 0]))
        expect(page.locator(".rows-shown")).to_have_text("1–50 of 299 rows")
        expect(lines(page).nth(1)).to_contain_text('<img src="x"')
        expect(page.locator(".table-grid img")).to_have_count(0)
        age = page.get_by_role("columnheader", name="age")
        age.get_by_role("button").click()
        expect(age).to_have_attribute("aria-sort", "ascending")
        age.get_by_role("button").click()
        expect(age).to_have_attribute("aria-sort", "descending")
        ages = [
            float(text.removesuffix(" years").replace("−", "-"))
            for text in page.locator(".table-grid tbody td:nth-child(5)").all_inner_texts()
        ]
        assert ages == sorted(ages, reverse=True)
        assert max(ages) > 39
        page.get_by_role("button", name="Next").click()
        expect(page.locator(".rows-shown")).to_have_text("51–100 of 299 rows")
        page.get_by_label("Find").fill("r29")
        expect(page.locator(".rows-shown")).to_have_text("1–11 of 11 of 299 rows")
        assert browser.axe(page) == []


def test_a_row_opens_in_the_form_and_the_table_is_still_there_afterwards(url):
    with browser.page(table(url), width=390, dark=True) as page:
        choose(page, "rows.csv", as_csv(ROWS[:5]))
        expect(page.locator(".running")).to_contain_text("5 rows answered")
        assert browser.axe(page) == []
        lines(page).nth(1).locator("td").first.click()
        expect(page).to_have_url(re.compile(r"/try\?"))
        expect(page.locator("[data-input=text] textarea")).to_have_value(TEXTS[1])
        page.go_back()
        expect(lines(page)).to_have_count(5)


def test_what_was_stopped_stays_so_until_somebody_goes_on(url):
    with browser.page(table(url), allow=[429]) as page:
        page.route("**:predict", lambda asked: asked.fulfill(status=429, json={"error": "busy"}))
        choose(page, "rows.csv", as_csv(ROWS[:5]))
        page.get_by_role("button", name="Stop").click()
        expect(page.locator(".running")).to_contain_text("0 rows answered")
        page.unroute_all()
        page.get_by_role("link", name="About", exact=True).click()
        page.get_by_role("link", name="Table", exact=True).click()
        expect(page.locator(".running")).to_contain_text("5 not asked")
        page.get_by_role("button", name="Go on").click()
        expect(page.locator(".running")).to_contain_text("5 rows answered")


def test_a_file_that_is_read_late_does_not_take_the_place_of_the_next(url):
    with browser.page(table(url)) as page:
        page.evaluate(
            """() => {
                const read = Blob.prototype.arrayBuffer;
                Blob.prototype.arrayBuffer = async function () {
                    if (this.name === "late.csv") await new Promise((resolve) => (globalThis.goOn = resolve));
                    return read.call(this);
                };
            }"""
        )
        choose(page, "late.csv", as_csv(ROWS[:5]))
        choose(page, "next.csv", as_csv(ROWS[:3]))
        expect(page.locator(".running")).to_contain_text("3 rows answered")
        page.evaluate("() => globalThis.goOn()")
        page.get_by_role("link", name="About", exact=True).click()
        page.get_by_role("link", name="Table", exact=True).click()
        expect(page.locator(".notes")).to_contain_text("next.csv: 3 rows")


def test_what_a_spreadsheet_would_run_is_downloaded_as_text(url):
    with browser.page(table(url)) as page:
        choose(page, "rows.csv", as_csv(ROWS[:4]))
        expect(page.locator(".running")).to_contain_text("4 rows answered")
        header, *records = csv.reader(io.StringIO(downloaded(page, "Download CSV"), newline=""))
        assert header == ["id", "text", "x_0", "x_1", "x_2", "age", "echo", "kind_0", "kind_1"]
        assert [record[1] for record in records] == ["'=1+1", *TEXTS[1:]]
        assert [record[6] for record in records] == ["'=1+1", *TEXTS[1:]]
        expect(page.locator(".downloads")).to_contain_text("2 texts that begin as a formula does got an apostrophe")


def test_what_is_no_table_is_told_in_words(url):
    files = [
        ("x.csv", b"", "is empty"),
        ("x.csv", b"id,text,x_0,x_1,x_2\n", "no row below it"),
        ("x.csv", b"txt,x_0,x_1,x_2\na,1,2,3\n", "no column for the input \u201ctext\u201d"),
        ("x.xlsx", b"PK\x03\x04....", "save the table as CSV"),
        ("x.parquet", b"PAR1 and no more", "the Parquet file is malformed"),
        ("x.csv", b'text,x_0,x_1,x_2\n"a,1,2,3\n', "line 2 is never closed"),
    ]
    with browser.page(table(url), allow=[400]) as page:
        for name, content, problem in files:
            choose(page, name, content)
            expect(page.get_by_role("alert").filter(has_text=problem)).to_be_visible()


def test_what_is_too_large_is_for_score_with_the_command(url):
    with browser.page(f"{table(url)}?version=1") as page:
        choose(page, "my rows.csv", as_csv(ROWS[:1]) + b"a,b,1,2,3\n" * 10_000)
        expect(page.get_by_role("alert").filter(has_text="more than 10,000 rows")).to_be_visible()
        command = f"signet score people 'my rows.csv' 'my rows-answers.parquet' --version 1 --url {url}"
        expect(page.locator(".tab pre")).to_have_text(command)


@pytest.mark.long
def test_ten_thousand_rows_are_those_of_signet_score(url, tmp_path):
    rows = [row | {"id": f"r{place}"} for place, row in enumerate(ROWS * 34) if row["x"][0] >= 0][:10_000]
    (tmp_path / "rows.jsonl").write_bytes(as_jsonl(rows))
    command = [*servers.SIGNET, "score", "people", tmp_path / "rows.jsonl", tmp_path / "scored.jsonl", "--url", url]
    subprocess.run(command, check=True, capture_output=True)
    scored = list(map(json.loads, (tmp_path / "scored.jsonl").read_text().splitlines()))
    with browser.page(table(url)) as page:
        page.get_by_label("A file of rows").set_input_files(tmp_path / "rows.jsonl")
        expect(page.locator(".running")).to_contain_text("10,000 rows answered")
        told = list(map(json.loads, downloaded(page, "Download JSON lines").splitlines()))
    assert [(row["id"], row["echo"]) for row in told] == [(row["id"], row["echo"]) for row in scored]
    assert [row["age"] for row in told] == pytest.approx([row["age"] for row in scored], rel=1e-5)
