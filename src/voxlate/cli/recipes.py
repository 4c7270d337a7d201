"""`voxlate recipes`: list, show, copy."""

from __future__ import annotations

import re
from pathlib import Path

import click

from voxlate.cli.options import PATH
from voxlate.cli.verb import VerbGroup


@click.group(cls=VerbGroup, invoke_without_command=True, example="voxlate recipes copy t1ce_to_t1 my.yaml")
@click.pass_context
def recipes(ctx: click.Context) -> None:
    """List the recipes that come with voxlate; print or copy one.

    `voxlate train NAME` trains a recipe by its name.
    """
    if ctx.invoked_subcommand is None:
        from voxlate.bundle.recipe import variants_of
        from voxlate.shipped import shipped_files

        for name, path in shipped_files("recipes").items():
            variants = ", ".join(variants_of(path))
            click.echo(f"{name}: {first_sentence(path)}" + (f" Variants: {variants}." if variants else ""))


@recipes.command(example="voxlate recipes show t1ce_to_t1")
@click.argument("name")
def show(name: str) -> None:
    """Print a recipe with its comments."""
    from voxlate.shipped import find_shipped

    click.echo(find_shipped("recipes", name, what="recipe").read_text(encoding="utf-8"), nl=False)


@recipes.command(example="voxlate recipes copy t1ce_to_t1 my.yaml")
@click.argument("name")
@click.argument("file", type=PATH)
def copy(name: str, file: Path) -> None:
    """Copy a recipe to FILE, to change it; an existing file is kept."""
    from voxlate.errors import UsageError
    from voxlate.io.atomic import write_text
    from voxlate.shipped import find_shipped

    if file.exists():
        raise UsageError("FILE_EXISTS", f"{file.name} exists; name another file")
    write_text(file, find_shipped("recipes", name, what="recipe").read_text(encoding="utf-8"))
    click.echo(f"{file}: name your table of cases under `data`, then voxlate train {file} runs/mine")


def first_sentence(path: Path) -> str:
    """Returns the first sentence of the comment at the top of a recipe."""
    lines = []
    for line in path.read_text(encoding="utf-8").splitlines():
        text = line.removeprefix("#").strip()
        if not line.startswith("#") or not text:
            break
        lines.append(text)
    return re.split(r"(?<!al)\. ", " ".join(lines))[0].removesuffix(".") + "."  # "et al." ends no sentence
