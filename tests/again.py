"""Runs the tests that have failed once more, one after the other: `python -m tests.again EXIT_CODE`, after pytest.

    exit code 1, few failures ──▶ once more, alone ──▶ all pass: their names, exit code 0
    any other end             ──────────────────────▶ that exit code

Hundreds of servers run beside each other in the whole suite. A test that fails there and passes alone has met a race, in
itself or in the product: it is named in the last lines, to be looked into, and what it said stands above.
"""

import json
import subprocess
import sys
from pathlib import Path

MOST = 3
"""Failures that may be chance; more of them are none."""
FAILED = Path(".pytest_cache/v/cache/lastfailed")
"""Where pytest keeps the names of tests that have failed."""
_TESTS_FAILED = 1
"""Pytest's exit code where tests have failed, and nothing else was wrong."""


def main() -> int:
    """Gives the exit code."""
    code = int(sys.argv[1])
    failed = sorted(json.loads(FAILED.read_bytes())) if code == _TESTS_FAILED and FAILED.exists() else []
    if not 0 < len(failed) <= MOST:
        return code
    print(f"\nonce more, alone: {', '.join(failed)}", flush=True)
    code = subprocess.run([sys.executable, "-m", "pytest", *failed], check=False).returncode
    if code == 0:
        print("these have failed beside other tests, above, and passed alone:", *failed, sep="\n  ", flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
