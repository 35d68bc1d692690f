"""Where the result goes: a folder of part files, or one file that is joined from parts when all are there.

    answers/            part-00000.parquet, part-00001.parquet, …, _manifest.json, _dead_letters.jsonl
    answers.jsonl       meanwhile .answers.jsonl.parts/ beside it; answers.jsonl.dead_letters beside it

Part files appear by rename, then the manifest names them: killed at any moment, a job goes on after its last part.
"""

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, BinaryIO

from signet.clients.score import formats, storage
from signet.clients.score.chunk_scoring import ScoredChunk
from signet.clients.score.formats import Format
from signet.clients.score.input.chunks import Position
from signet.clients.score.output import manifest, parts
from signet.clients.score.output.manifest import Manifest, PartEntry
from signet.clients.score.plan import Plan
from signet.serving.errors import UsageError
from signet.serving.tensors.signature import nearest_hint

_PIECE_BYTES = 1 << 20
_OURS = re.compile(r"part-\d{5,}\..+|_dead_letters.*\.jsonl|_manifest\.json")


@dataclass(frozen=True)
class Destination:
    """The paths of a result."""

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
        return storage.of(self.path)


def of(path: str, option: str) -> Destination:
    """The target that OUTPUT and --format name. Raises `UsageError`."""
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


def clear(target: Destination) -> None:
    """Remove what jobs leave in the folder, the manifest first; other files stay."""
    ours = [name for name in target.files.names(target.folder) if _OURS.fullmatch(name)]
    for name in sorted(ours, key=lambda name: name != manifest.NAME):
        target.files.remove(f"{target.folder}/{name}")


class OpenPart:
    """A part that is being written."""

    def __init__(
        self, first_row: int, part: parts.Part, letters: IO[bytes], start: Position, hashes_rows: bool
    ) -> None:
        self._part, self._letters = part, letters
        self._read = hashlib.sha256() if hashes_rows else None
        self._files: dict[int, list[int]] = {}
        self.first_row, self.rows, self.bad, self.source_bytes, self.end = first_row, 0, 0, 0, start
        self.entry: PartEntry
        """What the manifest says of it; there when the part is."""

    def add(self, scored: ScoredChunk) -> None:
        """The next chunk."""
        self._part.append(scored.block)
        self._letters.writelines(scored.letters.lines)
        if self._read:
            self._read.update(scored.fingerprint)
        tally = self._files.setdefault(scored.end.file, [0, 0, 0])
        for i, count in enumerate((scored.rows, scored.written, len(scored.letters.lines))):
            tally[i] += count
        self.rows += scored.rows
        self.bad += len(scored.letters.lines)
        self.source_bytes += scored.source_bytes
        self.end = scored.end

    def close(self, path: Path, letters: Path) -> None:
        """Its file is written and closed."""
        read = self._read.hexdigest() if self._read else ""
        with path.open("rb") as file:
            sha256 = _sha256(file)
        with letters.open("rb") as file:
            letters_sha256 = _sha256(file)
        self.entry = PartEntry(
            first_row=self.first_row,
            rows=self.rows,
            bad=self.bad,
            size_bytes=path.stat().st_size,
            sha256=sha256,
            letters_sha256=letters_sha256,
            source_bytes=self.source_bytes,
            end=self.end,
            read_sha256=read,
            files=tuple((file, rows, good, bad) for file, (rows, good, bad) in self._files.items()),
        )


@contextmanager
def open_part(
    target: Destination, plan: Plan, number: int, first_row: int, start: Position, hashes_rows: bool
) -> Iterator[OpenPart]:
    """A part to add chunks to; it is there, complete, when the context ends well, and else not at all."""
    with ExitStack() as stack:
        local = stack.enter_context(target.files.written(target.part(number)))
        letters_path = local.with_name(f"{local.name}.letters")
        stack.callback(letters_path.unlink, missing_ok=True)
        with_header = not (target.is_file and number)
        with letters_path.open("wb") as letters, parts.part_writer(plan, local, with_header) as part:
            opened = OpenPart(first_row, part, letters, start, hashes_rows)
            yield opened
        opened.close(local, letters_path)
        if opened.bad:
            with target.files.written(target.part_letters(number)) as kept:
                letters_path.replace(kept)


def intact(target: Destination, begun: Manifest) -> Manifest:
    """Without the parts whose files are not there as they were written, by their size and SHA-256."""
    files = target.files
    whole = {}
    for number, entry in begun.parts.items():
        info = files.info(target.part(number))
        if info is not None and info.size_bytes == entry.size_bytes and _is_intact(target, number, entry):
            whole[number] = entry
    if begun.complete and len(whole) == len(begun.parts):
        return begun
    kept = {number: part for number, part in whole.items() if not part.bad or _has_letters(target, number, part)}
    return replace(begun, parts=kept, complete=False)


def verify(target: Destination, done: Manifest) -> None:
    """Raise `UsageError` unless every part holds the bytes that were written."""
    for number, entry in sorted(done.parts.items()):
        if not _is_intact(target, number, entry):
            raise UsageError(
                f"{storage.shown(target.part(number))} does not have the SHA-256 with which it was written; "
                "the same command scores its rows again"
            )


def _is_intact(target: Destination, number: int, entry: PartEntry) -> bool:
    with target.files.open(target.part(number)) as file:
        return _sha256(file) == entry.sha256


def _has_letters(target: Destination, number: int, entry: PartEntry) -> bool:
    path = target.part_letters(number)
    if target.files.info(path) is None:
        return False
    with target.files.open(path) as file:
        return _sha256(file) == entry.letters_sha256


def finish(target: Destination, plan: Plan, done: Manifest) -> None:
    """Make the result whole: the manifest says so, bad rows are one file, parts are joined where that is wanted.

    Every step may be done again by a run after one that was killed.
    """
    files = target.files
    with_letters = [number for number, entry in sorted(done.parts.items()) if entry.bad]
    if not done.complete:
        files.remove(target.letters)  # of an earlier job
        if with_letters:
            with files.written(target.letters, target.folder) as local, local.open("wb") as out:
                for number in with_letters:
                    _copy(files, target.part_letters(number), out)
        manifest.save(files, target.folder, replace(done, complete=True))
    if target.is_file:
        with files.written(target.path, target.folder) as local:
            parts.join(plan, _opened(target, done), local)
        files.remove(target.folder)
        return
    for number in with_letters:
        files.remove(target.part_letters(number))


def _opened(target: Destination, done: Manifest) -> Iterator[BinaryIO]:
    """The files of the parts, one at a time."""
    for number in sorted(done.parts):
        with target.files.open(target.part(number)) as file:
            yield file


def _copy(files: storage.Storage, path: str, out: IO[bytes]) -> None:
    with files.open(path) as file:
        while piece := file.read(_PIECE_BYTES):
            out.write(piece)


def _sha256(file: BinaryIO) -> str:
    found = hashlib.sha256()
    while piece := file.read(_PIECE_BYTES):
        found.update(piece)
    return found.hexdigest()


def first_gap(done: Manifest) -> tuple[int, int, Position]:
    """The part to go on with, the rows and the place before it; of a manifest without gaps."""
    number = len(done.parts)
    if not number:
        return 0, 0, Position()
    last = done.parts[number - 1]
    return number, last.first_row + last.rows, last.end
