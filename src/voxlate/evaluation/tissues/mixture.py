"""Tissue segmentation by a Gaussian mixture with a bias field and a Markov random field.

The mixture has three Gaussians for CSF, GM and WM, two for voxels that hold two of them, and a uniform density above
white matter for vessels and enhancement; without the latter the brightest class of a contrast-enhanced scan is vessels
and not white matter. It is fitted to the histogram by expectation maximisation. A smooth multiplicative bias field is
estimated from what the classes do not explain (Wells 1996). Neighbouring voxels are coupled by mean-field iterations of
a Potts model (Zhang 2001).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from voxlate.evaluation.tissues.classes import BRIGHT, TISSUES, Brain, Labels, Values, neighbour_mean, start_means
from voxlate.evaluation.tissues.field import bias_field, coarse_steps
from voxlate.volume import Array, Mask

BINS = 512
"""Of the histogram; a bin is far narrower than the noise of a scan."""

FIELD_ROUNDS = 4
"""Alternations of mixture and field. Chosen by hand, not tuned."""

NEIGHBOUR_WEIGHT, NEIGHBOUR_ROUNDS = 3.5, 5
"""Weight and mean-field iterations of the Potts model. Chosen by hand, not tuned."""

_STEPS = 60
"""Iterations of expectation maximisation. Chosen by hand, not tuned."""

_PRIOR_SHARE = 0.02
"""Prior count of each part, as a share of the voxels, so that no part vanishes. Chosen by hand, not tuned."""

_SD_LIMITS = (0.02, 0.2)  # of the distance between CSF and WM; chosen by hand, to keep the classes apart


@dataclass(frozen=True)
class Mixture:
    """Distribution of the values in a brain.

    Attributes:
        means: (3,), of CSF, GM and WM.
        sds: (3,), standard deviations of the same.
        shares: (6,), of CSF, GM, WM, of mixed voxels of CSF and GM, of GM and WM, and of the bright class.
        greatest: upper end of the bright class, which is uniform from the mean of WM on.
    """

    means: Values
    sds: Values
    shares: Values
    greatest: float

    def parts(self, values: Values) -> Values:
        """Returns share times density of each of the six parts at values (n,), an array of shape (6, n).

        Mixed voxels are Gaussian around the middle of both means; their variance is the mean of both tissues' variances
        plus that of a uniform distribution between the means.
        """
        middles = (self.means[1:] + self.means[:-1]) / 2
        gaps = np.diff(self.means)
        mixed = np.sqrt((self.sds[1:] ** 2 + self.sds[:-1] ** 2) / 2 + gaps**2 / 12)
        means, sds = np.append(self.means, middles)[:, None], np.append(self.sds, mixed)[:, None]
        gaussian = np.exp(-0.5 * ((values - means) / sds) ** 2) / (sds * np.sqrt(2 * np.pi))
        bright = (values >= self.means[-1]) / max(self.greatest - self.means[-1], 1e-12)
        return np.asarray(np.vstack([gaussian, bright]) * self.shares[:, None] + 1e-12, dtype=np.float64)

    def densities(self, values: Values) -> Values:
        """Returns densities (4, n) of CSF, GM, WM and bright; a mixed voxel counts as the tissue of the nearer mean."""
        csf, gm, wm, csf_gm, gm_wm, bright = self.parts(values)
        low, high = (self.means[1:] + self.means[:-1]) / 2
        return np.stack(
            [
                csf + csf_gm * (values < low),
                gm + csf_gm * (values >= low) + gm_wm * (values < high),
                wm + gm_wm * (values >= high),
                bright,
            ]
        )


def segment_by_mixture(image: Array, mask: Mask, *, spacing_mm: tuple[float, float, float]) -> Labels:
    """Returns labels (i, j, k): 1 CSF, 2 GM, 3 WM, 4 brighter than WM, 0 outside the mask; for T1-weighted brains.

    Args:
        image: (i, j, k), in any unit.
        mask: (i, j, k), the brain.
        spacing_mm: of the grid, along the three axes.

    Raises:
        InputRefused: `TOO_SMALL`, `CONSTANT`.
    """
    brain = Brain.cut(image, mask)
    return brain.whole(vote(_likelihood(brain, spacing_mm), brain.inside))


def tissue_probabilities(image: Array, mask: Mask, *, spacing_mm: tuple[float, float, float]) -> dict[str, Array]:
    """Returns the probability (i, j, k) of each tissue, 0 outside the mask; `segment_by_mixture` takes the largest.

    Their sum is 1 minus the probability of voxels brighter than white matter.

    Args:
        image: (i, j, k), in any unit.
        mask: (i, j, k), the brain.
        spacing_mm: of the grid, along the three axes.

    Raises:
        InputRefused: `TOO_SMALL`, `CONSTANT`.
    """
    brain = Brain.cut(image, mask)
    belief = beliefs(_likelihood(brain, spacing_mm), brain.inside)
    maps = {}
    for name, own in zip(TISSUES, belief, strict=False):
        maps[name] = np.zeros(brain.shape, dtype=np.float32)
        maps[name][brain.box] = own
    return maps


def _likelihood(brain: Brain, spacing_mm: tuple[float, float, float]) -> Array:
    """Returns logarithms (4, i, j, k) of the densities of CSF, GM, WM and bright, after removing the bias field."""
    values = brain.values.astype(np.float32)
    for _ in range(FIELD_ROUNDS):
        mixture = fit_mixture(values[brain.inside].astype(np.float64))
        parts = _by_value(mixture, values[coarse_steps(spacing_mm)])
        values = values / bias_field(values, parts, mixture.means, brain.inside, spacing_mm=spacing_mm)
    return np.log(_by_value(mixture, values))


def fit_mixture(values: Values) -> Mixture:
    """Returns the mixture fitted to values (n,) by expectation maximisation on their histogram.

    Each part has a prior count of 2 % of the voxels, so that none vanishes.
    """
    low, high = np.percentile(values, (0.1, 99.9))
    counts, edges = np.histogram(values, bins=BINS, range=(low, high))
    centres = (edges[1:] + edges[:-1]) / 2
    means = start_means(values)
    mixture = Mixture(means, np.full(3, (means[-1] - means[0]) / 8), np.full(6, 1 / 6), float(high))
    prior = _PRIOR_SHARE * counts.sum()
    for _ in range(_STEPS):
        parts = mixture.parts(centres)
        weight = counts * parts / parts.sum(axis=0)
        totals = weight.sum(axis=1)
        means = np.sort((weight[:3] @ centres + prior * mixture.means) / (totals[:3] + prior))
        squares = (weight[:3] * (centres[None] - means[:, None]) ** 2).sum(axis=1)
        limits = (means[-1] - means[0]) * np.array(_SD_LIMITS)
        sds = np.sqrt((squares + prior * mixture.sds**2) / (totals[:3] + prior)).clip(*limits)
        mixture = Mixture(means, sds, (totals + prior) / (totals + prior).sum(), float(high))
    return mixture


def _by_value(mixture: Mixture, values: Array) -> Array:
    """Returns the densities (4, i, j, k) at every voxel, looked up in a table over the values."""
    low, high = float(values.min()), float(values.max())
    table = mixture.densities(np.linspace(low, high, 4 * BINS)).astype(np.float32)
    index = np.rint((values - low) * ((4 * BINS - 1) / max(high - low, 1e-12))).astype(np.intp)
    return np.asarray(table[:, index], dtype=np.float32)


def vote(likelihood: Array, inside: Mask) -> Labels:
    """Returns the labels (i, j, k) after the mean-field iterations of the Potts model.

    Args:
        likelihood: (4, i, j, k), logarithms of the densities of CSF, GM, WM and bright.
        inside: (i, j, k), the mask.
    """
    labels = np.array([*TISSUES.values(), BRIGHT], dtype=np.int8)
    return np.asarray(labels[beliefs(likelihood, inside).argmax(axis=0)], dtype=np.int8)


def beliefs(likelihood: Array, inside: Mask) -> Array:
    """Returns probabilities (4, i, j, k) of CSF, GM, WM and bright after the mean-field iterations; 0 outside.

    Args:
        likelihood: (4, i, j, k), logarithms of the densities.
        inside: (i, j, k), the mask.
    """
    belief: Array = _normalised(likelihood) * inside
    for _ in range(NEIGHBOUR_ROUNDS):
        belief = _normalised(likelihood + NEIGHBOUR_WEIGHT * np.stack([neighbour_mean(b) for b in belief])) * inside
    return belief


def _normalised(logarithm: Array) -> Array:
    """Returns probabilities that sum to 1 over the first axis."""
    weight = np.exp(logarithm - logarithm.max(axis=0))
    return np.asarray(weight / weight.sum(axis=0), dtype=np.float32)
