"""Where the result goes: a folder of part files, or one file that is joined from parts when all are there.

    answers/            part-00000.parquet, part-00001.parquet, …, _manifest.json, _dead_letters.jsonl
    answers.jsonl       meanwhile .answers.jsonl.parts/ beside it; answers.jsonl.dead_letters beside it

How a part gets there is told in `commit.py`.
"""

import os
import re
from dataclasses import dataclass

from signet.clients.score import formats, storage
from signet.clients.score.formats import Format
from signet.serving.errors import UsageError
from signet.serving.tensors.signature import nearest_hint

MANIFEST = "_manifest.json"
"""Begins with an underscore, which readers of Parquet folders leave out."""
_OURS = re.compile(rf"part-\d{{5,}}\..+|_dead_letters.*\.jsonl|{re.escape(MANIFEST)}")


@dataclass(frozen=True)
class Destination:
    """The paths of a result, and the storage where they are."""

    path: str
    is_file: bool
    format: Format

    @property
    def folder(self) -> str:
        """Where the parts and the manifest are."""
        if not self.is_file:
            return self.path
        parent, slash, name = self.path.rpartition("/")
        return f"{parent}{slash}.{name}.parts"

    @property
    def manifest(self) -> str:
        """The path of the file that says which parts are committed."""
        return f"{self.folder}/{MANIFEST}"

    @property
    def shown(self) -> str:
        """The path for messages, without a password."""
        return storage.shown(self.path)

    @property
    def letters(self) -> str:
        """The file of rows that could not be scored."""
        return f"{self.path}.dead_letters" if self.is_file else f"{self.path}/_dead_letters.jsonl"

    def part(self, number: int) -> str:
        """The path of a part."""
        return f"{self.folder}/part-{number:05}.{self.format.ending}"

    def part_letters(self, number: int) -> str:
        """The path of a part's bad rows."""
        return f"{self.folder}/_dead_letters-{number:05}.jsonl"

    @property
    def files(self) -> storage.Storage:
        """What reads and writes there."""
        return storage.of(self.path)

    def clear(self) -> None:
        """Remove what jobs leave in the folder, the manifest first; other files stay."""
        ours = [name for name in self.files.names(self.folder) if _OURS.fullmatch(name)]
        for name in sorted(ours, key=lambda name: name != MANIFEST):
            self.files.remove(f"{self.folder}/{name}")


def of(path: str, option: str) -> Destination:
    """The destination that OUTPUT and --format name. Raises `UsageError`."""
    named = None if path.endswith("/") else formats.of_name(path)
    chosen = formats.of_option("--format", option) if option else None
    if named is None:
        _check_folder(path)
        return Destination(path.rstrip("/"), False, chosen or Format("parquet"))
    if chosen not in (None, named):
        raise UsageError(f"{path} ends as {named.ending}, but --format is {option!r}")
    if os.path.islink(path):
        path = os.path.realpath(path)  # or the link would be replaced
    return Destination(path, True, named)


def _check_folder(path: str) -> None:
    """Raise `UsageError` for a name that looks as a file's of another format does, unless there is such a folder."""
    ending = re.search(r"\.([A-Za-z]\w{1,9})(\.gz|\.zst)?$", path)
    if ending is None or ((info := storage.of(path).info(path)) is not None and info.is_folder):
        return
    hint = nearest_hint(ending[1].lower(), [name for endings in formats.ENDINGS.values() for name in endings])
    raise UsageError(
        f"{storage.shown(path)} ends as no result does{hint}; expected {', '.join(f'.{name}' for name in formats.ENDINGS)}, "
        "and .gz or .zst after those that are not compressed inside; a folder of that name is meant by '/' at its end"
    )


def of_stdout(option: str) -> Format:
    """The format of what is written to a pipe. Raises `UsageError` for one that needs to go back in its file."""
    chosen = formats.of_option("--format", option) if option else Format("jsonl")
    if chosen.name in formats.UNCOMPRESSED or chosen.compression:
        raise UsageError(f"--format is {option!r}, which OUTPUT - cannot have; expected jsonl, csv or tfrecord")
    return chosen
