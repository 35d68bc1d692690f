"""A line of a log says when, and is one line whatever is in it."""

import json
import logging
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signet.serving.process import log_lines
from signet.serving.process.log_lines import timestamp

TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "1970-01-01T00:00:00.000Z"),
        (1796211498.1239, "2026-12-02T11:38:18.123Z"),
        (1.9999, "1970-01-01T00:00:01.999Z"),
    ],
)
def test_times_are_in_utc_to_the_millisecond(seconds, text):
    assert timestamp(seconds) == text


def told(form: str, process: int | None, message: str, error: Exception | None = None) -> str:
    record = logging.LogRecord(
        "signet.x", logging.WARNING, "", 0, "%s", (message,), error and (type(error), error, None)
    )
    return log_lines.formatter(log_lines.form(form), process).format(record)


def test_text_says_time_level_and_process():
    assert re.fullmatch(rf"{TIME} WARNING loaded m\\nERROR x", told("text", None, "loaded m\nERROR x"))
    assert re.fullmatch(rf"{TIME} WARNING process 2: loaded", told("text", 2, "loaded"))


def test_json_is_one_object_a_line_also_with_a_traceback():
    line = told("json", 2, 'a "b"\n', ValueError("bad\nworse"))
    assert "\n" not in line
    values = json.loads(line)
    assert re.fullmatch(TIME, values.pop("time"))
    assert values == {"level": "WARNING", "process": 2, "message": 'a "b"\n', "exception": "ValueError: bad\nworse"}
    assert "process" not in json.loads(told("json", None, "a"))


@given(st.text(st.characters(exclude_categories=())))
def test_any_text_is_a_line(text):
    line = told("json", None, text)
    assert "\n" not in line
    assert json.loads(line)["level"] == "WARNING"
    assert len(told("text", None, text).splitlines()) == 1
