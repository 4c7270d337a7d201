"""Measures the quality of a scan without training: one number each, the same for the same voxels.

Lengths are in mm, volumes in ml, shares from 0 to 1, noise in per cent of bright tissue. A measure that a scan does not
allow is NaN, such as ghosting when the air around a skull-stripped brain is constant.

Every scan has the same keys:

- `slices`, `slice_spacing_mm`, `in_plane_mm`, `anisotropy`, `field_of_view_mm`, `handedness`: geometry of the grid.
- `clipped`: share of voxels above the lowest value that have the highest value.
- `constant_air`: share of voxels that are 0, or that have the lowest value.
- `levels`: number of different values. `spike`: range of values over that of all but the highest 0.1 per cent.
- `hounsfield`: share of voxels from -1100 to -900.
- `head_ml`, `head_width_mm`, `head_length_mm`, `head_height_mm`: size of the head.
- `truncated`: largest share of the head's box that touches a border of the image other than the lower one.
- `face_missing`, `carved`: signs of defacing.
- `air_level`, `ghosting`: intensity in the air, in units of bright tissue. `entropy_focus`: see the function.
- `noise_percent`, `sharpness`, `least_sharpness`, `slice_jump`: texture within slices.
- `shading`, `contrast`: evenness of bright tissue, and spread of the values of the brain over their median.

Constants without another source were set by hand together with the limits of `voxlate.quality.rules`.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from voxlate.quality.head_mask import Head, find_head
from voxlate.volume import Array, Mask, Volume

Measures = dict[str, float]

_MAD_TO_SIGMA = 1 / 0.6745  # the median absolute value of a normal distribution is 0.6745 standard deviations
_BLOCK_MM = 30.0  # edge of a block for shading

# Spacings that differ by 5 per cent or less are rounding; the slice axis is then taken from the shape or is the third.
_ANISOTROPY = 1.05

_NEAR_HEAD_VOXELS = 3  # of about 2 mm: blur of the head's border is not air
_LEAST_AIR = 0.02  # share of the image; less air is too little to measure
_LEAST_AIR_VOXELS = 200  # for a mean
_BRIGHT = 0.35  # of the level of bright tissue: excludes air and fluid from noise and sharpness
_FILLED_SLICE = 0.3  # of the fullest slice: slices with less tissue differ in mean by anatomy
_LEAST_SLICES = 5  # for a largest step between slices
_FILLED_BLOCK = 0.9  # share of a block in the head
_LEAST_BLOCKS = 4  # for a spread between blocks


def measure(volume: Volume) -> Measures:
    """Returns every measure of a scan.

    Args:
        volume: of any orientation.

    Raises:
        InputRefused: see `find_head`.
    """
    return measures_of(find_head(volume), volume)


def measures_of(head: Head, volume: Volume) -> Measures:
    """Returns every measure of a scan.

    Args:
        head: of the scan.
        volume: the scan as it was stored.
    """
    measures: Measures = _geometry(volume) | _values(volume)
    for measures_of_part in (_extent, _background, _texture, _evenness):
        measures |= measures_of_part(head)
    return {name: float(value) for name, value in measures.items()}


def _geometry(volume: Volume) -> Measures:
    """Returns the number and spacing of slices, the field of view and the handedness of the axes."""
    spacing = np.array(volume.spacing_mm)
    axis = int(np.argmax(spacing)) if spacing.max() > _ANISOTROPY * spacing.min() else int(np.argmin(volume.data.shape))
    field = spacing * volume.data.shape
    return {
        "slices": volume.data.shape[axis],
        "slice_spacing_mm": spacing[axis],
        "in_plane_mm": np.delete(spacing, axis).max(),
        "anisotropy": spacing.max() / spacing.min(),
        "field_of_view_mm": field.min(),
        "handedness": np.sign(np.linalg.det(volume.affine[:3, :3])),
    }


def _values(volume: Volume) -> Measures:
    """Returns measures of the distribution of values: clipping, constant air, number of levels, air in HU, spikes."""
    data = volume.data
    low, high = float(data.min()), float(data.max())
    middle = data[(data > low) & (data < high)]
    spread = float(np.percentile(middle, 99.9)) - low if middle.size else 0.0
    return {
        "clipped": float((data == high).sum()) / max(int((data > low).sum()), 1),
        "constant_air": max(float((data == 0).mean()), float((data == low).mean())),
        "levels": float(np.unique(data).size),
        "hounsfield": float(((data > -1100) & (data < -900)).mean()),
        "spike": (high - low) / spread if spread > 0 else np.nan,
    }


def _extent(head: Head) -> Measures:
    """Returns the size of the head, how far the image truncates it, and signs of defacing."""
    mask, spacing = head.mask, head.coarse.spacing_mm
    box = head.box()
    size = [(part.stop - part.start) * mm for part, mm in zip(box, spacing, strict=True)]
    faces = [mask[0], mask[-1], mask[:, 0], mask[:, -1], mask[:, :, -1]]  # not the lower one, where the neck ends
    whole = [float(np.prod([box[other].stop - box[other].start for other in range(3) if other != axis]))
             for axis in (0, 0, 1, 1, 2)]  # fmt: skip
    touched = max(float(face.sum()) / max(area, 1) for face, area in zip(faces, whole, strict=True))
    return {
        "head_ml": head.volume_ml,
        "head_width_mm": size[0],
        "head_length_mm": size[1],
        "head_height_mm": size[2],
        "truncated": touched,
        "face_missing": _face_missing(head),
        "carved": _carved(head),
    }


def _face_missing(head: Head) -> float:
    """Returns 1 minus the ratio of head volume in the lower front to that in the lower back, at least 0."""
    box = head.box()
    inside = head.mask[box]
    lower = inside[:, :, : max(inside.shape[2] // 2, 1)]
    half = lower.shape[1] // 2
    front, back = float(lower[:, half:].sum()), float(lower[:, :half].sum())
    return max(0.0, 1 - front / back) if back else 0.0


def _carved(head: Head) -> float:
    """Returns the share of constant air in front of the lower face minus the share around the upper head, at least 0.

    Defacing replaces noise by one value; air that is constant everywhere is not a sign of it.
    """
    data, (i, j, k) = head.coarse.data, head.box()
    constant = data == data.min()
    lower = slice(k.start, (k.start + k.stop) // 2)
    upper = slice((k.start + k.stop) // 2, k.stop)
    front = slice((j.start + j.stop) // 2, data.shape[1])
    face, elsewhere = (i, front, lower), (i, slice(None), upper)
    air = ~head.mask
    shares = [float(constant[part][air[part]].mean()) if air[part].any() else np.nan for part in (face, elsewhere)]
    return max(0.0, shares[0] - shares[1])


def _background(head: Head) -> Measures:
    """Returns the level of the air, ghosting beside the head along x or y, and the entropy focus criterion.

    Ghosts of a moving head appear beside it along the phase-encoding direction, and not in the corners.
    """
    data, level = head.coarse.data, head.level or np.nan
    near = ndimage.binary_dilation(head.mask, iterations=_NEAR_HEAD_VOXELS)
    air = ~near
    if air.mean() < _LEAST_AIR or float(np.percentile(data[air], 75)) <= 0:
        return {"air_level": np.nan, "ghosting": np.nan, "entropy_focus": entropy_focus(data)}
    i, j, _ = head.box()
    beside_x = np.zeros_like(air)
    beside_x[:, j] = True
    beside_y = np.zeros_like(air)
    beside_y[i] = True
    corner = air & ~beside_x & ~beside_y
    means = [float(data[air & beside].mean()) for beside in (beside_x & ~beside_y, beside_y & ~beside_x)
             if (air & beside).sum() > _LEAST_AIR_VOXELS]  # fmt: skip
    quiet = float(data[corner].mean()) if corner.sum() > _LEAST_AIR_VOXELS else float(np.percentile(data[air], 25))
    ghost = (max(means) - quiet) / level if means else np.nan
    return {
        "air_level": float(np.median(data[air])) / level,
        "ghosting": ghost,
        "entropy_focus": entropy_focus(data),
    }


def entropy_focus(data: Array) -> float:
    """Returns the entropy focus criterion (Atkinson et al. 1997): 0 for one bright voxel, 1 for a constant image.

    Args:
        data: image of any shape; NaN is returned for an image of zeros.

    Example:
        >>> round(entropy_focus(np.ones((4, 4, 4))), 6)
        1.0
    """
    values = np.abs(data.astype(np.float64)).ravel()
    energy = float(np.sqrt((values**2).sum()))
    if energy == 0 or values.size < 2:
        return float("nan")
    part = values[values > 0] / energy
    count = values.size
    largest = np.sqrt(count) * np.log(np.sqrt(count))
    return float(-(part * np.log(part)).sum() / largest)


def _texture(head: Head) -> Measures:
    """Returns noise, sharpness and slice jumps, measured within slices at the scan's own resolution."""
    volume = head.volume
    axis = int(np.argmax(volume.spacing_mm)) if max(volume.spacing_mm) > _ANISOTROPY * min(volume.spacing_mm) else 2
    data = np.moveaxis(volume.data, axis, 2)
    bright = data > _BRIGHT * head.level
    along = sharpness(data, bright)
    across = sharpness(data.transpose(1, 0, 2), bright.transpose(1, 0, 2))
    return {
        "noise_percent": 100 * noise_sigma(data, bright) / (head.level or np.nan),
        "sharpness": along,
        "least_sharpness": float(np.fmin(along, across)),
        "slice_jump": _slice_jump(data, bright),
    }


