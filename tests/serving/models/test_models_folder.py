"""Which things in a folder are models, as they come and go."""

import shutil
from pathlib import Path

import pytest

from signet.serving.errors import UsageError
from signet.serving.models.models_folder import BESIDE, FolderWatch, ModelsFolder
from signet.serving.releases import checks, files, store


def names(folder: ModelsFolder) -> list[str]:
    return [model.name for model in folder.models()]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "digits" / "1").mkdir(parents=True)
    return tmp_path


def test_other_things_are_passed_over_and_told_of_once(path, caplog):
    caplog.set_level("INFO")
    (path / "notes.txt").write_text("x")
    (path / ".lock").write_text("")
    (path / "lost+found").mkdir()
    (path / "docs" / "drafts").mkdir(parents=True)
    (path / "new" / ".writing-1-77").mkdir(parents=True)
    (path / "empty").mkdir()
    folder = ModelsFolder(path)
    for _ in range(3):
        assert names(folder) == ["digits", "empty"]
    told = [record.getMessage() for record in caplog.records if record.name.endswith("models_folder")]
    assert len(told) == 5
    assert all("is no model, and is passed over" in line for line in told)
    (path / "new" / "1").mkdir()
    assert names(folder) == ["digits", "empty", "new"]


def test_a_model_stays_one_while_its_folder_has_no_version(path):
    folder = ModelsFolder(path)
    assert names(folder) == ["digits"]
    shutil.rmtree(path / "digits" / "1")
    (path / "digits" / ".writing-2-77").mkdir()
    assert names(folder) == ["digits"]
    shutil.rmtree(path / "digits")
    assert names(folder) == []


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UsageError, match="does not exist; `signet train` makes it"):
        ModelsFolder(tmp_path / "none").models()


def test_changes_are_told_and_what_cannot_be_read_changes_nothing(path, caplog):
    told = []
    watch = FolderWatch(ModelsFolder(path), lambda models: told.append([model.name for model in models]), 0.5)
    for _ in range(2):
        assert watch.step() == 0.5
    (path / "digits").rename(path / "letters")
    watch.step()
    path.rename(path.with_name("away"))
    for _ in range(2):
        watch.step()
    path.with_name("away").rename(path)
    watch.step()
    assert told == [["digits"], ["letters"]]
    assert caplog.text.count("what is served goes on") == 1


def test_what_releases_write_beside_versions_is_known_to_be_none():
    written = {store.FILE, store.HISTORY, checks.FILE, checks.PAGE, files.LOCK}
    assert written < BESIDE
