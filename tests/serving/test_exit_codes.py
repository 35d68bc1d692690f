"""The classes of errors and the codes with which programs end."""

import pytest

from signet.clients.drift.command import NotComparable
from signet.clients.score.job import ReaderGone
from signet.clients.score.output.dead_letters import TooManyBadRows
from signet.clients.score.predictor import VersionGone
from signet.commands.release_check import NotChecked
from signet.serving.errors import InvalidInput, NotDone, SignetError, Unavailable, UsageError
from signet.serving.exit_codes import ExitCode
from signet.serving.releases.store import Conflict
from signet.training.export.errors import BadModel, ExportFailed
from signet.training.model import BadData, BadOption


@pytest.mark.parametrize(("code", "classes"), [
    (1, {SignetError, NotDone, Unavailable, InvalidInput, ExportFailed, Conflict}),
    (2, {UsageError, BadOption, BadData, BadModel, NotComparable, NotChecked}),
    (3, {VersionGone}),
    (4, {TooManyBadRows}),
    (141, {ReaderGone}),
])  # fmt: skip
def test_each_error_has_its_code(code, classes):
    assert {error.exit_code for error in classes} == {ExitCode(code)}
