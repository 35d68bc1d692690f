"""BatchingParameters as text: defaults, what is taken, what is refused."""

import os
import re

import pytest

from signet.serving.errors import InvalidInput, NotFound
from signet.serving.model_server.tfs_batching.parameters import Parameters, read

NOT_CUT = "max_execution_batch_size { value: 8 }"
CUT = "enable_large_batch_splitting { value: true }"


def parameters(tmp_path, text):
    file = tmp_path / "batching.config"
    file.write_text(text)
    return read(str(file), per_version=False).of(tmp_path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", Parameters()),
        ("thread_pool_name { value: 'x' }", Parameters()),
        ("batch_timeout_micros { value: 1500 }", Parameters(batch_timeout_s=0.0015)),
        ("max_batch_size { value: 4 } allowed_batch_sizes: [2, 4]", Parameters(4, allowed_batch_sizes=(2, 4))),
        ("pad_variable_length_inputs: true", Parameters(pad_variable_length_inputs=True)),
        (NOT_CUT, Parameters()),
        (f"{NOT_CUT} {CUT}", Parameters(max_execution_batch_size=8)),
        (f"max_batch_size {{ value: 9 }} {CUT}", Parameters(9, max_execution_batch_size=9)),
        ("max_enqueued_batches { value: 0 }", Parameters(max_enqueued_batches=1)),
    ],
)
def test_files_are_read_with_the_originals_defaults(tmp_path, text, expected):
    assert parameters(tmp_path, text) == expected


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("allowed_batch_sizes: 4", "Last entry in allowed_batch_sizes must match max_batch_size; last entry was 4; "),
        ("max_batch_size { value: 4 } allowed_batch_sizes: [4, 2, 4]", "entries must be monotonically increasing"),
        ("max_batch_size { value: 0 }", "input_batch_size_limit must be positive; was 0"),
        ("batch_timeout_micros { value: -1 }", "batch_timeout_micros must be non-negative; was -1"),
        (f"max_enqueued_batches {{ value: 0 }} {CUT}", "max_enqueued_batches must be positive; was 0"),
        (f"max_batch_size {{ value: 4 }} {NOT_CUT} {CUT}", "must be greater than or equal to max_execution_batch_size"),
    ],
)
def test_what_cannot_work_is_refused_with_the_originals_words(tmp_path, text, problem):
    with pytest.raises(InvalidInput, match=re.escape(problem)):
        parameters(tmp_path, text)


def test_files_that_are_missing_or_broken_end_the_start(tmp_path):
    with pytest.raises(NotFound, match="No such file or directory"):
        read(str(tmp_path / "none"), per_version=False)
    file = tmp_path / "batching.config"
    for text, problem in (
        (
            "max_batch_size: 3",
            f"Invalid protobuf file: '{file}'$",
        ),
        ("num_batch_threads { value: 0 }", "num_batch_threads must be positive; was 0"),
    ):
        file.write_text(text)
        with pytest.raises(InvalidInput, match=problem):
            read(str(file), per_version=False)


def test_versions_with_files_of_their_own(tmp_path):
    file = tmp_path / "batching.config"
    file.write_text("max_batch_size { value: 3 } num_batch_threads { value: 7 } allowed_batch_sizes: 99")
    batching = read(str(file), per_version=True)
    assert batching.threads == 7
    assert batching.of(tmp_path) is None, "without a file it is not batched"
    (tmp_path / "batching_params.pbtxt").write_text("max_batch_size { value: 5 }")
    assert batching.of(tmp_path) == Parameters(5)
    (tmp_path / "batching_params.pbtxt").write_text("max_batch_size { value: 5 } allowed_batch_sizes: 4")
    with pytest.raises(InvalidInput, match="Last entry"):
        batching.of(tmp_path)
    assert read("", per_version=True).threads == os.cpu_count()


def test_calls_are_padded_to_the_next_allowed_size():
    parameters = Parameters(8, allowed_batch_sizes=(2, 4, 8))
    assert [parameters.padded(rows) for rows in (1, 2, 3, 4, 5, 8)] == [2, 2, 4, 4, 8, 8]
    assert Parameters(8).padded(3) == 3
