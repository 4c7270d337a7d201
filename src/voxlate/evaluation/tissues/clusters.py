"""Tissue segmentation by spatial fuzzy c-means, a second method that shares neither model nor fit with the mixture.

Memberships decrease with the distance to the centre of a class, without a probability density (Bezdek 1981), and the
distance includes that of the mean of the neighbours (FCM-S1, Chen and Zhang 2004). Voxels that are brighter than any
white matter are labelled as bright first.
"""

from __future__ import annotations

import numpy as np

from voxlate.evaluation.cases.intensity import MAD_TO_SD
from voxlate.evaluation.tissues.classes import BRIGHT, Brain, Labels, Values, neighbour_mean, start_means
from voxlate.volume import Array, Mask

NEIGHBOUR_SHARE = 0.5
"""Weight of the neighbours' mean relative to the voxel itself (alpha of FCM-S1). Chosen by hand, not tuned."""

ROUNDS = 30
"""Updates of the centres. Chosen by hand, not tuned."""

_BRIGHT_DEVIATIONS = 4.0
"""Robust standard deviations above the median from which voxels are bright. Chosen by hand, not tuned."""


def segment_by_clusters(image: Array, mask: Mask, *, spacing_mm: tuple[float, float, float]) -> Labels:
    """Returns labels (i, j, k): 1 CSF, 2 GM, 3 WM, 4 brighter than WM, 0 outside the mask; for T1-weighted brains.

    The fuzzifier is 2. The squared distance of a voxel to a centre is its own plus half of that of the mean of its six
    neighbours.

    Args:
        image: (i, j, k), in any unit.
        mask: (i, j, k), the brain.
        spacing_mm: not used; all segmenters have the same signature.

    Raises:
        InputRefused: `TOO_SMALL`, `CONSTANT`.
    """
    brain = Brain.cut(image, mask)
    inside = brain.values[brain.inside].astype(np.float64)
    upper = np.median(inside)
    upper += _BRIGHT_DEVIATIONS * MAD_TO_SD * np.median(np.abs(inside - upper))
    ordinary = (brain.inside & (brain.values <= upper)).astype(np.float32)
    around = neighbour_mean(brain.values * ordinary) / np.maximum(neighbour_mean(ordinary), 1e-6)
    is_ordinary = ordinary > 0
    own, near = (array[is_ordinary].astype(np.float64) for array in (brain.values, around))
    centres = start_means(inside)
    for _ in range(ROUNDS):
        distance = _distances(own, near, centres)
        membership = (1 / distance) / (1 / distance).sum(axis=0)
        weight = membership**2
        centres = np.sort((weight @ (own + NEIGHBOUR_SHARE * near)) / ((1 + NEIGHBOUR_SHARE) * weight.sum(axis=1)))
    labels = np.full(brain.values.shape, BRIGHT, dtype=np.int8)
    labels[is_ordinary] = 1 + _distances(own, near, centres).argmin(axis=0)
    return brain.whole(labels)


def _distances(own: Values, near: Values, centres: Values) -> Values:
    squares = (own[None] - centres[:, None]) ** 2 + NEIGHBOUR_SHARE * (near[None] - centres[:, None]) ** 2
    return np.asarray(squares + 1e-12, dtype=np.float64)
