"""All figures of one case: every method, by every protocol asked for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from voxlate.evaluate.baselines import HistogramMatch, blurred_like
from voxlate.evaluate.lesions import describe_lesions
from voxlate.evaluate.loading import LoadedCase
from voxlate.evaluate.protocols import PROTOCOLS, Pair, Score
from voxlate.evaluate.regions import lesion_regions
from voxlate.evaluate.settings import Settings
from voxlate.evaluate.tissues import measure_tissues, segmenters_for
from voxlate.volume import Array, Mask, Volume

METHODS = ("source", "histogram_match", "blurred_target", "synthetic")
"""The rows of every table, in order; the histogram match only where a bundle brings its knots."""


@dataclass(frozen=True)
class MethodScore:
    """One figure of one method by one protocol."""

    method: str
    protocol: str
    score: Score


def images_of(case: LoadedCase, match: HistogramMatch | None) -> dict[str, Array]:
    """Returns method to image, in the unit of comparison."""
    images = {"source": case.source}
    if match is not None:
        images["histogram_match"] = match.apply(case.source)
    images["blurred_target"], _ = blurred_like(case.target, case.synthetic, case.mask, spacing_mm=case.spacing_mm)
    images["synthetic"] = case.synthetic
    return images


def score_images(case: LoadedCase, images: dict[str, Array], settings: Settings) -> Iterator[MethodScore]:
    """Yields the figures of every image, method by method.

    Raises:
        InputRefused: when an image cannot be compared (constant, too small).
        VoxlateError: `IMPOSSIBLE_SCORE`.
    """
    regions = _regions(case, settings)
    for method, image in images.items():
        pair = Pair(image, case.target, case.mask, case.union_mask, regions, case.data_range)
        for name in settings.protocols:
            for score in PROTOCOLS[name].measure(pair):
                yield MethodScore(method, name, score)


def lesion_records(case: LoadedCase, settings: Settings) -> list[dict[str, Any]]:
    """Returns what became of the lesions of a case, see `voxlate.evaluate.lesions`."""
    images = {"source": case.source, "synthetic": case.synthetic, "target": case.target}
    regions = _regions(case, settings)
    return describe_lesions(images, case.mask, regions, spacing_mm=case.spacing_mm, data_range=case.data_range)


def tissue_records(case: LoadedCase, images: dict[str, Array], settings: Settings) -> list[dict[str, Any]]:
    """Returns tissue volumes and overlaps of every image, see `voxlate.evaluate.tissues`; none unless asked for."""
    if not settings.is_segmented:
        return []
    target = Volume(case.target, case.affine)
    segmenters = segmenters_for(target, case.mask, settings.more_segmenters)
    return list(measure_tissues(images, case.target, case.mask, spacing_mm=case.spacing_mm, segmenters=segmenters))


def _regions(case: LoadedCase, settings: Settings) -> dict[str, Mask]:
    return lesion_regions(
        case.labels, case.mask, spacing_mm=case.spacing_mm, enhancing_labels=settings.enhancing_labels
    )


def display_range(case: LoadedCase) -> tuple[float, float]:
    """Returns the window in which all images of the case are shown: from the target alone."""
    inside = case.target[case.mask]
    low = min(0.0, float(np.percentile(inside, 0.5)))
    return low, 1.1 * float(np.percentile(inside, 99.5))
