"""A request log as its readers find it: by model and signature, never mixed; replayed by `signet load`."""

import random

import numpy as np
import pytest

from signet.clients.client.calls import Version
from signet.clients.load_test.plan import bodies
from signet.clients.load_test.plan.mix import MixEntry
from signet.clients.request_log import files
from signet.serving.errors import UsageError
from tests.serving.gateway.request_log.made import a_plan, record, signature, write_log

MADE = signature({"x": ("float", (None, 2)), "t": ("string", (None,))}, {"y": ("float", (None,))})


def a_record(number, model="m", redact="", text=b"text"):
    plan = a_plan(MADE, redact, model)
    arrays = {"x": np.full((1, 2), number, np.float32), "t": np.array([text], object)}
    shown = {name: array for name, array in arrays.items() if name not in plan.hidden}
    return record(plan, shown, {"y": np.ones(1, np.float32)}, 1, number)


def replayed(source, rows=1, model="m"):
    entry = MixEntry(model)
    described = Version(model, 3, {MADE.name: MADE})
    return bodies.read(entry, described, str(source), source, rows=rows, size=1, chance=random.Random(0))


def test_files_of_other_models_are_told_apart(tmp_path):
    write_log(tmp_path, [a_record(1), a_record(2, "n")])
    logs = files.found(str(tmp_path))
    assert [log.logged.model for log in logs] == ["m", "n"]
    assert files.of(logs, "m", "serving_default") == [logs[0]]
    assert files.others([log.path for log in logs], "m", "serving_default") == {logs[1].path}


@pytest.mark.parametrize(("model", "signature_name"), [("nobody", "serving_default"), ("m", "other")])
def test_what_is_not_there_is_said_with_what_is(tmp_path, model, signature_name):
    write_log(tmp_path, [a_record(1), a_record(2, "n")])
    logs = files.found(str(tmp_path))
    message = (
        rf"nothing of '{model}', signature '{signature_name}'.*it has m \(serving_default\), n \(serving_default\)"
    )
    with pytest.raises(UsageError, match=message):
        files.of(logs, model, signature_name)
    with pytest.raises(UsageError, match=message):
        files.others([log.path for log in logs], model, signature_name)


def test_a_folder_without_a_log_is_refused(tmp_path):
    (tmp_path / "rows.parquet").write_bytes(b"none of ours")
    with pytest.raises(UsageError, match="holds no file of a request log"):
        files.found(str(tmp_path))
    with pytest.raises(UsageError, match="does not exist"):
        files.found(str(tmp_path / "nowhere"))


def test_other_files_are_nobodys_log_and_are_not_opened(tmp_path):
    assert files.others([str(tmp_path / "rows.parquet"), "s3://nowhere/rows.csv"], "m", "serving_default") == set()


@pytest.mark.parametrize("text", [b"text", b"\xff\x00"])
def test_a_load_test_sends_what_was_logged(tmp_path, text):
    write_log(tmp_path, [*(a_record(number, text=text) for number in range(5)), a_record(9, "n")])
    source, arrays = replayed(tmp_path)
    assert source == str(tmp_path)
    assert [int(each["x"][0, 0]) for each in arrays] == [0, 1, 2, 3, 4]
    assert all(each["x"].dtype == np.float32 and each["t"].tolist() == [text] for each in arrays)
    (path,) = (tmp_path / "m" / "3").iterdir()
    assert len(replayed(path, rows=2)[1]) == 3


def test_redacted_rows_cannot_be_replayed(tmp_path):
    write_log(tmp_path, [a_record(1, redact="m.t")])
    with pytest.raises(UsageError, match="has no row with all inputs: x, t"):
        replayed(tmp_path)
