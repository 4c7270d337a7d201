"""Local moments: mean, variance and covariance in a window around each voxel.

With weights w of the window that sum to 1, x an image and y its target:

    μx = Σ w x        σx² = Σ w x² − μx²        σxy = Σ w x y − μx μy

SSIM, MS-SSIM and local correlation are functions of these five maps. The moments of a target serve every image that is
compared with it (`shared.Target`); an image adds its own and the covariance. Only the voxels that a metric averages are
kept, so that all that follows the filters is done for the mask and not for its box.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import DTypeLike
from scipy import ndimage

from voxlate.errors import InputRefused
from voxlate.evaluation.similarity.arrays import Image
from voxlate.evaluation.similarity.gaussian import gaussian_mean
from voxlate.volume import Mask, box_of

SIGMA, GAUSSIAN_RADIUS = 1.5, 5
"""Wang 2004: a Gaussian of sigma 1.5 in a window of 11."""

UNIFORM_RADIUS = 3
"""A window of 7, the default of scikit-image, which SynthRAD uses."""

_LEAST_VARIANCE = 1e-12
"""Product of two local variances, relative to that of both mean squares: less is rounding error of a constant."""


@dataclass(frozen=True)
class Window:
    """Neighbourhood over which local means are taken.

    Attributes:
        shape: `gaussian` (sigma 1.5, 11 voxels wide) or `uniform` (7 wide).
        slice_axis: axis along which the window has no extent; None for a window in all dimensions.
        is_sample: whether variances are divided by N−1, as in scikit-image by default, and not by N.
    """

    shape: Literal["gaussian", "uniform"] = "gaussian"
    slice_axis: int | None = None
    is_sample: bool = False

    @property
    def radius(self) -> int:
        """Returns the number of voxels from the centre of the window to its edge."""
        return GAUSSIAN_RADIUS if self.shape == "gaussian" else UNIFORM_RADIUS

    def axes(self, ndim: int) -> tuple[int, ...]:
        """Returns the axes along which the window has an extent."""
        skipped = None if self.slice_axis is None else self.slice_axis % ndim
        return tuple(axis for axis in range(ndim) if axis != skipped)

    def mean(self, array: Image) -> Image:
        """Returns the weighted mean around each voxel, an array of the same shape and type."""
        axes = self.axes(array.ndim)
        if self.shape == "gaussian":
            return gaussian_mean(array, SIGMA, radius=self.radius, axes=axes)
        return np.asarray(ndimage.uniform_filter(array, 2 * self.radius + 1, axes=axes))

    def covariance_factor(self, ndim: int) -> float:
        """Returns N/(N−1) for sample variances, else 1."""
        count = (2 * self.radius + 1) ** len(self.axes(ndim))
        return count / (count - 1) if self.is_sample else 1.0

    def interior(self, ndim: int) -> tuple[slice, ...]:
        """Returns the part of an image, as slices, in which the whole window lies within the image."""
        axes = self.axes(ndim)
        return tuple(slice(self.radius, -self.radius) if axis in axes else slice(None) for axis in range(ndim))

    def require_fit(self, shape: tuple[int, ...]) -> None:
        """Refuses an image of a shape that is narrower than the window.

        Raises:
            InputRefused: `TOO_SMALL`.
        """
        width = 2 * self.radius + 1
        if min(shape[axis] for axis in self.axes(len(shape))) < width:
            raise InputRefused("TOO_SMALL", f"an image of {shape} is narrower than the {width} voxels of the window")


GAUSSIAN = Window()


@dataclass(frozen=True)
class Place:
    """Where local moments are taken.

    Attributes:
        box: part of an image that holds the chosen voxels and their windows, one slice per axis.
        chosen: chosen voxels of the box, as a mask of its shape or as slices.
        window: of the moments.
    """

    box: tuple[slice, ...]
    chosen: Mask | tuple[slice, ...]
    window: Window = GAUSSIAN

    @classmethod
    def everywhere(cls, ndim: int, window: Window = GAUSSIAN) -> Place:
        """Returns all voxels of an image of `ndim` dimensions."""
        whole = (slice(None),) * ndim
        return cls(whole, whole, window)

    @classmethod
    def of(cls, mask: Mask | None, ndim: int, window: Window = GAUSSIAN) -> Place:
        """Returns the voxels of a mask; without one, those whose window lies within the image.

        Args:
            mask: of the shape of the image, not empty.
            ndim: dimensions of the image.
            window: of the moments.
        """
        if mask is None:
            return cls((slice(None),) * ndim, window.interior(ndim), window)
        box = box_of(mask, window.radius)
        return cls(box, mask[box], window)

    def moments(self, image: Image, *, dtype: DTypeLike | None = None) -> LocalMoments:
        """Returns the local moments of an image at the chosen voxels.

        Args:
            image: of the shape that the place was made for.
            dtype: type in which they are computed; None for that of the image.
        """
        part = image[self.box] if dtype is None else image[self.box].astype(dtype)
        level = float(part[self.chosen].mean(dtype=np.float64))
        centred = part - part.dtype.type(level)
        mean, square = (self.window.mean(each)[self.chosen] for each in (centred, centred * centred))
        variance = self.window.covariance_factor(image.ndim) * (square - mean * mean)
        return LocalMoments(self, centred, level, mean, variance, float(np.square(part).mean(dtype=np.float64)))


@dataclass(frozen=True)
class LocalMoments:
    """Local moments of one image.

    The level is taken off first, so that small variances around a high level are not lost in single precision.

    Attributes:
        place: box, chosen voxels and window.
        centred: the image in the box, less its level.
        level: mean of the chosen voxels.
        mean: local mean of `centred` at the chosen voxels.
        variance: local variance at the chosen voxels.
        power: mean square of the image in the box.
    """

    place: Place
    centred: Image
    level: float
    mean: Image
    variance: Image
    power: float

    def of_intensities(self) -> Image:
        """Returns the local mean of the image itself at the chosen voxels."""
        return self.mean + self.mean.dtype.type(self.level)


@dataclass(frozen=True)
class JointMoments:
    """Local moments of an image and its target, taken at the same place.

    Attributes:
        image: moments of the image.
        target: moments of the target.
    """

    image: LocalMoments
    target: LocalMoments

    @cached_property
    def covariance(self) -> Image:
        """Returns the local covariance at the chosen voxels."""
        place = self.target.place
        product = place.window.mean(self.image.centred * self.target.centred)[place.chosen]
        factor = place.window.covariance_factor(self.target.centred.ndim)
        return np.asarray(factor * (product - self.image.mean * self.target.mean))

    def structure(self, data_range: float) -> Image:
        """Returns contrast times structure of the SSIM at the chosen voxels.

        Args:
            data_range: L, in the unit of the images.
        """
        c2 = (0.03 * data_range) ** 2
        return np.asarray((2 * self.covariance + c2) / (self.image.variance + self.target.variance + c2))

    def luminance(self, data_range: float) -> Image:
        """Returns the luminance of the SSIM at the chosen voxels.

        Args:
            data_range: L, in the unit of the images.
        """
        c1 = (0.01 * data_range) ** 2
        x, y = self.image.of_intensities(), self.target.of_intensities()
        return np.asarray((2 * x * y + c1) / (x * x + y * y + c1))

    def ssim(self, data_range: float) -> Image:
        """Returns the SSIM at the chosen voxels.

        Args:
            data_range: L, in the unit of the images.
        """
        return self.luminance(data_range) * self.structure(data_range)

    def correlation(self) -> Image:
        """Returns Pearson's r in the window of each chosen voxel; 0 where one of the images is constant."""
        variance = self.image.variance.clip(0) * self.target.variance.clip(0)
        is_varied = variance > _LEAST_VARIANCE * self.image.power * self.target.power
        out = np.zeros_like(self.covariance)
        return np.asarray(np.divide(self.covariance, np.sqrt(variance), out=out, where=is_varied))
