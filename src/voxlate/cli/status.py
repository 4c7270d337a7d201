"""`voxlate status`."""

from __future__ import annotations

from pathlib import Path

import click

from voxlate.cli.options import PATH


@click.command()
@click.argument("out", type=PATH)
@click.option("--json", "as_json", is_flag=True, help="Write the counts as JSON.")
def status(out: Path, as_json: bool) -> int:
    """Count the done, refused, failed and pending cases of a batch.

    The exit status is 0 when all is done, 75 while something is pending, 8 or 65 when something was refused or failed.
    """
    import json
    from dataclasses import asdict

    from voxlate.inference.verify import status_of

    found = status_of(out)
    if as_json:
        click.echo(json.dumps(asdict(found)))
        return found.exit_status
    for name in ("cases", "done", "refused", "failed", "pending"):
        click.echo(f"{name:8} {getattr(found, name):>10,}")
    for code, count in found.codes.items():
        click.echo(f"  {code:20} {count:>10,}")
    return found.exit_status
