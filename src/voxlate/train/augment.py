"""Variations of a pair of windows that leave its meaning as it is.

What is wrong with small cohorts of real pairs is contrast: two scans of a session may come from two kinds of
sequence, and the target's contrast cannot be read off the source. Changing the contrast of both images
together teaches the network to keep what it cannot know; grafting the enhancement onto the target itself shows
it pairs that differ in enhancement alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from voxlate.train.recipe import AugmentationSettings
from voxlate.volume import Array, Mask

_LEAST_ENHANCEMENT = 0.15
"""Brightening below this, in relative units, is taken for a difference of contrast, not for enhancement."""


@dataclass(frozen=True)
class Pair:
    """A source and a target window in relative units on the RAS+ grid, and where the loss counts."""

    source: Array
    target: Array
    mask: Mask


def augment(pair: Pair, settings: AugmentationSettings, random: Generator) -> Pair:
    """Returns a varied copy of `pair`; what is zero outside the mask stays zero."""
    source, target, mask = pair.source, pair.target, pair.mask
    kind = random.random()
    if kind < settings.unenhanced:
        source = target
    elif kind < settings.unenhanced + settings.graft:
        source = target + random.uniform(0.5, 1.5) * enhancement(source, target, mask)
    if random.random() < settings.flip:
        source, target, mask = source[::-1], target[::-1], mask[::-1]
    exponent = np.exp(random.uniform(-1, 1) * np.log1p(settings.contrast))
    source, target = power(source, exponent), power(target, exponent)
    source = power(source, np.exp(random.uniform(-1, 1) * np.log1p(settings.source_contrast)))
    field = smooth_field(source.shape, settings.bias, random) * np.exp(random.normal(0, settings.gain))
    noise = random.uniform(0, settings.noise) * random.standard_normal(source.shape, dtype=np.float32)
    source = np.where(source != 0, source * field * np.exp(random.normal(0, settings.gain)) + noise, 0)
    return Pair(source.astype(np.float32), (target * field).astype(np.float32), np.ascontiguousarray(mask))


def power(image: Array, exponent: float) -> Array:
    """Returns sign(v) |v|^exponent for each voxel: the reference level 1 stays 1, contrast about it changes."""
    result: Array = np.sign(image) * np.abs(image) ** np.float32(exponent)
    return result


def smooth_field(shape: tuple[int, ...], strength: float, random: Generator) -> Array:
    """Returns exp of a plane through 0 at the window's centre whose slope along each axis is up to `strength`."""
    exponent = np.zeros(shape, dtype=np.float32)
    for axis, size in enumerate(shape):
        ramp = np.linspace(-0.5, 0.5, size, dtype=np.float32) * np.float32(random.uniform(-strength, strength))
        exponent += ramp.reshape([-1 if other == axis else 1 for other in range(len(shape))])
    return np.exp(exponent)


def enhancement(source: Array, target: Array, mask: Mask) -> Array:
    """Returns by how much the source is brighter than the target allows, in relative units, zero elsewhere.

    The source is brought to the target's contrast by a line through the 25th and 75th percentiles of both
    inside `mask`, which vessels and lesions hardly move.
    """
    if mask.sum() < 100:
        return np.zeros_like(target)
    low_s, high_s = np.percentile(source[mask], (25, 75))
    low_t, high_t = np.percentile(target[mask], (25, 75))
    slope = (high_t - low_t) / max(high_s - low_s, 1e-3)
    excess = (source - low_s) * min(slope, 3.0) + low_t - target
    return np.where(mask & (excess > _LEAST_ENHANCEMENT), excess, 0).astype(np.float32)
