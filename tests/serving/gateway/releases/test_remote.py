"""In front of a model server: the release says which of its versions answers, whichever it has besides."""

import grpc

from signet.serving.releases.release import Stage
from signet.serving.tensors.protos import get_model_metadata_pb2, prediction_service_pb2_grpc
from tests.servers import model_server, wait_until
from tests.serving.gateway import in_process
from tests.serving.gateway.releases.house import House, ask, get, sent

CONFIG = """model_config_list { config {
  name: "m" base_path: "%s" model_platform: "tensorflow" model_version_policy { all {} }
} }"""


def test_a_model_server_s_versions_get_what_the_release_gives_them(tmp_path):
    house = House(tmp_path / "models", 1, 2, 3)
    house.write(Stage.CANARY, 1, 2, 0.5)
    (tmp_path / "models.config").write_text(CONFIG % (tmp_path / "models" / "m"))
    with (
        model_server(f"--model_config_file={tmp_path / 'models.config'}") as (address, _),
        in_process.gateway(models_dir=tmp_path / "models", models="m", backend=address, poll_s=0.05) as gateway,
    ):
        gateway.gateway.start()
        wait_until(lambda: "releases" not in get(gateway, "/readyz")[1], what="what the model server has")
        assert {ask(gateway, x_signet_key=str(number)) for number in range(30)} == {1, 2}
        assert ask(gateway, "/versions/3") == 3
        assert (ask(gateway, "/labels/stable"), ask(gateway, "/labels/canary")) == (1, 2)
        assert get(gateway, "/readyz")[0] == 200
        house.write(Stage.ROLLED_BACK, 1, 2)
        wait_until(lambda: {ask(gateway, x_signet_key=str(number)) for number in range(30)} == {1}, what="the rollback")
        house.write(Stage.CANARY, 1, 4, 1.0)
        wait_until(lambda: "releases" in get(gateway, "/readyz")[1], what="a candidate that the server has not")
        assert get(gateway, "/readyz")[1]["releases"] == [
            "version 4 of 'm', the candidate one of its release, is not available"
        ]
        assert ask(gateway) == 1
        assert sent(gateway, x_signet_release="candidate").status == 503


def test_a_model_server_s_labels_follow_the_release(tmp_path):
    """Those who ask it without the gateway, which is told by nobody but the gateway that its file has changed."""
    house = House(tmp_path / "models", 1, 2, 3)
    config = tmp_path / "models.config"
    config.write_text("# ours\n" + (CONFIG % (tmp_path / "models" / "m")).replace("all {}", "specific { versions: 1 }"))
    house.write(Stage.DONE, 1)
    with (
        model_server(f"--model_config_file={config}") as (address, _),
        grpc.insecure_channel(address) as channel,
        in_process.gateway(model_config_file=config, backend=address, poll_s=0.05, write_labels=True) as gateway,
    ):
        gateway.gateway.start()

        def until(stable, canary):
            def right():
                gateway.turn()
                return (at(channel, "stable"), at(channel, "canary")) == (stable, canary)

            wait_until(right, what=f"the labels {stable}, {canary}")

        until(1, 1)
        house.write(Stage.GATE, 1, 2)  # which the server has not loaded yet
        until(1, 2)
        house.write(Stage.DONE, 2)
        until(2, 2)
        house.write(Stage.ROLLED_BACK, 1, 2)  # which it has let go
        until(1, 1)
        house.write(Stage.CANARY, 1, 3, 0.5)
        until(1, 3)
        assert gateway.gateway.releases.replica("m").keeps, (
            "`signet release start` need not refuse what is not loaded yet"
        )
    assert "# ours\n" in config.read_text()


def at(channel, label):
    """The version that a model server has under a label; None: it knows no such label."""
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    request.model_spec.name, request.model_spec.version_label = "m", label
    try:
        answer = prediction_service_pb2_grpc.PredictionServiceStub(channel).GetModelMetadata(request, timeout=10)
    except grpc.RpcError:
        return None
    return answer.model_spec.version.value


def test_a_version_of_a_model_server_s_that_comes_after_its_release_was_written_gets_nothing(tmp_path):
    """Nothing follows the files here: they are looked for because a version comes."""
    house = House(tmp_path / "models", 1)
    (tmp_path / "models.config").write_text(CONFIG % (tmp_path / "models" / "m"))
    with (
        model_server(f"--model_config_file={tmp_path / 'models.config'}") as (address, _),
        in_process.gateway(models_dir=tmp_path / "models", models="m", backend=address, poll_s=0.05) as gateway,
    ):
        assert ask(gateway) == 1
        house.write()
        house.add(2)

        def comes():
            gateway.turn()
            return sent(gateway, "/versions/2").status == 200

        wait_until(comes, what="version 2")
        for _ in range(20):
            assert ask(gateway) == 1
            gateway.turn()
