"""Runs an experiment for `voxlate reproduce` and `voxlate compare`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from voxlate.cli.console import complain, say
from voxlate.cli.options import PATH, jobs, shard, together

if TYPE_CHECKING:
    from voxlate.experiments.plan import Step
    from voxlate.experiments.run import StepOutcome
    from voxlate.experiments.settings import Experiment, ScaleName


@dataclass(frozen=True)
class ExperimentOptions:
    """Options of a run of an experiment; see the help of `voxlate compare`."""

    scale: str
    patients: int | None
    data: Path | None
    prepared: bool
    systems: tuple[str, ...]
    shard: str
    jobs: int
    dry_run: bool


experiment_options = together(
    click.option(
        "--scale",
        type=click.Choice(["tiny", "small", "published"]),
        default="tiny",
        show_default=True,
        help="tiny: minutes on two cores, to see that everything runs; small: hours; published: as in the paper.",
    ),
    click.option("--patients", type=click.IntRange(3), help="Simulated patients.  [default: of the scale]"),
    click.option("--data", type=PATH, help="Folder with cases.tsv, in place of simulated patients."),
    click.option("--prepared", is_flag=True, help="The cases of --data are registered and have brain masks."),
    click.option("--system", "systems", multiple=True, help="Only this system; may be repeated."),
    shard,
    jobs(what="Steps at a time"),
    click.option("--dry-run", is_flag=True, help="Print the commands, their memory and time, and run nothing."),
)
"""The options that both verbs share."""


def run_experiment(experiment: Experiment, out: Path, how: ExperimentOptions) -> int:
    """Runs an experiment, writes its tables, figures and page, and returns the exit status.

    Args:
        experiment: what is compared.
        out: folder of the results.
        how: options of the command line.

    Raises:
        click.UsageError: options that exclude each other.
        VoxlateError: what `build_plan`, `require_data`, `run_plan` and `publish` raise;
            `EXPERIMENT_DIFFERS`, `FOLDER_OCCUPIED`.
    """
    from voxlate.errors import UsageError, nearest
    from voxlate.experiments.plan import Size, build_plan, require_data
    from voxlate.experiments.publish import publish
    from voxlate.experiments.run import run_plan
    from voxlate.jobs.run_folder import RunFolder
    from voxlate.jobs.shards import parse_shard, shard_of

    if how.prepared and how.data is None:
        raise click.UsageError("--prepared is about the cases of --data; name their folder by --data")
    if how.patients is not None and how.data is not None:
        raise click.UsageError("--patients is the number of simulated patients; with --data leave it out")
    for name in how.systems:
        if name not in experiment.systems:
            known = nearest(name, experiment.systems) or f"; it has: {', '.join(experiment.systems)}"
            raise UsageError("SYSTEM", f"{experiment.name} has no system {name!r}{known}")
    size = Size(cast("ScaleName", how.scale), how.patients, how.data and how.data.absolute(), how.prepared)
    part = parse_shard(how.shard)
    named = [name for name in experiment.systems if not how.systems or name in how.systems]
    chosen = experiment.with_needed([name for name in named if shard_of(name, part[1]) == part[0]])
    steps = build_plan(experiment, out.absolute(), size)
    require_data(experiment, size)
    if how.dry_run:
        from voxlate.experiments.estimate import describe

        for line in describe(steps, out.absolute()):
            click.echo(line)
        return 0
    settings = {
        "experiment": experiment.name,
        "scale": how.scale,
        "patients": how.patients,
        "data": how.data is not None,
    }
    RunFolder(out, "experiment.json", differ_code="EXPERIMENT_DIFFERS").claim(settings)
    say(f"{len(steps)} steps at the scale {how.scale}, {how.jobs} at a time; their output is in {out / 'logs'}")
    outcomes = run_plan(steps, out.absolute(), jobs=how.jobs, systems=chosen, watch=_tell)
    page = publish(experiment, out.absolute(), size, steps, outcomes)
    return _summarise(steps, outcomes, page, out)


def _tell(step: Step, outcome: StepOutcome) -> None:
    from voxlate.jobs.states import DONE

    if outcome.state == DONE:
        say(f"{step.name}: {'done before' if outcome.is_reused else f'done in {outcome.seconds:.0f} s'}")
    else:
        complain(f"{step.name}: {outcome.state.upper()}:{outcome.code} {outcome.message}")


def _summarise(steps: list[Step], outcomes: dict[str, StepOutcome], page: Path | None, out: Path) -> int:
    from voxlate.jobs.states import count_states

    counts = count_states(outcome.state for outcome in outcomes.values())
    say(f"{len(steps)} steps: {counts.told()}; the same command goes on with the others")
    if page is not None:
        say(f"tables and figures: {out / page.name}")
    return counts.exit_status
