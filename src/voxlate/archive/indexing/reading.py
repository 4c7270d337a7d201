"""Opens the files of an indexed series, from a folder, a zip or a server, and refuses files that have changed since."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from voxlate.archive.indexing.dicomweb import DicomWebServer, fetched_files, is_url
from voxlate.archive.indexing.records import UNREAD_FOLDER
from voxlate.archive.indexing.store import IndexStore
from voxlate.archive.pseudonyms import pseudonym
from voxlate.errors import InputRefused, NoInput, read_failure

if TYPE_CHECKING:
    from voxlate.io.dicom import DicomSeries


def read_stamps(folder: Path) -> dict[str, str]:
    """Returns a fingerprint of the files of each series of the index in `folder`."""
    with closing(IndexStore(folder, source="", is_new=False)) as store:
        return store.stamps()


@contextmanager
def series_files(folder: Path, series: str) -> Iterator[list[Path]]:
    """Gives the files of an indexed series; fetched or unpacked files exist as long as the block runs.

    Args:
        folder: of the index.
        series: pseudonym.

    Raises:
        UsageError: `INDEX`, `SERIES`.
        TemporaryFailure: `ARCHIVE`.
        InputRefused: what `dicom_files` refuses.
    """
    with closing(IndexStore(folder, source="", is_new=False)) as store, _files(store, series) as files:
        yield files


@contextmanager
def indexed_series(folder: Path, series: str) -> Iterator[DicomSeries]:
    """Gives an indexed series, ready to be read as long as the block runs.

    Files that were damaged when they were indexed count as damaged files of the series where it is alone in its folder.

    Args:
        folder: of the index.
        series: pseudonym.

    Raises:
        InputRefused: `SERIES_CHANGED` when the files have other identifiers than were indexed, or another number: a gap
            in the positions does not show that the last slice is missing.
            `UNREADABLE` when they cannot be read.
        NoInput, UsageError, TemporaryFailure: see `series_files`.
    """
    from voxlate.io.dicom import find_series

    with closing(IndexStore(folder, source="", is_new=False)) as store, _files(store, series) as files:
        present = [path for path in files if _is_file(path)]
        if not present:
            raise NoInput("NO_INPUT", f"the files of series {series} are gone; run voxlate index again")
        read = find_series(present)
        names = [pseudonym(store.key, "series", each.uid) for each in read]
        indexed = store.file_count(series)
        if names != [series] or len(read[0].files) != indexed:
            raise InputRefused(
                "SERIES_CHANGED",
                f"the files of series {series} have changed: {indexed} were indexed, "
                f"{sum(len(each.files) for each in read)} are there now; run voxlate index again",
            )
        _require_same_owner(store, series, read[0])
        yield _with_damage(store, series, read[0])


def _require_same_owner(store: IndexStore, series: str, found: DicomSeries) -> None:
    """Refuses files that were given to another patient or study since, as after a correction in the archive."""
    from voxlate.archive.indexing.headers import series_record

    record = series_record(found.first, "")
    owner = (pseudonym(store.key, "patient", record.patient), pseudonym(store.key, "study", record.study))
    if owner != store.owner_of(series):
        where = " into a new folder" if is_url(store.source) else ""  # a server does not tell that headers changed
        raise InputRefused(
            "SERIES_CHANGED",
            f"the files of series {series} belong to another patient or study than was indexed; "
            f"run voxlate index again{where}",
        )


def _with_damage(store: IndexStore, series: str, found: DicomSeries) -> DicomSeries:
    """Returns the series with the damaged files beside it, of which one may be its first or last slice."""
    damaged = [_damage(code) for code in store.damage_of(series)]
    return replace(found, damaged=(*found.damaged, *damaged))


def _damage(code: str) -> InputRefused:
    if code == UNREAD_FOLDER:
        return InputRefused(
            "UNREADABLE",
            "a folder beside it could not be read when it was indexed; correct its permissions and run voxlate index",
        )
    return InputRefused(
        "UNREADABLE",
        f"a file in its folder was damaged ({code}) when it was indexed; export it again and run voxlate index",
    )


def _is_file(path: Path) -> bool:
    """Returns whether a file is there.

    Raises:
        InputRefused, TemporaryFailure: see `read_failure`; its folder cannot be entered.
    """
    try:
        return path.is_file()
    except OSError as error:
        raise read_failure(error, "a file of the series") from error


@contextmanager
def _files(store: IndexStore, series: str) -> Iterator[list[Path]]:
    source = store.source
    if is_url(source):
        with fetched_files(DicomWebServer(source), *store.identifiers_of(series)) as files:
            yield files
        return
    relative = store.files_of(series)
    root = Path(source)
    from voxlate.io.dicom.files import is_archive, unpacked_files

    if is_archive(root):
        with unpacked_files(root) as unpacked:
            top = unpacked[0].parents[1]
            yield [top / path for path in relative]
        return
    yield [(root.parent if root.is_file() else root) / path for path in relative]
