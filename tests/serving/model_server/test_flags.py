"""Flags that are ours alone: values that they do not take are refused as the original refuses others."""

import json
import logging

import pytest

from signet.serving.errors import UsageError
from signet.serving.model_server.flags import parse
from signet.serving.process import log_lines


def test_the_log_has_two_forms():
    assert parse([])[0].log_format == "text"
    flags, unknown = parse(["--log_format=json"])
    record = logging.LogRecord("signet", logging.INFO, "", 0, "loaded", (), None)
    written = log_lines.formatter(log_lines.form(flags.log_format), 2).format(record)
    assert (unknown, json.loads(written)["process"]) == ([], 2)


@pytest.mark.parametrize("argument", ["--log_format=xml", "--log_format=", "--log_format", "--grpc_transport=none"])
def test_another_form_is_refused(argument):
    with pytest.raises(UsageError, match="Couldn't interpret value"):
        parse([argument])
