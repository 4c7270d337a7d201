"""Indexes an archive in a folder or a zip with several processes; unchanged files are not read again."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path

from voxlate.archive.indexing.headers import Chunk, chunks_of, read_chunk
from voxlate.archive.indexing.store import IndexStore
from voxlate.errors import NoInput
from voxlate.io.log import warn
from voxlate.jobs.processes import parallel_map

Files = Callable[[], Iterator[Path]]

CHUNK_FILES = 200
"""Files of one chunk; chosen by hand, not tuned. A kill loses the chunks under way, about 0.2 s of reading each at the
1000 headers a second that `benchmarks/bench_index.py` measured for one process."""

# After this many rounds that each find a change, the run ends with a warning: the archive is being written to.
# Chosen by hand.
_ROUNDS = 5


@dataclass(frozen=True)
class Progress:
    """Progress of an index run.

    Attributes:
        met: files, or series of a server, that this run has come across.
        read: of these, those that it read because they were new or changed.
    """

    met: int
    read: int


def index_folder(source: Path, store: IndexStore, *, jobs: int) -> Iterator[Progress]:
    """Updates an index from a folder or a zip and yields its progress.

    The content at the end does not depend on interruptions or on the number of processes.

    Args:
        source: a folder, a zip or one file.
        store: the index.
        jobs: processes.

    Raises:
        NoInput: `NO_INPUT` when the source does not exist.
        InputRefused, TemporaryFailure, CannotWrite: see `dicom_files`, `IndexStore` and `each`.
    """
    from voxlate.io.dicom.files import begins_as_zip, dicom_files, walk

    if not source.exists():
        raise NoInput("NO_INPUT", f"{source.name} does not exist")
    if source.is_file() and (zipfile.is_zipfile(source) or begins_as_zip(source)):
        with dicom_files(source) as files:
            root = files[0].parents[1]  # the zip is unpacked for each run, so that all its files are new
            yield from _rounds(store, root, jobs, lambda: iter(files))
        return
    root = source if source.is_dir() else source.parent
    yield from _rounds(store, root, jobs, lambda: walk(source, source.resolve()) if source.is_dir() else iter([source]))


def _rounds(store: IndexStore, root: Path, jobs: int, files: Files) -> Iterator[Progress]:
    """Reads the archive until a round finds no change; one changed file makes its whole series be read again."""
    met = read = 0
    for _ in range(_ROUNDS):
        number = store.next_round()
        changed = _Changes()
        met = 0
        chunks = _changed_chunks(store, root, files, number, changed)
        for chunk, records, series in parallel_map(partial(read_chunk, str(root)), chunks, jobs=jobs):
            store.add(chunk.folder, records, series, number)
            read += len(records)
            yield Progress(changed.met, read)
        met = changed.met
        if not store.forget_unseen(number) and not changed.is_stale:
            store.set_pending(0)
            yield Progress(met, read)
            return
    store.set_pending(1)
    warn(
        "ARCHIVE", f"the archive changed during each of {_ROUNDS} readings; run voxlate index again when it is at rest"
    )
    yield Progress(met, read)


@dataclass
class _Changes:
    """Files met so far, and whether a changed file belonged to a series whose other files must be read again."""

    met: int = 0
    is_stale: bool = False


def _changed_chunks(store: IndexStore, root: Path, files: Files, number: int, changes: _Changes) -> Iterator[Chunk]:
    """Yields the new and changed files folder by folder, and marks the unchanged ones as seen."""
    for parent, members in groupby(files(), key=lambda path: path.parent):
        folder = parent.relative_to(root).as_posix()
        known = store.known_files(folder)
        fresh, changed, same = [], [], []
        for path in members:
            try:
                status = path.stat()
            except OSError:
                continue  # removed meanwhile
            changes.met += 1
            if path.name not in known:
                fresh.append(path.name)
            elif known[path.name] == (status.st_size, status.st_mtime_ns):
                same.append(path.name)
            else:
                changed.append(path.name)
        if changed:
            # forgetting a file forgets its whole series, perhaps in folders that this round has already passed
            changes.is_stale |= not store.files_in_series(folder).isdisjoint(changed)
            store.forget(folder, changed)
            known = store.known_files(folder)
        still = [name for name in same if name in known]
        store.mark_seen(folder, still, number)
        yield from chunks_of(folder, sorted({*fresh, *changed, *same} - set(still)), CHUNK_FILES)
