"""The picture of a prepared pair: the images before and after registration, with outlines of masks, in three planes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from voxlate.io.atomic import replacing
from voxlate.preparation.register_pair import PreparedPair
from voxlate.preparation.registration.templates import mni_template
from voxlate.preparation.steps.resample import resample
from voxlate.reporting.figures.images import in_ras
from voxlate.reporting.figures.slices import PLANES, Plane, section
from voxlate.volume import Mask, Volume
from voxlate.web import colours, png

GREEN, ORANGE = (64, 220, 120), (255, 170, 40)
"""RGB colours of the brain mask and of the template's brain."""

GAP_PX = 4
"""Gap between images."""

Picture = NDArray[np.uint8]


def write_picture(pair: PreparedPair, path: Path) -> None:
    """Writes a PNG file with one row per plane and three or four columns.

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
    rows = []
    for plane in PLANES:
        cells = [_cell(volume, mask, colour, plane, centre[plane.normal]) for volume, mask, colour in columns]
        rows.append(_beside(cells))
    with replacing(path) as partial:
        partial.write_bytes(png.encode(_below(rows)))


def template_brain(pair: PreparedPair) -> Mask:
    """Returns the brain mask of the template on the grid of the source; empty without a template."""
    if pair.template is None:
        return np.zeros_like(pair.mask)
    template = mni_template()
    brain = template.volume.with_data(template.mask)
    moved = resample(brain, pair.source.grid, pair.template[0].inverse, interpolation="nearest")
    brain_mask: Mask = moved.data > 0.5
    return brain_mask


def _cell(volume: Volume, mask: Mask, colour: tuple[int, int, int], plane: Plane, index: int) -> Picture:
    ras = in_ras(volume)
    inside = _ras_mask(volume, mask)
    high = float(np.percentile(ras.data[inside], 99.5)) if inside.any() else float(ras.data.max())
    low = float(np.percentile(ras.data, 1))
    grey = colours.grey(section(ras.data, plane, index, spacing_mm=ras.spacing_mm), (low, max(high, low + 1e-6)))
    shown = section(inside.astype(np.float32), plane, index, spacing_mm=ras.spacing_mm) > 0.5
    picture = np.repeat(grey[..., None], 3, axis=-1)
    picture[shown & ~ndimage.binary_erosion(shown)] = colour
    return picture


def _ras_mask(volume: Volume, mask: Mask) -> Mask:
    turned: Mask = in_ras(volume.with_data(mask)).data > 0.5
    return turned


def _centre(mask: Mask) -> tuple[int, int, int]:
    middle = [round(float(m)) for m in ndimage.center_of_mass(mask)] if mask.any() else [n // 2 for n in mask.shape]
    return middle[0], middle[1], middle[2]


def _beside(cells: list[Picture]) -> Picture:
    height = max(cell.shape[0] for cell in cells)
    padded = [np.pad(cell, ((0, height - cell.shape[0]), (0, GAP_PX), (0, 0))) for cell in cells]
    return np.concatenate(padded, axis=1)


def _below(rows: list[Picture]) -> Picture:
    width = max(row.shape[1] for row in rows)
    padded = [np.pad(row, ((0, GAP_PX), (0, width - row.shape[1]), (0, 0))) for row in rows]
    return np.concatenate(padded, axis=0)
