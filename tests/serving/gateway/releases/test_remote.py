"""In front of a model server: the release says which of its versions answers, whichever it has besides."""

from signet.serving.releases.release import Stage
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
