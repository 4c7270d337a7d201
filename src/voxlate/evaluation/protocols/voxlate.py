"""Default protocol: all image metrics in the mask, intensities as written and after the best linear fit."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from voxlate.evaluation.cases.intensity import fitted
from voxlate.evaluation.metrics import IMAGE_METRICS, REGION_METRICS
from voxlate.evaluation.protocols.base import AS_WRITTEN, LINEAR_FIT, Pair, Protocol, Score, computed, masked
from voxlate.evaluation.similarity import Comparison, Target
from voxlate.volume import Mask


def _score(pair: Pair) -> Iterator[Score]:
    target = pair.masked_target or Target(masked(pair.target, pair.mask), pair.mask)
    for intensity in (AS_WRITTEN, LINEAR_FIT):
        image = pair.image if intensity == AS_WRITTEN else fitted(pair.image, target.image, pair.mask)
        comparison = Comparison(masked(image, pair.mask), target, pair.data_range)
        for name, metric in IMAGE_METRICS.items():
            yield computed(partial(metric.measure, comparison), "mask", name, metric.unit, intensity)
        yield from _score_regions(comparison, pair.regions, intensity)


def _score_regions(comparison: Comparison, regions: dict[str, Mask], intensity: str) -> Iterator[Score]:
    """Yields the scores of the parts of the mask; each takes its share of the errors and of the map of SSIM."""
    for region, voxels in regions.items():
        chosen = voxels[comparison.target.mask]
        if not chosen.any():
            continue
        errors = comparison.errors.at(chosen)
        for name, measure in REGION_METRICS.items():
            yield Score(region, name, measure(errors, comparison.data_range), IMAGE_METRICS[name].unit, intensity)
        yield computed(partial(comparison.ssim_at, chosen), region, "ssim", "", intensity)


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
