"""Input of the quality network: the head on a coarse grid of fixed size, and measures of the scan's own voxels.

Vessels, fluid and motion show at 2 mm; noise and sharpness do not, and are measured at the scan's own resolution.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from voxlate.preparation.steps.resample import resample
from voxlate.quality.head_mask import Head, find_head
from voxlate.quality.measures import Measures, measures_of
from voxlate.volume import Array, Grid, Shape, Volume

INPUT_SHAPE: Shape = (96, 112, 96)
INPUT_SPACING_MM = 2.0
"""Shape and spacing of the grid: 192 x 224 x 192 mm hold a head in few enough voxels for a CPU."""

NUMBERS = ("noise_percent", "sharpness", "ghosting", "entropy_focus", "air_level", "contrast", "slice_spacing_mm",
           "slices", "constant_air", "slice_jump")  # fmt: skip
"""Measures that the network is given, in this order; part of its trained weights, as the other constants here."""

_MARGIN_ABOVE_HEAD = 4  # voxels of air above the head; chosen by hand
_MAX_INTENSITY = 3.0  # in units of bright tissue, against spikes; chosen by hand
_LOG_FLOOR = 0.05  # keeps the logarithm finite when noise is 0; chosen by hand


@dataclass(frozen=True)
class ClassifierInput:
    """Input of the quality network for one scan.

    Attributes:
        image: float32 array of `INPUT_SHAPE` in RAS+ order; 0 for air, 1 for bright tissue, at most 3.
        numbers: float32 array (10,), see `numbers_of`.
        measures: all measures.
    """

    image: Array
    numbers: Array
    measures: Measures


def classifier_input(volume: Volume, head: Head | None = None) -> ClassifierInput:
    """Returns the input of the network for a scan.

    Args:
        volume: the scan, of any orientation.
        head: of the scan, when it was found before.

    Raises:
        InputRefused: see `find_head`.
    """
    head = head or find_head(volume)
    measures = measures_of(head, volume)
    image = resample(head.volume, _input_grid(head)).data / np.float32(head.level or 1.0)
    return ClassifierInput(np.clip(image, 0, _MAX_INTENSITY), numbers_of(measures), measures)


def numbers_of(measures: Measures) -> Array:
    """Returns the values of `NUMBERS`, a float32 array (10,); noise, spacing and slices as logarithms, NaN as 0."""
    values = np.nan_to_num(np.array([measures[name] for name in NUMBERS], dtype=np.float32))
    for name in ("noise_percent", "slice_spacing_mm", "slices"):
        values[NUMBERS.index(name)] = np.log(np.maximum(values[NUMBERS.index(name)], _LOG_FLOOR))
    return values


def _input_grid(head: Head) -> Grid:
    """Returns the grid of the image: centred on the head in x and y, and from its top downwards in z."""
    lowest, highest = head.corners_mm()
    middle, top = (lowest + highest) / 2, float(highest[2])
    affine = np.diag([INPUT_SPACING_MM, INPUT_SPACING_MM, INPUT_SPACING_MM, 1.0])
    half = (np.array(INPUT_SHAPE) - 1) / 2 * INPUT_SPACING_MM
    affine[:3, 3] = middle - half
    affine[2, 3] = top - (INPUT_SHAPE[2] - 1 - _MARGIN_ABOVE_HEAD) * INPUT_SPACING_MM
    return Grid(INPUT_SHAPE, affine)
