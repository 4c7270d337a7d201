"""Filters and feature maps as mosaics of small tiles, as in Li et al. 2022, Fig. 9.

They are the first filters and the deepest, penultimate and output maps. The arrays are computed by the training, which
writes them to `pictures.json` of the bundle.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from voxlate.errors import InputRefused
from voxlate.evaluation.schema.results import NetworkPictures
from voxlate.reporting.figures.drawing import PAGE_IN, TITLE_PT, Drawing, require_values
from voxlate.reporting.figures.network_files import read_network_file
from voxlate.web import labels, plotting

TILE_PX = 28
"""Least side of a tile. Chosen by hand: filters of 7 x 7 are enlarged four times."""

GAP_PX = 2
"""White gap between tiles."""


def mosaic(tiles: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Returns tiles side by side in a nearly square sheet, each scaled from 0 (its minimum) to 255 (its maximum).

    Args:
        tiles: shape (n, rows, columns), any unit.

    Returns:
        A grey image of shape (rows, columns).
    """
    count, height, width = tiles.shape
    columns = math.ceil(math.sqrt(count))
    scale = max(1, TILE_PX // max(height, width))
    step_y, step_x = height * scale + GAP_PX, width * scale + GAP_PX
    sheet = np.full((math.ceil(count / columns) * step_y, columns * step_x), 255, dtype=np.uint8)
    for index, tile in enumerate(tiles):
        low, high = float(tile.min()), float(tile.max())
        grey = np.full(tile.shape, 128.0) if high == low else 255 * (tile - low) / (high - low)
        large = np.kron(np.rint(grey).astype(np.uint8), np.ones((scale, scale), dtype=np.uint8))
        y, x = index // columns * step_y, index % columns * step_x
        sheet[y : y + large.shape[0], x : x + large.shape[1]] = large
    return sheet


def draw_feature_maps(sheets: Mapping[str, ArrayLike], *, case: str, data_kind: str) -> Drawing:
    """Returns one mosaic per sheet, up to two beside each other.

    Args:
        sheets: tiles (n, rows, columns) by title, any unit.
        case: whose slice the maps were computed from.
        data_kind: `real`, `simulated` or `unknown`.

    Raises:
        NoInput: `NO_INPUT` without a sheet.
        InputRefused: `DIMENSIONS`, `NON_FINITE`.
    """
    require_values(sheets, "feature maps")
    columns = min(len(sheets), 2)
    side = PAGE_IN / columns
    figure, plots = plotting.grid(len(sheets), columns=columns, width_in=side, height_in=side + 0.3)
    told = []
    for axes, (title, tiles) in zip(plots, sheets.items(), strict=True):
        array = np.asarray(tiles, dtype=np.float64)
        if array.ndim != 3 or 0 in array.shape:
            raise InputRefused("DIMENSIONS", f"{title}: tiles must be (n, rows, columns), not {array.shape}")
        if not np.isfinite(array).all():
            raise InputRefused("NON_FINITE", f"{title}: some values are not finite; the training diverged")
        axes.imshow(mosaic(array), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        axes.set_axis_off()
        axes.set_title(f"{title} ({len(array)})", fontsize=TITLE_PT, fontweight="bold")
        told.append(f"{title}: {labels.count(len(array), 'tile')} of {array.shape[1]} x {array.shape[2]}")
    caption = (
        f"{'. '.join(told)}. Each tile is scaled from its lowest value (black) to its highest (white) and has no unit; "
        f"a grey tile has one value only. Maps are of the middle slice of {case}. "
        f"n = 1 case. {labels.DATA_KINDS[data_kind]}."
    )
    return Drawing(figure, caption, f"Mosaics of filters and feature maps. {'. '.join(told)}.")


def sheets_of(pictures: NetworkPictures) -> dict[str, NDArray[np.float64]]:
    """Returns the tiles (n, rows, columns) of a network by title, turned as `slices` does, without those it lacks.

    Networks see slices as (x, y), from right to left and from back to front in pictures; filters are turned alike.
    """
    named = {
        "First filters": pictures.filters,
        "Deepest feature maps": pictures.maps,
        "Penultimate feature maps": pictures.penultimate,
        "Output": pictures.output,
    }
    arrays = {title: np.array(tiles, dtype=np.float64) for title, tiles in named.items() if tiles}
    return {title: array[:, ::-1, ::-1].transpose(0, 2, 1) for title, array in arrays.items()}


def read_pictures(path: Path) -> NetworkPictures:
    """Reads the `pictures.json` of a bundle.

    Args:
        path: the file, or the bundle that holds it.

    Raises:
        NoInput: `NO_INPUT` when it does not exist.
        InputRefused: `PICTURES` when it does not have its format.
    """
    absent = "only networks with a filter visualisation write it"
    return read_network_file(path, "pictures.json", NetworkPictures, code="PICTURES", absent=absent)
