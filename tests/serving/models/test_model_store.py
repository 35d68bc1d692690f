"""Real stores: a folder by file://, and S3's protocol as moto's server speaks it."""

import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from signet.serving.errors import UsageError
from signet.serving.models import model_store
from signet.serving.models.model_store import Changes, ModelStore
from signet.serving.process.supervision import Failures
from signet.serving.releases.release import Release, Stage
from signet.serving.releases.store import FILE, ReleaseStore, pinned
from tests import servers
from tests.servers import GOLDEN_MODELS


@pytest.fixture
def bucket(tmp_path) -> Path:
    """A store that is a folder, with two versions of one model and one of another."""
    folder = tmp_path / "bucket"
    for version in ("1", "2"):
        shutil.copytree(GOLDEN_MODELS / "two_in" / "1", folder / "two_in" / version)
    shutil.copytree(GOLDEN_MODELS / "three_out", folder / "three_out")
    return folder


def store(bucket: Path, **options: int) -> ModelStore:
    return ModelStore(f"file://{bucket}", bucket.parent / "here", **options)


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != ".lock"
    }


def test_the_folder_becomes_what_the_store_is(bucket):
    following = store(bucket)
    assert set(following.sync().fetched) == {"two_in/1", "two_in/2", "three_out/1"}
    assert files(following.folder) == files(bucket)
    assert following.sync() == Changes()


def test_the_highest_versions_are_kept(bucket):
    following = store(bucket, keep_versions=1)
    assert set(following.sync().fetched) == {"two_in/2", "three_out/1"}
    shutil.copytree(bucket / "two_in/2", bucket / "two_in/10")
    assert following.sync() == Changes(("two_in/10",), ("two_in/2",))
    assert {path.name for path in (following.folder / "two_in").iterdir()} == {"10"}


def test_versions_that_a_release_names_are_kept_whatever_comes_after_them(bucket):
    """The stable version serves: a newer one, and a newest, must not take it away."""
    address = f"file://{bucket}"
    here = bucket.parent / "here"
    following = ModelStore(address, here, keep_versions=1, pinned=pinned(address, here))
    assert set(following.sync().fetched) == {"two_in/2", "three_out/1"}
    releases = ReleaseStore(address)
    releases.write(Release("two_in", 1, 1, 2, Stage.GATE, salt="a1b2"), 0)
    shutil.copytree(bucket / "two_in/2", bucket / "two_in/10")
    assert following.sync() == Changes(("two_in/10", "two_in/1"), ())
    (bucket / "two_in" / FILE).write_text("half")
    shutil.copytree(bucket / "two_in/2", bucket / "two_in/11")
    with pytest.raises(UsageError, match="the release is no JSON"):
        following.sync()
    assert {path.name for path in (following.folder / "two_in").iterdir()} == {"1", "2", "10", "11"}
    done = Release("two_in", 1, 2, None, Stage.DONE)
    releases.write(done, 1)
    assert set(following.sync().removed) == {"two_in/1", "two_in/10"}


def test_versions_are_kept_that_a_release_names_where_servers_know_the_folder_alone(bucket):
    address, here = f"file://{bucket}", bucket.parent / "here"
    following = ModelStore(address, here, keep_versions=1, pinned=pinned(address, here))
    following.sync()
    ReleaseStore(here).write(Release("two_in", 1, 2, None, Stage.DONE), 0)
    shutil.copytree(bucket / "two_in/2", bucket / "two_in/10")
    assert following.sync() == Changes(("two_in/10",), ())
    assert {"2", "10"} <= {path.name for path in (here / "two_in").iterdir()}


def test_a_version_that_is_gone_is_removed_and_a_model_that_is_gone_stays(bucket):
    following = store(bucket)
    following.sync()
    shutil.rmtree(bucket / "two_in/2")
    shutil.rmtree(bucket / "three_out")
    assert following.sync() == Changes((), ("two_in/2",))
    assert (following.folder / "three_out/1/saved_model.pb").is_file()


@pytest.mark.parametrize(
    "missing", ["saved_model.pb", "variables/variables.index", "variables/variables.data-00000-of-00001"]
)
def test_a_version_counts_when_it_is_whole(bucket, missing):
    (bucket / "two_in/2" / missing).unlink()
    following = store(bucket)
    assert set(following.sync().fetched) == {"two_in/1", "three_out/1"}
    shutil.copyfile(bucket / "two_in/1" / missing, bucket / "two_in/2" / missing)
    assert following.sync().fetched == ("two_in/2",)


