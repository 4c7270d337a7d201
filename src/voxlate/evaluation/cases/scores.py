"""All scores of one case: every method by every protocol."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from voxlate.evaluation.baselines import BlurredTarget, HistogramMatch, blurred_like
from voxlate.evaluation.cases.read_case import LoadedCase
from voxlate.evaluation.cases.regions import lesion_regions
from voxlate.evaluation.enhancement import PROTOCOL as ENHANCEMENT
from voxlate.evaluation.enhancement import AgentDirection, EnhancementMeasure, best_curve
from voxlate.evaluation.lesions import describe_lesions
from voxlate.evaluation.protocols import PROTOCOLS, Pair, Score, masked, require_skull
from voxlate.evaluation.schema.rows import CaseLesionRow
from voxlate.evaluation.settings import Settings
from voxlate.evaluation.similarity import Target
from voxlate.evaluation.tissues import TissueResults, measure_tissues, segmenters_for
from voxlate.volume import Array, Mask, Volume

CURVE = "curve"
"""Best intensity curve of each scan, fitted to its target; scored when a contrast agent is removed or added."""

METHODS = ("source", "histogram_match", "constant", "blurred_target", "synthetic")
"""Compared images, in the order of every table."""

OF_BUNDLE = frozenset({"histogram_match", "constant"})
"""Methods that need the baselines of a bundle, which are fitted on its training cases."""


@dataclass(frozen=True)
class MethodScore:
    """One score of one method by one protocol."""

    method: str
    protocol: str
    score: Score


@dataclass(frozen=True)
class Compared:
    """Compared images of a case, in the unit of comparison.

    Attributes:
        images: method to image (i, j, k), in the order of `METHODS`.
        blurred: the blurred target with its sigma; None without baselines.
    """

    images: dict[str, Array]
    blurred: BlurredTarget | None


def images_of(case: LoadedCase, match: HistogramMatch | None, *, has_baselines: bool = True) -> Compared:
    """Returns the synthetic image and the images that it is compared with.

    Args:
        case: the images.
        match: histogram match of the bundle; None without a bundle, the baselines of the bundle are then left out.
        has_baselines: whether there is more than the synthetic image.
    """
    if not has_baselines:
        return Compared({"synthetic": case.synthetic}, None)
    images = {"source": case.source}
    if match is not None:
        images["histogram_match"] = match.apply(case.source)
        images["constant"] = match.constant(case.source)
    blurred = blurred_like(case.target, case.synthetic, case.mask, spacing_mm=case.spacing_mm)
    return Compared({**images, "blurred_target": blurred.image, "synthetic": case.synthetic}, blurred)


def score_images(case: LoadedCase, compared: Compared, settings: Settings) -> Iterator[MethodScore]:
    """Yields the scores of every image, method by method, and the sigma and PSNR gap of the blurred target.

    A score that an image does not allow is NaN with its reason (`Score.left_out`).

    Args:
        case: the images.
        compared: from `images_of`.
        settings: options of the run.

    Raises:
        InputRefused: when an image cannot be compared at all; `SKULL_STRIPPED` when no protocol is for such scans.
        VoxlateError: `IMPOSSIBLE_SCORE`.
    """
    if all(PROTOCOLS[name].needs_skull for name in settings.protocols):  # else these protocols alone have no scores
        require_skull(case.target, case.union_mask)
    regions = _regions(case, settings)
    yield from _enhancement_scores(case, compared, regions)
    target = Target(masked(case.target, case.mask), case.mask)
    for method, image in compared.images.items():
        pair = Pair(
            image,
            case.target,
            case.mask,
            case.union_mask,
            regions,
            case.data_range,
            is_scan=method == "source",
            share=case.share_of_range if method == "synthetic" else None,
            masked_target=target,
        )
        for name in settings.protocols:
            for score in PROTOCOLS[name].measure(pair):
                yield MethodScore(method, name, score)
    if compared.blurred is None:
        return
    for score in (  # last, because tables list metrics in the order of their first score
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
    images = dict(compared.images)
    if compared.blurred is not None:
        if measure.is_measurable:
            yield MethodScore("source", ENHANCEMENT, measure.reverse_share())
        images[CURVE] = best_curve(case.source, case.target, case.mask)
    for method, image in images.items():
        for score in measure.scores(image):
            yield MethodScore(method, ENHANCEMENT, score)


def lesion_records(case: LoadedCase, settings: Settings) -> list[CaseLesionRow]:
    """Returns the lesion rows of a case, see `voxlate.evaluation.lesions`."""
    images = {"source": case.source, "synthetic": case.synthetic, "target": case.target}
    regions = _regions(case, settings)
    return describe_lesions(images, case.mask, regions, spacing_mm=case.spacing_mm, data_range=case.data_range)


def tissue_results(case: LoadedCase, images: dict[str, Array], settings: Settings) -> TissueResults:
    """Returns tissue volumes and overlaps of the images, see `voxlate.evaluation.tissues`; none without `--segment`.

    The baseline `constant` is left out: it has no tissues.

    Args:
        case: target, mask and spacing.
        images: method to image (i, j, k), in the unit of comparison.
        settings: options of the run.
    """
    if not settings.is_segmented:
        return TissueResults([], [])
    target = Volume(case.target, case.affine)
    segmenters = segmenters_for(target, case.mask, settings.more_segmenters)
    shown = {method: image for method, image in images.items() if method != "constant"}
    return measure_tissues(shown, case.target, case.mask, spacing_mm=case.spacing_mm, segmenters=segmenters)


def _regions(case: LoadedCase, settings: Settings) -> dict[str, Mask]:
    return lesion_regions(
        case.labels, case.mask, spacing_mm=case.spacing_mm, enhancing_labels=settings.enhancing_labels
    )
