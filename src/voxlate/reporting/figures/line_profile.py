"""Intensity along a line through CT, real and synthetic MR images, beside the line's picture (Li 2022, Fig. 10)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray
from scipy import ndimage

from voxlate.errors import InputRefused
from voxlate.evaluation.cases.intensity import shown_range
from voxlate.reference_level import reference_level
from voxlate.reporting.figures.drawing import (
    PAGE_IN,
    SMALL_PT,
    TITLE_PT,
    Drawing,
    facts,
    legend_columns,
    require_values,
)
from voxlate.reporting.figures.images import Image, in_ras, mask_on_grid, on_grid
from voxlate.reporting.figures.montage_cells import draw_sides_of
from voxlate.reporting.figures.montage_rows import PLANE_OF
from voxlate.reporting.figures.slices import Plane, fullest_slice, section
from voxlate.volume import Mask, Volume
from voxlate.web import colours, labels, plotting

Point = tuple[float, float, float]
Values = NDArray[np.float64]

STEP_SHARE = 0.5
"""Distance between samples over the smallest voxel side: finer samples of a linear interpolation show nothing new."""

_LINE_COLOUR = "#ffd23e"
_MARGIN = 0.1
"""Share of the chosen line that is added at both ends, so that the edge of the mask is seen."""


@dataclass(frozen=True)
class Segment:
    """A straight line.

    Attributes:
        start_mm, end_mm: its ends in RAS+ millimetres.
    """

    start_mm: Point
    end_mm: Point

    @property
    def length_mm(self) -> float:
        """Returns its length."""
        return float(np.linalg.norm(np.subtract(self.end_mm, self.start_mm)))

    def points_mm(self, count: int) -> Values:
        """Returns points at equal distances from start to end, (count, 3), in RAS+ millimetres."""
        return np.linspace(self.start_mm, self.end_mm, count)


def widest_row(mask: Mask, like: Volume, plane: Plane) -> Segment:
    """Returns the longest row of the mask in its fullest slice, from the left side of the picture to the right.

    A tenth of its length is added at both ends.

    Args:
        mask: (x, y, z), RAS+ order.
        like: a volume on the same grid.
        plane: of the slice; rows run across the picture.

    Raises:
        InputRefused: `EMPTY_MASK`.
    """
    if not mask.any():
        raise InputRefused(
            "EMPTY_MASK", "the mask is empty, so it has no row for a profile; give the mask of this scan"
        )
    across, up = (axis for axis in range(3) if axis != plane.normal)
    index = fullest_slice(mask.astype(np.float32), plane)
    inside = np.take(mask, index, axis=plane.normal)  # (across, up)
    first = inside.argmax(axis=0)
    last = inside.shape[0] - 1 - inside[::-1].argmax(axis=0)
    widths = np.where(inside.any(axis=0), last - first, -1)
    rows = np.flatnonzero(widths == widths.max())
    row = int(rows[len(rows) // 2])  # the middle of equally wide rows
    pad = _MARGIN * float(widths[row])
    ends = []
    for position in (last[row] + pad, first[row] - pad):  # pictures run from high to low indices
        at = np.zeros(3)
        at[plane.normal], at[up], at[across] = index, row, np.clip(position, 0, inside.shape[0] - 1)
        x, y, z = like.grid.to_mm(at)
        ends.append((float(x), float(y), float(z)))
    return Segment(*ends)


def sample(volume: Volume, segment: Segment, count: int) -> Values:
    """Returns the values of a volume at points of a line, (count,), by linear interpolation; NaN outside of it.

    Args:
        volume: any order of axes.
        segment: the line.
        count: number of points.
    """
    at = volume.grid.to_index(segment.points_mm(count))
    found = ndimage.map_coordinates(volume.data.astype(np.float64), at.T, order=1, mode="nearest")
    last = np.array(volume.data.shape) - 0.5
    is_outside = ((at < -0.5 - 1e-6) | (at > last + 1e-6)).any(axis=1)
    return np.where(is_outside, np.nan, found)


def draw_line_profile(
    contrasts: Mapping[str, Mapping[str, Image]],
    *,
    mask: Image,
    data_kind: str,
    units: Mapping[str, str] | None = None,
    segment: Segment | None = None,
    plane: str = "axial",
) -> Drawing:
    """Returns the first image with the line, and beside it one plot of intensities per contrast.

    MR images are in relative units: every image of a contrast is divided by the median of its first one in the mask,
    so that a synthetic image that is too dark stays too dark. A contrast with a unit of its own, such as HU, is shown
    as it is.

    Args:
        contrasts: image by name by contrast; the real image of each contrast comes first. For example
            `{"CT": {"CT": ct}, "T1w": {"real T1w": t1, "synthetic T1w": made}}`.
        mask: of the brain, for the reference level and the chosen line.
        data_kind: `real`, `simulated` or `unknown`.
        units: unit by contrast that is not divided.
        segment: the line; by default the widest row of the mask in its fullest slice.
        plane: of the picture.

    Raises:
        NoInput: `NO_INPUT` without an image.
        InputRefused: `EMPTY_MASK`, `CONSTANT`, `REFERENCE_LEVEL`; `LINE` for a line outside the first image.
        VoxlateError: an image cannot be read.
    """
    require_values(contrasts, "contrasts")
    for contrast, images in contrasts.items():
        require_values(images, f"images of {contrast}")
    first = in_ras(next(iter(next(iter(contrasts.values())).values())))
    inside, shown = mask_on_grid(mask, first), PLANE_OF[plane]
    line = widest_row(inside, first, shown) if segment is None else segment
    count = max(2, round(line.length_mm / (STEP_SHARE * min(first.spacing_mm))) + 1)
    distance = np.linspace(0, line.length_mm, count)
    figure, picture, plots = plotting.beside(len(contrasts), PAGE_IN, max(4.2, 1.5 * len(contrasts)))
    _draw_image(picture, first, inside, line, shown)
    for axes, (contrast, images) in zip(plots, contrasts.items(), strict=True):
        unit = (units or {}).get(contrast, "")
        level = 1.0 if unit else _level(next(iter(images.values())), first, inside)
        curves = {name: sample(in_ras(image), line, count) / level for name, image in images.items()}
        _draw_curves(axes, curves, distance)
        axes.set_ylabel(f"{contrast} ({unit or 'relative'})")
    plots[-1].set_xlabel("distance along the line (mm)")
    names = ", ".join(name for images in contrasts.values() for name in images)
    alt = f"Intensity profile of {names} along a line of {line.length_mm:.0f} mm."
    return Drawing(figure, _caption(line, [each for each in contrasts if each not in (units or {})], data_kind), alt)


def _caption(line: Segment, relative: list[str], data_kind: str) -> str:
    start, end = (", ".join(labels.number(value, 0) for value in point) for point in (line.start_mm, line.end_mm))
    where = f"Line from ({start}) to ({end}) mm (RAS+), {line.length_mm:.0f} mm long."
    scaled = f" {', '.join(relative)}: relative units, divided by the median of the real image in the mask."
    return f"{where}{scaled if relative else ''} {facts(1, 'case', data_kind=data_kind)}"


def _level(image: Image, first: Volume, inside: Mask) -> float:
    data = on_grid(image, first).data
    return reference_level(data, inside & (data != 0))


def _draw_curves(axes: Axes, curves: Mapping[str, Values], distance: Values) -> None:
    for index, (name, values) in enumerate(curves.items()):
        if not np.isfinite(values).any():
            raise InputRefused("LINE", f"the line lies outside of {name}; choose points inside of it, in RAS+ mm")
        colour = plotting.INK if index == 0 else plotting.SERIES_COLOURS[(index - 1) % len(plotting.SERIES_COLOURS)]
        axes.plot(distance, values, color=colour, linewidth=1.4 if index == 0 else 1.1, label=name)
    ncols = legend_columns(curves, width_in=PAGE_IN / 2)
    axes.legend(frameon=False, fontsize=SMALL_PT, ncols=ncols, loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0)
    axes.set_xlim(0, float(distance[-1]))


def _draw_image(axes: Axes, image: Volume, inside: Mask, line: Segment, plane: Plane) -> None:
    ends = image.grid.to_index([line.start_mm, line.end_mm])
    index = round(float(ends[:, plane.normal].mean()))
    if not 0 <= index < image.data.shape[plane.normal]:
        raise InputRefused("LINE", "the line lies outside of the first image; choose points inside of it, in RAS+ mm")
    picture = section(image.data, plane, index, spacing_mm=image.spacing_mm)
    axes.imshow(colours.grey(picture, shown_range(image.data, inside)), cmap="gray", vmin=0, vmax=255)
    across, up = (axis for axis in range(3) if axis != plane.normal)
    sizes = image.data.shape
    x = (sizes[across] - 0.5 - ends[:, across]) / sizes[across] * picture.shape[1] - 0.5
    y = (sizes[up] - 0.5 - ends[:, up]) / sizes[up] * picture.shape[0] - 0.5
    axes.plot(x, y, color=_LINE_COLOUR, linewidth=1.4)
    axes.set_axis_off()
    axes.set_title("Position of the line", loc="left", fontsize=TITLE_PT, fontweight="bold")
    draw_sides_of(axes, plane)
