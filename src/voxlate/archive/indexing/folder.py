"""Indexes an archive in a folder or a zip with several processes; unchanged files are not read again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from voxlate.archive.indexing.headers import Chunk, chunks_of, read_chunk
from voxlate.archive.indexing.records import READ_AGAIN, FileRecord
from voxlate.archive.indexing.store import IndexStore
from voxlate.errors import NoInput, TemporaryFailure
from voxlate.io.log import counted, warn
from voxlate.jobs.processes import parallel_map

if TYPE_CHECKING:
    from voxlate.io.dicom.files import Unread

Files = Callable[[], "Iterator[Path | Unread]"]

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

    The content at the end does not depend on interruptions or on the number of processes. Of a folder that cannot be
    read, the stored series are kept, and the next run reads it again (warning `ARCHIVE`).

    Args:
        source: a folder, a zip or one file.
        store: the index.
        jobs: processes.

    Raises:
        NoInput: `NO_INPUT` when the source does not exist.
        TemporaryFailure: `ARCHIVE` when the folder cannot be read, or holds no file while the index has series.
        InputRefused, TemporaryFailure, CannotWrite: see `unpacked_files`, `IndexStore` and `read_chunk`.
    """
    from voxlate.io.dicom.files import is_archive, unpacked_files, walk

    if not source.exists():
        raise NoInput("NO_INPUT", f"{source.name} does not exist")
    if is_archive(source):
        with unpacked_files(source) as files:
            root = files[0].parents[1]
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
        _require_files(store, root, changed)
        if not store.forget_unseen(number) and not changed.is_stale:
            if changed.kept:
                warn(
                    "ARCHIVE",
                    f"{counted(len(changed.kept), 'series', 'series')} cannot be read now and stay in the index; "
                    "correct the permissions or the mount and run voxlate index again",
                )
            store.set_pending(len(changed.kept))
            yield Progress(met, read)
            return
    store.set_pending(1)
    warn(
        "ARCHIVE", f"the archive changed during each of {_ROUNDS} readings; run voxlate index again when it is at rest"
    )
    yield Progress(met, read)


@dataclass
class _Changes:
    """What a round has met so far.

    Attributes:
        met: number of files.
        is_stale: whether a changed file belonged to a series whose other files must be read again.
        kept: row numbers of the stored series with files that cannot be read now.
    """

    met: int = 0
    is_stale: bool = False
    kept: set[int] = field(default_factory=set)


def _require_files(store: IndexStore, root: Path, changes: _Changes) -> None:
    """Refuses an archive without files whose index has series: more often a missing mount than an empty archive.

    Raises:
        TemporaryFailure: `ARCHIVE`.
    """
    stored = store.counts()["series"]
    if stored and not changes.met and not changes.kept:
        raise TemporaryFailure(
            "ARCHIVE",
            f"{root.name} holds no file, and the index {stored} series of it, which are kept; mount the archive and "
            "run voxlate index again, or remove the index if the archive is meant to be empty",
        )


def _changed_chunks(store: IndexStore, root: Path, files: Files, number: int, changes: _Changes) -> Iterator[Chunk]:
    """Yields the new and changed files folder by folder, and marks the unchanged ones as seen."""
    for parent, entries in groupby(files(), key=lambda entry: entry.parent):
        members = []
        for entry in entries:
            if isinstance(entry, Path):
                members.append(entry)
            else:
                _keep_unread(store, root, entry, number, changes)
        if not members:
            continue
        folder = parent.relative_to(root).as_posix()
        known = store.known_files(folder)
        told = _told_apart(members, known)
        changes.met += len(told.fresh) + len(told.same) + len(told.changed)
        if told.changed:
            # forgetting a file forgets its whole series, perhaps in folders that this round has already passed
            changes.is_stale |= not store.files_in_series(folder).isdisjoint(told.changed)
            store.forget(folder, told.changed)
            known = store.known_files(folder)
        if told.unseen:
            changes.kept |= store.keep(folder, told.unseen, number)
        still = [name for name in told.same if name in known]
        store.mark_seen(folder, still, number)
        yield from chunks_of(folder, sorted({*told.fresh, *told.changed, *told.same} - set(still)), CHUNK_FILES)


@dataclass(frozen=True)
class _ToldApart:
    """Names of the files of a folder: new, unchanged, changed, and stored but out of reach now."""

    fresh: list[str] = field(default_factory=list)
    same: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    unseen: list[str] = field(default_factory=list)


def _told_apart(paths: Iterable[Path], known: Mapping[str, tuple[int, int]]) -> _ToldApart:
    """Returns files by what the index knows of them; those that were removed meanwhile are left out.

    Args:
        paths: of the files.
        known: size and modification time of the stored files, by name.
    """
    told = _ToldApart()
    for path in paths:
        try:
            status = path.stat()
        except FileNotFoundError:
            continue
        except OSError:  # of the folder, which may be listed and not entered
            (told.unseen if path.name in known else told.fresh).append(path.name)
            continue
        if path.name not in known:
            told.fresh.append(path.name)
        elif known[path.name] == (status.st_size, status.st_mtime_ns):
            told.same.append(path.name)
        else:
            told.changed.append(path.name)
    return told


def _keep_unread(store: IndexStore, root: Path, entry: Unread, number: int, changes: _Changes) -> None:
    """Keeps what the index has of an unread folder or link, and stores it as refused where it is new.

    Raises:
        TemporaryFailure: `ARCHIVE` when it is the folder of the archive.
    """
    if entry.path == root:
        raise TemporaryFailure(
            "ARCHIVE",
            f"the archive cannot be read ({entry.error.message}); correct the permissions or the mount and run voxlate "
            "index again",
        )
    folder = entry.parent.relative_to(root).as_posix()
    changes.kept |= store.keep(folder, [entry.name], number)
    if entry.name not in store.known_files(folder):
        state = _unread_state(entry)
        store.add(folder, [FileRecord(entry.name, 0, READ_AGAIN, "", state)], [], number)


def _unread_state(entry: Unread) -> str:
    # `records.UNREAD_FOLDER`, written out here because the page of error codes is made from the codes in functions
    return "UNREADABLE_FOLDER" if entry.is_folder else entry.error.code
