"""One scorer for every peer, independent of `voxlate.evaluate`: scikit-image for images, and the measure of the agent.

Images are compared in the brain mask in units of the target's median. The measure of the agent is written again from
its definition (docs/evaluation.md), with thresholds in voxels of 1 mm.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.exposure import match_histograms
from skimage.metrics import structural_similarity

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

RIM_VOXELS = 3
"""Width of the rim around a lesion."""
CONNECTED = np.ones((3, 3, 3))
"""Voxels that share a corner are connected."""
BLUR_VOXELS = 1.5
"""Of the baseline "blurred target": the resolution that a network loses when it averages."""


def baselines(source: Array, target: Array, mask: Mask, training: list[Array]) -> dict[str, Array]:
    """Returns the images of the baselines, in units of the target's median.

    Args:
        source: in units of its own median.
        target: in units of its own median.
        mask: where both are compared.
        training: values of the training targets in their masks, each in units of its median.
    """
    matched = np.zeros_like(source)
    matched[mask] = match_histograms(source[mask], np.concatenate(training))
    return {
        "untouched source": source,
        "histogram match": matched,
        "constant": np.where(mask, np.median(np.concatenate(training)), 0.0),
        "blurred target": blurred(target, mask, BLUR_VOXELS),
    }


def blurred(image: Array, mask: Mask, sigma: float) -> Array:
    """Returns an image smoothed inside a mask, without what lies outside."""
    weight = ndimage.gaussian_filter(mask.astype(float), sigma)
    smooth = ndimage.gaussian_filter(np.where(mask, image, 0.0), sigma)
    return np.where(mask, smooth / np.maximum(weight, 1e-6), 0.0)


def scores(
    image: Array, source: Array, target: Array, mask: Mask, lesions: Mask | None, *, agent: int
) -> dict[str, float]:
    """Returns every metric of one image.

    Args:
        image: to be scored, in units of the target's median.
        source: in units of its own median.
        target: in units of its own median.
        mask: where they are compared.
        lesions: labelled voxels, or None.
        agent: 1 if the task removes a contrast agent, -1 if it adds one, 0 otherwise.
    """
    found = enhancement(image, source, target, mask, agent) if agent else {}
    fitted = after_best_line(image, target, mask)
    for name, each in (("", image), (" after the line", fitted)):
        found |= {f"{key}{name}": value for key, value in similarity(each, target, mask).items()}
        if lesions is not None and (lesions & mask).any():
            rim = ndimage.binary_dilation(lesions, iterations=RIM_VOXELS) & mask & ~lesions
            level = np.percentile(target[mask], 99.5)
            for region, voxels in (("lesion", lesions & mask), ("rim", rim)):
                found[f"mae {region}{name}"] = float(np.abs(each - target)[voxels].mean() / level * 100)
    return found


def after_best_line(image: Array, target: Array, mask: Mask) -> Array:
    """Returns an image after the line that brings it closest to the target; a constant image stays as it is."""
    if not np.ptp(image[mask]):
        return image
    return np.where(mask, np.polyval(np.polyfit(image[mask], target[mask], 1), image), 0.0)


def similarity(image: Array, target: Array, mask: Mask) -> dict[str, float]:
    """Returns MAE in % of the target's 99.5th percentile, PSNR in dB, and SSIM, in the mask."""
    level = float(np.percentile(target[mask], 99.5))
    error = (image - target)[mask]
    box = ndimage.find_objects(mask.astype(np.int8))[0]
    inside = mask[box]
    _, local = structural_similarity(
        np.where(inside, target[box], 0.0),
        np.where(inside, image[box], 0.0),
        data_range=level,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        full=True,
    )
    return {
        "mae": float(np.abs(error).mean() / level * 100),
        "psnr": float(10 * np.log10(level**2 / np.mean(error**2))),
        "ssim": float(local[inside].mean()),
    }


def trimmed_line(x: Array, y: Array) -> tuple[float, float]:
    """Returns slope and intercept of a line without outliers: six rounds, trimmed at 2.5 robust deviations."""
    kept, line = np.ones(x.size, dtype=bool), (0.0, 0.0)
    for _ in range(6):
        slope, intercept = np.polyfit(x[kept], y[kept], 1)
        line = (float(slope), float(intercept))
        residual = y - slope * x - intercept
        distance = np.abs(residual - np.median(residual))
        spread = 1.4826 * np.median(distance)
        if spread == 0:  # more than half of the voxels lie on the line
            break
        kept = distance <= 2.5 * spread
    return line


def enhancement(image: Array, source: Array, target: Array, mask: Mask, agent: int) -> Mapping[str, Any]:
    """Returns residual enhancement, share of enhanced voxels less than half removed, and disturbance, in %.

    All are NaN where fewer than 0.05 per mille of the mask enhance.
    """
    image, source, target = (blurred(each, mask, 1.0) for each in (image, source, target))
    slope, intercept = trimmed_line(source[mask], target[mask])
    difference = agent * (slope * source + intercept - target)
    deviation = 1.4826 * np.median(np.abs(difference[mask] - np.median(difference[mask])))
    inner = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1, 1:-1] >= 3
    bright = (difference > 4 * deviation) & (difference > 0.2 * np.median(target[mask])) & inner & mask
    parts, count = ndimage.label(bright, CONNECTED)
    sizes = ndimage.sum_labels(bright, parts, np.arange(1, count + 1))
    enhanced = np.isin(parts, 1 + np.flatnonzero(sizes >= 30))
    names = ("residual enhancement", "less than half removed", "disturbance")
    if enhanced.sum() < 0.05e-3 * mask.sum() or not np.ptp(image[mask]):
        return dict.fromkeys(names, float("nan"))
    away = mask & (ndimage.distance_transform_edt(~enhanced) > 2)

    def after_line(each: Array) -> Array:
        slope, intercept = trimmed_line(each[away], target[away])
        return slope * each + intercept - target

    left, whole = agent * after_line(image), agent * after_line(source)
    return {
        names[0]: float(left[enhanced].mean() / whole[enhanced].mean() * 100),
        names[1]: float((left > 0.5 * whole)[enhanced].mean() * 100),
        names[2]: float(np.abs(left[away]).mean() / np.abs(whole[away]).mean() * 100),
    }
