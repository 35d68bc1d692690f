"""A folder of models with one, whose release a test writes, and gateways that serve it."""

import json
import shutil

from signet.serving.releases.release import Release, Stage
from signet.serving.releases.store import ReleaseStore
from tests.servers import GOLDEN_MODELS, wait_until
from tests.serving.gateway import in_process

BODY = json.dumps({"instances": [{"a": [1, 2, 3], "b": [4, 5]}]}).encode()


class House:
    """A folder of models with one, its releases, and the gateway that serves it."""

    def __init__(self, folder, *versions):
        self.folder, self.store = folder, ReleaseStore(folder)
        self.add(*versions)

    def add(self, *versions):
        for version in versions:
            (self.folder / "m").mkdir(parents=True, exist_ok=True)
            aside = self.folder / f".{version}"
            shutil.copytree(GOLDEN_MODELS / "two_in" / "1", aside)
            aside.rename(self.folder / "m" / str(version))

    def write(self, stage=Stage.DONE, stable=1, candidate=None, share=0.0, shadow=0.0, **limits):
        there = self.store.read("m")
        made = Release("m", 1, stable, candidate, stage, share, shadow, salt="s", limits=limits)
        return self.store.write(made, there.generation if there else 0)

    def started(self, **settings):
        return in_process.gateway(models_dir=self.folder, poll_s=0.02, **settings)


def sent(gateway, which="", body=BODY, **headers):
    """The answer to a predict."""
    lines = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
    return gateway.ask("POST", f"/v1/models/m{which}:predict".encode(), body, lines)


def ask(gateway, which="", **headers):
    """The version that answers."""
    answer = sent(gateway, which, **headers)
    assert answer.status == 200, answer.body
    return int(in_process.header(answer, "X-Signet-Model-Version"))


def get(gateway, path):
    answer = gateway.ask("GET", path.encode())
    return answer.status, json.loads(answer.body)


def loaded(gateway):
    return {status.version for status in gateway.gateway.backend.last_statuses("m") if status.state.name == "AVAILABLE"}


def until(gateway, versions):
    wait_until(lambda: loaded(gateway) == versions, what=f"versions {versions}")
