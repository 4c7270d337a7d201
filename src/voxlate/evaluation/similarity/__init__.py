"""How close is an image to its target? Arrays in, one number out; mask and data range are always the caller's.

Adding a metric is one function and one line in `METRICS`; the contract tests then run on it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from voxlate.evaluation.similarity.arrays import Image
from voxlate.evaluation.similarity.information import local_correlation, nmi
from voxlate.evaluation.similarity.pointwise import bias, highest_psnr, mae, mse, psnr, rmse, smape
from voxlate.evaluation.similarity.sharpness import gradient_error, gradient_magnitude, sharpness_ratio, tenengrad
from voxlate.evaluation.similarity.structural import Window, ms_ssim, ssim, ssim_map
from voxlate.volume import Mask

__all__ = [
    "METRICS",
    "Metric",
    "Window",
    "bias",
    "gradient_error",
    "gradient_magnitude",
    "highest_psnr",
    "local_correlation",
    "mae",
    "ms_ssim",
    "mse",
    "nmi",
    "psnr",
    "rmse",
    "sharpness_ratio",
    "smape",
    "ssim",
    "ssim_map",
    "tenengrad",
]

SCALES = 3
"""Scales of MS-SSIM in our tables: the window of 11 fits a head at a quarter of its resolution, not at a sixteenth."""


@dataclass(frozen=True)
class Metric:
    """One way to compare an image with its target.

    Attributes:
        compute: (image, target, mask, data_range) to a number.
        best: the value for an image equal to its target.
        unit: `%` for per cent of the data range L, `dB`, or nothing.
        better: which values are better; `one` when both more and less are worse.
        meaning: the definition in a few words.
    """

    compute: Callable[[Image, Image, Mask, float], float]
    best: float
    unit: str
    better: Literal["lower", "higher", "one"]
    meaning: str


METRICS: dict[str, Metric] = {
    "mae": Metric(lambda x, y, m, r: 100 * mae(x, y, mask=m) / r, 0.0, "%", "lower", "mean absolute error in % of L"),
    "rmse": Metric(
        lambda x, y, m, r: 100 * rmse(x, y, mask=m) / r, 0.0, "%", "lower", "root mean squared error in % of L"
    ),
    "bias": Metric(lambda x, y, m, r: 100 * bias(x, y, mask=m) / r, 0.0, "%", "one", "mean signed error in % of L"),
    "psnr": Metric(
        lambda x, y, m, r: psnr(x, y, data_range=r, mask=m), float("inf"), "dB", "higher", "20 log10(L / RMSE)"
    ),
    "ssim": Metric(
        lambda x, y, m, r: ssim(x, y, data_range=r, mask=m),
        1.0,
        "",
        "higher",
        "SSIM, 3-D Gaussian window of 11 voxels (sigma 1.5), K 0.01 and 0.03",
    ),
    "ms_ssim": Metric(
        lambda x, y, m, r: ms_ssim(x, y, data_range=r, mask=m, scales=SCALES),
        1.0,
        "",
        "higher",
        f"multi-scale SSIM over {SCALES} scales (first of Wang's weights, scaled to 1)",
    ),
    "nmi": Metric(lambda x, y, m, _r: nmi(x, y, mask=m), 2.0, "", "higher", "normalised mutual information, 64 bins"),
    "local_correlation": Metric(
        lambda x, y, m, _r: local_correlation(x, y, mask=m),
        1.0,
        "",
        "higher",
        "mean Pearson r in a Gaussian window of 11 voxels",
    ),
    "gradient_error": Metric(
        lambda x, y, m, r: 100 * gradient_error(x, y, mask=m) / r,
        0.0,
        "%",
        "lower",
        "mean absolute difference of gradient lengths in % of L per voxel",
    ),
    "sharpness_ratio": Metric(
        lambda x, y, m, _r: sharpness_ratio(x, y, mask=m),
        1.0,
        "",
        "one",
        "amplitude at 0.25 to 0.5 cycles per voxel against the target's; below 1 is smoother",
    ),
}
