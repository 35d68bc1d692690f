"""Whether advisories are known of what the lock files pin: `make audit`, or `python deploy/audit.py [OPTION…]` of pip-audit.

*.lock ──pip-audit──▶ the advisory service, on the network ──▶ a line for each advisory, and the exit code
  0  the service was asked about every package, and knows of nothing
  1  it knows of something
  2  it could not be asked about all of them: then nothing is proven
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
LOCKS = (ROOT / "requirements.lock", *sorted((ROOT / "deploy").glob("*.lock")))


def main(options: list[str]) -> int:
    """Ask about the lock files, or about others that the options name with --requirement."""
    files = [] if "--requirement" in options else [word for lock in LOCKS for word in ("--requirement", str(lock))]
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [sys.executable, "-m", "pip_audit", "--disable-pip", "--require-hashes", "--progress-spinner", "off"]
        command += ["--format", "json", "--output", str(report), *files, *options]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  # words of our own
        if not report.exists():
            said = done.stderr.strip().splitlines() or [f"pip-audit ended with {done.returncode}"]
            print(f"audit: the advisory service could not be asked, so nothing is proven: {said[-1]}", file=sys.stderr)
            return 2
        packages = json.loads(report.read_text())["dependencies"]
    for package in packages:
        for found in package.get("vulns", []):
            mended = ", ".join(found["fix_versions"]) or "no version yet"
            print(f"{package['name']} {package['version']}: {found['id']}, mended in {mended}: {found['description']}")
    unknown = [package["name"] for package in packages if "skip_reason" in package]
    if unknown or not packages:
        some = f"{', '.join(unknown[:3])}{', …' if len(unknown) > 3 else ''}"
        print(f"audit: the service does not know {len(unknown)} of {len(packages)} packages: {some}", file=sys.stderr)
        return 2
    vulnerable = sum(bool(package["vulns"]) for package in packages)
    print(f"audit: {len(packages)} packages, advisories for {vulnerable} of them")
    return 1 if vulnerable else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
