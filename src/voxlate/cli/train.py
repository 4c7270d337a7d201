"""`voxlate train`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from voxlate.cli.console import begin, say
from voxlate.cli.options import PATH, cache, data, memory_gib, no_progress
from voxlate.cli.progress import progress_bar
from voxlate.cli.verb import Verb

if TYPE_CHECKING:
    from voxlate.bundle.recipe import Recipe


def _resumes(ctx: click.Context) -> str:
    """Returns how an interrupted training can go on."""
    from voxlate.training.preflight import CHECKPOINT

    run = ctx.params.get("run")
    if run is not None and any(run.glob(f"**/{CHECKPOINT}")):
        return "the same command with --resume goes on from the last checkpoint"
    return "no step was saved; the same command starts again, with the cases that are prepared already"


@click.command(cls=Verb, example="voxlate train my.yaml runs/mine --data prepared", resumes=_resumes)
@click.argument("recipe", type=PATH)
@click.argument("run", metavar="OUT", type=PATH, required=False)
@data
@click.option("--resume", is_flag=True, help="Resume from the checkpoint in the folder of the run.")
@click.option("--variant", "variants", multiple=True, help="Variant of the recipe; may be repeated.")
@click.option(
    "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Setting of the recipe to replace; may be repeated."
)
@click.option("--folds", type=click.IntRange(2), help="Number of folds of a cross-validation by patient.")
@click.option(
    "--from",
    "start_from",
    type=PATH,
    metavar="MODEL",
    help="Start with the weights of this model: a name (see voxlate models) or a bundle.",
)
@click.option(
    "--device",
    default="auto",
    show_default=True,
    type=click.Choice(["cpu", "cuda", "auto"]),
    help="auto is the first GPU if there is one; CUDA_VISIBLE_DEVICES chooses among several.",
)
@click.option(
    "--devices",
    default=1,
    show_default=True,
    type=click.IntRange(1),
    help="Number of GPUs, or of processes on the CPU.",
)
@memory_gib
@click.option(
    "--prepared",
    type=PATH,
    help="Folder that keeps the arrays made from the cases, for several runs; not that of voxlate prepare, which is "
    "--data.  [default: in OUT]",
)
@cache
@click.option("--estimate", is_flag=True, help="Print steps, parameters and memory, and train nothing.")
@no_progress
def train(
    recipe: Path,
    run: Path | None,
    root: Path | None,
    resume: bool,
    variants: tuple[str, ...],
    overrides: tuple[str, ...],
    folds: int | None,
    start_from: Path | None,
    device: str,
    devices: int,
    gib: float | None,
    prepared: Path | None,
    cache: Path | None,
    estimate: bool,
    no_progress: bool,
) -> None:
    """Train a network from a recipe.

    RECIPE is a YAML file (voxlate init writes one for a table of yours), or the name of a recipe that comes with
    voxlate (voxlate recipes lists them). OUT, the folder of the run, receives the bundle, the loss curves, the
    resolved recipe and the table of cases.

    Variants of the recipe can be combined, and single settings replaced, such as
    --variant t2 --variant depth_34 --set training.batch=2 --set model.arguments.width=8.

    A recipe may name a network or a loss of yours as MODULE:NAME, such as mypackage.networks:MyNet. Its module is
    imported, also from the working directory: train only recipes whose code you trust.
    """
    from voxlate.bundle.pretrained import find_bundle
    from voxlate.bundle.recipe import read_recipe
    from voxlate.bundle.variants import parse_overrides
    from voxlate.shipped import find_shipped
    from voxlate.training.preflight import require_files, require_free, require_free_for_folds

    if folds is not None and start_from is not None:
        raise click.UsageError(
            "--from and --folds exclude each other: a fold may start with weights trained on its test cases"
        )
    path = find_shipped("recipes", recipe, what="recipe")
    plan = read_recipe(path, variants=variants, overrides=parse_overrides(overrides))
    if estimate:
        _tell_estimate(plan, device, devices, gib)
        return
    if run is None:
        raise click.UsageError(f"name the folder of the run: voxlate train {recipe} OUT")
    start_from = None if start_from is None else find_bundle(start_from)
    (require_free if folds is None else require_free_for_folds)(run, resume=resume)
    require_files(plan.cases(root), plan, root or Path(plan.data.root))
    from voxlate.training.folds import train_folds  # here, because torch takes seconds to load
    from voxlate.training.loop import Machine
    from voxlate.training.loop import train as run_training

    machine = Machine(device, devices, memory_gib=gib, prepared=prepared, cache=cache)
    begin(
        f"training {plan.name}: {plan.steps:,} steps",
        out=run,
        device=_device_name(device),
        takes=_least_time(plan, device),
    )
    with progress_bar(off=no_progress) as bar:
        watch = bar.follow(bar.add_task("preparing", total=plan.steps))
        if folds is not None:
            for fold in train_folds(plan, run, folds, root=root, resume=resume, machine=machine, watch=watch):
                say(f"fold {fold.index}: {fold.bundle}, tested on {', '.join(fold.held_out)}")
            return
        bundle = run_training(plan, run, root=root, resume=resume, start_from=start_from, machine=machine, watch=watch)
    say(f"bundle: {bundle}")
    say(f"next: voxlate translate {run / 'cases.tsv'} synthetic -m {bundle}")


def _device_name(device: str) -> str:
    """Returns the device that `auto` stands for."""
    import torch

    return ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device


def _least_time(recipe: Recipe, device: str) -> str | None:
    """Returns the least time of a training on this processor in words.

    None below a minute, and for a GPU, whose speed is not measured; progress lines tell the time left.
    """
    from voxlate.experiments.estimate import least_training_seconds
    from voxlate.io.log import duration
    from voxlate.jobs.progress import LINE_SECONDS

    if _device_name(device) == "cuda":
        return None
    seconds = least_training_seconds(recipe)
    return (
        None
        if seconds is None or seconds < LINE_SECONDS
        else f"at least {duration(seconds)} by the operations of its network"
    )


def _tell_estimate(recipe: Recipe, device: str, devices: int, gib: float | None) -> None:
    """Prints what the training of a recipe needs, and the memory that each of its processes may use."""
    import torch

    from voxlate.training.memory import estimate_training, memory_limit

    found = estimate_training(recipe)
    is_gpu = device in {"auto", "cuda"} and torch.cuda.is_available()
    limit = memory_limit(torch.device("cuda" if is_gpu else "cpu"), processes=devices, gib=gib)
    need = "not known" if found.need_bytes is None else f"{found.need_bytes / 2**30:.1f} GiB"
    stages = "1 stage" if len(recipe.plan) == 1 else f"{len(recipe.plan)} stages"
    networks = ", ".join(f"{name} {count:,}" for name, count in found.parameters.items())
    click.echo(f"{recipe.name}: {found.steps:,} steps in {stages}")
    click.echo(f"parameters: {networks}")
    click.echo(f"memory: {need}; {limit / 2**30:.1f} GiB may be used on {'the GPU' if is_gpu else 'the CPU'}")
