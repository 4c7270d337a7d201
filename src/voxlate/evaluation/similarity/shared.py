"""What the metrics of one case share: a target is filtered, binned and transformed once for all compared images.

`Target` holds the target's side of every metric, `Comparison` that of one image; each quantity is computed when a
metric first asks for it, and kept as long as its object. The values are those of the functions of this package.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from voxlate.errors import InputRefused
from voxlate.evaluation.similarity.arrays import Image, require_comparable, require_range
from voxlate.evaluation.similarity.information import Binned, shared_information
from voxlate.evaluation.similarity.moments import GAUSSIAN, JointMoments, LocalMoments, Place
from voxlate.evaluation.similarity.pointwise import Errors
from voxlate.evaluation.similarity.sharpness import Detail, gradients, mean_difference, ratio_of
from voxlate.evaluation.similarity.structural import Scales, over_scales
from voxlate.volume import Mask

MS_SSIM_SCALES = 3
"""Wang's five scales need 11 voxels at a sixteenth of the resolution, more than a head has; three scales fit."""


class Target:
    """A target and its mask, with what metrics need of them.

    Local moments are computed in double precision, as all images of a case share those of its target.

    Args:
        image: (i, j) or (i, j, k), the target.
        mask: of the same shape, compared voxels.

    Attributes:
        image: the target.
        mask: the compared voxels.

    Raises:
        InputRefused: `GRID_MISMATCH`, `DIMENSIONS`, `EMPTY_MASK`.
    """

    def __init__(self, image: Image, mask: Mask) -> None:
        require_comparable(image, image, mask)
        self.image, self.mask = image, mask

    @cached_property
    def values(self) -> NDArray[np.float64]:
        """Returns the compared voxels, a vector.

        Raises:
            InputRefused: `NON_FINITE`.
        """
        return self.voxels_of(self.image)

    @cached_property
    def place(self) -> Place:
        """Returns where local moments are taken.

        Raises:
            InputRefused: `TOO_SMALL` when the image is narrower than the window.
        """
        GAUSSIAN.require_fit(self.image.shape)
        return Place.of(self.mask, self.image.ndim)

    @cached_property
    def moments(self) -> LocalMoments:
        """Returns the local moments of the target."""
        return self.place.moments(self.image, dtype=np.float64)

    @cached_property
    def scales(self) -> Scales:
        """Returns the scales of MS-SSIM.

        Raises:
            InputRefused: as `Scales.of`.
        """
        return Scales.of(self.mask, self.image.shape, MS_SSIM_SCALES)

    @cached_property
    def coarser(self) -> list[LocalMoments]:
        """Returns the local moments of the target at the coarser scales."""
        return list(self.scales.moments(self.image, first=1, dtype=np.float64))

    @cached_property
    def binned(self) -> Binned:
        """Returns the bins of the compared voxels."""
        return Binned.of(self.values)

    @cached_property
    def gradients(self) -> Image:
        """Returns the lengths of the gradient at the compared voxels, a vector."""
        return gradients(self.image, self.mask)

    @cached_property
    def detail(self) -> Detail:
        """Returns the measure of fine detail in the mask."""
        return Detail(self.mask)

    @cached_property
    def detail_share(self) -> float | None:
        """Returns the target's share of fine detail; None when it is constant."""
        return self.detail.share(self.image)

    def voxels_of(self, image: Image) -> NDArray[np.float64]:
        """Returns the compared voxels of an image of the target's shape, a vector.

        Raises:
            InputRefused: `NON_FINITE` when one of them is NaN or infinite.
        """
        values = image[self.mask].astype(np.float64)
        bad = int(np.count_nonzero(~np.isfinite(values)))
        if bad:
            raise InputRefused("NON_FINITE", f"{bad} of the compared voxels are NaN or infinite")
        return values


class Comparison:
    """An image beside its target, with what metrics need of both.

    Args:
        image: of the shape and unit of the target.
        target: shared by all images that are compared with it.
        data_range: L, in the unit of the images.

    Attributes:
        image: the compared image.
        target: its target.
        data_range: L.

    Raises:
        InputRefused: `GRID_MISMATCH`.
        UsageError: `DATA_RANGE`.
    """

    def __init__(self, image: Image, target: Target, data_range: float) -> None:
        require_comparable(image, target.image)
        require_range(data_range)
        self.image, self.target, self.data_range = image, target, data_range

    @cached_property
    def values(self) -> NDArray[np.float64]:
        """Returns the compared voxels of the image, a vector.

        Raises:
            InputRefused: `NON_FINITE`.
        """
        return self.target.voxels_of(self.image)

    @cached_property
    def errors(self) -> Errors:
        """Returns the errors of the compared voxels."""
        return Errors(self.values - self.target.values)

    @cached_property
    def moments(self) -> JointMoments:
        """Returns the local moments of image and target.

        Raises:
            InputRefused: `TOO_SMALL` when the image is narrower than the window.
        """
        return JointMoments(self.target.place.moments(self.image, dtype=np.float64), self.target.moments)

    @cached_property
    def ssim_values(self) -> Image:
        """Returns the SSIM of each compared voxel, a vector.

        Raises:
            InputRefused: as `moments`.
        """
        return self.moments.ssim(self.data_range)

    def ssim(self) -> float:
        """Returns the value of `ssim`."""
        return float(self.ssim_values.mean())

    def ssim_at(self, chosen: NDArray[np.bool_]) -> float:
        """Returns the mean SSIM of some of the compared voxels.

        Args:
            chosen: (voxels,), at least one.
        """
        return float(self.ssim_values[chosen].mean())

    def ms_ssim(self) -> float:
        """Returns the value of `ms_ssim` with `MS_SSIM_SCALES` scales."""
        coarser = self.target.scales.moments(self.image, first=1, dtype=np.float64)
        joint = [self.moments, *map(JointMoments, coarser, self.target.coarser)]
        return over_scales(joint, MS_SSIM_SCALES, self.data_range)

    def local_correlation(self) -> float:
        """Returns the value of `local_correlation`."""
        return float(self.moments.correlation().mean())

    def nmi(self) -> float:
        """Returns the value of `nmi`."""
        return shared_information(Binned.of(self.values), self.target.binned)

    def gradient_error(self) -> float:
        """Returns the value of `gradient_error`."""
        return mean_difference(gradients(self.image, self.target.mask), self.target.gradients)

    def sharpness_ratio(self) -> float:
        """Returns the value of `sharpness_ratio`."""
        return ratio_of(self.target.detail.share(self.image), self.target.detail_share)