def noise_sigma(data: Array, where: Mask) -> float:
    """Returns the standard deviation of white noise, from mixed second differences within slices.

    For four neighbours a, b, c, d of a square, (a - b - c + d) / 2 has the standard deviation of one voxel, and is zero
    in constant regions and on straight edges along an axis. The median makes it robust against other edges.

    Args:
        data: image (I, J, K), slices along the third axis.
        where: mask of the same shape; all four neighbours must be inside.

    Returns:
        The standard deviation in the unit of `data`, NaN when no square is inside the mask.
    """
    differences = data[:-1, :-1] - data[1:, :-1] - data[:-1, 1:] + data[1:, 1:]
    chosen = where[:-1, :-1] & where[1:, :-1] & where[:-1, 1:] & where[1:, 1:]
    values = differences[chosen]
    return float(np.median(np.abs(values))) / 2 * _MAD_TO_SIGMA if values.size else float("nan")


def sharpness(data: Array, where: Mask) -> float:
    """Returns the mean squared difference of neighbours along the first axis over that of pixels two apart.

    It is 0.5 for edges as sharp as the pixels and near 0.25 for an image blurred over many pixels. The variance of the
    noise is subtracted from both, so that noise does not count as sharpness.

    Args:
        data: image (I, J, K), slices along the third axis.
        where: mask of the same shape.

    Returns:
        A number from 0 to 1, NaN when the mask is too small or nothing varies.
    """
    sigma = noise_sigma(data, where)
    near = ((data[1:] - data[:-1])[where[1:] & where[:-1]] ** 2).astype(np.float64)
    far = ((data[2:] - data[:-2])[where[2:] & where[:-2]] ** 2).astype(np.float64)
    if not near.size or not far.size or not np.isfinite(sigma):
        return float("nan")
    one, two = near.mean() - 2 * sigma**2, far.mean() - 2 * sigma**2
    return float(np.clip(one / two, 0, 1)) if two > 0 else float("nan")


