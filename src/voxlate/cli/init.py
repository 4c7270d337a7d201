"""`voxlate init`."""

from __future__ import annotations

from pathlib import Path

import click

from voxlate.cli.console import say
from voxlate.cli.options import PATH
from voxlate.cli.verb import Verb


@click.command(cls=Verb, example="voxlate init cases.tsv my.yaml")
@click.argument("where", type=PATH)
@click.argument("recipe", type=PATH, required=False)
@click.option("--source", help="Contrast of the source, such as T1ce.  [default: by the file names]")
@click.option("--target", help="Contrast of the target, such as T1nce.  [default: by the file names]")
def init(where: Path, recipe: Path | None, source: str | None, target: str | None) -> None:
    """Start a project: a table of cases to fill in, and a recipe.

    WHERE is a new folder, or your table of cases (cases.tsv), for which a fitting recipe with comments is written to
    RECIPE (recipe.yaml beside the table by default). Existing files are kept.
    """
    from voxlate.bundle.settings import DEFAULT_TABLE
    from voxlate.bundle.starter import next_commands, start_project
    from voxlate.cases import read_cases

    written = start_project(where, recipe, source=source, target=target)
    for path in written:
        say(f"wrote {path}")
    if len(written) > 1:
        say(f"fill in {written[0].name} (docs/reference/cases.md explains its columns), then:")
    table = where if where.suffix == ".tsv" or where.is_file() else where / DEFAULT_TABLE
    for command in next_commands(table, read_cases(table), written[-1]):
        say(f"next: {command}")
