"""An index of an archive: one row for each DICOM series, from headers alone, kept up to date and taken up again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from voxlate.archive.dicomweb import DicomWebServer, index_server, is_url
from voxlate.archive.folder import Progress, index_folder
from voxlate.archive.reading import indexed_series, read_stamps, series_files
from voxlate.archive.store import IndexStore
from voxlate.archive.table import TABLE, read_table, write_table

SUMMARY = "index.json"

__all__ = ["TABLE", "DicomWebServer", "IndexStore", "Progress", "index", "indexed_series", "is_url", "read_stamps"]
__all__ += ["read_table", "series_files"]


def index(source: str, out: Path, *, jobs: int = 1) -> Iterator[Progress]:
    """Brings the index in `out` up to date with an archive; yields how far it has come. The table is written last.

    Args:
        source: a folder, a zip, or the address of a DICOMweb server.
        out: folder of the index: `index.sqlite` (private to the site), `series.parquet`, `index.json`.
        jobs: processes.

    Raises:
        VoxlateError: see `IndexStore`, `index_folder`, `index_server`.
    """
    from voxlate.io.atomic import remove_orphans, write_json

    archive = DicomWebServer(source) if is_url(source) else None
    store = IndexStore(out, source=source if archive else str(Path(source).resolve()))
    try:
        remove_orphans(out)
        yield from index_server(archive, store) if archive else index_folder(Path(source), store, jobs=jobs)
        count = write_table(store, out / TABLE)
        write_json(out / SUMMARY, summary(store.counts()) | {"series": count})
    finally:
        store.close()


def summary(counts: dict[str, int]) -> dict[str, Any]:
    """Returns what was met: files of series, files that are no DICOM, damaged files by code, series left for later."""
    damaged = {name: n for name, n in sorted(counts.items()) if name.isupper()}
    return {
        "files": sum(n for name, n in counts.items() if name not in ("series", "pending")),
        "read": counts.get("read", 0),
        "no_dicom": counts.get("stranger", 0),
        "refused": damaged,
        "pending_series": counts["pending"],
    }
