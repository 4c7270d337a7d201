"""`voxlate accelerate`."""

from __future__ import annotations

from pathlib import Path

import click

from voxlate.cli.options import PATH, trust_code


@click.command()
@click.argument("bundle", type=PATH)
@trust_code
@click.option("--root", type=PATH, help="Data folder, in place of the recipe's.")
@click.option("--no-int8", is_flag=True, help="Skip the 8-bit runtime; no cases are needed then.")
def accelerate(bundle: Path, root: Path | None, no_int8: bool) -> int:
    """Add faster runtimes (OpenVINO, 8 bits) to a bundle, if they keep its quality.

    OpenVINO in 32 bits gives the same predictions as torch. The 8-bit network is calibrated on training cases and
    compared with torch on validation cases; it is kept only if it passes the quality limits.
    """
    from voxlate.inference.runtime.accelerate import accelerate as put_into

    found = put_into(bundle, root=root, int8=not no_int8, watch=lambda line: click.echo(f"{line} …", err=True))
    for name, each in found["runtimes"].items():
        if "psnr_lost_db" in each:
            loss = f"loses {each['psnr_lost_db']:.3f} dB and {each['ssim_lost']:.4f} SSIM on {each['cases']} cases"
            click.echo(f"{name}: {loss}: {'may be used' if each['passed'] else 'is left out'}")
        else:
            click.echo(f"{name}: differs from torch by {each['difference']:.1e} of the answer (root mean square)")
    return 0
