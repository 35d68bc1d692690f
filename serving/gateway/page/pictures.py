"""The pictures that an export has beside its card: the network, and how it was learnt.

    version's folder, name ──read──▶ bytes of a PNG, or `NotFound`

The folder may be anybody's: no other name is looked for, and what is no plain file within the folder is not there.
"""

import stat
from pathlib import Path

from signet.serving.errors import NotFound
from signet.serving.gateway.openapi import card_schemas
from signet.serving.models import small_file

NAMES = card_schemas.PICTURES
_PLACE = "assets.extra"
_MOST_BYTES = 4 << 20
_PNG = b"\x89PNG\r\n\x1a\n"


def names(folder: Path | None) -> list[str]:
    """The pictures that are there."""
    return [name for name in NAMES if folder is not None and _is_there(folder, name)]


def read(folder: Path | None, name: str) -> bytes:
    """A picture. Raises `NotFound` for one that is not there, or that is none."""
    if name not in NAMES:
        raise NotFound(f"there is no picture {name[:100]!r}; versions may have {' and '.join(NAMES)}")
    if folder is None or not _is_there(folder, name):
        raise NotFound(f"this version has no {name}")
    try:
        content = small_file.read(folder / _PLACE / name, _MOST_BYTES)
    except OSError:
        raise NotFound(f"this version's {name} cannot be read, or has more than {_MOST_BYTES >> 20} MiB") from None
    if not content.startswith(_PNG):
        raise NotFound(f"this version's {name} is no PNG")
    return content


def _is_there(folder: Path, name: str) -> bool:
    """Whether it is a plain file within the folder: a link might lead anywhere."""
    path = folder / _PLACE / name
    try:
        return stat.S_ISREG(path.lstat().st_mode) and path.resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError):
        return False
