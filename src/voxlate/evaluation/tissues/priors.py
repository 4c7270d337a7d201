"""Tissues by Gaussians with registered maps of where each tissue is in an average brain.

The maps of grey and white matter are those of the MNI152 template that nilearn carries; what they leave of its brain is
CSF. They are brought onto the target by an affine registration, smoothed because an affine one is rough, and used for
every image of the case alike. Where a tissue may be is thus known before a value is looked at, so that vessels do not
take white matter's place in a contrast-enhanced scan; what is brighter than white matter is a class of its own as well.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from voxlate.evaluation.tissues.classes import TISSUES, Brain, Labels, Values, start_means
from voxlate.evaluation.tissues.field import coarse_steps, smooth_factor
from voxlate.evaluation.tissues.mixture import vote
from voxlate.preparation.registration.templates import mni_tissues, to_template
from voxlate.preparation.steps.resample import resample
from voxlate.volume import Array, Mask, Volume

SMOOTHING_MM = 3.0
EXPONENT, LEAST = 0.5, 0.1
"""Flattens the maps: an affine registration leaves sulci where the average has them, and values must overrule that."""

BRIGHT_SHARE = 0.03
ROUNDS = 25
FIELD_ROUNDS = 3
SAMPLED = 200_000

_SD_LIMITS = (0.03, 0.15)  # of the distance between CSF and WM


@dataclass(frozen=True)
class Priors:
    """Where tissues are to be expected on the grid of one case.

    Attributes:
        maps: (3, i, j, k), probabilities of CSF, GM and WM that add up to one.
    """

    maps: Array

    @classmethod
    def registered(cls, target: Volume, mask: Mask) -> Priors:
        """Returns the maps on the grid of a target, after registering it to the template.

        Raises:
            UsageError: `MISSING_LIBRARY`.
            InputRefused: what the registration refuses.
        """
        move = to_template(target, mask).transform.inverse
        found = mni_tissues()
        onto = [resample(found[name], target.grid, move).data for name in TISSUES]
        sigma = [SMOOTHING_MM / spacing for spacing in target.spacing_mm]
        maps = np.stack([ndimage.gaussian_filter(each, sigma) for each in onto]).clip(0) ** EXPONENT + LEAST
        return cls(np.asarray(maps / maps.sum(axis=0), dtype=np.float32))

    def segment(self, image: Array, mask: Mask, *, spacing_mm: tuple[float, float, float]) -> Labels:
        """Returns 1 CSF, 2 GM, 3 WM, 4 brighter than WM, 0 outside the mask; for T1-weighted brains.

        Raises:
            InputRefused: `TOO_SMALL`, `CONSTANT`.
        """
        brain = Brain.cut(image, mask)
        maps = self.maps[(slice(None), *brain.box)]
        values = brain.values.astype(np.float32)
        for _ in range(FIELD_ROUNDS):
            gaussians = _fitted(values, maps, brain.inside)
            values = values / _field(values, maps, brain.inside, gaussians, spacing_mm)
        likelihood = np.log(gaussians.weigh(values, maps)).astype(np.float32)
        return brain.whole(vote(likelihood, brain.inside))


@dataclass(frozen=True)
class Gaussians:
    """The values of three tissues.

    Attributes:
        means, sds: of CSF, GM and WM.
        greatest: end of the bright class, which is uniform from the mean of WM on.
    """

    means: Values
    sds: Values
    greatest: float

    def weigh(self, values: Array, maps: Array) -> Array:
        """Returns (4, ...): prior times density of CSF, GM, WM and bright at values (...) with maps (3, ...)."""
        place = (-1, *[1] * values.ndim)
        means, sds = self.means.reshape(place), self.sds.reshape(place)
        density = np.exp(-0.5 * ((values - means) / sds) ** 2) / (sds * np.sqrt(2 * np.pi))
        bright = BRIGHT_SHARE * (values >= self.means[-1]) / max(self.greatest - self.means[-1], 1e-6)
        weighed = np.concatenate([(1 - BRIGHT_SHARE) * maps * density, bright[None]]) + 1e-9
        return np.asarray(weighed, dtype=np.float32)


def _fitted(values: Array, maps: Array, inside: Mask) -> Gaussians:
    """Returns the Gaussians by expectation maximisation on a sample of the voxels, evenly spread."""
    step = max(1, int(inside.sum()) // SAMPLED)
    sample, priors = values[inside][::step], maps[:, inside][:, ::step]
    darkest = float(start_means(sample.astype(np.float64))[0])  # CSF is nowhere alone in the average brain
    means = np.sort([darkest, *(_weighted_median(sample, prior**4) for prior in priors[1:])])
    gap = max(float(means[-1] - means[0]), 1e-6)
    found = Gaussians(means, np.full(3, gap / 8), float(np.percentile(sample, 99.9)))
    for _ in range(ROUNDS):
        weight = found.weigh(sample, priors)
        share = (weight / weight.sum(axis=0))[:3].astype(np.float64)
        totals = share.sum(axis=1) + 1e-6
        means = np.sort(share @ sample / totals)
        spread = (share * (sample[None] - means[:, None]) ** 2).sum(axis=1) / totals
        gap = max(float(means[-1] - means[0]), 1e-6)
        found = Gaussians(means, np.sqrt(spread).clip(*(gap * limit for limit in _SD_LIMITS)), found.greatest)
    return found


def _field(
    values: Array, maps: Array, inside: Mask, gaussians: Gaussians, spacing_mm: tuple[float, float, float]
) -> Array:
    steps = coarse_steps(spacing_mm)
    coarse = values[steps]
    weight = gaussians.weigh(coarse, maps[(slice(None), *steps)])
    share = weight / weight.sum(axis=0)
    expected = np.tensordot(gaussians.means.astype(np.float32), share[:3], axes=1)
    expected = expected / np.maximum(share[:3].sum(axis=0), 1e-6)
    trust = (1 - share[3]) * inside[steps]
    return smooth_factor(coarse, expected, trust, shape=values.shape, spacing_mm=spacing_mm)


def _weighted_median(values: Array, weights: Array) -> float:
    order = np.argsort(values)
    total = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(total, total[-1] / 2)])
