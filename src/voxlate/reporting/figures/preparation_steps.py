"""How the images of a case were prepared: each step beside the others, and input, mask and masked image.

They are Chen et al. 2022, Fig. 1 and 3, Li et al. 2022, Fig. 2, and the cropping of Lee et al. 2020.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from voxlate.errors import NoInput
from voxlate.reporting.figures.drawing import Drawing
from voxlate.reporting.figures.images import Image, in_ras, mask_on_grid
from voxlate.reporting.figures.montage import draw_montage
from voxlate.reporting.figures.montage_layout import Layout
from voxlate.reporting.figures.montage_rows import Column, Row, Window


def draw_steps(
    cases: Mapping[str, Mapping[str, Image]],
    *,
    data_kind: str,
    unit: str,
    masks: Mapping[str, Image] | None = None,
    windows: Mapping[str, Window] | None = None,
    planes: Sequence[str] = ("axial",),
) -> Drawing:
    """Returns a montage of the steps of a preparation, or of the inputs of a network, each in its own window.

    All images are shown on the grid of the first one.

    Args:
        cases: image by name of the step, by case.
        data_kind: `real`, `simulated` or `unknown`.
        unit: of the values.
        masks: mask by case, drawn as an outline.
        windows: lowest and highest value shown, by name of the step.
        planes: names of planes.

    Raises:
        NoInput: `NO_INPUT` without a case.
        VoxlateError: an image cannot be read.
    """
    shown, steps = windows or {}, list(dict.fromkeys(name for images in cases.values() for name in images))
    columns = [Column(name, "step", shown.get(name)) for name in steps]
    rows = [Row(case, images, mask=(masks or {}).get(case)) for case, images in cases.items()]
    layout = Layout(planes=planes, has_outline=bool(masks))
    return draw_montage(rows, columns, data_kind=data_kind, unit=unit, layout=layout)


def draw_masks(
    cases: Mapping[str, Mapping[str, Image]],
    masks: Mapping[str, Image],
    *,
    data_kind: str,
    unit: str,
    planes: Sequence[str] = ("axial",),
    windows: Mapping[str, Window] | None = None,
) -> Drawing:
    """Returns input with the outline of its mask, the mask, and the masked image, one row per case and image.

    Args:
        cases: image by name, such as `CT` and `T1w`, by case.
        masks: brain or body mask by case.
        data_kind: `real`, `simulated` or `unknown`.
        unit: of the values.
        planes: names of planes.
        windows: lowest and highest value shown by name of the image, such as (-100, 200) HU of CT.

    Raises:
        NoInput: `NO_INPUT` without a case, or for a case without a mask.
        VoxlateError: an image cannot be read.
    """
    rows = []
    for case, images in cases.items():
        if case not in masks:
            raise NoInput("NO_INPUT", f"{case} has no mask; prepare it first")
        for name, image in images.items():
            rows.append(_masked_row(f"{case} {name}", image, masks[case], (windows or {}).get(name)))
    columns = [Column("input", "step"), Column("mask", "step", (0.0, 1.0)), Column("masked", "step")]
    layout = Layout(planes=planes, has_outline=True)
    drawing = draw_montage(rows, columns, data_kind=data_kind, unit=unit, layout=layout)
    stated = [f"{name} {low:g} to {high:g}" for name, (low, high) in (windows or {}).items()]
    shown = f" Windows: {'; '.join(stated)}." if stated else ""
    return replace(
        drawing, caption=f"Input with its mask (green), mask, and image in the mask.{shown} {drawing.caption}"
    )


def _masked_row(label: str, volume: Image, mask: Image, window: Window | None) -> Row:
    image = in_ras(volume)
    inside = mask_on_grid(mask, image)
    masked = image.with_data(np.where(inside, image.data, image.data.min()))
    outline = image.with_data(inside)
    windows = {} if window is None else {"input": window, "masked": window}
    return Row(label, {"input": image, "mask": outline, "masked": masked}, mask=outline, windows=windows)
