"""Flags of sessions, batching and warm-up: what becomes of them, and starts that they end."""

import shutil

import grpc
import numpy as np
import pytest

from signet.serving.engine.warmup import FILE
from signet.serving.errors import InvalidInput, NotFound
from signet.serving.model_server import session_config
from signet.serving.model_server.flags import Flags
from signet.serving.tensors.arrays import to_proto
from signet.serving.tensors.protos import config_pb2, predict_pb2, prediction_service_pb2_grpc
from tests import servers
from tests.servers import GOLDEN_MODELS


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (Flags(), ""),
        (
            Flags(tensorflow_session_parallelism=2),
            "intra_op_parallelism_threads: 2 inter_op_parallelism_threads: 2",
        ),
        (Flags(tensorflow_intra_op_parallelism=3), "intra_op_parallelism_threads: 3"),
        (
            Flags(tensorflow_inter_op_parallelism=4, tensorflow_session_parallelism=2),
            "inter_op_parallelism_threads: 4",
        ),
        (Flags(per_process_gpu_memory_fraction=0.25), "gpu_options { per_process_gpu_memory_fraction: 0.25 }"),
    ],
)
def test_flags_become_a_config(flags, expected):
    config = config_pb2.ConfigProto.FromString(session_config.from_flags(flags))
    assert " ".join(str(config).split()) == expected


def test_the_file_comes_first_and_flags_in_its_place(tmp_path):
    file = tmp_path / "session.config"
    file.write_text("intra_op_parallelism_threads: 7 allow_soft_placement: true")
    flags = Flags(tensorflow_session_config_file=str(file), tensorflow_inter_op_parallelism=2)
    config = config_pb2.ConfigProto.FromString(session_config.from_flags(flags))
    assert (config.intra_op_parallelism_threads, config.inter_op_parallelism_threads) == (7, 2)
    assert config.allow_soft_placement


def test_devices_that_are_not_there_are_made_up_for_unless_a_file_says_otherwise(tmp_path):
    file = tmp_path / "session.config"
    file.write_text("intra_op_parallelism_threads: 7")
    for flags, soft in ((Flags(), True), (Flags(tensorflow_session_config_file=str(file)), False)):
        assert config_pb2.ConfigProto.FromString(session_config.placed_softly(flags)).allow_soft_placement is soft


def test_what_cannot_be_is_refused(tmp_path):
    threads = {f"tensorflow_{kind}_parallelism": 2 for kind in ("session", "intra_op", "inter_op")}
    with pytest.raises(InvalidInput, match="You cannot configure all"):
        session_config.from_flags(Flags(**threads))
    with pytest.raises(NotFound, match="No such file or directory"):
        session_config.from_flags(Flags(tensorflow_session_config_file=str(tmp_path / "none")))


def test_tags_are_separated_by_commas():
    assert session_config.tags(Flags()) == ("serve",)
    assert session_config.tags(Flags(saved_model_tags="serve,gpu")) == ("serve", "gpu")


@pytest.fixture
def base(tmp_path):
    shutil.copytree(GOLDEN_MODELS / "mixed" / "1", tmp_path / "models" / "model" / "1")
    return tmp_path / "models" / "model"


@pytest.mark.parametrize(
    ("flags", "files", "problem"),
    [
        (
            ["--batching_parameters_file={folder}/none"],
            {},
            "INVALID_ARGUMENT: server_options.batching_parameters_file is set without setting "
            "server_options.enable_batching to true.",
        ),
        (
            ["--enable_batching", "--batching_parameters_file={folder}/none"],
            {},
            "NOT_FOUND: {folder}/none; No such file",
        ),
        (
            ["--enable_batching", "--enable_per_model_batching_parameters"],
            {"1/batching_params.pbtxt": "max_batch_size { value: 4 } allowed_batch_sizes: 2"},
            "UNKNOWN: 1 servable(s) did not become available: {{{{name: default version: 1}} due to error: "
            "Last entry in allowed_batch_sizes must match max_batch_size; last entry was 2; expected 4",
        ),
        (
            [],
            {f"1/{FILE}": "no records"},
            "UNKNOWN: 1 servable(s) did not become available: {{{{name: default version: 1}} due to error: "
            "truncated record at 0 (Is this even a TFRecord file?). Please verify your warmup data",
        ),
        (
            ["--use_alts_credentials", "--ssl_config_file={folder}/none"],
            {},
            "INVALID_ARGUMENT: use_alts_credentials and ssl_config_file are both set; expected one of them",
        ),
        (["--saved_model_tags=tpu"], {}, "UNKNOWN: 1 servable(s) did not become available"),
    ],
)
def test_starts_that_fail(tmp_path, base, flags, files, problem):
    for name, text in files.items():
        (base / name).parent.mkdir(exist_ok=True)
        (base / name).write_text(text)
    flags = [flag.format(folder=tmp_path) for flag in flags]
    with servers.program("model-server", f"--model_base_path={base}", "--max_num_load_retries=0", *flags) as running:
        assert running.process.wait(30) == 255
        running.stop()
    assert f"Failed to start server. Error: {problem.format(folder=tmp_path)}" in running.output


def test_versions_are_batched_by_files_of_their_own_and_bad_warm_ups_can_be_turned_off(tmp_path, base):
    shutil.copytree(base, base.with_name("other"))
    (base / "1" / "batching_params.pbtxt").write_text("max_batch_size { value: 2 }")
    (base / "1" / FILE).parent.mkdir()
    (base / "1" / FILE).write_text("no records")
    config = servers.write_model_config(tmp_path / "models.config", base.parent)
    flags = ("--enable_batching", "--enable_per_model_batching_parameters", "--enable_model_warmup=false")
    with (
        servers.model_server(f"--model_config_file={config}", *flags) as (address, _),
        grpc.insecure_channel(address) as channel,
    ):
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        assert doubled(stub, "other", 3) == [0, 2, 4]
        assert doubled(stub, "model", 2) == [0, 2]
        with pytest.raises(grpc.RpcError) as caught:
            doubled(stub, "model", 3)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert caught.value.details() == "Task size 3 is larger than maximum input batch size 2"


def doubled(stub, model, rows):
    request = predict_pb2.PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = model, "i"
    request.inputs["i"].CopyFrom(to_proto(np.arange(rows, dtype=np.int32)))
    return list(stub.Predict(request, timeout=30).outputs["y"].int_val)
