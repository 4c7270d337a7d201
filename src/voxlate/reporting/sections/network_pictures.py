"""Filters of the first layer and feature maps of the deepest layer of a network, as two sheets of small tiles."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from voxlate.evaluation.schema.results import NetworkPictures
from voxlate.web import labels, plotting
from voxlate.web.html import Html, tag
from voxlate.web.png import data_uri

TILE_PX = 28
"""Least side of a tile. Chosen by hand: filters of 7 x 7 are enlarged four times."""

GAP_PX = 2
"""White gap between tiles."""


def sheets(pictures: NetworkPictures | None) -> Html | None:
    """Returns both sheets; None when the evaluation holds no pictures of a network."""
    if pictures is None or not pictures.filters or not pictures.maps:
        return None
    filters, maps = np.array(pictures.filters), np.array(pictures.maps)
    first = (
        f"{labels.count(len(filters), 'filter')} of the first layer, {filters.shape[1]} x {filters.shape[2]} pixels, "
        "each from its lowest value (black) to its highest (white)."
    )
    second = (
        f"{len(maps)} of {pictures.channels:,} channels of the deepest layer for the middle axial slice of "
        f"{pictures.case}, {maps.shape[1]} x {maps.shape[2]} pixels, each from its lowest value (black) to its highest "
        "(white). A grey tile has one value only."
    )
    both = (_sheet(filters, "First filters", first), _sheet(maps, "Deepest feature maps", second))
    return tag("div", *both, class_="plots")


def _sheet(tiles: NDArray[np.floating], name: str, caption: str) -> Html:
    image = mosaic(tiles)
    height, width = image.shape
    picture = tag("img", src=data_uri(image), alt=name, width=str(width), height=str(height))
    return plotting.framed(picture, caption=f"{name}: {caption}")


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