@pytest.mark.parametrize(
    ("names", "whole"),
    [
        ("saved_model.pb", True),
        ("saved_model.pb assets/words.txt", True),
        ("saved_model.pb variables/variables.index", False),
        ("saved_model.pb variables/variables.data-00000-of-00001", False),
        ("saved_model.pb variables/variables.index variables/variables.data-00001-of-00002", False),
        (
            "saved_model.pb variables/variables.index variables/variables.data-00000-of-00002 "
            "variables/variables.data-00001-of-00002",
            True,
        ),
    ],
)
def test_what_whole_means(names, whole):
    assert model_store.is_whole(dict.fromkeys(names.split(), 1)) is whole


def test_a_version_that_changes_while_it_is_fetched_waits_for_the_next_look(bucket, caplog):
    following = store(bucket)
    get_file = following._files.get_file

    def get_and_change(source: str, target: str) -> None:
        get_file(source, target)
        if "two_in/2/" in source:
            (bucket / "two_in/2/late.txt").write_text("more")

    following._files.get_file = get_and_change
    try:
        assert set(following.sync().fetched) == {"two_in/1", "three_out/1"}
    finally:
        del following._files.get_file
    assert "two_in/2 changed while it was fetched" in caplog.text
    assert following.sync().fetched == ("two_in/2",)


def test_what_cannot_be_read_keeps_nothing_else_back(bucket):
    following = store(bucket)
    get_file = following._files.get_file

    def get_all_but_one(source: str, target: str) -> None:
        if "three_out/" in source:
            raise PermissionError("not yours")
        get_file(source, target)

    following._files.get_file = get_all_but_one
    try:
        with pytest.raises(UsageError, match=r"cannot read file://.*/three_out/1/.*: not yours"):
            following.sync()
    finally:
        del following._files.get_file
    assert {path.name for path in (following.folder / "two_in").iterdir()} == {"1", "2"}


def test_a_stray_file_in_a_models_place_keeps_no_other_back(bucket):
    following = store(bucket)
    (following.folder / "three_out").write_text("x")
    with pytest.raises(UsageError, match=r"cannot write to .*three_out"):
        following.sync()
    assert {path.name for path in (following.folder / "two_in").iterdir()} == {"1", "2"}
    assert following.synced_s == 0
    (following.folder / "three_out").unlink()
    assert following.sync().fetched == ("three_out/1",)
    assert following.synced_s > 0


def test_what_is_there_from_before_is_served_while_the_store_cannot_be_read(bucket):
    first, failures = store(bucket), Failures()
    away = bucket.with_name("away")
    bucket.rename(away)
    with pytest.raises(UsageError, match="holds no whole model"), model_store.following(first, 0.01, failures):
        pass
    away.rename(bucket)
    first.sync()
    bucket.rename(away)
    with model_store.following(first, 0.01, failures):
        assert (first.folder / "two_in" / "2").is_dir()
        servers.wait_until(lambda: failures.counts()["model-store"] > 1)
        away.rename(bucket)
        shutil.copytree(bucket / "two_in/2", bucket / "two_in/3")
        servers.wait_until((first.folder / "two_in/3").is_dir)


def test_what_a_killed_process_left_is_no_version_and_goes(bucket):
    following = store(bucket)
    left = following.folder / "two_in/.aside-2"
    left.mkdir(parents=True)
    (left / "half.txt").write_text("x")
    following.sync()
    assert not left.exists()
    assert files(following.folder) == files(bucket)


def test_other_things_in_the_store_are_left_there(bucket):
    (bucket / "readme.txt").write_text("x")
    (bucket / "two_in/notes").mkdir()
    (bucket / "two_in/notes/a.txt").write_text("x")
    shutil.copytree(bucket / "two_in", bucket / ".hidden")
    shutil.copytree(bucket / "two_in/1", bucket / "two_in/007")
    following = store(bucket)
    following.sync()
    assert {path.name for path in following.folder.iterdir()} == {".lock", "two_in", "three_out"}
    assert {path.name for path in (following.folder / "two_in").iterdir()} == {"1", "2"}


def test_a_path_that_leads_out_of_the_folder_is_left_out(bucket, monkeypatch):
    following = store(bucket)
    root = following._root
    found = following._files.find(root, detail=True)
    found[f"{root}/two_in/1/../../../escaped"] = {"size": 1}
    monkeypatch.setattr(following._files, "find", lambda folder, detail: found)
    assert not any(".." in path for path in following._list(root))


