"""Artefacts: shading, motion, Gibbs ringing, noise, echo-planar distortion, thick slices, a cropped field of view.

Images are float32 (i, j, k) with isotropic voxels, axes in RAS order.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import fft, ndimage

from voxlate.errors import UsageError
from voxlate.simulation.anatomy.shapes import Points, rotation
from voxlate.simulation.checks import require_not_negative
from voxlate.simulation.random_fields import spline_field
from voxlate.volume import Affine, Array, Mask, Shape, Volume


@dataclass(frozen=True)
class Pose:
    """A rigid displacement of a head.

    Attributes:
        shift_mm: translation along x, y, z.
        turn_deg: rotation about x, y, z through the centre of the grid.
    """

    shift_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)
    turn_deg: tuple[float, float, float] = (0.0, 0.0, 0.0)

    @classmethod
    def drawn(cls, rng: np.random.Generator, shift_mm: float, turn_deg: float) -> Pose:
        """Returns a pose with normal components.

        Args:
            rng: generator of the components.
            shift_mm: standard deviation of the translation along each axis.
            turn_deg: standard deviation of the rotation about each axis.
        """
        x, y, z = rng.normal(0, shift_mm, 3) if shift_mm else np.zeros(3)
        a, b, c = rng.normal(0, turn_deg, 3) if turn_deg else np.zeros(3)
        return cls((float(x), float(y), float(z)), (float(a), float(b), float(c)))

    def matrix(self, shape: Shape, spacing_mm: float) -> Affine:
        """Returns the (4, 4) map from voxel indices of the moved image to those of the image at rest.

        Args:
            shape: voxels along each axis.
            spacing_mm: isotropic voxel size.
        """
        centre = (np.asarray(shape) - 1) / 2
        turn = rotation(self.turn_deg).T
        result = np.eye(4)
        result[:3, :3] = turn
        result[:3, 3] = centre - turn @ (centre + np.asarray(self.shift_mm) / spacing_mm)
        return result


def shading(shape: Shape, amplitude: float, rng: np.random.Generator) -> Array:
    """Returns a smooth positive factor, float32 of `shape`, without unit.

    Args:
        shape: voxels along each axis.
        amplitude: range of its logarithm, which has a mean of zero and stays within ± `amplitude` / 2.
        rng: generator of the (5, 5, 5) control points of its splines.

    Raises:
        UsageError: `AMPLITUDE_NEGATIVE`.
    """
    require_not_negative("AMPLITUDE_NEGATIVE", amplitude=amplitude)
    waves = spline_field(rng.standard_normal((5, 5, 5), dtype=np.float32), shape)
    waves -= waves.mean()
    scaled = waves * np.float32(amplitude / 2 / max(float(np.abs(waves).max()), 1e-6))
    return np.asarray(np.exp(scaled), dtype=np.float32)


def add_rician_noise(image: Array, sigma: float, rng: np.random.Generator) -> Array:
    """Returns |image + n1 + i n2|, where n1 and n2 are normal, so that E[S²] = image² + 2 sigma².

    Args:
        image: signal without noise, of any shape.
        sigma: standard deviation of n1 and of n2, in the unit of the image.
        rng: generator of the noise.

    Raises:
        UsageError: `NOISE_NEGATIVE`.
    """
    require_not_negative("NOISE_NEGATIVE", sigma=sigma)
    if sigma == 0:
        return image
    real = rng.standard_normal(image.shape, dtype=np.float32)
    real *= np.float32(sigma)
    real += image
    imaginary = rng.standard_normal(image.shape, dtype=np.float32)
    imaginary *= np.float32(sigma)
    return np.hypot(real, imaginary)


def apply_pose(image: Array, pose: Pose, spacing_mm: float, bend_mm: Array | None = None) -> Array:
    """Returns the image of a head in another pose, interpolated by cubic splines; the border values extend outwards.

    Args:
        image: (i, j, k), head at rest.
        pose: rigid displacement.
        spacing_mm: isotropic voxel size.
        bend_mm: (3, i, j, k), non-rigid displacement in mm that is added, or None.
    """
    matrix = pose.matrix(_shape(image), spacing_mm)
    if bend_mm is None:
        return np.asarray(
            ndimage.affine_transform(image, matrix[:3, :3], matrix[:3, 3], order=3, mode="nearest", output=np.float32)
        )
    # Cubic splines are slow, and the air around a head, half of the grid, stays air.
    near = ndimage.binary_dilation(_coarse(image != 0), iterations=2).repeat(4, 0).repeat(4, 1).repeat(4, 2)
    index = np.nonzero(near[: image.shape[0], : image.shape[1], : image.shape[2]])
    points = [
        sum(np.float32(row[a]) * index[a] for a in range(3)) + np.float32(row[3]) + bend[index] / np.float32(spacing_mm)
        for row, bend in zip(matrix[:3], bend_mm, strict=True)
    ]
    moved = np.zeros(image.shape, np.float32)
    moved[index] = ndimage.map_coordinates(image, points, order=3, mode="nearest", output=np.float32)
    return moved


def _coarse(mask: Mask) -> Mask:
    """Returns whether any voxel of each cube of 4 x 4 x 4 is set; the last cubes along an axis may be smaller."""
    padded = np.pad(mask, [(0, -n % 4) for n in mask.shape])
    i, j, k = (n // 4 for n in padded.shape)
    return np.asarray(padded.reshape(i, 4, j, 4, k, 4).any(axis=(1, 3, 5)), dtype=np.bool_)


def random_displacement(shape: Shape, amplitude_mm: float, rng: np.random.Generator) -> Array:
    """Returns a smooth random displacement in mm, float32 (3, i, j, k).

    Args:
        shape: i, j and k.
        amplitude_mm: standard deviation over the voxels along each axis.
        rng: generator of the (7, 7, 7) control points of its splines.
    """
    fields = [spline_field(rng.standard_normal((7, 7, 7), dtype=np.float32), shape) for _ in range(3)]
    return np.stack([field * np.float32(amplitude_mm / max(float(field.std()), 1e-6)) for field in fields])


def add_motion(image: Array, poses: list[Pose], spacing_mm: float, rng: np.random.Generator) -> Array:
    """Returns an image whose k-space was acquired in segments while the head held different poses.

    A segment is a random range of lines along the second axis. The central 12 % of the lines stay with the head at
    rest, as motion there would move the whole image.

    Args:
        image: (i, j, k), head at rest.
        poses: pose of the head in each segment.
        spacing_mm: isotropic voxel size.
        rng: generator of the start and length of the segments.
    """
    if not poses:
        return image
    lines = image.shape[1]
    spectrum = fft.fftn(image.astype(np.complex64))
    order = fft.ifftshift(np.arange(lines))
    quiet = int(0.06 * lines)
    free = np.array([line for line in range(lines) if abs(line - lines // 2) > quiet])
    starts = np.sort(rng.choice(free, size=min(len(poses), free.size), replace=False))
    for pose, begin in zip(poses, starts, strict=False):
        stop = begin + int(rng.integers(max(lines // 40, 1), max(lines // 8, 2) + 1))
        taken = [line for line in range(begin, min(stop, lines)) if abs(line - lines // 2) > quiet]
        columns = np.flatnonzero(np.isin(order, taken))
        other = fft.fftn(apply_pose(image, pose, spacing_mm).astype(np.complex64))
        spectrum[:, columns] = other[:, columns]
    return np.abs(fft.ifftn(spectrum)).astype(np.float32)


def truncate_kspace(image: Array, kept: tuple[float, float, float]) -> Array:
    """Returns the image without its highest spatial frequencies, which gives Gibbs ringing; negative values become 0.

    Args:
        image: (i, j, k).
        kept: fraction of k-space that is kept along each axis, above 0 to 1.

    Raises:
        UsageError: `KSPACE_PART` when a part is not in 0 to 1.
    """
    if not all(0 < part <= 1 for part in kept):
        raise UsageError("KSPACE_PART", f"the fraction of k-space that is kept must be above 0 to 1 and is {kept}")
    result: Array = image
    for axis, part in enumerate(kept):
        if part < 1:
            spectrum = fft.rfft(result, axis=axis)
            highest = int(np.ceil(part * (spectrum.shape[axis] - 1)))
            spectrum[(slice(None),) * axis + (slice(highest + 1, None),)] = 0
            result = fft.irfft(spectrum, n=image.shape[axis], axis=axis).astype(np.float32)
    return np.maximum(result, 0)


def susceptibility_shift(points: Points, largest_mm: float) -> Array:
    """Returns the displacement of an echo-planar image along y in mm, float32 of the points' shape.

    It is largest above the paranasal sinuses and has the opposite sign above the ears. Position and width of both
    regions were chosen by hand.

    Args:
        points: x, y and z in template mm.
        largest_mm: largest displacement.

    Raises:
        UsageError: `AMPLITUDE_NEGATIVE`.
    """
    require_not_negative("AMPLITUDE_NEGATIVE", largest=largest_mm)
    x, y, z = np.abs(points[0]), points[1], points[2]
    front = np.exp(-((x / 24) ** 2 + ((y - 66) / 26) ** 2 + ((z + 30) / 16) ** 2) / 2)
    ear = np.exp(-(((x - 52) / 16) ** 2 + ((y + 14) / 20) ** 2 + ((z + 42) / 12) ** 2) / 2)
    return np.asarray(largest_mm * (front - 0.6 * ear), dtype=np.float32)


def distort_along_echo(image: Array, shift_mm: Array, spacing_mm: float) -> Array:
    """Returns an echo-planar image distorted along the second axis, brighter where the signal is compressed.

    The signal at y comes from y + shift(y), times 1 + d shift / dy, so that the sum along y stays (Jezzard 1995).

    Args:
        image: (i, j, k), without distortion.
        shift_mm: displacement in mm, of the image's shape.
        spacing_mm: isotropic voxel size.
    """
    points = np.indices(image.shape, dtype=np.float32)
    points[1] += shift_mm / np.float32(spacing_mm)
    squeezed = 1 + np.gradient(shift_mm, spacing_mm, axis=1)
    values = ndimage.map_coordinates(image, points, order=1, mode="nearest", output=np.float32)
    return np.asarray(values * np.maximum(squeezed, 0), dtype=np.float32)


def thick_slices(volume: Volume, slice_mm: float, gap_mm: float) -> Volume:
    """Returns thick slices along the third axis; each is the mean of the voxels that it covers.

    Args:
        volume: volume with thin slices.
        slice_mm: thickness of a slice.
        gap_mm: gap between slices.

    Raises:
        UsageError: `SLICES_THIN` when a slice is thinner than a voxel or the gap is negative.
    """
    spacing = volume.spacing_mm[2]
    if slice_mm < spacing or gap_mm < 0:
        raise UsageError(
            "SLICES_THIN",
            f"slices of {slice_mm:g} mm with gaps of {gap_mm:g} mm cannot be made from voxels of {spacing:g} mm",
        )
    count = int((volume.data.shape[2] * spacing - slice_mm) // (slice_mm + gap_mm)) + 1
    starts = np.arange(count) * (slice_mm + gap_mm) / spacing
    data = np.stack([_slab_mean(volume.data, start, slice_mm / spacing) for start in starts], axis=2)
    affine = np.array(volume.affine)
    affine[:3, 3] += affine[:3, 2] * ((slice_mm / spacing - 1) / 2)
    affine[:3, 2] *= (slice_mm + gap_mm) / spacing
    return Volume(data, affine, volume.shows, volume.stored_dtype)


def crop_field_of_view(volume: Volume, axis: int, low_mm: float, high_mm: float) -> Volume:
    """Returns a volume whose field of view is shorter along one axis.

    Args:
        volume: whole volume.
        axis: 0 to 2.
        low_mm: length removed at the low end of the axis.
        high_mm: length removed at the high end.

    Raises:
        UsageError: `FIELD_OF_VIEW` when nothing would be left.
    """
    spacing = volume.spacing_mm[axis]
    first, last = round(low_mm / spacing), volume.data.shape[axis] - round(high_mm / spacing)
    if last - first < 1 or low_mm < 0 or high_mm < 0:
        raise UsageError(
            "FIELD_OF_VIEW", f"removing {low_mm:g} and {high_mm:g} mm leaves no voxel along axis {axis}; remove less"
        )
    affine = np.array(volume.affine)
    affine[:3, 3] += affine[:3, axis] * first
    kept = volume.data.take(range(first, last), axis=axis)
    return Volume(kept, affine, volume.shows, volume.stored_dtype)


def _slab_mean(data: Array, start: float, length: float) -> Array:
    """Returns the mean, (i, j), over a range of the third axis, in voxels, that may begin and end within a voxel."""
    first, last = int(start), min(int(np.ceil(start + length)), data.shape[2])
    edges = np.arange(first, last, dtype=np.float64)
    weights = np.clip(np.minimum(edges + 1, start + length) - np.maximum(edges, start), 0, 1)
    shares = (weights / weights.sum()).astype(np.float32)
    return np.asarray(np.einsum("ijk,k->ij", data[:, :, first:last], shares), dtype=np.float32)


def _shape(image: Array) -> Shape:
    i, j, k = image.shape
    return i, j, k
