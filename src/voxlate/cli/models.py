"""`voxlate models`: list, show."""

from __future__ import annotations

import click

from voxlate.cli.verb import VerbGroup


@click.group(cls=VerbGroup, invoke_without_command=True, example="voxlate models show t1ce-to-t1")
@click.pass_context
def models(ctx: click.Context) -> None:
    """List the pretrained models, or print the card of one.

    `voxlate translate -m NAME` uses a model by its name. Bundles in the folder VOXLATE_MODELS are listed too.
    """
    if ctx.invoked_subcommand is None:
        from voxlate.bundle.pretrained import pretrained_models, summary_line

        for name in pretrained_models():
            click.echo(f"{name}: {summary_line(name)}")


@models.command(example="voxlate models show t1ce-to-t1")
@click.argument("name")
def show(name: str) -> None:
    """Print the card of a model: training data, measured quality, limits."""
    from voxlate.bundle.pretrained import model_card

    click.echo(model_card(name))
