"""Segmentation fidelity: do segmentations of synthetic and real image give the same tissue volumes?"""

from voxlate.evaluation.tissues.agreement import volume_agreement
from voxlate.evaluation.tissues.classes import BRIGHT, TISSUES
from voxlate.evaluation.tissues.clusters import segment_by_clusters
from voxlate.evaluation.tissues.mixture import segment_by_mixture, tissue_probabilities
from voxlate.evaluation.tissues.overlap import dice, hd95
from voxlate.evaluation.tissues.volumes import (
    MORE_SEGMENTERS,
    SEGMENTERS,
    TissueResults,
    measure_tissues,
    segmenters_for,
    tissue_protocol,
    tissue_scores,
    undefined_overlaps,
    volume_difference,
    with_differences,
)

__all__ = [
    "BRIGHT",
    "MORE_SEGMENTERS",
    "SEGMENTERS",
    "TISSUES",
    "TissueResults",
    "dice",
    "hd95",
    "measure_tissues",
    "segment_by_clusters",
    "segment_by_mixture",
    "segmenters_for",
    "tissue_probabilities",
    "tissue_protocol",
    "tissue_scores",
    "undefined_overlaps",
    "volume_agreement",
    "volume_difference",
    "with_differences",
]
