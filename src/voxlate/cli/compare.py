"""`voxlate compare`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from voxlate.cli.experiments import ExperimentOptions, experiment_options, run_experiment
from voxlate.cli.options import PATH
from voxlate.cli.verb import Verb


@click.command(
    cls=Verb,
    example="voxlate compare my_experiment.yaml runs/mine --data my_cohort --scale small",
    resumes="the same command goes on where it stopped",
)
@click.argument("experiment", type=PATH)
@click.argument("out", type=PATH)
@experiment_options
def compare(experiment: Path, out: Path, **options: Any) -> int:
    """Train, apply and compare the systems of an experiment file.

    EXPERIMENT is a YAML file; those under experiments/ are examples. OUT gets the page index.html with the tables and
    figures, and the results of each step. The same command goes on where it was stopped.
    """
    from voxlate.experiments.settings import read_experiment

    return run_experiment(read_experiment(experiment), out, ExperimentOptions(**options))
