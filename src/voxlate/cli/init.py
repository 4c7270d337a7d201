"""`voxlate init`."""

from __future__ import annotations

from pathlib import Path

import click

from voxlate.cli.console import say
from voxlate.cli.options import PATH
from voxlate.cli.verb import Verb


@click.command(cls=Verb, example="voxlate init cases.tsv my.yaml --scans FOLDER")
@click.argument("where", type=PATH)
@click.argument("recipe", type=PATH, required=False)
@click.option("--source", help="Contrast of the source, such as T1ce.  [default: by the file names]")
@click.option("--target", help="Contrast of the target, such as T1nce.  [default: by the file names]")
@click.option("--scans", type=PATH, help="Folder of your NIfTI scans; the table is made of the pairs found there.")
def init(where: Path, recipe: Path | None, source: str | None, target: str | None, scans: Path | None) -> None:
    """Start a project: a table of cases, and a recipe.

    WHERE is a new folder, or your table of cases (cases.tsv), for which a fitting recipe with comments is written to
    RECIPE (recipe.yaml beside the table by default). Existing files are kept.

    With --scans the table is written too: each folder below FOLDER with one source and one target by the file names,
    such as t1ce.nii.gz and t1.nii.gz or those of BIDS, becomes a case. The first folder below FOLDER is the patient.
    Patients are divided into 70 % training, 10 % validation and 20 % test.
    """
    from voxlate.bundle.scan_search import find_pairs
    from voxlate.bundle.starter import example_contrasts, next_commands, start_project, table_in
    from voxlate.cases import SPLITS, Case, read_cases

    rows: list[Case] = []
    if scans is not None:
        wanted = example_contrasts(source, target)
        found = find_pairs(scans, wanted.source, wanted.target)
        rows = found.cases
        counts = [f"{sum(case.split == split for case in found.cases)} {split}" for split in SPLITS]
        say(f"{len(found.cases)} pairs in {scans.name}: {', '.join(counts)}; their names are those of the folders")
        for reason, count in sorted(found.left_out.items()):
            say(f"left out: {count} folders with {reason}")
    written = start_project(where, recipe, source=source, target=target, rows=rows)
    for path in written:
        say(f"wrote {path}")
    if len(written) > 1 and scans is None:
        say(f"fill in {written[0].name} (docs/reference/cases.md explains its columns), then:")
    table = table_in(where)
    for command in next_commands(table, read_cases(table), written[-1]):
        say(f"next: {command}")
