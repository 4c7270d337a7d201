"""An archive in a folder or a zip, read by several processes; what is known and unchanged is not read again."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path

from voxlate.archive.headers import Bite, bites_of, read_bite
from voxlate.archive.store import Store
from voxlate.errors import NoInput
from voxlate.io.nifti.source import warn
from voxlate.jobs.processes import parallel_map

Files = Callable[[], Iterator[Path]]

BITE_FILES = 200
_ROUNDS = 5


@dataclass(frozen=True)
class Progress:
    """How far a reading has come: files met, and of these read now."""

    met: int
    read: int


def index_folder(source: Path, store: Store, *, jobs: int) -> Iterator[Progress]:
    """Brings a store up to date with a folder or a zip; yields how far it has come.

    What it holds at the end is the same however often it was interrupted, and with however many processes.

    Raises:
        NoInput: `NO_INPUT` when there is no such folder.
        InputRefused, TemporaryFailure, CannotWrite: see `dicom_files`, `Store` and `each`.
    """
    from voxlate.io.dicom.files import begins_as_zip, dicom_files, walk

    if not source.exists():
        raise NoInput("NO_INPUT", f"{source.name} does not exist")
    if source.is_file() and (zipfile.is_zipfile(source) or begins_as_zip(source)):
        with dicom_files(source) as files:
            root = files[0].parents[1]  # a zip is unpacked anew, so that all of it is read anew
            yield from _rounds(store, root, jobs, lambda: iter(files))
        return
    root = source if source.is_dir() else source.parent
    yield from _rounds(store, root, jobs, lambda: walk(source, source.resolve()) if source.is_dir() else iter([source]))


def _rounds(store: Store, root: Path, jobs: int, files: Files) -> Iterator[Progress]:
    """Reads until a round finds nothing changed; a series of which a file changed is read again as a whole."""
    met = read = 0
    for _ in range(_ROUNDS):
        number = store.next_round()
        changed = _Changes()
        met = 0
        waiting = _to_read(store, root, files, number, changed)
        for bite, facts, series in parallel_map(partial(read_bite, str(root)), waiting, jobs=jobs):
            store.add(bite.folder, facts, series, number)
            read += len(facts)
            yield Progress(changed.met, read)
        met = changed.met
        if not store.forget_unseen(number) and not changed.is_stale:
            store.set_pending(0)
            yield Progress(met, read)
            return
    store.set_pending(1)
    warn("ARCHIVE", "the archive changed all the while it was read; run it again")
    yield Progress(met, read)


@dataclass
class _Changes:
    met: int = 0
    is_stale: bool = False


def _to_read(store: Store, root: Path, files: Files, number: int, changes: _Changes) -> Iterator[Bite]:
    """Yields what is new or changed, folder by folder, and marks the rest as still there."""
    for parent, members in groupby(files(), key=lambda path: path.parent):
        folder = parent.relative_to(root).as_posix()
        known = store.known(folder)
        fresh, changed, same = [], [], []
        for path in members:
            try:
                status = path.stat()
            except OSError:
                continue  # it went away
            changes.met += 1
            if path.name not in known:
                fresh.append(path.name)
            elif known[path.name] == (status.st_size, status.st_mtime_ns):
                same.append(path.name)
            else:
                changed.append(path.name)
        if changed:
            # the rest of their series is gone too, perhaps in folders already passed
            changes.is_stale |= not store.held(folder).isdisjoint(changed)
            store.forget(folder, changed)
            known = store.known(folder)
        still = [name for name in same if name in known]
        store.still_there(folder, still, number)
        yield from bites_of(folder, sorted({*fresh, *changed, *same} - set(still)), BITE_FILES)
