"""The pictures of a montage: for each case the same slice of every image, differences, contours and a zoom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from voxlate.errors import InputRefused, NoInput, VoxlateError
from voxlate.evaluation.cases.intensity import shown_range
from voxlate.reporting.figures.images import in_ras, mask_on_grid, mask_or_filled, on_grid
from voxlate.reporting.figures.montage_rows import PLANE_OF, Column, Row, Window, target_of
from voxlate.reporting.figures.slices import Plane, box_around, fullest_slice, position_mm, section
from voxlate.volume import Array, Mask, Volume


@dataclass(frozen=True)
class Line:
    """The pictures of one case in one plane; each is (rows from the top, columns from the left).

    Attributes:
        case: its name.
        set: its test set, or empty.
        plane: orientation.
        at_mm: position of the slice.
        images: by column; a text says why an image is missing.
        windows: by column.
        differences: synthetic − target in the mask, by column; empty where none are shown.
        contour: picture of the label map from 0 to 1; None without labels.
        outline: picture of the mask from 0 to 1.
        zoomed: the same pictures of the zoom box, by column; empty without a zoom.
        zoom_box: left, top, width and height of the zoom box as shares of the picture; None without a zoom.
    """

    case: str
    set: str
    plane: Plane
    at_mm: float
    images: Mapping[str, Array | str]
    windows: Mapping[str, Window]
    differences: Mapping[str, Array]
    contour: Array | None
    outline: Array
    zoomed: Mapping[str, Array]
    zoom_box: tuple[float, float, float, float] | None


@dataclass(frozen=True)
class Loaded:
    """The images of one case on one grid, in RAS+ order.

    Attributes:
        images: by column; a text says why an image is missing.
        reference: the target, or else the first image.
        mask: (x, y, z).
        labels: (x, y, z), or None.
        windows: by column.
    """

    images: Mapping[str, Volume | str]
    reference: Volume
    mask: Mask
    labels: Mask | None
    windows: Mapping[str, Window]

    def difference(self, name: str, target: str) -> Array | None:
        """Returns image − target in the mask and 0 outside, (x, y, z); None when either is missing."""
        image, real = self.images.get(name), self.images.get(target)
        if not isinstance(image, Volume) or not isinstance(real, Volume):
            return None
        return np.where(self.mask, np.nan_to_num(image.data - real.data), 0).astype(np.float32)


def load_row(row: Row, columns: Sequence[Column]) -> Loaded:
    """Reads the images of a case. A synthetic image that cannot be read leaves its place empty, with the reason.

    Raises:
        NoInput: `NO_INPUT` when the case has none of the images.
        InputRefused: `EMPTY_MASK`.
        VoxlateError: a real image, mask or labels cannot be read.
    """
    target = target_of(columns)
    first = next((c.name for c in columns if c.name in row.images), "")
    name = target if target in row.images else first
    if not name:
        raise NoInput("NO_INPUT", f"{row.case} has none of the images {', '.join(c.name for c in columns)}")
    reference = in_ras(row.images[name])
    images = {column.name: _image(row, column, reference) for column in columns}
    shown = images[name]
    reference = shown if isinstance(shown, Volume) else reference
    mask = mask_or_filled(row.mask, reference)
    if not mask.any():
        raise InputRefused("EMPTY_MASK", f"{row.case}: the mask is empty; give the mask of this scan")
    labels = None if row.labels is None else mask_on_grid(row.labels, reference)
    return Loaded(images, reference, mask, labels, {**_windows(images, columns, mask, shared=reference), **row.windows})


def _image(row: Row, column: Column, reference: Volume) -> Volume | str:
    image = row.images.get(column.name)
    if image is None:
        return row.reasons.get(column.name, "no image")
    try:
        volume = on_grid(image, reference)
    except VoxlateError as error:
        if column.role != "synthetic":
            raise
        return f"not readable ({error.code})"
    return volume.with_data(volume.data / np.float32(row.levels.get(column.name, 1.0)))


def _windows(
    images: Mapping[str, Volume | str], columns: Sequence[Column], mask: Mask, *, shared: Volume
) -> dict[str, Window]:
    common = shown_range(shared.data, mask)
    windows = {}
    for column in columns:
        image = images[column.name]
        has_own = column.role in {"source", "step"}
        own = shown_range(image.data, mask) if has_own and isinstance(image, Volume) else common
        windows[column.name] = column.window or own
    return windows


def cut_row(
    row: Row,
    columns: Sequence[Column],
    planes: Sequence[str],
    *,
    zoom_mm: float | None = None,
    has_difference: bool = True,
) -> tuple[list[Line], float]:
    """Returns the pictures of a case in some planes, and the 99th percentile of |synthetic − target| in its mask.

    Args:
        row: the case.
        columns: of the montage.
        planes: names of planes.
        zoom_mm: side of the zoom box around the labels, or else around the middle of the mask; None for no zoom.
        has_difference: whether differences from the target are computed; without them the percentile is 0.

    Raises:
        UsageError, InputRefused, NoInput: see `load_row`; `SLICE` for a position outside the image.
    """
    loaded = load_row(row, columns)
    target = target_of(columns)
    compared = [c.name for c in columns if c.role == "synthetic"] if has_difference else []
    differences = {name: loaded.difference(name, target) for name in compared}
    found = {name: values for name, values in differences.items() if values is not None}
    large = max((float(np.percentile(np.abs(d[loaded.mask]), 99)) for d in found.values()), default=0.0)
    return [_line(row, loaded, found, PLANE_OF[name], zoom_mm) for name in planes], large


def _line(row: Row, loaded: Loaded, differences: Mapping[str, Array], plane: Plane, zoom_mm: float | None) -> Line:
    reference = loaded.reference
    index = _index(row, loaded, plane)
    box = box_around(loaded.mask, reference.spacing_mm)
    near = None if zoom_mm is None else _zoom_box(loaded, plane, index, zoom_mm, box)

    def cut(data: Array, within: tuple[slice, ...]) -> Array:
        at = index - (within[plane.normal].start or 0)
        return section(data[within], plane, at, spacing_mm=reference.spacing_mm)

    if not box[plane.normal].start <= index < box[plane.normal].stop:
        box = (*box[: plane.normal], slice(0, reference.data.shape[plane.normal]), *box[plane.normal + 1 :])
    volumes = {name: image for name, image in loaded.images.items() if isinstance(image, Volume)}
    texts = {name: image for name, image in loaded.images.items() if isinstance(image, str)}
    return Line(
        case=row.case,
        set=row.set,
        plane=plane,
        at_mm=position_mm(reference, plane, index),
        images={**texts, **{name: cut(volume.data, box) for name, volume in volumes.items()}},
        windows=loaded.windows,
        differences={name: cut(values, box) for name, values in differences.items()},
        contour=None if loaded.labels is None else cut(loaded.labels.astype(np.float32), box),
        outline=cut(loaded.mask.astype(np.float32), box),
        zoomed={} if near is None else {name: cut(volume.data, near) for name, volume in volumes.items()},
        zoom_box=None if near is None else _shares(near, box, plane),
    )


def _index(row: Row, loaded: Loaded, plane: Plane) -> int:
    """Returns the index of the slice: at the stated position, through most labels, or through most of the mask."""
    if plane.name not in row.at_mm:
        weight = loaded.labels if loaded.labels is not None and loaded.labels.any() else loaded.mask
        return fullest_slice(weight.astype(np.float32), plane)
    first, second = (position_mm(loaded.reference, plane, index) for index in (0, 1))
    index = round((row.at_mm[plane.name] - first) / (second - first))
    count = loaded.reference.data.shape[plane.normal]
    if not 0 <= index < count:
        last = position_mm(loaded.reference, plane, count - 1)
        raise InputRefused(
            "SLICE",
            f"{row.case}: no {plane.name} slice at {plane.axis} = {row.at_mm[plane.name]:g} mm; "
            f"the image reaches from {first:.0f} to {last:.0f} mm",
        )
    return index


def _zoom_box(loaded: Loaded, plane: Plane, index: int, side_mm: float, box: tuple[slice, ...]) -> tuple[slice, ...]:
    """Returns a box of `side_mm` in the plane around the largest lesion of the slice, moved to lie in `box`."""
    at = [slice(None)] * 3
    at[plane.normal] = slice(index, index + 1)
    chosen = loaded.labels if loaded.labels is not None and loaded.labels[tuple(at)].any() else loaded.mask
    parts, count = ndimage.label(chosen[tuple(at)])
    largest = 1 + int(np.argmax(np.bincount(parts.ravel())[1:])) if count else 0
    middle = np.argwhere(parts == largest).mean(axis=0)
    sides = []
    for axis, spacing in enumerate(loaded.reference.spacing_mm):
        if axis == plane.normal:
            sides.append(slice(0, chosen.shape[axis]))
            continue
        low, high = box[axis].start, box[axis].stop
        size = min(max(round(side_mm / spacing), 2), high - low)
        start = int(np.clip(round(float(middle[axis]) - size / 2), low, high - size))
        sides.append(slice(start, start + size))
    return tuple(sides)


def _shares(near: tuple[slice, ...], box: tuple[slice, ...], plane: Plane) -> tuple[float, float, float, float]:
    """Returns left, top, width and height of a box as shares of the picture of a larger box; see `slices`."""
    across, up = (axis for axis in range(3) if axis != plane.normal)

    def share(axis: int) -> tuple[float, float]:
        size = box[axis].stop - box[axis].start
        # Pictures run from high to low indices, so that right is left and up is superior.
        return (box[axis].stop - near[axis].stop) / size, (near[axis].stop - near[axis].start) / size

    (left, width), (top, height) = share(across), share(up)
    return left, top, width, height
