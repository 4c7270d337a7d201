"""Default protocol: all image metrics in the mask, intensities as written and after the best linear fit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache, partial

import numpy as np

from voxlate.evaluation.cases.intensity import fitted
from voxlate.evaluation.metrics import IMAGE_METRICS, MS_SSIM_SCALES
from voxlate.evaluation.protocols.base import AS_WRITTEN, LINEAR_FIT, Pair, Protocol, Score, computed
from voxlate.evaluation.similarity import ssim_map
from voxlate.evaluation.similarity.arrays import box_of
from voxlate.evaluation.similarity.structural import GAUSSIAN_RADIUS
from voxlate.volume import Array, Mask

REGION_METRICS = ("mae", "rmse", "bias", "psnr")
"""Metrics of a part of the mask, besides SSIM; the other metrics need more voxels than a lesion has."""

_COARSEST = 2 ** (MS_SSIM_SCALES - 1)


def _score(pair: Pair) -> Iterator[Score]:
    near = box_of(pair.mask, GAUSSIAN_RADIUS * _COARSEST)
    box = tuple(slice(part.start // _COARSEST * _COARSEST, part.stop) for part in near)
    image, target, mask = pair.image[box], pair.target[box], pair.mask[box]
    regions = {name: region[box] for name, region in pair.regions.items() if region.any()}
    target = _inside(target, mask)
    for intensity in (AS_WRITTEN, LINEAR_FIT):
        shown = _inside(image if intensity == AS_WRITTEN else fitted(image, target, mask), mask)
        for name, metric in IMAGE_METRICS.items():
            compute = partial(metric.compute, shown, target, mask, pair.data_range)
            yield computed(compute, "mask", name, metric.unit, intensity)
        yield from _score_regions(shown, target, regions, pair.data_range, intensity=intensity)


def _score_regions(
    image: Array, target: Array, regions: dict[str, Mask], data_range: float, *, intensity: str
) -> Iterator[Score]:
    """Yields the scores of the parts of the mask; the map of SSIM is computed once for all of them."""
    if not regions:
        return
    structure = cache(partial(ssim_map, image, target, data_range=data_range))
    for region, voxels in regions.items():
        for name in REGION_METRICS:
            value = IMAGE_METRICS[name].compute(image, target, voxels, data_range)
            yield Score(region, name, value, IMAGE_METRICS[name].unit, intensity)
        yield computed(partial(_mean_of, structure, voxels), region, "ssim", "", intensity)


def _mean_of(structure: Callable[[], Array], voxels: Mask) -> float:
    return float(structure()[voxels].mean(dtype=np.float64))


def _inside(image: Array, mask: Mask) -> Array:
    return np.where(mask, image, np.float32(0))


VOXLATE = Protocol(
    name="voxlate",
    definition=(
        "Voxels in the mask only, all others set to 0 in both images; range L the 99.5th percentile of the target in "
        "the mask (or the stated range of a calibrated unit), the same for all images of a case; SSIM with a 3-D "
        "Gaussian window of 11 voxels, sigma 1.5, K 0.01 and 0.03, population covariance, averaged over the mask; each "
        "case once as written and once after the gain and offset that fit it best to the target in the mask; cases "
        "averaged to patients, patients to the mean."
    ),
    score=_score,
    mae_range=100.0,
)
