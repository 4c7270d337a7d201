"""All metrics in one table: label, unit, better direction, best value, meaning and, for images, the function.

A metric of two images is one function of `voxlate.evaluation.similarity`, the same of a `Comparison`, and one entry of
`IMAGE_METRICS`; the contract tests then run on it. Metrics of tissues, of enhancement and of protocols are computed
elsewhere; `METRICS` describes them beside the others, so that tables and reports use the same labels and directions.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from voxlate.evaluation.similarity import Comparison, Errors, Target
from voxlate.evaluation.similarity.arrays import Image
from voxlate.evaluation.similarity.shared import MS_SSIM_SCALES
from voxlate.volume import Mask

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
        measure: function of an image beside its target that returns the value in `unit`.
    """

    measure: Callable[[Comparison], float]

    def compute(self, image: Image, target: Image, mask: Mask, data_range: float) -> float:
        """Returns the value of one image, in `unit`.

        Args:
            image: the compared image.
            target: of the same shape and unit.
            mask: of the same shape, compared voxels.
            data_range: L, in that unit.

        Raises:
            InputRefused: as the function of `voxlate.evaluation.similarity`.
            UsageError: `DATA_RANGE`.
        """
        return self.measure(Comparison(image, Target(target, mask), data_range))


REGION_METRICS: dict[str, Callable[[Errors, float], float]] = {
    "mae": lambda errors, data_range: 100 * errors.mae / data_range,
    "rmse": lambda errors, data_range: 100 * errors.rmse / data_range,
    "bias": lambda errors, data_range: 100 * errors.bias / data_range,
    "psnr": lambda errors, data_range: errors.psnr(data_range),
}
"""Metrics of a part of the mask, besides SSIM, from its errors and L; the others need more voxels than a lesion has."""

IMAGE_METRICS: dict[str, ImageMetric] = {
    "mae": ImageMetric(
        measure=lambda pair: REGION_METRICS["mae"](pair.errors, pair.data_range),
        label="MAE",
        unit="%",
        better="lower",
        best=0.0,
        meaning="mean absolute error in % of L",
    ),
    "rmse": ImageMetric(
        measure=lambda pair: REGION_METRICS["rmse"](pair.errors, pair.data_range),
        label="RMSE",
        unit="%",
        better="lower",
        best=0.0,
        meaning="root mean squared error in % of L",
    ),
    "bias": ImageMetric(
        measure=lambda pair: REGION_METRICS["bias"](pair.errors, pair.data_range),
        label="Bias",
        unit="%",
        better="one",
        best=0.0,
        meaning="mean signed error in % of L",
    ),
    "psnr": ImageMetric(
        measure=lambda pair: REGION_METRICS["psnr"](pair.errors, pair.data_range),
        label="PSNR",
        unit="dB",
        better="higher",
        best=math.inf,
        meaning="20 log10(L / RMSE)",
    ),
    "ssim": ImageMetric(
        measure=Comparison.ssim,
        label="SSIM",
        better="higher",
        best=1.0,
        meaning="SSIM, 3-D Gaussian window of 11 voxels (sigma 1.5), K 0.01 and 0.03",
    ),
    "ms_ssim": ImageMetric(
        measure=Comparison.ms_ssim,
        label="MS-SSIM",
        better="higher",
        best=1.0,
        meaning=f"multi-scale SSIM over {MS_SSIM_SCALES} scales (first of Wang's weights, scaled to 1)",
    ),
    "nmi": ImageMetric(
        measure=Comparison.nmi,
        label="NMI",
        better="higher",
        best=2.0,
        meaning="normalised mutual information, 64 bins",
    ),
    "local_correlation": ImageMetric(
        measure=Comparison.local_correlation,
        label="Local correlation",
        better="higher",
        best=1.0,
        meaning="mean Pearson r in a Gaussian window of 11 voxels",
    ),
    "gradient_error": ImageMetric(
        measure=lambda pair: 100 * pair.gradient_error() / pair.data_range,
        label="Gradient error",
        unit="%",
        better="lower",
        best=0.0,
        meaning="mean absolute difference of gradient lengths in % of L per voxel",
    ),
    "sharpness_ratio": ImageMetric(
        measure=Comparison.sharpness_ratio,
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
