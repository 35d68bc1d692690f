"""Versions that appear while others do: no TensorFlow, so that many can be tried."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from signet.training.export.errors import ExportFailed, said_by
from signet.training.export.publish import publish, versions, writing_folder


def write(folder, content="x"):
    (folder / "saved_model.pb").write_text(content)


def test_exports_of_one_name_at_the_same_time_never_meet(tmp_path):
    """Half of them fail on the way: folders come and go, each finished one gets a number of its own."""
    failures = []

    def one(number):
        try:
            with writing_folder(tmp_path / "models" / "m") as folder:
                write(folder, str(number))
                if number % 2:
                    raise ZeroDivisionError
                publish(folder)
        except ZeroDivisionError:
            pass
        except BaseException as error:  # noqa: BLE001  # whatever it is, it is one too many
            failures.append(error)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(one, range(200)))
    assert failures == []
    assert versions(tmp_path / "models" / "m") == list(range(1, 101))
    assert [path.name for path in (tmp_path / "models" / "m").iterdir() if path.name.startswith(".")] == []


def test_the_newest_version_stays_the_newest_from_the_check_to_the_rename(tmp_path):
    """Each export is allowed only as the first one; all are checked at the same time."""
    parent = tmp_path / "m"
    together = threading.Barrier(4)
    outcomes = []

    def refuse_others():
        if versions(parent):
            raise ExportFailed("there is one already")

    def one(_):
        with writing_folder(parent) as folder:
            write(folder)
            together.wait()
            try:
                outcomes.append(publish(folder, refuse_others).name)
            except ExportFailed as error:
                outcomes.append(str(error))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(one, range(4)))
    assert sorted(outcomes) == ["1", *["there is one already"] * 3]


def test_what_the_file_system_refuses_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    for parent in (tmp_path / "file" / "m", tmp_path / "file"):
        with (
            pytest.raises(
                ExportFailed, match=r"cannot write .*file.*: (Not a directory|File exists); nothing was published"
            ),
            writing_folder(parent),
        ):
            raise AssertionError("there is no folder")


def test_errors_of_others_become_one_sentence():
    disk = OSError(28, "x; No space left on device [Op:SaveV2]\n" + "more\n" * 100)
    assert said_by(disk) == "the disk is full; nothing was published"
    assert said_by(ValueError("\n\x1b[1mException encountered when calling layer\x1b[0m\n\nshapes differ.\nmore")) == (
        "ValueError: shapes differ; nothing was published"
    )
    refusal = ExportFailed("--xla: not with texts")
    wrapped = ValueError("in user code:\n\n  File x.py")
    wrapped.__cause__ = refusal
    assert said_by(wrapped) == "--xla: not with texts"
    assert said_by(KeyError()) == "KeyError(); nothing was published"
