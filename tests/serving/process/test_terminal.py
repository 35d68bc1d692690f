"""Bars move on terminals alone, whatever the environment says of colours."""

import os
import pty
import subprocess
import sys

import pytest

PROGRAM = """
import sys
from signet.serving.process.terminal import console
for stderr in (False, True):
    made = console(stderr=stderr)
    print(made.is_terminal, file=sys.stderr if stderr else sys.stdout)
    made.print("[bold]x[/bold]")
"""


@pytest.mark.parametrize("variables", [{}, {"FORCE_COLOR": "1", "CLICOLOR": "1", "TERM": "xterm-color"}])
@pytest.mark.parametrize("on_terminal", [False, True])
def test_a_stream_is_a_terminal_if_it_is_one(variables, on_terminal):
    main, side = pty.openpty()
    try:
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM],
            env={**os.environ, "TERM": "xterm", **variables},
            stdout=subprocess.PIPE,
            stderr=side if on_terminal else subprocess.PIPE,
            check=True,
        )
        assert done.stdout == b"False\nx\n"
        if on_terminal:
            assert os.read(main, 1000) == b"True\r\n\x1b[1mx\x1b[0m\r\n"
        else:
            assert done.stderr == b"False\nx\n"
    finally:
        os.close(main)
        os.close(side)
