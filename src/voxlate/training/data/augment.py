"""Augmentation of a pair of windows.

In small cohorts of real pairs the two scans of a session may come from two kinds of sequence, so that the contrast of
the target cannot be predicted from the source. Changing the contrast of both images together teaches the network to
keep the contrast of the source. Adding the enhancement of the source to the target itself makes pairs that differ in
enhancement alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.random import Generator

from voxlate.bundle.contrast import Line, contrast_difference
from voxlate.bundle.contrast_descriptor import SHARES, increasing_curve
from voxlate.bundle.settings import AugmentationSettings
from voxlate.volume import Array

_LEAST_ENHANCEMENT = 0.15
"""A source brighter by less than this, in relative units, differs in contrast and does not enhance; chosen by hand."""

_BEND = 0.3
"""Standard deviation of the logarithm of the slopes of a random curve. Between the T1-weighted scans of nine patients
the steps from quantile to quantile differ by about as much."""

_THINNEST_SLICE, _THICKEST_SLICE = 2, 7
"""In voxels. Slices of clinical 2-D protocols are up to 7 mm apart, and the models are trained on voxels of 1 mm."""


@dataclass(frozen=True)
class Pair:
    """A source and a target in relative units on the RAS+ grid, a window or the whole.

    Attributes:
        source, target: (i, j, k), float32.
        weight: (i, j, k), of each voxel in the loss; zero where one of the images shows no brain.
        line: slope and intercept that bring the source to the target's contrast; see
            `voxlate.bundle.contrast.contrast_line`.
        more: (n, i, j, k), additional sources; a missing one is zero.
        contrasts: (2, n), quantiles of source and target in the whole brain; see `ContrastDescriptor`.
    """

    source: Array
    target: Array
    weight: Array
    line: Line
    more: Array = field(default_factory=lambda: np.zeros((0, 1, 1, 1), dtype=np.float32))
    contrasts: Array = field(default_factory=lambda: np.zeros((2, len(SHARES)), dtype=np.float32))

    def difference(self) -> Array:
        """Returns source minus target, (i, j, k), at the contrast of the target; zero where the weight is zero."""
        return contrast_difference(self.source, self.target, self.weight > 0, self.line)


def augment(pair: Pair, settings: AugmentationSettings, random: Generator) -> Pair:
    """Returns a varied copy of a pair; voxels of zero, which are air, stay zero.

    The order of the random numbers is part of what a seed gives.

    Args:
        pair: not changed.
        settings: how much is varied.
        random: a generator of its own for each window.
    """
    source, target = pair.source, pair.target
    of_source, of_target = pair.contrasts
    kind = random.random()
    if kind < settings.unenhanced + settings.graft:
        of_source = of_target  # enhancement is in few voxels and hardly moves the quantiles
    if kind < settings.unenhanced:
        source = target
    elif kind < settings.unenhanced + settings.graft:
        source = target + random.uniform(0.5, 1.5) * enhancement(pair)
    is_mirrored = random.random() < settings.flip
    turns = int(random.integers(4)) if settings.quarter_turns else 0
    source, target, weight, more = (_turn(x, turns, is_mirrored) for x in (source, target, pair.weight, pair.more))
    exponent = _exponent(settings.contrast, random)
    own = _exponent(settings.source_contrast, random)
    source, target = power(source, exponent * own), power(target, exponent)
    contrasts = np.stack([power(of_source, exponent * own), power(of_target, exponent)])
    if settings.target_curve and random.random() < settings.target_curve:
        target, contrasts[1] = bent(target, contrasts[1], random)
    bias = smooth_field(source.shape, settings.bias, random) * _gain(settings, random)
    source = _seen(source, bias, settings, random)
    varied = [_vary_alone(each, bias, settings, random) for each in more]
    more = np.stack(varied) if varied else more
    target *= bias
    if settings.slices and random.random() < settings.slices:
        along = int(random.integers(3))
        parts = int(random.integers(_THINNEST_SLICE, _THICKEST_SLICE + 1))
        first = int(random.integers(parts))
        source, target, *others = (thick_slices(x, along, parts, first) for x in (source, target, *more))
        more = np.stack(others) if others else more
    return replace(pair, source=source, target=target, weight=weight, more=more, contrasts=contrasts)


def thick_slices(image: Array, axis: int, parts: int, first: int) -> Array:
    """Returns an image averaged over thick slices and interpolated linearly between their centres; zeros stay zero.

    Voxels of zero, which are air or outside the brain, count neither in the mean of a slice nor between slices.

    Args:
        image: (i, j, k), a window.
        axis: across the slices.
        parts: thickness of a slice, in voxels.
        first: number of voxels of the window's first slice that lie outside the window, below `parts`.
    """
    size = image.shape[axis]
    number = (np.arange(size) + first) // parts
    average = (number == np.arange(number[-1] + 1)[:, None]).astype(np.float32)
    centre = np.arange(len(average)) * parts + (parts - 1) / 2 - first
    distance = np.abs(np.clip(np.arange(size), centre[0], centre[-1])[:, None] - centre)
    between = np.maximum(1 - distance / parts, 0).astype(np.float32)
    moved = np.moveaxis(image, axis, 0)
    inside = (moved != 0).astype(np.float32)
    count = np.tensordot(average, inside, 1)
    means = np.tensordot(average, moved, 1) / np.maximum(count, 1)
    share = np.tensordot(between, (count > 0).astype(np.float32), 1)
    smooth = np.tensordot(between, means, 1) / np.maximum(share, np.float32(1e-6))
    return np.ascontiguousarray(np.moveaxis(np.where(inside > 0, smooth, 0), 0, axis), dtype=np.float32)


def bent(image: Array, contrast: Array, random: Generator) -> tuple[Array, Array]:
    """Returns an image after a random increasing intensity curve, and its quantiles after it; the median stays 1.

    Args:
        image: (i, j, k), in units of its median; voxels of zero stay zero.
        contrast: (n,), quantiles of the whole brain at `SHARES`.
        random: draws the curve.
    """
    steps = np.diff(contrast, prepend=0) * np.exp(_BEND * random.standard_normal(len(contrast)))
    new = np.cumsum(steps)
    new /= new[SHARES.index(0.5)]
    changed, _ = increasing_curve(image, contrast, new)
    return changed.astype(np.float32), new.astype(np.float32)


def _exponent(strength: float, random: Generator) -> float:
    """Returns a random exponent from 1 / (1 + strength) to 1 + strength."""
    return float(np.exp(random.uniform(-1, 1) * np.log1p(strength)))


def _gain(settings: AugmentationSettings, random: Generator) -> np.float32:
    """Returns a random factor, in single precision so that images multiplied by it stay in single precision."""
    return np.float32(np.exp(random.normal(0, settings.gain)))


def _turn(image: Array, turns: int, is_mirrored: bool) -> Array:
    """Returns the last three axes mirrored along the first and turned in the plane of the first two."""
    mirrored = image[..., ::-1, :, :] if is_mirrored else image
    return np.ascontiguousarray(np.rot90(mirrored, turns, axes=(-3, -2)))


def _seen(image: Array, bias: Array, settings: AugmentationSettings, random: Generator) -> Array:
    """Returns a source (i, j, k) times a bias field and a gain, plus noise and an offset; voxels of zero stay zero."""
    noise = np.float32(random.uniform(0, settings.noise)) * random.standard_normal(image.shape, dtype=np.float32)
    seen: Array = image * bias
    seen *= _gain(settings, random)
    seen += noise
    if settings.offset:
        seen += np.float32(random.uniform(-settings.offset, settings.offset))
    seen *= image != 0
    return seen


def _vary_alone(image: Array, bias: Array, settings: AugmentationSettings, random: Generator) -> Array:
    """Returns an additional source (i, j, k) varied on its own, or zeros with probability `drop_source`."""
    if random.random() < settings.drop_source:
        return np.zeros_like(image)
    return _seen(power(image, _exponent(settings.contrast, random)), bias, settings, random)


def power(image: Array, exponent: float) -> Array:
    """Returns sign(v) |v|^exponent for each voxel v: the reference level 1 stays 1, the contrast around it changes.

    Args:
        image: of any shape, float32.
        exponent: above 0, so that 0 stays 0; 1 changes nothing.
    """
    if exponent == 1:
        return image.copy()
    result: Array = np.abs(image)
    with np.errstate(divide="ignore"):  # the logarithm of 0 is minus infinity, which the exponential takes back to 0
        np.log(result, out=result)
    result *= np.float32(exponent)
    np.exp(result, out=result)  # in single precision, logarithm and exponential are five times as fast as numpy's power
    return np.copysign(result, image, out=result)


def smooth_field(shape: tuple[int, ...], strength: float, random: Generator) -> Array:
    """Returns a bias field exp(g), with g a plane that is 0 at the centre of the window.

    Args:
        shape: of the window.
        strength: largest difference of g across the window along each axis.
        random: draws the slopes.
    """
    field: Array = np.ones((1,) * len(shape), dtype=np.float32)
    for axis, size in enumerate(shape):  # the exponential of a plane is a product of one factor for each axis
        ramp = np.linspace(-0.5, 0.5, size, dtype=np.float32) * np.float32(random.uniform(-strength, strength))
        field = field * np.exp(ramp).reshape([-1 if other == axis else 1 for other in range(len(shape))])
    return field


def enhancement(pair: Pair) -> Array:
    """Returns by how much the source is brighter than its contrast explains, (i, j, k), in relative units, or zero."""
    excess = pair.difference()
    return np.where(excess > _LEAST_ENHANCEMENT, excess, 0).astype(np.float32)
