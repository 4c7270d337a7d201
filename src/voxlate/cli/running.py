"""Runs a batch for `voxlate batch` and `voxlate bids`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voxlate.cli.console import begin, say
from voxlate.cli.options import (
    brain_mask,
    cache,
    device,
    keep_spacing,
    memory_gib,
    no_progress,
    ood,
    research,
    retry,
    runtime,
    seconds,
    shard,
    threads,
    together,
    zero_fill,
)
from voxlate.cli.progress import progress_bar

if TYPE_CHECKING:
    from voxlate.inference.batch import Translation
    from voxlate.inference.checks import Gate
    from voxlate.inference.item import Item
    from voxlate.inference.manifest import Manifest
    from voxlate.jobs.executors import Executor


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """How a batch is run; see the options of `voxlate batch`. What is None is no setting of the batch."""

    jobs: int
    shard: str
    threads: int
    seconds: float | None
    gib: float | None
    retry: bool
    zero_fill: bool
    research: bool
    brain_mask: str
    cache: Path | None
    keep_spacing: bool
    gate: Gate
    runtime: str
    device: str
    no_progress: bool
    scheduler: str | None = None
    as_dicom: bool = False
    synthetic_tag: bool | None = None
    unmarked_dicom: bool | None = None


run_options = together(
    shard,
    threads,
    seconds,
    memory_gib,
    retry,
    zero_fill,
    research,
    brain_mask,
    cache,
    keep_spacing,
    ood,
    runtime,
    device,
    no_progress,
)
"""The options that both verbs share; the fields of `RunOptions` from `shard` to `no_progress`."""

_OF_CASES = ("keep_spacing", "zero_fill", "research", "brain_mask", "synthetic_tag", "gate", "unmarked_dicom")
"""Fields that `voxlate.inference.translate.Options` has too; two runs into one folder must share them."""


def run_table(table: Manifest, out: Path, models: tuple[Path, ...], how: RunOptions) -> int:
    """Runs a shard of a batch, prints its counts and returns the exit status.

    Args:
        table: the cases.
        out: folder of the batch.
        models: folders of bundles.
        how: see `RunOptions`.

    Raises:
        VoxlateError: what `run_batch` raises; `LIMITS` when the executor cannot enforce limits.
    """
    from voxlate.bundle.pretrained import find_bundle
    from voxlate.errors import ITEMS_REFUSED_STATUS
    from voxlate.io.log import counted
    from voxlate.jobs.batch import batch_setting, require_own_folder, run_batch
    from voxlate.jobs.shards import parse_shard

    part = parse_shard(how.shard)
    folders = tuple(find_bundle(model).absolute() for model in models)
    _require_limits(how)
    require_own_folder(out)

    import torch  # here, because it takes seconds to load

    from voxlate.inference.batch import Translation, read_models
    from voxlate.inference.checks import require_use
    from voxlate.inference.devices import choose_device
    from voxlate.inference.runtime import choose_runtime
    from voxlate.inference.translate import Options
    from voxlate.inference.verify import status_of

    bundle, chosen_device = read_models(models), choose_device(how.device)
    torch.set_num_threads(how.threads)  # the runtime is chosen by a trial with as many threads as the workers use
    chosen = how.runtime
    if chosen == "auto":
        chosen = batch_setting(out, "runtime") or choose_runtime(bundle, chosen_device)
    require_use(bundle.recipe, is_research=how.research)
    options = {name: getattr(how, name) for name in _OF_CASES if getattr(how, name) is not None}
    case_options = Options(device=chosen_device, runtime=chosen, memory_gib=how.gib, cache=how.cache, **options)
    work = Translation(folders, bundle.weights_sha256, case_options, how.as_dicom)
    settings: dict[str, Any] = {"model_sha256": bundle.weights_sha256, "recipe_sha256": bundle.recipe_sha256}
    settings |= options | {"device": chosen_device.type, "dicom": how.as_dicom, "runtime": chosen, "gib": how.gib or 0}
    executor = _executor(work, how)
    total = sum(1 for _ in table.items(part))
    what = f"translating {counted(total, 'scan')} with {bundle.name} ({chosen})"
    begin(what, out=out, jobs=None if how.scheduler else how.jobs, device=chosen_device.type)
    with progress_bar(off=how.no_progress) as bar:
        task = bar.add_task("translating", total=total, jobs=1 if how.scheduler else how.jobs)
        bar.skip(task, _ended_before(out, part, retry=how.retry))
        run_batch(table, out, settings, executor, shard=part, retry=how.retry, watch=lambda _: bar.advance(task))
    status = status_of(out)
    flagged = "".join(f"; {number} flagged {code}, look at them before use" for code, number in status.flags.items())
    say(f"{counted(status.cases, 'case')}: {status.told()}{flagged}; {out / 'ledger.tsv'}")
    if part[1] > 1 and status.pending:  # other shards may still be running
        return ITEMS_REFUSED_STATUS if status.refused or status.failed else 0
    return status.exit_status


def _ended_before(out: Path, part: tuple[int, int], *, retry: bool) -> int:
    """Returns how many cases of a shard an earlier run brought to an end, which are not tried again."""
    from voxlate.jobs.batch import NAMES, SETTINGS, batch_outcomes
    from voxlate.jobs.shards import shard_of
    from voxlate.jobs.states import PENDING, may_pass

    if not ((out / SETTINGS).is_file() and (out / NAMES).is_file()):
        return 0
    outcomes = [outcome for outcome in batch_outcomes(out) if shard_of(outcome.case, part[1]) == part[0]]
    return sum(outcome.state != PENDING and not (retry and may_pass(outcome)) for outcome in outcomes)


def _require_limits(how: RunOptions) -> None:
    """Refuses limits that no executor of these options can enforce."""
    from voxlate.errors import UsageError

    if (how.scheduler or how.jobs == 0) and (how.seconds or how.gib):
        raise UsageError(
            "LIMITS", "--seconds and --memory-gib are for --jobs above 0; a Dask worker has limits of its own"
        )


def _executor(work: Translation, how: RunOptions) -> Executor[Item]:
    from voxlate.inference.devices import device_of_worker
    from voxlate.jobs.executors import Limits, in_processes, in_this_process, on_dask

    if how.scheduler is not None:
        return partial(on_dask, work, address=how.scheduler)
    if how.jobs == 0:
        return partial(in_this_process, work)
    devices = [device_of_worker(work.options.device, worker) for worker in range(how.jobs)]
    sharing = {each: devices.count(each) if each.type == "cuda" else 1 for each in devices}
    works = [replace(work, options=replace(work.options, device=each, sharing=sharing[each])) for each in devices]
    return partial(in_processes, works, limits=Limits(how.seconds, how.gib, how.threads))
