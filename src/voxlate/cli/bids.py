"""`voxlate bids`, also called as `voxlate BIDS OUT participant`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from voxlate.cli.options import (
    PATH,
    any_spacing,
    brain_mask,
    device,
    memory_gib,
    models,
    no_progress,
    ood,
    retry,
    runtime,
    seconds,
    shard,
    threads,
    zero_fill,
)


@click.command()
@click.argument("bids", type=PATH)
@click.argument("out", type=PATH)
@click.argument("level", type=click.Choice(["participant"]))
@models
@click.option("--participant-label", "subjects", multiple=True, metavar="LABEL", help="Only these, without sub-.")
@click.option("--session-label", "sessions", multiple=True, metavar="LABEL", help="Only these, without ses-.")
@click.option("--masks", type=PATH, help="Root of a derivative with ..._desc-brain_mask.nii.gz.")
@click.option("--keep-ce", is_flag=True, help="Keep the entity ce of a source in the name of its output.")
@click.option("--n-procs", "workers", default=1, show_default=True, type=click.IntRange(0), help="Processes.")
@threads
@shard
@seconds
@memory_gib
@retry
@zero_fill
@brain_mask
@any_spacing
@ood
@runtime
@device
@no_progress
def bids(
    bids: Path,
    out: Path,
    level: str,
    models: tuple[Path, ...],
    subjects: tuple[str, ...],
    sessions: tuple[str, ...],
    masks: Path | None,
    keep_ce: bool,
    workers: int,
    threads: int,
    shard: str,
    seconds: float | None,
    gib: float | None,
    retry: bool,
    zero_fill: bool,
    brain_mask: str,
    any_spacing: bool,
    gate: Literal["refuse", "flag", "off"],
    runtime: str,
    device: str,
    no_progress: bool,
) -> int:
    """Translate a BIDS data set into a BIDS derivative (BIDS-App).

    The same as `voxlate BIDS OUT participant`. OUT is also the folder of a batch: after an interruption, run the same
    command again; `voxlate status` and `voxlate verify` read it.
    """
    from voxlate.cli.running import RunOptions, run_table
    from voxlate.inference.batch import read_models
    from voxlate.inference.bids_app import manifest_of, write_description

    bundle = read_models(models)
    table = manifest_of(
        bids,
        bundle.recipe,
        subjects=[label.removeprefix("sub-") for label in subjects],
        sessions=[label.removeprefix("ses-") for label in sessions],
        masks=masks,
        keep_ce=keep_ce,
    )
    how = RunOptions(shard, workers, threads, None, seconds, gib, retry, device, runtime, no_progress)
    options = {"any_spacing": any_spacing, "zero_fill": zero_fill, "brain_mask": brain_mask, "gate": gate}
    status = run_table(table, out, models, how, options)
    write_description(out, bids, bundle.name)
    return status
