"""All metrics in one table: label, unit, better direction, best value, meaning and, for images, the function.

A metric of two images is one function of `voxlate.evaluation.similarity` and one entry of `IMAGE_METRICS`; the contract
tests then run on it. Metrics of tissues, of enhancement and of protocols are computed elsewhere; `METRICS` describes
them beside the others, so that tables and reports use the same labels and directions.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from voxlate.evaluation.similarity import (
    bias,
    gradient_error,
    local_correlation,
    mae,
    ms_ssim,
    nmi,
    psnr,
    rmse,
    sharpness_ratio,
    ssim,
)
from voxlate.evaluation.similarity.arrays import Image
from voxlate.volume import Mask

MS_SSIM_SCALES = 3
"""Wang's five scales need 11 voxels at a sixteenth of the resolution, more than a head has; three scales fit."""

Better = Literal["lower", "higher", "one", "unknown"]


@dataclass(frozen=True, kw_only=True)
class Metric:
    """Description of a metric.

    Attributes:
        label: short name, as the field writes it.
        unit: unit in the default protocol: `%` for per cent of the data range L, `dB`, `mm`; empty for a ratio.
        better: which values are better; `one` when values above and below `best` are both worse.
        best: value of an image that equals its target; NaN where none is stated.
        meaning: definition in a few words; may be empty.
    """

    label: str
    unit: str = ""
    better: Better = "unknown"
    best: float = math.nan
    meaning: str = ""

    @property
    def arrow(self) -> str:
        """Returns an arrow for the better direction; empty when it is unknown."""
        towards = f"\N{RIGHTWARDS ARROW}{self.best:g}"
        return {"lower": "\N{DOWNWARDS ARROW}", "higher": "\N{UPWARDS ARROW}", "one": towards}.get(self.better, "")

    @property
    def direction(self) -> str:
        """Returns the better direction in words; empty when it is unknown."""
        nearer = f"the nearer to {self.best:g} the better"
        return {"lower": "lower is better", "higher": "higher is better", "one": nearer}.get(self.better, "")

    def loss(self, value: float) -> float:
        """Returns `value` transformed so that lower is better; NaN when the direction is unknown."""
        transformed = {"lower": value, "higher": -value, "one": abs(value - self.best)}
        return transformed.get(self.better, math.nan)


@dataclass(frozen=True, kw_only=True)
class ImageMetric(Metric):
    """A metric that compares an image with its target.

    Attributes:
        compute: function of (image, target, mask, data_range) that returns the value in `unit`.
    """

    compute: Callable[[Image, Image, Mask, float], float]


IMAGE_METRICS: dict[str, ImageMetric] = {
    "mae": ImageMetric(
        compute=lambda x, y, m, r: 100 * mae(x, y, mask=m) / r,
        label="MAE",
        unit="%",
        better="lower",
        best=0.0,
        meaning="mean absolute error in % of L",
    ),
    "rmse": ImageMetric(
        compute=lambda x, y, m, r: 100 * rmse(x, y, mask=m) / r,
        label="RMSE",
        unit="%",
        better="lower",
        best=0.0,
        meaning="root mean squared error in % of L",
    ),
    "bias": ImageMetric(
        compute=lambda x, y, m, r: 100 * bias(x, y, mask=m) / r,
        label="Bias",
        unit="%",
        better="one",
        best=0.0,
        meaning="mean signed error in % of L",
    ),
    "psnr": ImageMetric(
        compute=lambda x, y, m, r: psnr(x, y, data_range=r, mask=m),
        label="PSNR",
        unit="dB",
        better="higher",
        best=math.inf,
        meaning="20 log10(L / RMSE)",
    ),
    "ssim": ImageMetric(
        compute=lambda x, y, m, r: ssim(x, y, data_range=r, mask=m),
        label="SSIM",
        better="higher",
        best=1.0,
        meaning="SSIM, 3-D Gaussian window of 11 voxels (sigma 1.5), K 0.01 and 0.03",
    ),
    "ms_ssim": ImageMetric(
        compute=lambda x, y, m, r: ms_ssim(x, y, data_range=r, mask=m, scales=MS_SSIM_SCALES),
        label="MS-SSIM",
        better="higher",
        best=1.0,
        meaning=f"multi-scale SSIM over {MS_SSIM_SCALES} scales (first of Wang's weights, scaled to 1)",
    ),
    "nmi": ImageMetric(
        compute=lambda x, y, m, _r: nmi(x, y, mask=m),
        label="NMI",
        better="higher",
        best=2.0,
        meaning="normalised mutual information, 64 bins",
    ),
    "local_correlation": ImageMetric(
        compute=lambda x, y, m, _r: local_correlation(x, y, mask=m),
        label="Local correlation",
        better="higher",
        best=1.0,
        meaning="mean Pearson r in a Gaussian window of 11 voxels",
    ),
    "gradient_error": ImageMetric(
        compute=lambda x, y, m, r: 100 * gradient_error(x, y, mask=m) / r,
        label="Gradient error",
        unit="%",
        better="lower",
        best=0.0,
        meaning="mean absolute difference of gradient lengths in % of L per voxel",
    ),
    "sharpness_ratio": ImageMetric(
        compute=lambda x, y, m, _r: sharpness_ratio(x, y, mask=m),
        label="Sharpness ratio",
        better="one",
        best=1.0,
        meaning="amplitude at 0.25 to 0.5 cycles per voxel against the target's; below 1 is smoother",
    ),
}
"""Metrics of the default protocol by name, in the order of its tables."""

METRICS: dict[str, Metric] = {
    **IMAGE_METRICS,
    "mse": Metric(label="MSE", better="lower"),
    "nrmse": Metric(label="NRMSE", better="lower"),
    "smape": Metric(label="sMAPE", unit="%", better="lower"),
    "psnr_as_printed": Metric(label="PSNR as printed", unit="dB", better="higher"),
    "tenengrad": Metric(label="Tenengrad", unit="grey levels per voxel"),
    "tenengrad_of_target": Metric(label="Tenengrad of the target", unit="grey levels per voxel"),
    "tenengrad_ratio": Metric(label="Tenengrad ratio", better="one", best=1.0),
    "dice": Metric(label="Dice", better="higher"),
    "hd95": Metric(label="HD95", unit="mm", better="lower"),
    "avd": Metric(label="AVD", unit="cm3", better="lower"),
    "vd": Metric(label="VD", unit="cm3"),
    "tiv": Metric(label="TIV", unit="cm3"),
    "blur_sigma": Metric(label="Sigma of the blur", unit="mm"),
    "psnr_gap": Metric(label="PSNR gap of the blur", unit="dB"),
    "residual_enhancement": Metric(label="Residual enhancement", unit="%", better="one", best=0.0),
    "less_than_half_removed": Metric(label="Less than half removed", unit="%", better="lower"),
    "disturbance": Metric(label="Disturbance", unit="%", better="lower"),
    "reverse_share": Metric(label="Reverse share", unit="%"),
}
"""Every metric that has a label, a unit or a direction of its own, by its name in `evaluation.json`."""


def metric_of(name: str) -> Metric:
    """Returns the description of a metric; one that is not in `METRICS` gets a label and no direction."""
    return METRICS.get(name) or Metric(label=name.replace("_", " ").capitalize())
