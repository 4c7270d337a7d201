"""`voxlate batch`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Literal

import click

from voxlate.cli.options import (
    PATH,
    brain_mask,
    device,
    gate,
    gib,
    no_progress,
    no_synthetic_tag,
    progress_bar,
    runtime,
    unmarked,
)


@click.command()
@click.argument("manifest", type=PATH)
@click.argument("out", type=PATH)
@click.option(
    "-m", "--model", "models", type=PATH, required=True, multiple=True, help="A bundle; several give the mean."
)
@click.option("--shard", default="1/1", show_default=True, metavar="K/N", help="Which part, as in an array of jobs.")
@click.option("--workers", default=1, show_default=True, type=click.IntRange(0), help="Processes; 0 for this one.")
@click.option("--threads", default=1, show_default=True, type=click.IntRange(1), help="Threads of each process.")
@click.option("--scheduler", help="Address of a Dask scheduler, in place of --workers.")
@click.option("--seconds", type=click.FloatRange(0, min_open=True), help="Longest time for one case.")
@gib
@click.option("--retry", is_flag=True, help="Try again what failed.")
@click.option("--zero-fill", is_flag=True, help="Do without a missing source even if training never did.")
@click.option("--dicom", "as_dicom", is_flag=True, help="Write a DICOM series for each case, whose source is DICOM.")
@brain_mask
@no_synthetic_tag
@click.option("--any-spacing", is_flag=True, help="Translate also voxels of a size never seen in training.")
@gate
@runtime
@device
@unmarked
@no_progress
def batch(
    manifest: Path,
    out: Path,
    models: tuple[Path, ...],
    shard: str,
    workers: int,
    threads: int,
    scheduler: str | None,
    seconds: float | None,
    gib: float | None,
    retry: bool,
    zero_fill: bool,
    as_dicom: bool,
    brain_mask: str | None,
    no_synthetic_tag: bool,
    any_spacing: bool,
    gate: Literal["refuse", "flag", "off"],
    runtime: str,
    device: str,
    unmarked: bool,
    no_progress: bool,
) -> int:
    """Translate every scan of a manifest, however often it is interrupted.

    MANIFEST is a tab-separated table with the columns `case` and `source` (NIfTI, or DICOM as folder, file or zip), and
    `mask`, `series` and `more:CONTRAST` where there are any. Run it again after a failure of the machine: what is done
    and whole is left alone.
    """
    import torch

    from voxlate.errors import ITEMS_REFUSED_STATUS, UsageError
    from voxlate.synth.audit import status_of
    from voxlate.synth.batch import Translation, read_models, run_batch, settled
    from voxlate.synth.engines import Limits, in_processes, in_this_process, on_dask
    from voxlate.synth.manifest import parse_shard, read_manifest
    from voxlate.synth.runtime import choose_runtime
    from voxlate.synth.translator import Options, choose_device

    part = parse_shard(shard)
    table = read_manifest(manifest)
    bundle = read_models(models)
    where = choose_device(device)
    torch.set_num_threads(threads)  # so that the trial of a runtime is one of what the workers will do
    chosen = (settled(out, "runtime") or choose_runtime(bundle, where)) if runtime == "auto" else runtime
    options = Options(
        where,
        any_spacing,
        zero_fill,
        brain_mask=brain_mask,
        synthetic_tag=not no_synthetic_tag,
        gate=gate,
        runtime=chosen,
        memory_gib=gib,
        unmarked_dicom=unmarked,
    )
    work = Translation(tuple(model.absolute() for model in models), bundle.weights_sha256, options, as_dicom)
    if (scheduler or workers == 0) and (seconds or gib):
        raise UsageError("LIMITS", "--seconds and --gib are for --workers; a Dask worker has limits of its own")
    if scheduler is not None:
        engine = partial(on_dask, work, address=scheduler)
    elif workers == 0:
        engine = partial(in_this_process, work)
    else:
        engine = partial(in_processes, work, workers=workers, limits=Limits(seconds, gib, threads))
    settings: dict[str, str | float] = {"model_sha256": bundle.weights_sha256, "recipe_sha256": bundle.recipe_sha256}
    settings |= {"any_spacing": any_spacing, "zero_fill": zero_fill, "device": work.options.device.type}
    settings |= {"dicom": as_dicom, "synthetic_tag": not no_synthetic_tag, "brain_mask": brain_mask or ""}
    settings |= {"runtime": chosen, "gate": gate, "gib": gib or 0, "unmarked": unmarked}
    with progress_bar(off=no_progress) as bar:
        task = bar.add_task("translating", total=sum(1 for _ in table.items(part)))
        run_batch(table, out, settings, engine, shard=part, retry=retry, watch=lambda _: bar.advance(task))
    status = status_of(out)
    counts = [f"{getattr(status, name)} {name}" for name in ("done", "refused", "failed", "pending")]
    click.echo(f"{status.cases} cases: {', '.join(counts)}; {out / 'ledger.tsv'}")
    if part[1] > 1 and status.pending:  # other shards may still be at work
        return ITEMS_REFUSED_STATUS if status.refused or status.failed else 0
    return status.exit_status
