"""Computed tomography: blur, noise, cupping and streaks of a scanner, in Hounsfield units (HU).

Ranges of the settings are priors chosen for this project, typical of CT of the head.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import fft, ndimage

from voxlate.simulation.checks import require_not_negative
from voxlate.simulation.physics import artefacts
from voxlate.simulation.physics.artefacts import Pose
from voxlate.volume import Array, Shape

LOWEST_HU, HIGHEST_HU = -1024.0, 3071.0
"""Range of the 12 bits in which scanners store CT."""
_FWHM_PER_SIGMA = 2.3548  # of a Gaussian: 2 sqrt(2 ln 2)


@dataclass(frozen=True)
class CtSettings:
    """Settings of the acquisition of one CT.

    Attributes:
        blur_mm: full width at half maximum of the point spread function.
        noise_hu: standard deviation of the noise.
        cupping_hu: how much lower the centre is than the edge (beam hardening).
        streak_hu: amplitude of the streaks between the petrous bones.
        pose: pose of the head relative to the truth.
    """

    blur_mm: float
    noise_hu: float
    cupping_hu: float
    streak_hu: float
    pose: Pose


def draw_ct_settings(rng: np.random.Generator, *, is_reference: bool) -> CtSettings:
    """Returns random settings of one CT.

    Args:
        rng: generator of all draws.
        is_reference: whether the truth is aligned with this image, which then has no pose.
    """
    pose = Pose.drawn(rng, 0.3, 0.3)
    return CtSettings(
        blur_mm=float(rng.uniform(0.6, 1.0)),
        noise_hu=float(rng.uniform(3.0, 5.0)),
        cupping_hu=float(rng.uniform(-3.0, 3.0)),
        streak_hu=float(rng.uniform(2.0, 8.0)),
        pose=Pose() if is_reference else pose,
    )


def sigma_voxels(settings: CtSettings, spacing_mm: float) -> float:
    """Returns the standard deviation of the Gaussian point spread function in voxels of `spacing_mm`."""
    return settings.blur_mm / _FWHM_PER_SIGMA / spacing_mm


def acquire_ct(image: Array, settings: CtSettings, spacing_mm: float, rng: np.random.Generator) -> Array:
    """Returns the HU that the scanner stores: whole numbers, float32 of the image's shape.

    Args:
        image: (i, j, k), HU without blur or noise; slices along the third axis.
        settings: settings of the acquisition.
        spacing_mm: isotropic voxel size.
        rng: generator of noise and streaks.
    """
    if settings.pose != Pose():
        image = artefacts.apply_pose(image, settings.pose, spacing_mm)
    shape: Shape = image.shape[0], image.shape[1], image.shape[2]
    result = ndimage.gaussian_filter(image, sigma_voxels(settings, spacing_mm), output=np.float32)
    result += settings.cupping_hu * _cup(image)
    result += settings.streak_hu * _streaks(image, rng)
    result += blue_noise(shape, settings.noise_hu, rng)
    return np.clip(np.rint(result), LOWEST_HU, HIGHEST_HU)


def blue_noise(shape: Shape, sigma_hu: float, rng: np.random.Generator) -> Array:
    """Returns noise in HU whose amplitude rises with the in-plane frequency, as after a ramp filter; float32.

    Args:
        shape: voxels along each axis; slices along the third.
        sigma_hu: standard deviation over all voxels.
        rng: generator of the noise.

    Raises:
        UsageError: `NOISE_NEGATIVE`.
    """
    require_not_negative("NOISE_NEGATIVE", sigma=sigma_hu)
    white = rng.standard_normal(shape, dtype=np.float32)
    u, v = fft.fftfreq(shape[0])[:, None], fft.rfftfreq(shape[1])[None, :]
    radius = np.hypot(u, v)
    ramp = np.where(radius < 0.5, radius * np.cos(np.pi * np.minimum(radius, 0.5)) ** 0.5, 0)
    spectrum = fft.rfft2(white, axes=(0, 1)) * ramp[:, :, None].astype(np.float32)
    noise = fft.irfft2(spectrum, s=shape[:2], axes=(0, 1))
    return np.asarray(noise * np.float32(sigma_hu / max(float(noise.std()), 1e-9)), dtype=np.float32)


def _cup(image: Array) -> Array:
    """Returns the shape of the cupping: -1 in the centre of a slice to 0 at its edge, and 0 outside the head."""
    n, m = image.shape[:2]
    x, y = np.linspace(-1, 1, n, dtype=np.float32)[:, None], np.linspace(-1, 1, m, dtype=np.float32)[None, :]
    bowl = np.minimum(x * x + y * y, 1) - 1
    return np.asarray(np.where(image > -300, bowl[:, :, None], 0), dtype=np.float32)


def _streaks(image: Array, rng: np.random.Generator) -> Array:
    """Returns the shape of the streaks: random bands along x, of amplitude 1, through lines with much dense bone."""
    dense = np.clip((image - 900) / 600, 0, 1)
    along = dense.sum(axis=0)
    blocked = ndimage.gaussian_filter1d(along, 1.0, axis=0)
    wave = ndimage.gaussian_filter1d(rng.standard_normal(along.shape), 1.2, axis=0)
    band = (wave * np.minimum(blocked / 12.0, 1.5)).astype(np.float32)
    return np.asarray(np.where((image > -300) & (image < 300), band[None, :, :], 0), dtype=np.float32)
