"""`voxlate report`."""

from __future__ import annotations

from pathlib import Path

import click

from voxlate.cli.console import complain, say
from voxlate.cli.options import PATH
from voxlate.cli.verb import Verb


@click.command(cls=Verb, example="voxlate report evaluation report.html --title 'T1ce to T1'")
@click.argument("evaluation", type=PATH)
@click.argument("output", type=PATH, default=Path("report.html"))
@click.option("--title", help="Title of the page.  [default: the contrasts]")
@click.option("--viewer", is_flag=True, help="Also write an interactive viewer to viewer/ beside the page.")
def report(evaluation: Path, output: Path, title: str | None, viewer: bool) -> None:
    """Write an HTML report from the folder of an evaluation.

    EVALUATION is a folder of voxlate evaluate, of one system or of a comparison. OUTPUT is report.html if it is not
    given.
    """
    from voxlate.errors import UsageError
    from voxlate.evaluation.comparison.schema import is_comparison
    from voxlate.reporting.page import write_report

    if is_comparison(evaluation) and viewer:
        raise UsageError("VIEWER", "a comparison has no viewer; pass the folder of one system, such as systems/NAME")
    if is_comparison(evaluation):
        from voxlate.reporting.comparison.page import write_comparison_report

        write_comparison_report(evaluation, output, title=title)
    else:
        for left_out in write_report(evaluation, output, title=title, viewer=viewer):
            complain(f"not in the viewer: {left_out}")
    say(f"{output.name}: open it in a browser; it needs no network")
