"""`voxlate reproduce`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from voxlate.cli.experiments import ExperimentOptions, experiment_options, run_experiment
from voxlate.cli.options import PATH
from voxlate.cli.verb import Verb


@click.command(
    cls=Verb,
    example="voxlate reproduce li2022 runs/li2022 --scale tiny",
    resumes="the same command goes on where it stopped",
)
@click.argument("name", required=False)
@click.argument("out", type=PATH, required=False)
@experiment_options
def reproduce(name: str | None, out: Path | None, **options: Any) -> int:
    """Repeat a published study: its systems, tables and figures.

    NAME is one of the experiments that come with voxlate; without it they are listed. The study runs on simulated
    patients unless --data names a cohort of yours. The same command goes on where it was stopped; started on several
    machines with one file system, each takes the steps that the others have not begun.
    """
    from voxlate.experiments.settings import read_experiment
    from voxlate.shipped import find_shipped, shipped_files

    if name is None:
        for path in shipped_files("experiments").values():
            experiment = read_experiment(path)
            click.echo(f"{experiment.name}: {experiment.title}")
        return 0
    if out is None:
        raise click.UsageError(f"name a folder for the results: voxlate reproduce {name} OUT")
    path = find_shipped("experiments", name, what="experiment")
    return run_experiment(read_experiment(path), out, ExperimentOptions(**options))
