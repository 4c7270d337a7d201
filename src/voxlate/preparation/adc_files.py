"""Computes an ADC map from files: one image per b value, or a 4-D file with its `.bval`."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from voxlate.errors import InputRefused, UsageError
from voxlate.io.atomic import write_json
from voxlate.io.documents import InvalidDocument, read_text
from voxlate.io.nifti import nifti_stem, read_volumes, sidecar_path, write_volume
from voxlate.preparation.adc import HIGHEST_ADC, Fit, fitted_adc, require_fit
from voxlate.volume import Array, Volume, require_same_grid

_BRIGHT_SHARE = 0.25
"""Share of the voxels, the brightest at the lowest b, whose median must fall with b; chosen by hand."""

_LEVEL_GAP_S_MM2 = 50.0
"""Rise of b with which a new level begins: scanners state 995, 1000 and 1005 for one level, by the direction of the
gradient. Chosen by hand."""

_MOST_BVAL_BYTES = 1 << 16  # of a .bval file: some 10,000 b values


def adc_of_files(
    images: Sequence[Path],
    b_values_s_mm2: Sequence[float] | None = None,
    *,
    fit: Fit = "weighted",
    noise_sd: float = 0.0,
) -> Volume:
    """Returns the ADC map of diffusion-weighted images, in 0.001 mm²/s, from 0 to `HIGHEST_ADC`.

    Args:
        images: one file per b value, or one 4-D file.
        b_values_s_mm2: one b value per image, in s/mm²; by default those in the `.bval` file beside each image.
        fit: see `voxlate.preparation.adc`.
        noise_sd: standard deviation of the noise in one channel, in the units of the images.

    Raises:
        UsageError: `B_VALUES` when a `.bval` file is missing, and what `fitted_adc` raises.
        InputRefused: `B_VALUES` when a `.bval` file is damaged, `B_VALUES_ORDER` when the signal does not fall from
            one level of b to the next, `GRID_MISMATCH`, and what `read_volumes` refuses.
        NoInput: `NO_INPUT`.
    """
    series = [read_volumes(path, shows="DWI") for path in images]
    volumes = [volume for each in series for volume in each]
    b_values = list(b_values_s_mm2) if b_values_s_mm2 is not None else _stored_b_values(images, series)
    for volume in volumes[1:]:
        require_same_grid(volume, volumes[0], names=("an image", images[0].name))
    data = [volume.data for volume in volumes]
    require_fit(data, b_values, fit=fit, noise_sd=noise_sd)
    _require_decay(data, b_values)
    adc = fitted_adc(data, b_values, fit=fit, noise_sd=noise_sd)
    return Volume(np.clip(adc, 0, HIGHEST_ADC), volumes[0].affine, "ADC")


def write_adc(path: Path, adc: Volume, *, b_values_s_mm2: Sequence[float] | None, fit: Fit, noise_sd: float) -> None:
    """Writes an ADC map and its sidecar, which states the units and the fit.

    Args:
        path: `.nii` or `.nii.gz`.
        adc: see `adc_of_files`.
        b_values_s_mm2: b values, in s/mm²; those from `.bval` files (None) are not repeated.
        fit: the fit.
        noise_sd: the noise that was taken back.

    Raises:
        TemporaryFailure, CannotWrite: see `voxlate.errors.writing`.
    """
    write_volume(path, adc)
    content = {"Units": "0.001 mm2/s", "Voxlate": {"Fit": fit, "NoiseSd": noise_sd, "Highest": HIGHEST_ADC}}
    write_json(sidecar_path(path), content | ({"BValues": list(b_values_s_mm2)} if b_values_s_mm2 else {}))


def _stored_b_values(images: Sequence[Path], series: Sequence[Sequence[Volume]]) -> list[float]:
    values: list[float] = []
    for path, volumes in zip(images, series, strict=True):
        bval = path.with_name(f"{nifti_stem(path)}.bval")
        if not bval.is_file():
            raise UsageError("B_VALUES", f"{bval.name} does not exist; give the b values with --b-values 0,500,1000")
        try:
            found = [float(word) for word in read_text(bval, max_bytes=_MOST_BVAL_BYTES).split()]
        except (InvalidDocument, OSError, ValueError) as error:
            raise InputRefused("B_VALUES", f"{bval.name} does not hold numbers; export it again") from error
        if len(found) != len(volumes):
            raise InputRefused(
                "B_VALUES",
                f"{bval.name} holds {len(found)} b values, its image {len(volumes)} volumes; export it again",
            )
        values += found
    return values


def _require_decay(images: Sequence[Array], b_values: Sequence[float]) -> None:
    """Refuses images whose signal in bright tissue does not fall from one level of b to the next."""
    levels = _levels(b_values)
    means = [np.mean([images[at] for at in level], axis=0) for level in levels]
    bright = means[0] >= np.quantile(means[0], 1 - _BRIGHT_SHARE)
    signals = [float(np.median(mean[bright])) for mean in means]
    stated = [float(np.mean([b_values[at] for at in level])) for level in levels]
    for (before, low), (after, high) in pairwise(zip(signals, stated, strict=True)):
        if after >= before:
            raise InputRefused(
                "B_VALUES_ORDER",
                f"the signal of bright tissue is {before:.4g} at b = {low:g} and {after:.4g} at b = {high:g} s/mm²; "
                "are the b values exchanged?",
            )


def _levels(b_values: Sequence[float]) -> list[list[int]]:
    """Returns the positions of the images of each level of b, in rising order.

    Where no two neighbouring values are far enough apart for two levels, each value is a level.
    """
    order = np.argsort(b_values, kind="stable")
    rises = np.diff(np.asarray(b_values)[order])
    is_new = rises >= _LEVEL_GAP_S_MM2
    starts = np.flatnonzero(is_new if is_new.any() else rises > 0) + 1
    return [part.tolist() for part in np.split(order, starts)]
