"""The labels in model servers' config file: no server ever refuses them, and in the end they are those of the releases."""

from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signet.serving.gateway.releases.label_file import LabelFile
from signet.serving.models import model_config
from signet.serving.models.model_config_text import labels_of
from signet.serving.process.supervision import RELEASES, Failures
from signet.serving.tensors.protos import model_management_pb2

CONFIG = """# ours
model_config_list { config {
  name: "m" base_path: "/m" model_platform: "tensorflow"
} }
"""


class Has(NamedTuple):
    everywhere: frozenset[int]
    somewhere: frozenset[int]


class Servers:
    """Two model servers that do as TensorFlow Serving does without --allow_version_labels_for_unavailable_models."""

    def __init__(self):
        self.loading, self.loaded, self.labels = [set(), set()], [{1}, {1}], [{}, {}]

    def served(self, model):
        return Has(frozenset(set.intersection(*self.loaded)), frozenset(set().union(*self.loaded, *self.loading)))

    def reload(self, config, timeout_s):
        (model,) = model_config.from_proto(model_management_pb2.ReloadConfigRequest.FromString(config).config)
        problems = []
        for number, loaded in enumerate(self.loaded):
            if not set(model.labels.values()) <= loaded:
                problems.append(f"server {number} has {loaded}, and {model.labels} is wanted")
                continue
            self.labels[number] = dict(model.labels)
            self.loading[number] = set(model.policy.specific) - loaded
            self.loaded[number] &= model.policy.specific or {1}
        return problems

    def load(self, number):
        self.loaded[number] |= self.loading[number]
        self.loading[number] = set()


class Released:
    """A release, as far as labels need it."""

    stable, candidate = 1, None

    def labelled(self, model, label):
        return self.candidate if label == "canary" and self.candidate else self.stable


def made(tmp_path, servers, text=CONFIG):
    path = tmp_path / "models.config"
    path.write_text(text)
    failures = Failures()
    return path, LabelFile(path, servers, failures), failures


MOVES = st.lists(
    st.one_of(st.tuples(st.integers(1, 4), st.none() | st.integers(1, 4)), st.sampled_from([0, 1])), max_size=12
)


@settings(max_examples=40)
@given(MOVES)
def test_no_server_ever_refuses_and_in_the_end_all_labels_are_right(tmp_path_factory, moves):
    """A move is another release, or a server that has loaded what it was told to."""
    servers, released = Servers(), Released()
    path, file, failures = made(tmp_path_factory.mktemp("file"), servers)
    for move in [*moves, *([0, 1] * 2)]:
        if isinstance(move, tuple):
            released.stable, released.candidate = move
        else:
            servers.load(move)
        file.pin({"m": {released.stable, released.candidate} - {None}})
        file.step(released.labelled)
        assert failures.counts()[RELEASES] == 0
    wanted = {label: released.labelled("m", label) for label in ("stable", "canary")}
    assert servers.labels == [wanted, wanted]
    assert labels_of(path.read_text()) == {"m": wanted}
    assert path.read_text().startswith("# ours\n")


def test_a_label_of_a_version_that_is_gone_does_not_keep_its_successor_out(tmp_path):
    """Servers would refuse the whole file for it."""
    servers, released = Servers(), Released()
    text = CONFIG.replace("\n} }", '\n  version_labels { key: "stable" value: 9 }\n} }')
    path, file, _ = made(tmp_path, servers, text)
    released.stable = 2
    file.pin({"m": {2}})
    file.step(released.labelled)
    assert servers.loading == [{2}, {2}]
    assert labels_of(path.read_text()) == {"m": {}}
    servers.load(0)
    servers.load(1)
    file.step(released.labelled)
    assert labels_of(path.read_text()) == {"m": {"stable": 2, "canary": 2}}


def test_a_file_that_cannot_be_used_is_told_once_and_left_as_it_is(tmp_path, caplog):
    path, file, _ = made(tmp_path, Servers(), "model_config_list {")
    file.pin({"m": {1}})
    for _ in range(2):
        file.step(Released().labelled)
    (told,) = [record.message for record in caplog.records]
    assert told.startswith(f"the labels in {path} do not follow the releases now: the model config file is none: 1:")
    assert path.read_text() == "model_config_list {"


@pytest.mark.parametrize("text", [CONFIG.replace('"m"', '"other"')])
def test_models_without_a_release_and_releases_without_a_model_are_left_alone(tmp_path, text):
    path, file, _ = made(tmp_path, Servers(), text)
    file.pin({"m": {1}})
    file.step(Released().labelled)
    assert path.read_text() == text
