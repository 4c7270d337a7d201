"""`voxlate index`."""

from __future__ import annotations

from pathlib import Path

import click

from voxlate.cli.console import begin, say
from voxlate.cli.options import PATH, jobs, no_progress
from voxlate.cli.progress import progress_bar
from voxlate.cli.verb import Verb
from voxlate.errors import ITEMS_REFUSED_STATUS


@click.command(
    cls=Verb,
    example="voxlate index archive index -j 4",
    resumes="the same command goes on where it stopped",
)
@click.argument("source")
@click.argument("out", type=PATH)
@jobs(default=None)
@no_progress
def index(source: str, out: Path, jobs: int, no_progress: bool) -> int:
    """Index the DICOM series of an archive by their headers.

    SOURCE is a folder, a zip, or the address of a DICOMweb server. OUT becomes a folder with series.parquet, one row a
    series without names, identifiers or dates, and index.sqlite, which holds paths and stays at the site. Run it again
    after an interruption, or when the archive has grown: only what is new or changed is read.
    """
    from voxlate.archive import SUMMARY, TABLE
    from voxlate.archive import index as bring_up_to_date
    from voxlate.io.documents import read_json

    begin("indexing an archive", out=out, jobs=jobs)
    with progress_bar(off=no_progress) as bar:
        task = bar.add_task("reading", total=None)
        for progress in bring_up_to_date(source, out, jobs=jobs):
            bar.update(task, completed=progress.met)
    summary = read_json(out / SUMMARY)
    refused = ", ".join(f"{count} {code}" for code, count in summary["refused"].items()) or "none"
    read, other = summary["read"], summary["no_dicom"]
    copies = f"{summary['duplicates']} are copies of others and do not count; " if summary["duplicates"] else ""
    say(f"{summary['files']} files: {read} DICOM, {other} not DICOM; {copies}refused: {refused}")
    say(f"{summary['series']} series, {summary['pending_series']} pending; {out / TABLE}")
    return ITEMS_REFUSED_STATUS if summary["refused"] or summary["pending_series"] else 0
