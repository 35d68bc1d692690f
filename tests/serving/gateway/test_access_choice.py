"""What --access-log takes."""

import math

import pytest

from signet.serving.errors import UsageError
from signet.serving.gateway.access_choice import AccessChoice, parse
from signet.serving.gateway.settings import read


@pytest.mark.parametrize(
    ("text", "choice"),
    [
        ("off", None),
        ("", None),
        ("failed", AccessChoice(math.inf, 0.0)),
        ("all", AccessChoice(0.0, 0.0)),
        ("slow=200ms", AccessChoice(0.2, 0.0)),
        ("failed, Slow=1.5s, sample=0.01", AccessChoice(1.5, 0.01)),
        ("0.01", AccessChoice(math.inf, 0.01)),
        ("1", AccessChoice(math.inf, 1.0)),
        ("slow=2s,slow=1s", AccessChoice(1.0, 0.0)),
    ],
)
def test_a_choice_is_read(text, choice):
    assert parse(text) == choice


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("some", "has 'some'; expected off, failed, all"),
        ("off,all", "has off beside other words"),
        ("slow", "has slow=''; expected a time such as slow=200ms"),
        ("slow=200", "has slow='200'"),
        ("sample=2", "has sample='2'; expected a part of all requests, from 0 to 1"),
        ("sample=nan", "from 0 to 1"),
        ("0.1.2", "from 0 to 1"),
    ],
)
def test_what_is_none_is_refused_at_the_start(text, problem):
    with pytest.raises(UsageError, match=rf"--access-log \(SIGNET_ACCESS_LOG\) .*{problem}"):
        read({"access_log": text})


def test_there_is_none_on_stderr_where_only_warnings_are_wanted(tmp_path):
    assert read({"log_level": "warning"}).access_choice is None
    assert read({"log_level": "warning", "access_log_file": tmp_path / "a"}).access_choice is not None
    assert read({}).access_choice == parse("failed")
