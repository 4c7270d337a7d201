"""What a montage shows beside the images, its margins, and the caption that says so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from voxlate.errors import UsageError, nearest
from voxlate.reporting.figures.drawing import PAGE_IN, facts
from voxlate.reporting.figures.montage_rows import PLANE_OF, Column, Row, target_of
from voxlate.reporting.figures.slices import CONVENTION
from voxlate.web import labels

Difference = Literal["none", "absolute", "signed"]

LABEL_IN, TITLE_IN, BAR_IN, GAP_IN = 1.0, 0.46, 0.68, 0.05
"""Left margin with the names of cases, top margin with the titles, bottom margin with the colour bar, gap between
pictures, in inches. Chosen by eye for text of 8 points."""

TITLE_LINE_IN = 0.13
"""Height of each further line of a title of 8 points."""

HEADING_IN, NARROW_IN = 0.18, 0.12
"""With several blocks the name of a case stands above its pictures: height of that line, and the left margin."""

ZOOM_MM = 50.0
"""Default side of the zoom: the largest metastasis of Chen et al. 2022 with its surroundings fits. Chosen by hand."""


@dataclass(frozen=True)
class Layout:
    """What a montage shows beside the images.

    Attributes:
        planes: names of planes, one row each: `axial`, `coronal`, `sagittal`.
        difference: below each row, the difference of each synthetic image from the target; none, absolute or signed.
        has_contour: draw the contour of the labels.
        has_outline: draw the outline of the mask.
        has_zoom: below each row, the region around the labels enlarged.
        zoom_mm: side of that region.
        blocks: columns of cases side by side; 3 shows 15 cases in five rows.
        width_in: width of the figure in inches.
    """

    planes: Sequence[str] = ("axial",)
    difference: Difference = "none"
    has_contour: bool = True
    has_outline: bool = False
    has_zoom: bool = False
    zoom_mm: float = ZOOM_MM
    blocks: int = 1
    width_in: float = PAGE_IN

    @property
    def margin_in(self) -> float:
        """Returns the left margin of a block, in inches."""
        return LABEL_IN if self.blocks == 1 else NARROW_IN

    @property
    def heading_in(self) -> float:
        """Returns the height above a row of images that its name needs, in inches."""
        return 0.0 if self.blocks == 1 else HEADING_IN

    def __post_init__(self) -> None:
        for name in self.planes:
            if name not in PLANE_OF:
                raise UsageError(
                    "PLANE", f"{name!r} is not a plane{nearest(name, PLANE_OF)}; use {', '.join(PLANE_OF)}"
                )
        if not self.planes or self.blocks < 1:
            raise UsageError("LAYOUT", "a montage needs at least one plane and one block")


DEFAULT_LAYOUT = Layout()


def caption_of(rows: Sequence[Row], columns: Sequence[Column], layout: Layout, data_kind: str, unit: str) -> str:
    """Returns the caption: how slices, windows and colours were chosen, n, the kind of data and the unit."""
    parts = [
        "All images of a row show one slice: at the stated position, else through most labels, else most of the mask.",
        facts(len(rows), "case", data_kind=data_kind, unit=unit),
    ]
    if target_of(columns):
        parts.append(
            "Target and synthetic images of a case share one display window, from 0 (or the target's 0.5th percentile "
            "if that is lower) to 1.1 times its 99.5th percentile in the mask; each source has the window of its own "
            "percentiles."
        )
    else:
        parts.append("An image without a fixed window is shown from 0 to 1.1 times its 99.5th percentile in the mask.")
    fixed = [
        f"{c.name} {labels.number(c.window[0], 3)} to {labels.number(c.window[1], 3)}" for c in columns if c.window
    ]
    if fixed:
        parts.append(f"Fixed windows: {'; '.join(fixed)}.")
    if layout.difference != "none":
        parts.append(
            "Differences are shown in the mask on one colour scale, which ends at the largest 99th percentile of "
            "|synthetic − target|, rounded up."
        )
    if layout.has_contour and any(row.labels is not None for row in rows):
        parts.append("Yellow: outline of the lesion labels.")
    if layout.has_outline:
        parts.append("Green: outline of the mask.")
    if layout.has_zoom:
        parts.append("Blue: the region enlarged below.")
    if {"axial", "coronal"} & set(layout.planes):
        parts.append(CONVENTION)
    return " ".join(parts)


def alt_of(rows: Sequence[Row], columns: Sequence[Column], layout: Layout) -> str:
    """Returns the text for people who cannot see the montage."""
    names = ", ".join(column.name for column in columns)
    return f"Montage of {labels.count(len(rows), 'case')} in {' and '.join(layout.planes)} slices; columns: {names}."
