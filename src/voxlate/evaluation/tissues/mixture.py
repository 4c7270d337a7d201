"""Tissues by a Gaussian mixture with a bias field and a Markov random field.

Three Gaussians for CSF, GM and WM, two for voxels that hold two of them, and a uniform density above white matter
for vessels and enhancement, without which the brightest class of a contrast-enhanced scan is no white matter at
all. The mixture is fitted to the
histogram by expectation maximisation; a smooth multiplicative field is estimated from what the classes do not
explain (Wells 1996); neighbours then vote by mean-field iterations of a Potts model (Zhang 2001).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from voxlate.evaluation.tissues.classes import BRIGHT, TISSUES, Brain, Labels, Values, neighbour_mean, start_means
from voxlate.evaluation.tissues.field import coarse_steps, smooth_factor
from voxlate.volume import Array, Mask

BINS = 512
FIELD_ROUNDS = 4
NEIGHBOUR_WEIGHT = 3.5
NEIGHBOUR_ROUNDS = 5

_STEPS = 60
_PRIOR_SHARE = 0.02
_SD_LIMITS = (0.02, 0.2)  # of the distance between CSF and WM


@dataclass(frozen=True)
class Mixture:
    """What values are made of.

    Attributes:
        means: of CSF, GM and WM.
        sds: standard deviations of the same.
        shares: of CSF, GM, WM, of voxels that are part CSF part GM, part GM part WM, and of the bright class.
        greatest: end of the bright class, which is uniform from the mean of WM on.
    """

    means: Values
    sds: Values
    shares: Values
    greatest: float

    def parts(self, values: Values) -> Values:
        """Returns (6, n): share times density of each of the six parts at each value.

        Mixed voxels are Gaussian about the middle of both means, with the variance of both tissues and that of an
        even spread between them.
        """
        middles = (self.means[1:] + self.means[:-1]) / 2
        gaps = np.diff(self.means)
        mixed = np.sqrt((self.sds[1:] ** 2 + self.sds[:-1] ** 2) / 2 + gaps**2 / 12)
        means, sds = np.append(self.means, middles)[:, None], np.append(self.sds, mixed)[:, None]
        gaussian = np.exp(-0.5 * ((values - means) / sds) ** 2) / (sds * np.sqrt(2 * np.pi))
        bright = (values >= self.means[-1]) / max(self.greatest - self.means[-1], 1e-12)
        return np.asarray(np.vstack([gaussian, bright]) * self.shares[:, None] + 1e-12, dtype=np.float64)

    def densities(self, values: Values) -> Values:
        """Returns (4, n): CSF, GM, WM, bright; a mixed voxel goes to the tissue whose mean is nearer."""
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
    """Returns 1 CSF, 2 GM, 3 WM, 4 brighter than WM, 0 outside the mask; for T1-weighted brains.

    Raises:
        InputRefused: `TOO_SMALL`, `CONSTANT`.
    """
    brain = Brain.cut(image, mask)
    values = brain.values.astype(np.float32)
    for _ in range(FIELD_ROUNDS):
        mixture = fit_mixture(values[brain.inside].astype(np.float64))
        values = values / _field(values, brain.inside, mixture, spacing_mm)
    likelihood = np.log(_by_value(mixture, values))
    return brain.whole(vote(likelihood, brain.inside))


def fit_mixture(values: Values) -> Mixture:
    """Returns the mixture fitted to values by expectation maximisation on their histogram.

    No part may vanish: each keeps a prior count of 2 % of the voxels.
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
    """Returns (4, i, j, k): the densities at every voxel, looked up in a table over the values."""
    low, high = float(values.min()), float(values.max())
    table = mixture.densities(np.linspace(low, high, 4 * BINS)).astype(np.float32)
    place = np.rint((values - low) * ((4 * BINS - 1) / max(high - low, 1e-12))).astype(np.intp)
    return np.asarray(table[:, place], dtype=np.float32)


def _field(values: Array, inside: Mask, mixture: Mixture, spacing_mm: tuple[float, float, float]) -> Array:
    """Returns the smooth factor by which values exceed what their classes expect; bright voxels do not count."""
    steps = coarse_steps(spacing_mm)
    coarse = values[steps]
    posterior = _by_value(mixture, coarse)
    posterior /= posterior.sum(axis=0)
    expected = np.tensordot(mixture.means.astype(np.float32), posterior[:3], axes=1) / np.maximum(
        posterior[:3].sum(axis=0), 1e-6
    )
    weight = (1 - posterior[3]) * inside[steps]
    return smooth_factor(coarse, expected, weight, shape=values.shape, spacing_mm=spacing_mm)


def vote(likelihood: Array, inside: Mask) -> Labels:
    """Returns the labels after neighbours were heard, from the logarithms of (4, ...): CSF, GM, WM, bright."""
    belief = _normalised(likelihood) * inside
    for _ in range(NEIGHBOUR_ROUNDS):
        belief = _normalised(likelihood + NEIGHBOUR_WEIGHT * np.stack([neighbour_mean(b) for b in belief])) * inside
    labels = np.array([*TISSUES.values(), BRIGHT], dtype=np.int8)
    return np.asarray(labels[belief.argmax(axis=0)], dtype=np.int8)


def _normalised(logarithm: Array) -> Array:
    weight = np.exp(logarithm - logarithm.max(axis=0))
    return np.asarray(weight / weight.sum(axis=0), dtype=np.float32)
