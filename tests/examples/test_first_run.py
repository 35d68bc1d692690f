"""`make run` on a fresh clone: what is said when a training fails, and what ends with what. The rest: `tests/test_journey.py`."""

import os
import signal
import subprocess
import sys
from contextlib import contextmanager

import httpx

from examples import first_run
from tests import servers
from tests.servers import ROOT


@contextmanager
def started(models, epochs=""):
    """The program and its URL, in a group of its own, as a shell starts it."""
    port = servers.free_port()
    process = subprocess.Popen(
        [sys.executable, first_run.__file__, str(models), str(port), epochs],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1", "SIGNET_GRPC_PORT": "0", "SIGNET_DRAIN_S": "0"},
    )
    try:
        yield servers.Program(process), f"http://127.0.0.1:{port}"
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def test_a_training_that_fails_is_told_and_the_server_goes_on(tmp_path):
    with started(tmp_path / "models", "none") as (program, url):
        program.read_until("The training has failed: the lines above say why")
        program.read_until("The server goes on without digits, question_answering and social_posts")
        program.read_until("Signet is at")
        assert "--epochs" in program.output
        assert httpx.get(f"{url}/livez").status_code == 200
        assert program.stop(signal.SIGINT) == 0


def test_ctrl_c_ends_both_and_says_how_to_go_on(tmp_path):
    with started(tmp_path / "models") as (program, _):
        program.read_until("digits: preparing data")
        program.read_until("Signet is at")
        os.killpg(program.process.pid, signal.SIGINT)
        rest = program.process.communicate(timeout=60)[0]  # ends when the last of them has closed it
        assert program.process.returncode == 0
        assert "interrupted: the same command goes on" in program.output + rest
        assert "Traceback" not in rest
        assert "failed" not in rest


def test_the_training_ends_with_a_server_that_is_gone(tmp_path):
    with started(tmp_path / "models") as (program, _):
        program.read_until("digits: preparing data")
        program.process.kill()
        rest = program.process.communicate(timeout=60)[0]
        assert "interrupted: the same command goes on" in rest
        assert "failed" not in rest


def test_nobody_answers_where_nobody_listens():
    assert first_run.served(servers.free_port()) == set()
