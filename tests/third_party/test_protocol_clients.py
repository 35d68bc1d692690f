"""Triton's and KServe's own clients against the gateway, with each backend."""

import json
import subprocess

import pytest

from tests.third_party import environment


@pytest.mark.parametrize(
    ("client", "backend"),
    # KServe's takes six seconds of processor time to be imported; what differs between the backends is not its concern.
    [("tritonclient", "embedded"), ("tritonclient", "remote"), ("kserve", "embedded")],
)
def test_a_foreign_client_is_content(client, backend, request):
    url, address = request.getfixturevalue(f"{backend}_gateway")
    script = environment.HERE / f"{client}_checks.py"
    done = subprocess.run(
        [environment.python(client), script, url.removeprefix("http://"), address],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    outcomes = json.loads(done.stdout.splitlines()[-1])
    assert len(outcomes) > 10
    problems = {name: problem for name, problem in outcomes.items() if problem}
    assert not problems, "\n\n".join(f"{name}:\n{problem}" for name, problem in problems.items())
