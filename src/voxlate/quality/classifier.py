"""What the learned heads see of a scan: its head on a fixed coarse grid, and a few numbers of the scan's own voxels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from voxlate.preparation.steps.resample import resample
from voxlate.quality.head_mask import Head, find_head
from voxlate.quality.measures import Measures, measures_of
from voxlate.volume import Array, Grid, Shape, Volume

INPUT_SHAPE: Shape = (96, 112, 96)
INPUT_SPACING_MM = 2.0
NUMBERS = ("noise_percent", "sharpness", "ghosting", "entropy_focus", "air_level", "contrast", "slice_spacing_mm",
           "slices", "constant_air", "slice_jump")  # fmt: skip
_SPARE_VOXELS = 4
_LARGEST = 3.0


@dataclass(frozen=True)
class ClassifierInput:
    """What is shown to the heads.

    Attributes:
        image: `INPUT_SHAPE`, 1 for bright tissue, 0 for air, at most 3.
        numbers: of `NUMBERS`, those that cannot be measured as 0.
        measures: all of them.
    """

    image: Array
    numbers: Array
    measures: Measures


def classifier_input(volume: Volume, head: Head | None = None) -> ClassifierInput:
    """Returns what the heads are shown of a scan; its head is looked for unless it was found before."""
    head = head or find_head(volume)
    measures = measures_of(head, volume)
    image = resample(head.volume, _window(head)).data / np.float32(head.level or 1.0)
    return ClassifierInput(np.clip(image, 0, _LARGEST), numbers_of(measures), measures)


def numbers_of(measures: Measures) -> Array:
    """Returns the measures that the heads are given, noise and counts as logarithms."""
    values = np.nan_to_num(np.array([measures[name] for name in NUMBERS], dtype=np.float32))
    for name in ("noise_percent", "slice_spacing_mm", "slices"):
        values[NUMBERS.index(name)] = np.log(np.maximum(values[NUMBERS.index(name)], 0.05))
    return values


def _window(head: Head) -> Grid:
    """Returns the grid of what is seen: across about the middle of the head, downwards from its top."""
    lowest, highest = head.corners_mm()
    middle, top = (lowest + highest) / 2, float(highest[2])
    affine = np.diag([INPUT_SPACING_MM, INPUT_SPACING_MM, INPUT_SPACING_MM, 1.0])
    half = (np.array(INPUT_SHAPE) - 1) / 2 * INPUT_SPACING_MM
    affine[:3, 3] = middle - half
    affine[2, 3] = top - (INPUT_SHAPE[2] - 1 - _SPARE_VOXELS) * INPUT_SPACING_MM
    return Grid(INPUT_SHAPE, affine)
