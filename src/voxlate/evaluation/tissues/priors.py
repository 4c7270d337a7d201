"""Tissue segmentation by Gaussians with registered probability maps of an average brain.

The maps of grey and white matter are those of the MNI152 template that nilearn contains; the rest of its brain is CSF.
They are brought onto the target by an affine registration, smoothed because an affine registration is not exact, and
used for every image of the case. Because the maps state where each tissue may be, vessels are not taken for white
matter in a contrast-enhanced scan; voxels brighter than white matter also form a class of their own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from voxlate.evaluation.tissues.classes import TISSUES, Brain, Labels, Values, start_means
from voxlate.evaluation.tissues.field import bias_field, coarse_steps
from voxlate.evaluation.tissues.mixture import vote
from voxlate.preparation.registration.templates import mni_tissues, to_template
from voxlate.preparation.steps.resample import resample
from voxlate.volume import Array, Mask, Volume

SMOOTHING_MM = 3.0
"""Standard deviation of the Gaussian that smooths the maps. Chosen by hand, not tuned."""

EXPONENT, LEAST = 0.5, 0.1
"""Flatten the maps, probability^0.5 + 0.1: after an affine registration the sulci are still those of the average brain,
so the values of the image must be able to overrule the maps."""

BRIGHT_SHARE = 0.03
"""Prior of the bright class. Chosen by hand, not tuned."""

ROUNDS, FIELD_ROUNDS = 25, 3
"""Iterations of expectation maximisation; alternations of Gaussians and field. Chosen by hand, not tuned."""

SAMPLED = 200_000
"""Voxels in the fit of the Gaussians, for speed; the standard error of a mean is then below 1 % of the SD."""

_SD_LIMITS = (0.03, 0.15)  # of the distance between CSF and WM; chosen by hand, to keep the classes apart


@dataclass(frozen=True)
class Priors:
    """Prior probabilities of the tissues on the grid of one case.

    Attributes:
        maps: (3, i, j, k), probabilities of CSF, GM and WM; they sum to 1.
    """

    maps: Array

    @classmethod
    def registered(cls, target: Volume, mask: Mask) -> Priors:
        """Returns the maps on the grid of a target, after registering it to the template.

        Args:
            target: the real image.
            mask: (i, j, k), its brain.

        Raises:
            UsageError: `MISSING_LIBRARY` when nilearn is not installed.
            InputRefused: as `voxlate.preparation.registration.templates.to_template`.
        """
        move = to_template(target, mask).transform.inverse
        template = mni_tissues()
        onto = [resample(template[name], target.grid, move).data for name in TISSUES]
        sigma = [SMOOTHING_MM / spacing for spacing in target.spacing_mm]
        maps = np.stack([ndimage.gaussian_filter(each, sigma) for each in onto]).clip(0) ** EXPONENT + LEAST
        return cls(np.asarray(maps / maps.sum(axis=0), dtype=np.float32))

    def segment(self, image: Array, mask: Mask, *, spacing_mm: tuple[float, float, float]) -> Labels:
        """Returns labels (i, j, k): 1 CSF, 2 GM, 3 WM, 4 brighter than WM, 0 outside; for T1-weighted brains.

        Args:
            image: (i, j, k), in any unit.
            mask: (i, j, k), the brain.
            spacing_mm: of the grid, along the three axes.

        Raises:
            InputRefused: `TOO_SMALL`, `CONSTANT`.
        """
        brain = Brain.cut(image, mask)
        maps = self.maps[(slice(None), *brain.box)]
        steps = coarse_steps(spacing_mm)
        values = brain.values.astype(np.float32)
        for _ in range(FIELD_ROUNDS):
            gaussians = _fitted(values, maps, brain.inside)
            parts = gaussians.weigh(values[steps], maps[(slice(None), *steps)])
            values = values / bias_field(values, parts, gaussians.means, brain.inside, spacing_mm=spacing_mm)
        likelihood = np.log(gaussians.weigh(values, maps)).astype(np.float32)
        return brain.whole(vote(likelihood, brain.inside))


@dataclass(frozen=True)
class Gaussians:
    """Distribution of the values of each tissue.

    Attributes:
        means: (3,), of CSF, GM and WM.
        sds: (3,), standard deviations of the same.
        greatest: upper end of the bright class, which is uniform from the mean of WM on.
    """

    means: Values
    sds: Values
    greatest: float

    def weigh(self, values: Array, maps: Array) -> Array:
        """Returns prior times density of CSF, GM, WM and bright, shape (4, ...).

        Args:
            values: (...), of any shape.
            maps: (3, ...), prior probabilities of CSF, GM and WM at these values.
        """
        shape = (-1, *[1] * values.ndim)
        means, sds = self.means.reshape(shape), self.sds.reshape(shape)
        density = np.exp(-0.5 * ((values - means) / sds) ** 2) / (sds * np.sqrt(2 * np.pi))
        bright = BRIGHT_SHARE * (values >= self.means[-1]) / max(self.greatest - self.means[-1], 1e-6)
        weighed = np.concatenate([(1 - BRIGHT_SHARE) * maps * density, bright[None]]) + 1e-9
        return np.asarray(weighed, dtype=np.float32)


def _fitted(values: Array, maps: Array, inside: Mask) -> Gaussians:
    """Returns the Gaussians by expectation maximisation on every n-th voxel of the mask."""
    step = max(1, int(inside.sum()) // SAMPLED)
    sample, priors = values[inside][::step], maps[:, inside][:, ::step]
    darkest = float(start_means(sample.astype(np.float64))[0])  # no voxel of the average brain is CSF alone
    means = np.sort([darkest, *(_weighted_median(sample, prior**4) for prior in priors[1:])])
    gap = max(float(means[-1] - means[0]), 1e-6)
    gaussians = Gaussians(means, np.full(3, gap / 8), float(np.percentile(sample, 99.9)))
    for _ in range(ROUNDS):
        weight = gaussians.weigh(sample, priors)
        share = (weight / weight.sum(axis=0))[:3].astype(np.float64)
        totals = share.sum(axis=1) + 1e-6
        means = np.sort(share @ sample / totals)
        spread = (share * (sample[None] - means[:, None]) ** 2).sum(axis=1) / totals
        gap = max(float(means[-1] - means[0]), 1e-6)
        gaussians = Gaussians(means, np.sqrt(spread).clip(*(gap * limit for limit in _SD_LIMITS)), gaussians.greatest)
    return gaussians


def _weighted_median(values: Array, weights: Array) -> float:
    """Returns the value at which half of the weight is reached; both are vectors."""
    order = np.argsort(values)
    total = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(total, total[-1] / 2)])
