"""`voxlate adc`."""

from __future__ import annotations

from pathlib import Path

import click

from voxlate.cli.console import say
from voxlate.cli.options import PATH
from voxlate.cli.verb import Verb
from voxlate.errors import UsageError


@click.command(cls=Verb, example="voxlate adc b0.nii.gz b500.nii.gz b1000.nii.gz adc.nii.gz --b-values 0,500,1000")
@click.argument("images", type=PATH, nargs=-1, required=True)
@click.argument("output", type=PATH)
@click.option(
    "--b-values", "-b", help="b value of each image in s/mm², such as 0,500,1000.  [default: from .bval files]"
)
@click.option(
    "--fit",
    type=click.Choice(["weighted", "least_squares", "mean"]),
    default="weighted",
    show_default=True,
    help="Line through the logarithms, weighted by the squared signal or not; or the mean of two-point values.",
)
@click.option("--noise-sd", type=float, default=0.0, show_default=True, help="SD of the noise, in units of the images.")
def adc(images: tuple[Path, ...], output: Path, b_values: str | None, fit: str, noise_sd: float) -> int:
    """Compute an ADC map from diffusion-weighted images.

    IMAGES are one file per b value on one grid, or one 4-D file with its .bval beside it. OUTPUT becomes the map, a
    .nii.gz in 0.001 mm²/s on the same grid. `voxlate prepare` registers it to the source as a further source
    (column more:ADC).
    """
    import numpy as np

    from voxlate.preparation.adc import FITS
    from voxlate.preparation.adc_files import adc_of_files, write_adc

    values = None if b_values is None else _numbers(b_values)
    chosen = next(name for name in FITS if name == fit)
    found = adc_of_files(images, values, fit=chosen, noise_sd=noise_sd)
    write_adc(output, found, b_values_s_mm2=values, fit=chosen, noise_sd=noise_sd)
    inside = found.data[found.data > 0]
    shown = f"{float(np.median(inside)):.2f}" if inside.size else "none"
    say(f"{output.name}: median {shown} x 0.001 mm²/s in {inside.size} voxels above zero, fit {fit}")
    return 0


def _numbers(text: str) -> list[float]:
    try:
        return [float(word) for word in text.split(",")]
    except ValueError as error:
        raise UsageError("B_VALUES", f"{text!r} is not a list of numbers; write 0,500,1000") from error
