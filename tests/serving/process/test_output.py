"""No name begins a log line of its own."""

import fcntl
import io
import logging
import os
import sys

import pytest
from grpc._cython.cygrpc import ExecuteBatchError

from signet.serving.process.log_lines import TextFormatter, one_line
from signet.serving.process.output import _Stderr, is_news


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("two_in", "two_in"),
        ("schön, 日本", "schön, 日本"),
        ("a\nERROR b\r\n", "a\\nERROR b\\r\\n"),
        ("\x1b[2J\x00\x85\u2028\u2029\x7f", "\\x1b[2J\\x00\\x85\\u2028\\u2029\\x7f"),
    ],
)
def test_line_ends_become_escapes(text, shown):
    assert one_line(text) == shown


def test_an_event_is_one_line_and_its_traceback_is_indented():
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(TextFormatter("%(levelname)s %(message)s"))
    logger = logging.Logger("test")
    logger.addHandler(handler)
    name = "m\nERROR forged"
    logger.info("loaded %s", name)
    try:
        raise ValueError(name)
    except ValueError:
        logger.exception("loading %s failed", name)
    first, second, *traceback = stream.getvalue().splitlines()
    assert first == "INFO loaded m\\nERROR forged"
    assert second == "ERROR loading m\\nERROR forged failed"
    assert all(line.startswith("  ") for line in traceback)
    assert traceback[-1] == "  ERROR forged"


def test_a_caller_of_grpc_who_has_gone_is_no_news():
    error = ExecuteBatchError("execute_batch")
    told = logging.LogRecord("grpc._cython.cygrpc", logging.ERROR, "", 0, "%s", (), (type(error), error, None))
    assert not is_news(told)
    told.exc_info = (ValueError, ValueError(), None)
    assert is_news(told)
    told.exc_info = None
    assert is_news(told)


def test_events_that_find_no_reader_are_lost_and_the_next_one_says_how_many(monkeypatch):
    read_end, write_end = os.pipe()
    fcntl.fcntl(write_end, fcntl.F_SETPIPE_SZ, 16384)
    with os.fdopen(write_end, "w") as stderr:
        monkeypatch.setattr(sys, "stderr", stderr)
        handler = _Stderr()
    handler.setFormatter(TextFormatter("%(levelname)s %(message)s"))
    logger = logging.Logger("test")
    logger.addHandler(handler)
    for number in range(40):
        logger.info("%d %s", number, "x" * 1000)
    first = os.read(read_end, 1 << 16).decode().splitlines()
    logger.info("again")
    second = os.read(read_end, 1 << 16).decode().splitlines()
    handler.close()
    os.close(read_end)
    written = len([line for line in first if line.startswith("INFO ") and len(line) > 1000])
    assert 0 < written < 40
    assert second[-2:] == [f"WARNING {40 - written} events before this one were lost", "INFO again"]
