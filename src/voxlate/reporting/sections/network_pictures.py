"""The first filters of a network and what its deepest layer sees, as two sheets of small tiles."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from voxlate.evaluation.results import NetworkPictures
from voxlate.reporting import labels
from voxlate.reporting.figures import drawing
from voxlate.reporting.figures.png import data_uri
from voxlate.web.html import Html, tag

TILE_PX = 28
GAP_PX = 2


def sheets(pictures: NetworkPictures | None) -> Html | None:
    """Returns both sheets; nothing for a network that left no pictures."""
    if pictures is None or not pictures.filters or not pictures.maps:
        return None
    filters, maps = np.array(pictures.filters), np.array(pictures.maps)
    first = (
        f"{labels.count(len(filters), 'filter')} of the first layer, {filters.shape[1]} x {filters.shape[2]} pixels, "
        "each from its least value (black) to its greatest (white)."
    )
    second = (
        f"{len(maps)} of {pictures.channels:,} channels of the deepest layer for the middle axial slice of "
        f"{pictures.case}, {maps.shape[1]} x {maps.shape[2]} pixels, each from black to white; a grey tile is constant."
    )
    drawn = (_sheet(filters, "First filters", first), _sheet(maps, "Deepest feature maps", second))
    return tag("div", *drawn, class_="plots")


def _sheet(tiles: NDArray[np.floating], name: str, caption: str) -> Html:
    image = mosaic(tiles)
    height, width = image.shape
    picture = tag("img", src=data_uri(image), alt=name, width=str(width), height=str(height))
    return drawing.framed(picture, caption=f"{name}: {caption}")


def mosaic(tiles: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Returns tiles (n, h, w) side by side in a square as nearly as can be, each stretched from 0 to 255."""
    count, height, width = tiles.shape
    columns = math.ceil(math.sqrt(count))
    scale = max(1, TILE_PX // max(height, width))
    step_y, step_x = height * scale + GAP_PX, width * scale + GAP_PX
    sheet = np.full((math.ceil(count / columns) * step_y, columns * step_x), 255, dtype=np.uint8)
    for place, tile in enumerate(tiles):
        low, high = float(tile.min()), float(tile.max())
        grey = np.full(tile.shape, 128.0) if high == low else 255 * (tile - low) / (high - low)
        large = np.kron(np.rint(grey).astype(np.uint8), np.ones((scale, scale), dtype=np.uint8))
        y, x = place // columns * step_y, place % columns * step_x
        sheet[y : y + large.shape[0], x : x + large.shape[1]] = large
    return sheet
