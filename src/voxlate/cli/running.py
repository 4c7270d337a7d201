"""What `voxlate batch` and `voxlate bids` share: many cases by one bundle, to the end of each."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from voxlate.cli.progress import progress_bar

if TYPE_CHECKING:
    from voxlate.inference.batch import Translation
    from voxlate.inference.item import Item
    from voxlate.inference.manifest import Manifest
    from voxlate.jobs.executors import Executor


@dataclass(frozen=True)
class Running:
    """How the work is spread; see the options of `voxlate batch`."""

    shard: str
    workers: int
    threads: int
    scheduler: str | None
    seconds: float | None
    gib: float | None
    retry: bool
    device: str
    runtime: str
    no_progress: bool


def run_table(
    table: Manifest,
    out: Path,
    models: tuple[Path, ...],
    how: Running,
    options: dict[str, Any],
    *,
    as_dicom: bool = False,
) -> int:
    """Runs a shard of a table and returns the exit status, after saying what came of it.

    Args:
        table: of cases.
        out: the folder of the batch.
        models: bundles.
        how: see `Running`.
        options: of `voxlate.inference.translate.Options`, but for device, runtime and memory.
        as_dicom: write a series for each case.

    Raises:
        VoxlateError: what `run_batch` raises; `LIMITS` where nobody would keep to them.
    """
    import torch

    from voxlate.errors import ITEMS_REFUSED_STATUS
    from voxlate.inference.batch import Translation, read_models
    from voxlate.inference.runtime import choose_runtime
    from voxlate.inference.translate import Options, choose_device
    from voxlate.inference.verify import status_of
    from voxlate.jobs.batch import batch_setting, run_batch
    from voxlate.jobs.shards import parse_shard

    part = parse_shard(how.shard)
    bundle, where = read_models(models), choose_device(how.device)
    torch.set_num_threads(how.threads)  # so that the trial of a runtime is one of what the workers will do
    chosen = how.runtime
    if chosen == "auto":
        chosen = batch_setting(out, "runtime") or choose_runtime(bundle, where)
    every = Options(where, runtime=chosen, memory_gib=how.gib, **options)
    work = Translation(tuple(model.absolute() for model in models), bundle.weights_sha256, every, as_dicom)
    settings: dict[str, Any] = {"model_sha256": bundle.weights_sha256, "recipe_sha256": bundle.recipe_sha256}
    settings |= {name: "" if value is None else value for name, value in options.items()}
    settings |= {"device": where.type, "dicom": as_dicom, "runtime": chosen, "gib": how.gib or 0}
    executor = _executor(work, how)
    with progress_bar(off=how.no_progress) as bar:
        task = bar.add_task("translating", total=sum(1 for _ in table.items(part)))
        run_batch(table, out, settings, executor, shard=part, retry=how.retry, watch=lambda _: bar.advance(task))
    status = status_of(out)
    counts = [f"{getattr(status, name)} {name}" for name in ("done", "refused", "failed", "pending")]
    click.echo(f"{status.cases} cases: {', '.join(counts)}; {out / 'ledger.tsv'}")
    if part[1] > 1 and status.pending:  # other shards may still be at work
        return ITEMS_REFUSED_STATUS if status.refused or status.failed else 0
    return status.exit_status


def _executor(work: Translation, how: Running) -> Executor[Item]:
    from voxlate.errors import UsageError
    from voxlate.jobs.executors import Limits, in_processes, in_this_process, on_dask

    if (how.scheduler or how.workers == 0) and (how.seconds or how.gib):
        raise UsageError("LIMITS", "--seconds and --gib are for --workers; a Dask worker has limits of its own")
    if how.scheduler is not None:
        return partial(on_dask, work, address=how.scheduler)
    if how.workers == 0:
        return partial(in_this_process, work)
    return partial(in_processes, work, workers=how.workers, limits=Limits(how.seconds, how.gib, how.threads))
