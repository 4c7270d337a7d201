"""`voxlate models`: list, show."""

from __future__ import annotations

import click

from voxlate.cli.verb import VerbGroup


class _Models(VerbGroup):
    """Answers the name of a model in the place of a command with the command that prints its card."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        from voxlate.bundle.pretrained import pretrained_models

        if args and args[0] not in self.commands and args[0] in pretrained_models():
            raise click.UsageError(f"{args[0]} is a model; its card: voxlate models show {args[0]}", ctx)
        return super().resolve_command(ctx, args)


@click.group(cls=_Models, invoke_without_command=True, example="voxlate models show t1ce-to-t1")
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
