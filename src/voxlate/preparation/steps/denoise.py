"""Removes noise by anisotropic diffusion, which smooths within tissues and keeps edges.

Gerig et al., IEEE TMI 1992;11:221, with the conductance of Perona and Malik (IEEE PAMI 1990;12:629), as SimpleITK
computes it.
"""

from __future__ import annotations

from voxlate.preparation.libraries import library
from voxlate.preparation.sitk import from_image, to_image
from voxlate.volume import Volume

_ITERATIONS = 5  # Gerig et al. used 3 to 5
_CONDUCTANCE = 1.0
"""Edges above this many times the mean gradient of the image are kept; the default of ITK is 1."""

_MOST_STABLE_STEP = 1 / 16
"""Largest stable time step of three-dimensional diffusion, times the smallest voxel size (ITK: 1 / 2^(3 + 1))."""


def denoised(volume: Volume) -> Volume:
    """Returns a scan without most of its noise, on the same grid and in the same units.

    A constant image is unchanged. This step has no inverse.

    Args:
        volume: (i, j, k).

    Raises:
        MissingLibrary: `MISSING_LIBRARY`.
    """
    image = library("SimpleITK").GradientAnisotropicDiffusion(
        to_image(volume),
        timeStep=min(volume.spacing_mm) * _MOST_STABLE_STEP,
        conductanceParameter=_CONDUCTANCE,
        numberOfIterations=_ITERATIONS,
    )
    return from_image(image, volume)
