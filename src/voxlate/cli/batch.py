"""`voxlate batch`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from voxlate.cli.options import ON_GPUS, PATH, jobs, models, no_preamble, no_synthetic_tag
from voxlate.cli.running import RunOptions, run_options, run_table
from voxlate.cli.verb import Verb


@click.command(
    cls=Verb,
    example="voxlate batch manifest.tsv out -m runs/mine/bundle -j 4",
    resumes="the same command goes on where it stopped",
)
@click.argument("manifest", type=PATH)
@click.argument("out", type=PATH)
@models
@jobs(least=0, what=ON_GPUS)
@click.option("--scheduler", help="Address of a Dask scheduler, in place of --jobs.")
@click.option("--dicom", "as_dicom", is_flag=True, help="Write a DICOM series for each case, whose source is DICOM.")
@no_synthetic_tag
@no_preamble
@run_options
def batch(
    manifest: Path, out: Path, models: tuple[Path, ...], no_synthetic_tag: bool, unmarked: bool, **options: Any
) -> int:
    """Translate all scans of a manifest; resumes after interruptions.

    MANIFEST is a tab-separated table with the columns `case` and `source` (NIfTI, or DICOM as folder, file or zip) and,
    where needed, `mask`, `series` and `more:CONTRAST`. After an interruption, run the same command again: cases that
    are done and whose files are unchanged are not repeated.
    """
    from voxlate.inference.manifest import read_manifest

    how = RunOptions(synthetic_tag=not no_synthetic_tag, unmarked_dicom=unmarked, **options)
    return run_table(read_manifest(manifest), out, models, how)
