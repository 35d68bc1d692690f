"""What is in an image, as a CycloneDX 1.5 file on standard output: `docker build --target sbom --output sbom .`

    python sbom.py FOLDER IMAGE.lock [OTHER.lock NAME…]

Every package that is installed below FOLDER, with version and licence, and the hashes that IMAGE.lock allows it; and the
named packages of OTHER.lock, of which the image has parts only. The same image gives the same bytes: no time, no
serial number. The base image's own packages are its makers' to list. (cyclonedx-bom tells either licences, of an environment,
or hashes, of a lock file, not both; it has no word for parts of a package; and it would bring 30 packages into the build.)
"""

import json
import re
import sys
from collections.abc import Iterator
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any


def main(arguments: list[str]) -> None:
    """Print the CycloneDX file of a folder of packages."""
    folder, lock, *rest = arguments
    hashes = locked(Path(lock))
    components = [component(found, hashes) for found in installed(Path(folder))]
    if rest:
        other, *names = rest
        parts = locked(Path(other))
        components += [described(name, version, digests) for (name, version), digests in parts.items() if name in names]
    components.sort(key=lambda entry: str(entry["purl"]))
    print(
        json.dumps({"bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1, "components": components}, indent=1)
    )


def installed(folder: Path) -> Iterator[Distribution]:
    """The packages that are installed in a virtual environment."""
    for site in sorted(folder.glob("lib/python*/site-packages")):
        yield from distributions(path=[str(site)])


def locked(lock: Path) -> dict[tuple[str, str], list[str]]:
    """(name, version) -> SHA-256 of each file that may be installed for it."""
    found = {}
    for block in re.split(r"\n(?=\S)", lock.read_text()):
        name, version = re.match(r"([\w.-]+)==([\w.]+)", block).groups()  # type: ignore[union-attr]
        found[canonical(name), version] = re.findall(r"--hash=sha256:([0-9a-f]{64})", block)
    return found


def component(found: Distribution, hashes: dict[tuple[str, str], list[str]]) -> dict[str, Any]:
    """The component of an installed package; `KeyError` when the lock file does not know it."""
    name = canonical(found.metadata["Name"])
    said = [found.metadata[key] for key in ("License-Expression", "License") if key in found.metadata]
    licence = said[0] if said else ""
    return described(name, found.version, hashes[name, found.version], licence.strip().partition("\n")[0])


def described(name: str, version: str, digests: list[str], licence: str = "") -> dict[str, Any]:
    """A component as CycloneDX writes it."""
    return {
        "type": "library",
        "name": name,
        "version": version,
        "purl": f"pkg:pypi/{name}@{version}",
        "hashes": [{"alg": "SHA-256", "content": digest} for digest in digests],
        **({"licenses": [{"license": {"name": licence}}]} if licence else {}),
    }


def canonical(name: str) -> str:
    """A package's name as registries compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    main(sys.argv[1:])
