"""Lines of the access log: both forms say the same, and nothing that a caller has sent as values."""

import json
import re
import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signet.serving.gateway.access_log import error_text
from signet.serving.gateway.access_log.floods import Kind
from signet.serving.gateway.access_log.lines import Inferred, Refused, RefusedCall, Renderer, Summary
from signet.serving.tracing.trace_context import TraceContext

GOOD = Inferred(
    *(1796211498.1239, "abc-1", TraceContext("a" * 32, "b" * 16), "team-a", "10.0.0.7", "v1", "digits", "3", "serving_default"),
    *("OK", 200, "", 2, 512, 90, 0.0123456, 0.0001, 0.0002, 0.003, 0.01, 0.0005),
)  # fmt: skip
BAD = GOOD._replace(
    code="INVALID_ARGUMENT",
    http_status=400,
    trace=None,
    key="",
    run_s=None,
    queue_s=None,
    encode_s=None,
    error="no 'instances'",
)


def fields(line: bytes) -> dict[str, object]:
    """Of a line of text."""
    words = shlex.split(line.decode())
    return {"time": words[0], "level": words[1], **dict(word.split("=", 1) for word in words if "=" in word)}


@pytest.mark.parametrize(
    "entry",
    [
        GOOD,
        BAD,
        GOOD._replace(code="CANCELLED", http_status=499),
        Refused(1796211498.1239, "abc-2", "team-a", "10.0.0.7", "GET", b'/nowhere/"x y"\xff', 404, 12),
        Refused(1796211498.1239, "abc-2", "", "", "", b"", 400, 12),
        RefusedCall(1796211498.1239, "abc-2", "", "10.0.0.7", "/a.B/C", "UNAUTHENTICATED", "show a key: `T`"),
        Summary(1796211498.1239, Kind("v1", "digits", "RESOURCE_EXHAUSTED"), 9312),
    ],
)
def test_both_forms_say_the_same(entry):
    values = json.loads(Renderer("json", None)(entry))
    text = fields(Renderer("text", None)(entry))
    assert values.pop("level") == text.pop("level") == "INFO"
    assert values.pop("time") == text.pop("time") == "2026-12-02T11:38:18.123Z"
    message = values.pop("message")
    assert f"INFO {message}" in Renderer("text", None)(entry).decode()
    assert list(values) == list(text)
    for name, value in values.items():
        assert str(value) == text[name] or float(value) == float(text[name])


def test_a_line_says_all_that_is_known_and_no_more():
    values = json.loads(Renderer("json", 2)(GOOD))
    assert values["process"] == 2
    assert values["trace_id"] == "a" * 32
    assert (values["key"], values["rows"], values["total_ms"], values["queue_ms"]) == ("team-a", 2, 12.346, 3.0)
    values = json.loads(Renderer("json", None)(BAD))
    assert not {"trace_id", "key", "process", "run_ms", "queue_ms", "encode_ms"} & values.keys()
    assert (values["parse_ms"], values["decode_ms"], values["error"]) == (0.1, 0.2, "no 'instances'")
    assert b"and 9,312 more like it protocol=v1" in Renderer("text", None)(Summary(0.0, Kind("v1", "m", "X"), 9312))


@given(st.text(st.characters(exclude_categories=())), st.text(), st.binary())
def test_whatever_is_in_it_an_entry_is_one_line(error, key, path):
    for form in ("text", "json"):
        render = Renderer(form, None)
        for line in (
            render(BAD._replace(error=error, key=key)),
            render(Refused(0.0, "i", key, "", "GET", path, 404, 0)),
        ):
            assert line.endswith(b"\n")
            assert len(line.decode().splitlines()) == 1
            assert len(line) < 8000
    json.loads(line)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("input 'age' is the number 93; the model takes string", "input 'age' is the number …; the model takes string"),
        ("input 'text'[0] is the string \"hunter2\"; x", "input 'text'[0] is the string …; x"),
        ("'instances' is the string \"a \\\" b\"; expected a list", "'instances' is the string …; expected a list"),
        ("input 'x' is 300; int8 goes from -128 to 127", "input 'x' is …; int8 goes from -128 to 127"),
        ("JSON Value: {\n \"a\": \"hunter2\"} not formatted correctly", "…"),
        ("JSON Parse error: Invalid value. at offset: 4", "JSON Parse error: Invalid value. at offset: 4"),
        ("indices[0] = 300 is not in [0, 100)", "indices[0] = … is not in [0, 100)"),
        ("input 'pixels' has shape (1, 3); the model takes (None, 64)",) * 2,
        ("cut off \"hunter", "cut off …"),
        ("unexpected 'hunter2'", "unexpected …"),
    ],
)  # fmt: skip
def test_names_and_shapes_stay_and_values_go(text, kept):
    assert error_text.for_log(text, "INVALID_ARGUMENT") == kept


def test_what_is_busy_is_told_as_it_is_and_bounded():
    assert error_text.for_log("model 'm' has its share", "RESOURCE_EXHAUSTED") == "model 'm' has its share"
    assert len(error_text.for_log("x" * 5000, "UNAVAILABLE")) == error_text.MOST
    assert re.fullmatch("x{300}", error_text.for_log("x" * 5000, "INTERNAL"))
