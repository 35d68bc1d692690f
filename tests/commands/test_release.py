"""`signet release`, in a folder of models."""

import json
import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from signet.clients import releases as asking
from signet.commands.app import app
from signet.serving.releases import replica
from signet.serving.releases.replica import Replica
from signet.serving.releases.store import FILE, ReleaseStore
from tests import servers


@pytest.fixture
def models(tmp_path: Path) -> Path:
    for version in ("1", "2", "3"):
        shutil.copytree(servers.GOLDEN_MODELS / "two_in" / "1", tmp_path / "digits" / version)
    (tmp_path / "digits" / "4").mkdir()  # somebody is writing it
    return tmp_path


def run(models: Path, command: str, *arguments: str) -> Result:
    return CliRunner().invoke(
        app, ["release", command, "digits", *arguments], env={"SIGNET_MODELS_DIR": str(models), "COLUMNS": "200"}
    )


def said(models: Path, command: str, *arguments: str) -> str:
    done = run(models, command, *arguments)
    assert done.exit_code == 0, (done.output, done.exception)
    return done.output


def refused(models: Path, command: str, *arguments: str) -> str:
    done = run(models, command, *arguments)
    assert done.exit_code != 0
    return str(done.exception)


def released(models: Path) -> dict[str, Any]:
    return json.loads((models / "digits" / FILE).read_text())


def test_a_release_begins_with_the_version_before(models):
    assert said(models, "start", "3", "--by", "ana", "--reason", "new data", "--limit", "alpha=0.01") == (
        "generation 1: the release of 'digits' is at gate, with version 3 after 2\n"
    )
    now = released(models)
    assert (now["stable"], now["candidate"], now["by"], now["reason"]) == (2, 3, "ana", "new data")
    assert now["limits"] == {"alpha": 0.01}


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["4"], "there is no version 4 of 'digits' in {}; there is 1, 2, 3"),
        (["3", "--stable", "7"], "there is no version 7 of 'digits' in {}; there is 1, 2, 3"),
        (["3", "--stable", "3"], "version 3 of 'digits' is the stable one already"),
        (["3", "--limit", "alpha"], "--limit is 'alpha'; expected NAME=NUMBER, such as alpha=0.001"),
    ],
)
def test_what_cannot_be_started_is_refused_and_nothing_is_written(models, arguments, problem):
    assert refused(models, "start", *arguments) == problem.format(models)
    assert not (models / "digits" / FILE).exists()


def test_a_second_release_waits_for_the_end_of_the_first(models):
    said(models, "start", "2", "--stable", "1")
    assert "promote it or roll it back before another one is started" in refused(models, "start", "3")
    said(models, "rollback")
    assert "is at gate, with version 3 after 1" in said(models, "start", "3")


def test_a_version_is_kept_without_a_candidate(models):
    assert "is at done, with version 3" in said(models, "start")
    assert released(models)["stable"] == 3
    assert "has a release already" in refused(models, "start")


def test_a_status_tells_all_of_it(models):
    assert "has no release in" in refused(models, "status")
    said(models, "start", "3", "--by", "ana", "--limit", "alpha=0.01")
    text = said(models, "status")
    for line in ("stage      gate", "stable     2", "candidate  3", "by         ana", "limits     alpha=0.01"):
        assert line in text.splitlines()
    assert json.loads(said(models, "status", "--json"))["candidate"] == 3


def test_a_rollback_goes_on_from_the_history_where_the_file_is_broken(models):
    said(models, "start", "3")
    (models / "digits" / FILE).write_text("half")
    assert "the release is no JSON" in refused(models, "status")
    assert "from version 3 to 2" in said(models, "rollback", "--reason", "now")
    assert released(models)["stage"] == "rolled_back"


def test_the_history_has_every_change(models):
    said(models, "start", "3", "--by", "ana")
    said(models, "rollback", "--by", "bob", "--reason", "too slow")
    lines = said(models, "history").splitlines()
    assert lines[0].split() == ["generation", "at", "stage", "stable", "candidate", "share", "by", "reason"]
    assert "gate" in lines[1]
    assert lines[2].endswith("bob  too slow")
    assert [one["generation"] for one in json.loads(said(models, "history", "--json"))] == [1, 2]


def test_fields_that_are_not_known_are_shown(models):
    said(models, "start", "3")
    (models / "digits" / FILE).write_text(json.dumps({**released(models), "shere": 0.5}))
    assert "not known  shere (kept, and used for nothing by this version of Signet)" in said(models, "status")


