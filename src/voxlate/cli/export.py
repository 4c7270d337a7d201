"""`voxlate export`."""

from __future__ import annotations

from pathlib import Path

import click

from voxlate.cli.options import PATH, trust_code


@click.command()
@click.argument("bundle", type=PATH)
@click.argument("output", type=PATH)
@trust_code
def export(bundle: Path, output: Path) -> int:
    """Write the network of BUNDLE for other software.

    OUTPUT ends in .onnx, or in .xml for OpenVINO. Beside it, a JSON says what goes in and what comes out. Preparation
    and the way back are not part of it: without them the numbers are relative units.
    """
    from voxlate.inference.runtime.onnx import export_network

    export_network(bundle, output)
    click.echo(f"{output} (synthetic images: not for diagnosis)")
    return 0
