"""How parts are committed, and the result made whole: each row is in it exactly once, whatever kills the process.

chunks ──OpenPart.add──▶ a hidden file ──rename──▶ part-00007.parquet ──manifest.commit──▶ it is not scored again
                              │                          │
         killed here: nothing is there      killed here: the part is written again, with equal bytes
"""

import hashlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO, BinaryIO

from signet.clients.score import storage
from signet.clients.score.output import manifest, parts
from signet.clients.score.output.answers import ScoredChunk
from signet.clients.score.output.destination import MANIFEST, Destination
from signet.clients.score.output.manifest import Manifest, PartEntry, PartStart
from signet.clients.score.plan import Plan
from signet.clients.score.storage import sha256_of
from signet.serving.errors import NotDone

_PIECE_BYTES = 1 << 20


class OpenPart:
    """A part that is being written, by the one thread that takes the answers in order."""

    def __init__(self, start: PartStart, part: parts.Part, letters: IO[bytes], hashes_rows: bool) -> None:
        self._start, self._part, self._letters = start, part, letters
        self._read = hashlib.sha256() if hashes_rows else None
        self._files: dict[int, list[int]] = {}
        self.rows, self.bad, self.source_bytes, self.end = 0, 0, 0, start.position
        self.entry: PartEntry
        """What the manifest is to say of it; there when the context of `open_part` has ended well."""

    def add(self, scored: ScoredChunk) -> None:
        """Write the next chunk."""
        bad = len(scored.letters.lines)
        self._part.append(scored.block)
        self._letters.writelines(scored.letters.lines)
        if self._read:
            self._read.update(scored.fingerprint)
        before = self._files.get(scored.end.file, [0, 0, 0])
        self._files[scored.end.file] = [
            sum(pair) for pair in zip(before, (scored.rows, scored.written, bad), strict=True)
        ]
        self.rows += scored.rows
        self.bad += bad
        self.source_bytes += scored.source_bytes
        self.end = scored.end

    def close(self, path: Path, letters: Path) -> None:
        """Make the entry, of files that are written and closed."""
        with path.open("rb") as file, letters.open("rb") as letters_file:
            self.entry = PartEntry(
                first_row=self._start.first_row,
                rows=self.rows,
                bad=self.bad,
                size_bytes=path.stat().st_size,
                sha256=sha256_of(file),
                letters_sha256=sha256_of(letters_file),
                source_bytes=self.source_bytes,
                end=self.end,
                read_sha256=self._read.hexdigest() if self._read else "",
                files=tuple((file, rows, good, bad) for file, (rows, good, bad) in self._files.items()),
            )


@contextmanager
def open_part(destination: Destination, plan: Plan, start: PartStart, hashes_rows: bool) -> Iterator[OpenPart]:
    """A part to add chunks to. Its file is there, complete, when the context ends well, and else not at all.

    hashes_rows: for a pipe, whose rows cannot be read again.
    """
    with ExitStack() as stack:
        local = stack.enter_context(destination.files.written(destination.part(start.number)))
        letters_path = local.with_name(f"{local.name}.letters")
        stack.callback(letters_path.unlink, missing_ok=True)
        with_header = not (destination.is_file and start.number)
        with letters_path.open("wb") as letters, parts.part_writer(plan, local, with_header) as part:
            opened = OpenPart(start, part, letters, hashes_rows)
            yield opened
        opened.close(local, letters_path)
        if opened.bad:  # before the part itself, which is renamed when the stack unwinds
            with destination.files.written(destination.part_letters(start.number)) as kept:
                letters_path.replace(kept)


def intact(destination: Destination, begun: Manifest) -> Manifest:
    """The manifest without the parts whose files are not there as they were written, by their size and SHA-256."""
    whole = {}
    for number, entry in begun.parts.items():
        info = destination.files.info(destination.part(number))
        if info is not None and info.size_bytes == entry.size_bytes and _is_intact(destination, number, entry):
            whole[number] = entry
    if begun.complete and len(whole) == len(begun.parts):
        return begun
    kept = {number: part for number, part in whole.items() if not part.bad or _has_letters(destination, number, part)}
    return replace(begun, parts=kept, complete=False)


def verify(destination: Destination, done: Manifest) -> None:
    """Raise `UsageError` unless every part holds the bytes that were written."""
    for number, entry in sorted(done.parts.items()):
        if not _is_intact(destination, number, entry):
            raise NotDone(
                f"{storage.shown(destination.part(number))} does not have the SHA-256 with which it was written; "
                "the same command scores its rows again"
            )


def finish(destination: Destination, plan: Plan, done: Manifest) -> None:
    """Make the result whole: the manifest says so, bad rows are one file, parts are joined where that is wanted.

    Every step is idempotent: a run after one that was killed does it again.
    """
    files = destination.files
    with_letters = [number for number, entry in sorted(done.parts.items()) if entry.bad]
    if not done.complete:
        files.remove(destination.letters)  # of an earlier job
        if with_letters:
            with files.written(destination.letters, destination.folder) as local, local.open("wb") as out:
                for number in with_letters:
                    _copy(files, destination.part_letters(number), out)
        manifest.save(destination, replace(done, complete=True))
    if destination.is_file:
        with files.written(destination.path, destination.folder) as local:
            parts.join(plan, _opened(destination, done), local)
        # A run that is killed in here is found again by its manifest, and what it has left is removed.
        files.remove(destination.folder, last=MANIFEST)
        return
    for number in with_letters:
        files.remove(destination.part_letters(number))


def _is_intact(destination: Destination, number: int, entry: PartEntry) -> bool:
    with destination.files.open(destination.part(number)) as file:
        return sha256_of(file) == entry.sha256


def _has_letters(destination: Destination, number: int, entry: PartEntry) -> bool:
    path = destination.part_letters(number)
    if destination.files.info(path) is None:
        return False
    with destination.files.open(path) as file:
        return sha256_of(file) == entry.letters_sha256


def _opened(destination: Destination, done: Manifest) -> Iterator[BinaryIO]:
    """The files of the parts, one at a time."""
    for number in sorted(done.parts):
        with destination.files.open(destination.part(number)) as file:
            yield file


def _copy(files: storage.Storage, path: str, out: IO[bytes]) -> None:
    with files.open(path) as file:
        while piece := file.read(_PIECE_BYTES):
            out.write(piece)
