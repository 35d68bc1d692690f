"""`python -m signet`: the `signet` command."""

from signet.cli import main

main()
