"""`voxlate export`."""

from __future__ import annotations

from pathlib import Path

import click

from voxlate.cli.console import say
from voxlate.cli.options import PATH, trust_code
from voxlate.cli.verb import Verb


@click.command(cls=Verb, example="voxlate export runs/mine/bundle network.onnx")
@click.argument("bundle", metavar="MODEL", type=PATH)
@click.argument("output", type=PATH)
@trust_code
def export(bundle: Path, output: Path) -> int:
    """Export the network of a model to ONNX.

    MODEL is the name of a pretrained model or the folder of a bundle. OUTPUT ends in .onnx, or in .xml for OpenVINO. A
    JSON file beside it describes inputs and outputs. The preparation is not part of the file.
    """
    from voxlate.bundle.pretrained import find_bundle
    from voxlate.inference.runtime.onnx import export_network

    export_network(find_bundle(bundle), output)
    say(f"{output} (synthetic images: not for diagnosis)")
    return 0
