"""`voxlate accelerate`."""

from __future__ import annotations

from pathlib import Path

import click

from voxlate.cli.console import begin, say
from voxlate.cli.options import PATH, data, trust_code
from voxlate.cli.verb import Verb


@click.command(cls=Verb, example="voxlate accelerate runs/mine/bundle --data cohort")
@click.argument("bundle", metavar="MODEL", type=PATH)
@trust_code
@data
@click.option("--no-int8", is_flag=True, help="Leave out the 8-bit runtime; no cases are needed then.")
def accelerate(bundle: Path, root: Path | None, no_int8: bool) -> int:
    """Add faster runtimes to a model, if they keep its quality.

    MODEL is the folder of a bundle. OpenVINO in 32 bits gives the same predictions as torch. The 8-bit network is
    calibrated on training cases and compared with torch on validation cases; it is kept only if it passes the
    quality limits.
    """
    from voxlate.inference.runtime.accelerate import accelerate as put_into

    found = put_into(bundle, root=root, int8=not no_int8, watch=lambda line: begin(f"{line} …"))
    for name, each in found["runtimes"].items():
        if "psnr_lost_db" in each:
            loss = f"loses {each['psnr_lost_db']:.3f} dB and {each['ssim_lost']:.4f} SSIM on {each['cases']} cases"
            say(f"{name}: {loss}: {'may be used' if each['passed'] else 'is left out'}")
        else:
            say(f"{name}: differs from torch by {each['difference']:.1e} of the answer (root mean square)")
    return 0
