"""The picture of the disc slices of a patient: CT beside T2w, one disc below the other, the highest first."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from voxlate.io.atomic import replacing
from voxlate.preparation.spine.sections import SpinePair
from voxlate.volume import Volume
from voxlate.web import colours, png

_SOFT_TISSUE_HU = (-160.0, 240.0)  # the usual window of soft tissue: centre 40, width 400
_GAP_PX = 4


def write_spine_picture(pair: SpinePair, path: Path) -> None:
    """Writes a PNG file; anterior is up and the patient's right is left, as radiologists see slices.

    Args:
        pair: the slices of a patient.
        path: the file.
    """
    rows = []
    for disc in reversed(pair.discs.values()):
        top = max(float(np.percentile(disc.target.data, 99.5)), 1e-6)
        cells = [_cell(disc.source, _SOFT_TISSUE_HU), _cell(disc.target, (0.0, top))]
        rows.append(np.concatenate([np.pad(cell, ((0, _GAP_PX), (0, _GAP_PX))) for cell in cells], axis=1))
    with replacing(path) as partial:
        partial.write_bytes(png.encode(np.concatenate(rows, axis=0)))


def _cell(image: Volume, window: tuple[float, float]) -> NDArray[np.uint8]:
    """Returns a slice with axes right and anterior as grey levels, (rows, columns)."""
    return colours.grey(image.data[::-1, ::-1, 0].T, window)
