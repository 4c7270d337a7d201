"""All figures of one case: every method, by every protocol asked for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from voxlate.evaluation.baselines import BlurredTarget, HistogramMatch, blurred_like
from voxlate.evaluation.cases.read_case import LoadedCase
from voxlate.evaluation.cases.regions import lesion_regions
from voxlate.evaluation.enhancement import PROTOCOL as ENHANCEMENT
from voxlate.evaluation.enhancement import AgentDirection, EnhancementMeasure, best_curve
from voxlate.evaluation.lesions import describe_lesions
from voxlate.evaluation.protocols import PROTOCOLS, Pair, Score
from voxlate.evaluation.rows import CaseLesionRow
from voxlate.evaluation.settings import Settings
from voxlate.evaluation.tissues import TissueResults, measure_tissues, segmenters_for
from voxlate.volume import Array, Mask, Volume

CURVE = "curve"
"""The best intensity curve of each scan, which knows the target; measured where an agent is removed or added."""

METHODS = ("source", "histogram_match", "constant", "blurred_target", "synthetic")
"""The rows of every table, in order."""

OF_BUNDLE = frozenset({"histogram_match", "constant"})
"""Those that need what a bundle keeps of its training cases."""


@dataclass(frozen=True)
class MethodScore:
    """One figure of one method by one protocol."""

    method: str
    protocol: str
    score: Score


@dataclass(frozen=True)
class Compared:
    """The images of a case, in the unit of comparison.

    Attributes:
        images: method to image, in the order of `METHODS`.
        blurred: how the blurred target was made.
    """

    images: dict[str, Array]
    blurred: BlurredTarget


def images_of(case: LoadedCase, match: HistogramMatch | None) -> Compared:
    """Returns the synthetic image and all that it is compared with."""
    images = {"source": case.source}
    if match is not None:
        images["histogram_match"] = match.apply(case.source)
        images["constant"] = match.constant(case.source)
    blurred = blurred_like(case.target, case.synthetic, case.mask, spacing_mm=case.spacing_mm)
    return Compared({**images, "blurred_target": blurred.image, "synthetic": case.synthetic}, blurred)


def score_images(case: LoadedCase, compared: Compared, settings: Settings) -> Iterator[MethodScore]:
    """Yields the figures of every image, method by method; how the blurred target was made stands among its own.

    A figure that an image does not allow is NaN with its reason (`Score.left_out`).

    Raises:
        InputRefused: when an image cannot be compared at all.
        VoxlateError: `IMPOSSIBLE_SCORE`.
    """
    regions = _regions(case, settings)
    yield from _enhancement_scores(case, compared, regions)
    for method, image in compared.images.items():
        pair = Pair(image, case.target, case.mask, case.union_mask, regions, case.data_range)
        for name in settings.protocols:
            for score in PROTOCOLS[name].measure(pair):
                yield MethodScore(method, name, score)
    for score in (  # last, as rows of a table stand in the order in which they come
        Score("mask", "blur_sigma", compared.blurred.sigma_mm, "mm"),
        Score("mask", "psnr_gap", compared.blurred.gap_db, "dB"),
    ):
        yield MethodScore("blurred_target", settings.protocols[0], score)


def _enhancement_scores(case: LoadedCase, compared: Compared, regions: dict[str, Mask]) -> Iterator[MethodScore]:
    direction = AgentDirection.of(case.task)
    if direction is None:
        return
    measure = EnhancementMeasure(
        case.source, case.target, case.mask, spacing_mm=case.spacing_mm, direction=direction, regions=regions
    )
    if measure.is_measurable:
        yield MethodScore("source", ENHANCEMENT, measure.reverse_share())
    images = {**compared.images, CURVE: best_curve(case.source, case.target, case.mask)}
    for method, image in images.items():
        for score in measure.scores(image):
            yield MethodScore(method, ENHANCEMENT, score)


def lesion_records(case: LoadedCase, settings: Settings) -> list[CaseLesionRow]:
    """Returns the lesion rows of a case, see `voxlate.evaluation.lesions`."""
    images = {"source": case.source, "synthetic": case.synthetic, "target": case.target}
    regions = _regions(case, settings)
    return describe_lesions(images, case.mask, regions, spacing_mm=case.spacing_mm, data_range=case.data_range)


def tissue_results(case: LoadedCase, images: dict[str, Array], settings: Settings) -> TissueResults:
    """Returns tissue volumes and overlaps of every image, see `voxlate.evaluation.tissues`; none unless asked for."""
    if not settings.is_segmented:
        return TissueResults([], [])
    target = Volume(case.target, case.affine)
    segmenters = segmenters_for(target, case.mask, settings.more_segmenters)
    return measure_tissues(images, case.target, case.mask, spacing_mm=case.spacing_mm, segmenters=segmenters)


def _regions(case: LoadedCase, settings: Settings) -> dict[str, Mask]:
    return lesion_regions(
        case.labels, case.mask, spacing_mm=case.spacing_mm, enhancing_labels=settings.enhancing_labels
    )


def display_range(case: LoadedCase) -> tuple[float, float]:
    """Returns the window in which all images of the case are shown: from the target alone."""
    inside = case.target[case.mask]
    low = min(0.0, float(np.percentile(inside, 0.5)))
    return low, 1.1 * float(np.percentile(inside, 99.5))
