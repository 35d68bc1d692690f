"""Resuming a job from its checkpoint, the manifest, and the checks that it is the same job and whole in the end.

    OUTPUT ──existing──▶ a manifest, or none ──started──▶ what is committed and intact ──remaining──▶ chunks after it

A job is told by its inputs, the pinned version and a few options, which the manifest keeps: the same command goes on
where the last one was stopped, whatever stopped it, and gives the same bytes. Anything else is refused.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from signet.clients.score import chunk_scoring, storage
from signet.clients.score.input import reading
from signet.clients.score.input.chunk import Chunk
from signet.clients.score.input.sources import Source
from signet.clients.score.output import commit, manifest
from signet.clients.score.output.destination import Destination
from signet.clients.score.output.manifest import Manifest
from signet.clients.score.work import Work
from signet.serving.errors import Internal, UsageError


def existing(destination: Destination, sources: tuple[Source, ...], overwrite: bool) -> Manifest | None:
    """The job that a destination holds already. Raises `UsageError` for one that cannot be written."""
    files = destination.files
    info = files.info(destination.path)
    parent = destination.path.rpartition("/")[0]
    if isinstance(files, storage.Local) and parent and files.info(parent) is None:
        raise UsageError(f"the folder {parent} does not exist, so {destination.shown} cannot be written")
    begun = manifest.load(destination)
    if info is None:
        return begun
    if destination.is_file:
        if info.is_folder or not info.is_regular:
            raise UsageError(f"{destination.shown} is not a file; the result would replace it")
        if any(files.same(destination.path, source.path) for source in sources):
            raise UsageError(f"{destination.shown} is the source itself; choose another name for the result")
        if not overwrite and not (begun and begun.complete):
            raise UsageError(f"{destination.shown} exists; choose another name, or replace it with --overwrite")
    elif not info.is_folder:
        raise UsageError(f"{destination.shown} is a file; for a folder of parts choose another name")
    elif begun is None and any(not name.startswith(".") for name in files.names(destination.path)):
        raise UsageError(f"the folder {destination.shown} is not empty and holds no scoring job; choose another name")
    return begun


@contextmanager
def started(destination: Destination, job: dict[str, Any], overwrite: bool) -> Iterator[Manifest]:
    """The manifest of a job, begun before or now; nobody else works on it meanwhile. One without parts is taken back."""
    files = destination.files
    was_there = files.info(destination.folder) is not None
    files.make_folder(destination.folder)
    with files.locked(destination.folder):
        begun = manifest.load(destination)
        if begun is not None:
            other = manifest.difference(begun.job, job)
            if other and not overwrite:
                raise UsageError(
                    f"{destination.shown} holds a job that was begun otherwise: {other}. "
                    "Finish that one, choose another OUTPUT, or start anew with --overwrite"
                )
            begun = None if other or (overwrite and begun.complete) else commit.intact(destination, begun)
        if begun is None:
            destination.clear()
            begun = Manifest(job)
            manifest.save(destination, begun)
        try:
            yield begun
        except BaseException:
            kept = manifest.load(destination)
            if kept is not None and not kept.parts:
                destination.clear()
                if not was_there:
                    files.remove(destination.folder)
            raise


def remaining(work: Work, from_start: Iterator[Chunk], begun: Manifest) -> Iterator[Chunk]:
    """The chunks after the committed parts. from_start: all of them, which a pipe gives but once."""
    return _after_pipe(from_start, begun) if work.has_pipe else work.chunks(begun.next_part.position)


def _after_pipe(chunks: Iterator[Chunk], begun: Manifest) -> Iterator[Chunk]:
    """What comes after the parts that are there. Raises `UsageError` when other rows come than came for them."""
    for _, part in sorted(begun.parts.items()):
        read, rows = hashlib.sha256(), 0
        while rows < part.rows and (chunk := next(chunks, None)):
            read.update(chunk_scoring.fingerprint(chunk))
            rows += chunk.rows
        if read.hexdigest() != part.read_sha256:
            last = part.first_row + part.rows
            raise UsageError(
                f"rows {part.first_row + 1:,} to {last:,} that come through the pipe are not those that this job was "
                "begun with; start anew with --overwrite"
            )
    return chunks


def check_whole(work: Work, done: Manifest) -> None:
    """Raise `Internal` unless every row of every file is among the scored ones or the dead letters."""
    tallies: dict[int, list[int]] = {number: [0, 0, 0] for number in range(len(work.sources))}
    for part in done.parts.values():
        for number, *counts in part.files:
            tallies[number] = [before + more for before, more in zip(tallies[number], counts, strict=True)]
    for number, (rows, scored, bad) in tallies.items():
        source = work.sources[number]
        held = reading.count(source)
        if rows != scored + bad or held not in (None, rows):
            raise Internal(
                f"{source.shown} has {rows if held is None else held} rows, of which {rows} were read, {scored} "
                f"scored and {bad} are bad: the result is not complete"
            )
