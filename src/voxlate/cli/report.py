"""`voxlate report`."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("evaluation", type=click.Path(path_type=Path, file_okay=False))
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), default=Path("report.html"))
@click.option("--title", help="Title of the page.  [default: the contrasts]")
@click.option("--viewer", is_flag=True, help="Also write an interactive viewer to viewer/ beside the page.")
def report(evaluation: Path, output: Path, title: str | None, viewer: bool) -> None:
    """Write an HTML report from the folder of an evaluation, or of a comparison of systems."""
    from voxlate.errors import UsageError
    from voxlate.evaluation.comparison.schema import is_comparison
    from voxlate.reporting.page import write_report

    if is_comparison(evaluation):
        if viewer:
            raise UsageError(
                "VIEWER", "a comparison has no viewer; pass the folder of one system, such as systems/NAME"
            )
        from voxlate.reporting.comparison.page import write_comparison_report

        write_comparison_report(evaluation, output, title=title)
        click.echo(f"{output.name}: open it in a browser; it needs no network")
        return
    for left_out in write_report(evaluation, output, title=title, viewer=viewer):
        click.echo(f"not in the viewer: {left_out}", err=True)
    click.echo(f"{output.name}: open it in a browser; it needs no network")
