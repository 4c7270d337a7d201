"""`voxlate batch`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from voxlate.cli.options import (
    ON_GPUS,
    PATH,
    brain_mask,
    cache,
    device,
    jobs,
    keep_spacing,
    memory_gib,
    models,
    no_preamble,
    no_progress,
    no_synthetic_tag,
    ood,
    research,
    retry,
    runtime,
    seconds,
    shard,
    threads,
    zero_fill,
)
from voxlate.cli.verb import Verb

if TYPE_CHECKING:
    from voxlate.inference.checks import Gate


@click.command(
    cls=Verb,
    example="voxlate batch manifest.tsv out -m runs/mine/bundle -j 4",
    resumes="the same command goes on where it stopped",
)
@click.argument("manifest", type=PATH)
@click.argument("out", type=PATH)
@models
@shard
@jobs(least=0, what=ON_GPUS)
@threads
@click.option("--scheduler", help="Address of a Dask scheduler, in place of --jobs.")
@seconds
@memory_gib
@retry
@zero_fill
@research
@click.option("--dicom", "as_dicom", is_flag=True, help="Write a DICOM series for each case, whose source is DICOM.")
@brain_mask
@cache
@no_synthetic_tag
@keep_spacing
@ood
@runtime
@device
@no_preamble
@no_progress
def batch(
    manifest: Path,
    out: Path,
    models: tuple[Path, ...],
    shard: str,
    jobs: int,
    threads: int,
    scheduler: str | None,
    seconds: float | None,
    gib: float | None,
    retry: bool,
    zero_fill: bool,
    research: bool,
    as_dicom: bool,
    brain_mask: str,
    cache: Path | None,
    no_synthetic_tag: bool,
    keep_spacing: bool,
    gate: Gate,
    runtime: str,
    device: str,
    unmarked: bool,
    no_progress: bool,
) -> int:
    """Translate all scans of a manifest; resumes after interruptions.

    MANIFEST is a tab-separated table with the columns `case` and `source` (NIfTI, or DICOM as folder, file or zip) and,
    where needed, `mask`, `series` and `more:CONTRAST`. After an interruption, run the same command again: cases that
    are done and whose files are unchanged are not repeated.
    """
    from voxlate.cli.running import RunOptions, run_table
    from voxlate.inference.manifest import read_manifest

    how = RunOptions(shard, jobs, threads, scheduler, seconds, gib, retry, device, runtime, no_progress, cache)
    options = {
        "keep_spacing": keep_spacing,
        "zero_fill": zero_fill,
        "research": research,
        "brain_mask": brain_mask,
        "synthetic_tag": not no_synthetic_tag,
        "gate": gate,
        "unmarked_dicom": unmarked,
    }
    return run_table(read_manifest(manifest), out, models, how, options, as_dicom=as_dicom)