def test_a_store_that_cannot_be_read_changes_nothing(bucket):
    following = store(bucket)
    following.sync()
    before = files(following.folder)
    bucket.rename(bucket.with_name("away"))
    with pytest.raises(UsageError, match="holds no whole model"):
        following.sync()
    assert files(following.folder) == before


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        ("nowhere://x", "expected s3://, gs:// or file://"),
        ("gs+what://x", "cannot read gs\\+what://x"),
    ],
)
def test_an_address_that_nothing_can_read(address, problem, tmp_path):
    with pytest.raises(UsageError, match=problem):
        ModelStore(address, tmp_path)


def test_a_folder_that_cannot_be_made(bucket, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot make the folder"):
        ModelStore(f"file://{bucket}", tmp_path / "file" / "folder")


@pytest.mark.parametrize(
    ("text", "is_one"), [("s3://b/m", True), ("gs://b", True), ("models", False), ("/a/b", False), ("C:/x", False)]
)
def test_addresses_and_paths(text, is_one):
    assert model_store.is_address(text) is is_one


def test_the_folder_follows_until_the_end(bucket):
    following = store(bucket)
    with model_store.following(following, poll_s=0.01):
        assert (following.folder / "two_in/2").is_dir()
        shutil.copytree(bucket / "two_in/2", bucket / "two_in/3")
        servers.wait_until(
            lambda: (following.folder / "two_in/3").is_dir() and not (following.folder / "two_in/1").exists()
        )
    assert all(thread.name != "model-store" for thread in threading.enumerate() if not thread.daemon)


# ---- S3's protocol


@pytest.fixture(scope="module")
def s3(tmp_path_factory):
    """A server that speaks S3's protocol with the golden models in s3://models: the variables that lead there."""
    with servers.s3() as variables:
        upload(variables, GOLDEN_MODELS / "two_in", "models/two_in", make_bucket=True)
        yield variables


def upload(variables: dict[str, str], source: Path, target: str, make_bucket: bool = False) -> None:
    """Put a folder into the store, in a process of its own, as s3fs keeps threads and connections."""
    code = (
        "import sys, s3fs; files = s3fs.S3FileSystem(); source, target, make = sys.argv[1:]\n"
        "if make: files.mkdir(target.split('/')[0])\n"
        "files.put(source, target, recursive=True)"
    )
    command = [sys.executable, "-c", code, str(source), target, "yes" if make_bucket else ""]
    subprocess.run(command, check=True, env={**os.environ, **variables}, timeout=60)


def test_a_gateway_serves_from_a_bucket_and_takes_up_what_comes(s3, tmp_path):
    environment = {**s3, "HOME": str(tmp_path), "SIGNET_STORE_POLL_S": "0.1"}
    with servers.program("serve", "--http-port=0", "--models-dir=s3://models", environment=environment) as running:
        port = running.read_until(r"ready at http://localhost:(\d+)")[1]
        url = f"http://127.0.0.1:{port}"
        assert "two_in" in servers.get(f"{url}/v1/models").json()["models"]
        upload(s3, GOLDEN_MODELS / "two_in/1", "models/two_in/2")

        def versions() -> list[str]:
            return [
                status["version"]
                for status in servers.get(f"{url}/v1/models/two_in").json()["model_version_status"]
                if status["state"] == "AVAILABLE"
            ]

        servers.wait_until(lambda: versions() == ["2"], what="version 2")
        assert running.stop() == 0


def test_the_command_copies_a_bucket_into_a_folder(s3, tmp_path):
    with servers.program("sync-models", "s3://models", tmp_path / "models", environment=s3) as running:
        assert running.process.wait(60) == 0
        assert "two_in/1" in running.process.stdout.read()
    assert files(tmp_path / "models/two_in/1") == files(GOLDEN_MODELS / "two_in/1")


@pytest.mark.parametrize(
    ("address", "problem", "code"), [("s3://nowhere", "nowhere", 1), ("nowhere://x", "expected s3://", 2)]
)
def test_the_command_says_what_cannot_be_read(s3, tmp_path, address, problem, code):
    with servers.program("sync-models", address, tmp_path / "models", environment=s3) as running:
        assert running.process.wait(60) == code
        assert problem in running.process.stdout.read()
