"""The picture of a prepared pair: the images before and after registration, with outlines of masks, in three planes."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy import ndimage

from voxlate.io.atomic import replacing
from voxlate.preparation.register_pair import PreparedPair
from voxlate.preparation.registration.templates import mni_template
from voxlate.preparation.steps.resample import resample
from voxlate.reporting.figures.images import in_ras
from voxlate.reporting.figures.slices import PLANES, section
from voxlate.volume import Mask, Volume
from voxlate.web import colours, png

GREEN, ORANGE = (64, 220, 120), (255, 170, 40)
"""RGB colours of the brain mask and of the template's brain."""

GAP_PX = 4
"""Gap between images."""

TITLES = ("source", "target as stored", "target registered", "template")
"""Names of the columns, drawn above them; the last one only with a template."""

CT_WINDOW_HU = (-20.0, 100.0)
"""Window of a CT: level 40 and width 120 HU, in which grey and white matter differ."""

AIR_HU = -500.0
"""A scan whose darkest per cent lies below this is a CT: MR images are not negative."""

_TITLE_PX, _TEXT_PX = 26, 13
"""Height of the strip of names and size of its letters. Chosen by hand: legible when a column is 160 pixels wide."""

_LETTER_WIDTH = 0.62
"""Mean width of a letter of DejaVu Sans, as a share of its size; longer names are written smaller."""

_DOTS_PER_IN, _POINTS_PER_IN = 100, 72

Picture = NDArray[np.uint8]


def write_picture(pair: PreparedPair, path: Path) -> None:
    """Writes a PNG file with one row per plane and three or four columns, each named above.

    The columns are the source with its mask (green); the target at the position in its header and the target after
    registration, both with the mask of the source; and, with a template, the source with the template's brain (orange).

    Args:
        pair: a prepared pair.
        path: the file.
    """
    columns = [(pair.source, pair.mask, GREEN), (pair.unmoved, pair.mask, GREEN), (pair.target, pair.mask, GREEN)]
    if pair.template is not None:
        columns.append((pair.source, template_brain(pair), ORANGE))
    centre = _centre(_ras_mask(pair.source, pair.mask))
    drawn = [_column(volume, mask, colour, centre) for volume, mask, colour in columns]
    with replacing(path) as partial:
        partial.write_bytes(png.encode(sheet(drawn, TITLES[: len(drawn)])))


def sheet(columns: Sequence[Sequence[Picture]], titles: Sequence[str]) -> Picture:
    """Returns columns of pictures below their titles; rows and columns line up, smaller pictures lie in the middle.

    Args:
        columns: the pictures of each column, (height, width, 3) each, as many in each.
        titles: one for each column.
    """
    heights = [max(column[row].shape[0] for column in columns) for row in range(len(columns[0]))]
    width = max(cell.shape[1] for column in columns for cell in column)
    stacks = []
    for column, title in zip(columns, titles, strict=True):
        cells = [_title(title, width), *(_padded(cell, h, width) for cell, h in zip(column, heights, strict=True))]
        stacks.append(np.concatenate([np.pad(cell, ((0, GAP_PX), (0, 0), (0, 0))) for cell in cells]))
    gap = np.zeros((stacks[0].shape[0], GAP_PX, 3), dtype=np.uint8)
    return np.concatenate([part for stack in stacks for part in (stack, gap)][:-1], axis=1)


def _padded(cell: Picture, height: int, width: int) -> Picture:
    """Returns a picture in the middle of a black one of this size."""
    above, left = (height - cell.shape[0]) // 2, (width - cell.shape[1]) // 2
    sides = ((above, height - cell.shape[0] - above), (left, width - cell.shape[1] - left), (0, 0))
    return np.pad(cell, sides)


def _title(text: str, width: int) -> Picture:
    """Returns a text in white on black, (height, `width`, 3)."""
    figure = Figure(figsize=(width / _DOTS_PER_IN, _TITLE_PX / _DOTS_PER_IN), dpi=_DOTS_PER_IN, facecolor="black")
    size_px = min(_TEXT_PX, width / (_LETTER_WIDTH * len(text)))
    size_pt = size_px * _POINTS_PER_IN / _DOTS_PER_IN
    figure.text(0.5, 0.5, text, color="white", fontsize=size_pt, ha="center", va="center", parse_math=False)
    stream = io.BytesIO()
    figure.savefig(stream, format="raw", dpi=_DOTS_PER_IN)
    pixels: Picture = np.frombuffer(stream.getvalue(), dtype=np.uint8).reshape(_TITLE_PX, width, 4)[..., :3]
    return pixels


def template_brain(pair: PreparedPair) -> Mask:
    """Returns the brain mask of the template on the grid of the source; empty without a template."""
    if pair.template is None:
        return np.zeros_like(pair.mask)
    template = mni_template()
    brain = template.volume.with_data(template.mask)
    moved = resample(brain, pair.source.grid, pair.template[0].inverse, interpolation="nearest")
    brain_mask: Mask = moved.data > 0.5
    return brain_mask


def _column(volume: Volume, mask: Mask, colour: tuple[int, int, int], centre: tuple[int, int, int]) -> list[Picture]:
    """Returns a picture per plane of an image with the outline of a mask."""
    ras, inside = in_ras(volume), _ras_mask(volume, mask)
    window, weight = window_of(ras, inside), inside.astype(np.float32)
    pictures = []
    for plane in PLANES:
        grey, shown = (
            section(data, plane, centre[plane.normal], spacing_mm=ras.spacing_mm) for data in (ras.data, weight)
        )
        is_inside = shown > 0.5
        picture = np.repeat(colours.grey(grey, window)[..., None], 3, axis=-1)
        picture[is_inside & ~ndimage.binary_erosion(is_inside)] = colour
        pictures.append(picture)
    return pictures


def window_of(image: Volume, inside: Mask) -> tuple[float, float]:
    """Returns the lowest and highest value shown: `CT_WINDOW_HU` of a CT, else the range of the scan in the mask.

    Args:
        image: the scan.
        inside: mask of its shape; may be empty.
    """
    low = float(np.percentile(image.data, 1))
    if low < AIR_HU:
        return CT_WINDOW_HU
    high = float(np.percentile(image.data[inside], 99.5)) if inside.any() else float(image.data.max())
    return low, max(high, low + 1e-6)


def _ras_mask(volume: Volume, mask: Mask) -> Mask:
    turned: Mask = in_ras(volume.with_data(mask)).data > 0.5
    return turned


def _centre(mask: Mask) -> tuple[int, int, int]:
    middle = [round(float(m)) for m in ndimage.center_of_mass(mask)] if mask.any() else [n // 2 for n in mask.shape]
    return middle[0], middle[1], middle[2]
