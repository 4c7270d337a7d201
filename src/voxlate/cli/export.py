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
    """Export the network of a bundle to ONNX.

    OUTPUT ends in .onnx, or in .xml for OpenVINO. A JSON file beside it describes inputs and outputs. The preparation
    is not part of the file.
    """
    from voxlate.inference.runtime.onnx import export_network

    export_network(bundle, output)
    click.echo(f"{output} (synthetic images: not for diagnosis)")
    return 0
