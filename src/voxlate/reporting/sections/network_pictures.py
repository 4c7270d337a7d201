"""Filters and feature maps of a network as sheets of small tiles: first filters, deepest, penultimate, output maps."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from voxlate.evaluation.schema.results import NetworkPictures
from voxlate.reporting.figures.feature_maps import mosaic, sheets_of
from voxlate.web import labels, plotting
from voxlate.web.html import Html, tag
from voxlate.web.png import data_uri


def sheets(pictures: NetworkPictures | None) -> Html | None:
    """Returns the sheets; None when the evaluation holds no pictures of a network."""
    if pictures is None or not pictures.filters or not pictures.maps:
        return None
    tiles = sheets_of(pictures)
    filters, maps = tiles["First filters"], tiles["Deepest feature maps"]
    first = (
        f"{labels.count(len(filters), 'filter')} of the first layer, {filters.shape[1]} x {filters.shape[2]} pixels, "
        "each from its lowest value (black) to its highest (white)."
    )
    second = (
        f"{len(maps)} of {pictures.channels:,} channels of the deepest layer for the middle axial slice of "
        f"{pictures.case}, {maps.shape[1]} x {maps.shape[2]} pixels, each from its lowest value (black) to its highest "
        "(white). A grey tile has one value only."
    )
    drawn = [_sheet(filters, "First filters", first), _sheet(maps, "Deepest feature maps", second)]
    for name in list(tiles)[2:]:
        size = f"{tiles[name].shape[1]} x {tiles[name].shape[2]} pixels"
        drawn.append(_sheet(tiles[name], name, f"{labels.count(len(tiles[name]), 'map')} of the same slice, {size}."))
    return tag("div", *drawn, class_="plots")


def _sheet(tiles: NDArray[np.floating], name: str, caption: str) -> Html:
    image = mosaic(tiles)
    height, width = image.shape
    picture = tag("img", src=data_uri(image), alt=name, width=str(width), height=str(height))
    return plotting.framed(picture, caption=f"{name}: {caption}")
