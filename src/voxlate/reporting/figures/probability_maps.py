"""Tissue probability maps of real and synthetic images (Bottani et al. 2024, Fig. 4), as a montage.

The paper segmented with SPM; here the soft segmentation is that of the Gaussian mixture (`tissue_probabilities`). Maps
of another program, such as SPM's `c1` files, are shown by `draw_montage` with a window from 0 to 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from voxlate.errors import UsageError, VoxlateError, nearest
from voxlate.evaluation.tissues import TISSUES, tissue_probabilities
from voxlate.reporting.figures.drawing import Drawing
from voxlate.reporting.figures.images import Image, in_ras, mask_or_filled, on_grid
from voxlate.reporting.figures.montage import draw_montage
from voxlate.reporting.figures.montage_layout import DEFAULT_LAYOUT, Layout
from voxlate.reporting.figures.montage_rows import Column, Row, target_of


def draw_probability_maps(
    rows: Sequence[Row], columns: Sequence[Column], *, tissue: str, data_kind: str, layout: Layout = DEFAULT_LAYOUT
) -> Drawing:
    """Returns a montage of the probability of a tissue in each image, segmented in the mask of the case.

    Args:
        rows: T1-weighted images of the cases, each with a brain mask.
        columns: of the montage.
        tissue: `CSF`, `GM` or `WM`.
        data_kind: `real`, `simulated` or `unknown`.
        layout: planes, and differences of probabilities.

    Raises:
        UsageError: `TISSUE` for another tissue.
        InputRefused: `TOO_SMALL`, `CONSTANT` for a real image that cannot be segmented; as `draw_montage`.
        VoxlateError: an image cannot be read.
    """
    if tissue not in TISSUES:
        raise UsageError("TISSUE", f"{tissue!r} is not a tissue{nearest(tissue, TISSUES)}; use {', '.join(TISSUES)}")
    mapped = [_probabilities(row, columns, tissue) for row in rows]
    scaled = [replace(column, window=(0.0, 1.0)) for column in columns]
    drawing = draw_montage(mapped, scaled, data_kind=data_kind, unit="probability", layout=layout)
    words = f"Probability of {tissue} by a Gaussian mixture with bias field and Markov random field, from 0 to 1."
    return replace(drawing, caption=f"{words} {drawing.caption}", alt=f"{words} {drawing.alt}")


def _probabilities(row: Row, columns: Sequence[Column], tissue: str) -> Row:
    """Returns the row with each image replaced by its map, on the grid of the target or else of the first image."""
    names = [column.name for column in columns if column.name in row.images]
    target = target_of(columns)
    first = target if target in names else names[0] if names else ""
    if not first:
        return row
    reference = in_ras(row.images[first])
    mask = mask_or_filled(row.mask, reference)
    images: dict[str, Image] = {}
    reasons = dict(row.reasons)
    for column in columns:
        if column.name not in names:
            continue
        try:
            volume = on_grid(row.images[column.name], reference)
            inside = mask & (volume.data != 0)
            maps = tissue_probabilities(volume.data, inside, spacing_mm=reference.spacing_mm)
        except VoxlateError as error:
            if column.role != "synthetic":
                raise
            reasons[column.name] = f"no segmentation ({error.code})"
            continue
        images[column.name] = volume.with_data(maps[tissue])
    return replace(row, images=images, mask=reference.with_data(mask), levels={}, reasons=reasons)
