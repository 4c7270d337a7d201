"""The files of a series of an index, wherever the archive is, and nothing but what was indexed."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from voxlate.archive.dicomweb import DicomWebServer, fetched_files, is_url
from voxlate.archive.pseudonyms import pseudonym
from voxlate.archive.store import IndexStore
from voxlate.errors import InputRefused, NoInput

if TYPE_CHECKING:
    from voxlate.io.dicom import DicomSeries


def read_stamps(folder: Path) -> dict[str, str]:
    """Returns, by series of an index, what changes when one of its files does."""
    store = IndexStore(folder, source="", is_new=False)
    try:
        return store.stamps()
    finally:
        store.close()


@contextmanager
def series_files(folder: Path, series: str) -> Iterator[list[Path]]:
    """Gives the files of a series of an index, fetched or unpacked for as long as the block runs where that is needed.

    Args:
        folder: of the index.
        series: its pseudonym.

    Raises:
        UsageError: `INDEX`, `SERIES`.
        TemporaryFailure: `ARCHIVE`.
        InputRefused: what `dicom_files` refuses.
    """
    store = IndexStore(folder, source="", is_new=False)
    try:
        with _files(store, series) as files:
            yield files
    finally:
        store.close()


@contextmanager
def indexed_series(folder: Path, series: str) -> Iterator[DicomSeries]:
    """Gives a series of an index to be read, for as long as the block runs.

    Raises:
        InputRefused: `SERIES_CHANGED` when the files are not those that were indexed: other identifiers, or another
            number of them, which an archive that lost the last slice would give.
        NoInput, UsageError, TemporaryFailure: see `series_files`.
    """
    from voxlate.io.dicom import find_series

    store = IndexStore(folder, source="", is_new=False)
    try:
        with _files(store, series) as files:
            there = [path for path in files if path.is_file()]
            if not there:
                raise NoInput("NO_INPUT", f"the files of series {series} are gone; run voxlate index again")
            found = find_series(there)
            names = [pseudonym(store.key, "series", each.uid) for each in found]
            count = store.file_count(series)
            if names != [series] or len(found[0].files) != count:
                held = sum(len(each.files) for each in found)
                raise InputRefused(
                    "SERIES_CHANGED", f"series {series} was indexed with {count} files, now {held} are its; index again"
                )
            yield found[0]
    finally:
        store.close()


@contextmanager
def _files(store: IndexStore, series: str) -> Iterator[list[Path]]:
    source = store.source
    if is_url(source):
        with fetched_files(DicomWebServer(source), *store.identifiers_of(series)) as files:
            yield files
        return
    relative = store.files_of(series)
    root = Path(source)
    if root.is_file() and zipfile.is_zipfile(root):
        from voxlate.io.dicom.files import dicom_files

        with dicom_files(root) as unpacked:
            top = unpacked[0].parents[1]
            yield [top / path for path in relative]
        return
    yield [(root.parent if root.is_file() else root) / path for path in relative]
