"""Versions come, fail, are replaced and go, while they are called."""

import os
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest

from signet.serving.engine.following import Rules, scan
from signet.serving.engine.repository import Repository
from signet.serving.errors import FailedPrecondition, InvalidInput, NotFound
from signet.serving.models.model_config import ModelConfig, VersionPolicy
from signet.serving.models.model_status import State
from tests.servers import GOLDEN_MODELS


@pytest.fixture
def base(tmp_path: Path) -> Path:
    add(tmp_path, 1)
    return tmp_path


def add(base: Path, version: int) -> None:
    shutil.copytree(GOLDEN_MODELS / "three_out" / "1", base / ".writing")
    (base / ".writing").rename(base / str(version))


def add_broken(base: Path, version: int) -> None:
    (base / str(version)).mkdir()
    (base / str(version) / "saved_model.pb").write_bytes(b"broken")


@pytest.fixture
def served(base: Path):
    """Makes repositories and stops them."""
    made = []

    def make(policy: VersionPolicy | None = None, **options: object) -> Repository:
        config = ModelConfig("m", base, policy or VersionPolicy())
        repository = Repository([config], **{"poll_s": 0.05, **options})
        made.append(repository)
        repository.start()
        assert repository.first_pass.wait(30)
        return repository

    yield make
    for repository in made:
        repository.stop()


def at(*versions: int):
    return lambda repository: set(repository.versions("m")) == set(versions)


def in_state(version: int, state: State):
    return lambda repository: any(s.version == version and s.state is state for s in repository.statuses("m"))


def test_only_numbers_are_versions(tmp_path):
    for name in ("1", "007", "x", "1.5", ".writing-3", "٣", str(1 << 63), "12"):
        (tmp_path / name).mkdir()
    assert scan(tmp_path, os.listdir(tmp_path)) == {1: tmp_path / "1", 7: tmp_path / "007", 12: tmp_path / "12"}


def test_the_highest_version_is_served_and_a_new_one_replaces_it(base, served):
    repository = served()
    assert repository.wait(at(1), 30)
    add(base, 2)
    assert repository.wait(at(2), 30)
    assert repository.wait(in_state(1, State.END), 30)
    assert [(s.version, s.state) for s in repository.statuses("m")] == [(2, State.AVAILABLE), (1, State.END)]


def test_a_version_that_fails_leaves_the_old_one_in_place(base, served):
    repository = served()
    add_broken(base, 2)
    assert repository.wait(in_state(2, State.END), 30)
    assert set(repository.versions("m")) == {1}
    failed = repository.statuses("m")[0]
    assert failed.error_code == "OUT_OF_RANGE"
    assert failed.error_message


def test_a_failed_version_is_tried_again_when_its_folder_comes_back(base, served):
    repository = served()
    add_broken(base, 2)
    assert repository.wait(in_state(2, State.END), 30)
    shutil.rmtree(base / "2")
    assert repository.wait(lambda r: r._followers[0].may_load(2), 30)
    add(base, 2)
    assert repository.wait(at(2), 30)


def test_taking_the_newest_away_brings_the_one_before_back(base, served):
    repository = served()
    add(base, 2)
    assert repository.wait(at(2), 30)
    shutil.rmtree(base / "2")
    assert repository.wait(at(1), 30)


def test_versions_that_vanish_are_unloaded_but_an_unreadable_folder_changes_nothing(base, served):
    repository = served()
    hidden = base.with_name("hidden")
    base.rename(hidden)
    assert not repository.wait(at(), 0.3)
    hidden.rename(base)
    shutil.rmtree(base / "1")
    assert repository.wait(at(), 30)
    with pytest.raises(NotFound, match=r"Servable not found for request: Latest\(m\)"):
        repository.lease("m")


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (VersionPolicy(latest=2), {2, 3}),
        (VersionPolicy(every=True), {1, 2, 3}),
        (VersionPolicy(specific=frozenset({1, 9})), {1}),
    ],
)
def test_policies_choose_versions(base, served, policy, expected):
    add(base, 2)
    add(base, 3)
    assert served(policy).wait(at(*expected), 30)