def test_what_another_has_changed_meanwhile_is_not_written_over(models, monkeypatch):
    said(models, "start", "3")
    real = ReleaseStore.latest

    def late(store: ReleaseStore, model: str) -> Any:
        seen = real(store, model)
        assert seen
        store.lower(seen, by="the brake", reason="5 of 60 failed")
        return seen

    monkeypatch.setattr(ReleaseStore, "latest", late)
    assert "at generation 2, and not at 1 any more" in refused(models, "rollback")


class Port(ThreadingHTTPServer):
    """Answers as a replica does, with what a test says."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answering)
        self.url = f"http://localhost:{self.server_address[1]}"
        self.asked: list[tuple[str, str | None]] = []
        self.answer: dict[str, Any] = {}
        self.later: dict[str, Any] | None = None
        """What it answers from the third question on."""


class Answering(BaseHTTPRequestHandler):
    server: Port

    def do_GET(self) -> None:
        self.server.asked.append((self.path, self.headers["X-API-Key"]))
        late = self.server.later is not None and len(self.server.asked) > 2
        body = json.dumps(self.server.later if late else self.server.answer).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def port() -> Iterator[Port]:
    with Port() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def told(models: Path, **said: Any) -> dict[str, Any]:
    known = Replica("pod-0", ReleaseStore(models).read("digits"), frozenset({2, 3}))
    return replica.as_json([replace(known, **said)])


def test_replicas_are_asked_before_a_version_goes_further(models, port, tmp_path, monkeypatch):
    said(models, "start", "3")
    (tmp_path / "admin.key").write_text("sk-secret\n")
    ask = ["--url", port.url, "--key-file", str(tmp_path / "admin.key")]
    assert refused(models, "promote").startswith("no replica was asked")
    port.answer = told(models, available=frozenset({2}))
    assert "version 3 of 'digits' is not available at pod-0; available is 2; nothing" in refused(
        models, "promote", *ask
    )
    port.answer = told(models)
    assert "is at shadow" in said(models, "promote", *ask)
    assert set(port.asked) == {("/v1/models/digits/release", "sk-secret")}
    monkeypatch.setattr(asking, "_READ_S", 0.1)
    assert "pod-0 knows of generation 1, and not of generation 2 yet" in refused(models, "promote", *ask)
    port.answer = told(models)
    assert "not known to be good: not enough is seen yet: 0 of 200 copies" in refused(models, "promote", *ask)
    assert "to force it needs a reason" in refused(models, "promote", "--force")
    assert "0.05 of the requests" in said(models, "promote", "--force", "--reason", "tested elsewhere")
    text = said(models, "status", *ask)
    assert "pod-0" in text
    assert "promote    pod-0 knows of generation 2, and not of generation 3 yet" in text
    assert json.loads(said(models, "status", "--json", *ask))["replicas"][0]["name"] == "pod-0"
    assert "is at rolled_back" in said(models, "rollback")


def test_replicas_get_time_to_read_what_was_just_written(models, port):
    said(models, "start", "--stable", "2")
    port.answer = told(models)
    said(models, "start", "3")
    port.later = told(models)
    assert "is at shadow" in said(models, "promote", "--url", port.url)
    assert len(port.asked) == 3


def test_what_stands_before_a_model_server_is_asked_whether_it_serves_both(models, port):
    port.answer = told(models, keeps=False, available=frozenset({3}))
    assert "model_version_policy { specific { versions: 2 versions: 3 } }" in refused(
        models, "start", "3", "--url", port.url
    )
    assert not (models / "digits" / FILE).exists()
    port.answer = told(models, keeps=False)
    assert "is at gate" in said(models, "start", "3", "--url", port.url)


def test_a_version_that_the_gate_refuses_does_not_leave_it(models, port):
    said(models, "start", "3")
    (models / "digits" / "3" / "saved_model.pb").write_bytes(b"half")
    port.answer = told(models)
    problem = refused(models, "promote", "--url", port.url)
    assert problem.startswith("the gate refuses version 3: ")
    assert problem.endswith("nothing is changed")
    assert released(models)["stage"] == "gate"


def test_who_does_not_answer_is_named(models, port):
    said(models, "start", "3")
    port.answer = {}
    assert "/v1/models/digits/release: it has no 'replicas'" in refused(models, "promote", "--url", port.url)
    gone = f"http://127.0.0.1:{servers.free_port()}"
    assert "does not answer" in refused(models, "promote", "--url", gone)
    assert "expected http://HOST:PORT" in refused(models, "promote", "--url", "ftp://localhost:8080")
