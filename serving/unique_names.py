"""JSON objects that say each thing once: a name that is there twice is a mistake somebody should hear of."""

from typing import Any


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An `object_pairs_hook` of `json.loads`. Raises `ValueError`, which names what is there twice."""
    values = dict(pairs)
    if len(values) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"there is {next(name for name in names if names.count(name) > 1)[:64]!r} twice")
    return values