def test_unknown_models_and_versions_are_not_found(served):
    repository = served()
    for name, version, which in (("x", None, "Latest(x)"), ("m", 9, "Specific(m, 9)"), ("x", 0, "Specific(x, 0)")):
        with pytest.raises(NotFound) as caught:
            repository.lease(name, version)
        assert which in str(caught.value)


def test_a_leased_version_stays_until_it_is_released(base, served):
    repository = served()
    servable = repository.lease("m")
    add(base, 2)
    assert repository.wait(at(2), 30)
    signature = servable.signatures["serving_default"]
    outputs = servable.predict(signature, {"x": np.ones((1, 4), np.float32)})
    assert set(outputs) == {"p", "q", "r"}
    assert not servable.closed.is_set()
    servable.release()
    assert servable.closed.wait(30)
    assert not servable.acquire()


@pytest.mark.parametrize("swaps", [3, pytest.param(50, marks=pytest.mark.long)])
def test_no_call_fails_while_versions_are_swapped(base, served, swaps):
    repository = served()
    done, failures, calls = threading.Event(), [], [0]

    def call() -> None:
        while not done.is_set():
            servable = repository.lease("m")
            try:
                signature = servable.signatures["serving_default"]
                outputs = servable.predict(signature, {"x": np.ones((1, 4), np.float32)}, ["q"])
                if outputs["q"].shape != (1, 1):
                    failures.append(outputs)
                calls[0] += 1
            except Exception as error:  # noqa: BLE001  # any error is a failure here
                failures.append(error)
            finally:
                servable.release()

    threads = [threading.Thread(target=call) for _ in range(2)]
    for thread in threads:
        thread.start()
    for version in range(2, swaps + 2):
        add(base, version)
        assert repository.wait(at(version), 60)
    done.set()
    for thread in threads:
        thread.join()
    assert not failures
    assert calls[0] > swaps


def test_retries_happen_as_often_as_asked_for(base, served, caplog):
    add_broken(base, 2)
    served(rules=Rules(load_retries=2, retry_interval_s=0.01))
    assert sum("version 2" in record.message for record in caplog.records) == 3


def config(base: Path, name: str = "m", **options: object) -> ModelConfig:
    return ModelConfig(name, base, **options)


def test_another_configuration_replaces_the_models(base, served):
    repository = served()
    repository.configure([config(base, "n")])
    assert repository.wait(lambda r: r.versions("n") and not r.versions("m"), 30)
    assert [status.state for status in repository.statuses("m")] == [State.END]
    repository.configure([])
    assert repository.wait(lambda r: not r.versions("n"), 30)
    repository.configure([config(base)])
    assert repository.wait(at(1), 30)


def test_labels_need_an_available_version(base, served):
    add(base, 2)
    repository = served()
    both = VersionPolicy(every=True)
    with pytest.raises(FailedPrecondition, match="assign label to version 1 of model m, which is not currently avail"):
        repository.configure([config(base, policy=both, labels={"stable": 1})])
    assert set(repository.versions("m")) == {2}
    repository.configure([config(base, policy=both, labels={"stable": 2})])
    assert repository.labelled("m", "stable") == 2
    assert repository.wait(at(1, 2), 30)
    repository.configure([config(base, policy=both, labels={"stable": 1, "canary": 2})])
    assert (repository.labelled("m", "stable"), repository.labelled("m", "canary")) == (1, 2)
    with pytest.raises(FailedPrecondition):
        repository.configure([config(base, labels={"stable": 9})], allow_unavailable_labels=True)
    repository.configure([config(base, labels={"stable": 1, "next": 9})], allow_unavailable_labels=True)
    assert repository.labelled("m", "next") == 9
    for name, label in (("m", "canary"), ("x", "stable")):
        with pytest.raises(InvalidInput, match="Unrecognized servable version label"):
            repository.labelled(name, label)
