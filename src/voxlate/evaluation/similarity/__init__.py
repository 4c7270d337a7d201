"""Similarity of an image to its target: functions of arrays that return one number.

The caller states the mask and the data range; no function measures them on the compared image. `Comparison` gives the
values of the functions of the default protocol for many images of one `Target`, without computing what they share
twice. The table of metrics is `voxlate.evaluation.metrics`.
"""

from voxlate.evaluation.similarity.information import local_correlation, nmi
from voxlate.evaluation.similarity.moments import Window
from voxlate.evaluation.similarity.pointwise import Errors, bias, highest_psnr, mae, mse, psnr, rmse, smape
from voxlate.evaluation.similarity.shared import Comparison, Target
from voxlate.evaluation.similarity.sharpness import gradient_error, gradient_magnitude, sharpness_ratio, tenengrad
from voxlate.evaluation.similarity.structural import ms_ssim, ssim, ssim_map

__all__ = [
    "Comparison",
    "Errors",
    "Target",
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
