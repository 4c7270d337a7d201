"""Indexes an archive of DICOM files: one row for each series, from headers alone, updated and resumed by later runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TypedDict

from voxlate.archive.indexing.dicomweb import DicomWebServer, index_server, is_url
from voxlate.archive.indexing.folder import Progress, index_folder
from voxlate.archive.indexing.reading import indexed_series, read_stamps, series_files
from voxlate.archive.indexing.records import NOT_DICOM, READ
from voxlate.archive.indexing.store import IndexStore
from voxlate.archive.indexing.table import TABLE, read_table, write_table

SUMMARY = "index.json"

__all__ = ["TABLE", "DicomWebServer", "IndexStore", "Progress", "index", "indexed_series", "is_url", "read_stamps"]
__all__ += ["read_table", "series_files"]


class IndexSummary(TypedDict):
    """Counts of an index run.

    Attributes:
        files: all files.
        read: files of series.
        no_dicom: files that are not DICOM images.
        refused: damaged files by error code.
        duplicates: of `read`, copies of another file, which do not count as slices.
        pending_series: series left for the next run.
    """

    files: int
    read: int
    no_dicom: int
    refused: dict[str, int]
    duplicates: int
    pending_series: int


def index(source: str, out: Path, *, jobs: int = 1) -> Iterator[Progress]:
    """Updates the index in `out` from an archive and yields its progress; the table is written last.

    Args:
        source: a folder, a zip, or the URL of a DICOMweb server.
        out: folder of the index: `index.sqlite` (private to the site), `series.parquet`, `index.json`.
        jobs: processes.

    Raises:
        VoxlateError: see `IndexStore`, `index_folder`, `index_server`.
    """
    from voxlate.io.atomic import remove_orphans, write_json

    archive = DicomWebServer(source) if is_url(source) else None
    with closing(IndexStore(out, source=source if archive else str(Path(source).resolve()))) as store:
        remove_orphans(out)
        yield from index_server(archive, store) if archive else index_folder(Path(source), store, jobs=jobs)
        store.settle_patients()
        count = write_table(store, out / TABLE)
        write_json(out / SUMMARY, {**summary(store.counts()), "series": count})


def summary(counts: dict[str, int]) -> IndexSummary:
    """Returns the contents of `index.json`: counts of files by outcome, and of series left for the next run.

    Args:
        counts: see `IndexStore.counts`.
    """
    damaged = {name: n for name, n in sorted(counts.items()) if name.isupper()}  # error codes are in capitals
    return {
        "files": sum(n for name, n in counts.items() if name not in ("series", "duplicates", "pending")),
        "read": counts.get(READ, 0),
        "no_dicom": counts.get(NOT_DICOM, 0),
        "refused": damaged,
        "duplicates": counts["duplicates"],
        "pending_series": counts["pending"],
    }
