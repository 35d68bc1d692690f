"""Recorded requests as arrays, to be asked again."""

import numpy as np

from signet.clients.request_log import files, recorded
from tests.serving.gateway.request_log.made import a_plan, record, signature, write_log

MADE = signature({"x": ("float", (None, None)), "t": ("string", (None,))}, {"y": ("float", (None,))})


def a_record(number, redact="", width=2):
    plan = a_plan(MADE, redact)
    arrays = {"x": np.full((1, width), number, np.float32), "t": np.array([f"text {number}".encode()], object)}
    shown = {name: array for name, array in arrays.items() if name not in plan.hidden}
    return record(plan, shown, {"y": np.ones(1, np.float32)}, 1, number)


def test_rows_come_back_as_they_were_sent_those_of_one_shape_together(tmp_path):
    write_log(tmp_path, [a_record(1), a_record(2), a_record(3, width=3)])
    found = list(recorded.inputs_of(files.found(str(tmp_path)), MADE, 100))
    assert sorted(arrays["x"].shape for arrays in found) == [(1, 3), (2, 2)]
    assert all(MADE.check(arrays) for arrays in found)
    assert sorted(text for arrays in found for text in arrays["t"].tolist()) == [b"text 1", b"text 2", b"text 3"]


def test_rows_that_lack_an_input_are_left_out_and_no_more_are_read_than_asked_for(tmp_path):
    write_log(tmp_path / "one", [a_record(1, redact="m.t")])
    assert list(recorded.inputs_of(files.found(str(tmp_path / "one")), MADE, 100)) == []
    write_log(tmp_path / "many", [a_record(number) for number in range(20)])
    found = list(recorded.inputs_of(files.found(str(tmp_path / "many")), MADE, 7))
    assert sum(len(arrays["x"]) for arrays in found) == 7
