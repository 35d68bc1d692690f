"""The limit of open files: raised for connections where the system allows it, said where it does not."""

import subprocess
import sys

import pytest

from tests.servers import ROOT

ASK = """
import logging, resource, sys
from signet.serving.process import open_files
logging.basicConfig(stream=sys.stdout, format="%(message)s")
resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[1]), int(sys.argv[2])))
print(open_files.connections(int(sys.argv[3])), resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""


@pytest.mark.parametrize(
    ("soft", "hard", "wanted", "expected"),
    [
        (1024, 4000, 2000, "2000 3536"),  # raised as far as is needed
        (3800, 4000, 2000, "2000 3800"),  # enough already
        (1024, 2048, 2000, "1024 2048"),  # raised as far as it goes
        (256, 256, 2000, "128 256"),
    ],
)
def test_connections_fit_the_limit_of_open_files(soft, hard, wanted, expected):
    command = [sys.executable, "-c", ASK, str(soft), str(hard), str(wanted)]
    *said, told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    assert told == expected
    connections, limit = expected.split()
    complaint = f"the limit of open files is {limit} and cannot be raised: {connections} connections are taken at once"
    assert bool(said) == (int(connections) < wanted)
    assert all(line.startswith(complaint) for line in said)