def _slice_jump(data: Array, where: Mask) -> float:
    """Returns the largest relative difference between the mean of a slice and that of its two neighbours.

    Args:
        data: image (I, J, K), slices along the third axis.
        where: mask of bright tissue of the same shape.
    """
    counts = where.sum(axis=(0, 1))
    filled = np.flatnonzero(counts > _FILLED_SLICE * counts.max()) if counts.any() else np.array([], int)
    if filled.size < _LEAST_SLICES:
        return float("nan")
    means = np.array([float(data[:, :, k][where[:, :, k]].mean()) for k in filled])
    middle = (means[:-2] + means[2:]) / 2
    return float(np.abs(means[1:-1] / middle - 1).max())


def _evenness(head: Head) -> Measures:
    """Returns shading, the relative spread of bright tissue between blocks, and the contrast within the brain."""
    data, mask = head.coarse.data, head.mask
    spacing = head.coarse.spacing_mm
    edges = [np.arange(0, n + 1, max(int(_BLOCK_MM / mm), 1)) for n, mm in zip(data.shape, spacing, strict=True)]
    levels = []
    for i in zip(edges[0][:-1], edges[0][1:], strict=True):
        for j in zip(edges[1][:-1], edges[1][1:], strict=True):
            for k in zip(edges[2][:-1], edges[2][1:], strict=True):
                block = (slice(*i), slice(*j), slice(*k))
                if mask[block].mean() > _FILLED_BLOCK:
                    levels.append(float(np.percentile(data[block], 75)))
    core = _core(head)
    low, middle, high = np.percentile(core, (10, 50, 90)) if core.size else (np.nan,) * 3
    return {
        "shading": float(np.std(levels) / np.mean(levels))
        if len(levels) >= _LEAST_BLOCKS and np.mean(levels) > 0
        else np.nan,
        "contrast": float((high - low) / middle) if middle else np.nan,
    }


def _core(head: Head) -> Array:
    """Returns the values (N,) in the centre of the upper head, which is brain and fluid."""
    i, j, k = head.box()

    def middle(part: slice, low: float, high: float) -> slice:
        length = part.stop - part.start
        return slice(part.start + int(low * length), part.start + max(int(high * length), 1))

    inner = head.coarse.data[middle(i, 0.25, 0.75), middle(j, 0.25, 0.75), middle(k, 0.45, 0.85)]
    return np.asarray(inner.ravel())
