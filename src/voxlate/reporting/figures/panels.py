"""The pictures of a case: source, target, synthetic image and the difference synthetic − target in three planes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from voxlate.errors import VoxlateError
from voxlate.evaluation.metrics import metric_of
from voxlate.evaluation.schema.results import Direction, EvaluatedCase
from voxlate.preparation.masks.skull_stripped import nonzero_mask
from voxlate.reporting.case_selection import Chosen
from voxlate.reporting.figures.images import in_ras, mask_on_grid, on_grid
from voxlate.reporting.figures.slices import PLANES, Plane, box_around, fullest_slice, position_mm
from voxlate.reporting.figures.slices import section as cut
from voxlate.volume import Array, Mask, Volume
from voxlate.web import colours, labels, png
from voxlate.web.html import Html, tag

SLICE_RULE = "Each plane passes through the slice with the largest sum of |synthetic − target| inside the mask."
SCALE_RULE = (
    "The colour scale of the difference is symmetric and the same for all cases shown: it ends at the 99th percentile "
    "of |synthetic − target| inside their masks, rounded up. Outside the mask no difference is shown."
)


@dataclass(frozen=True)
class Picture:
    """The slices of one case in one plane.

    Attributes:
        plane: orientation of the slices.
        at_mm: coordinate of the slices along the plane's normal, in RAS+ mm.
        images: slices by role, shape (rows, columns), relative units; `difference` is synthetic minus target.
    """

    plane: Plane
    at_mm: float
    images: dict[str, Array]


@dataclass(frozen=True)
class Pictures:
    """The slices of one case in all planes.

    Attributes:
        chosen: the case.
        planes: one entry per plane.
        large_difference: 99th percentile of |synthetic − target| inside the mask, in relative units.
    """

    chosen: Chosen
    planes: tuple[Picture, ...]
    large_difference: float


def relative_images(folder: Path, case: EvaluatedCase) -> tuple[dict[str, Volume], Mask]:
    """Reads the images of a case as the evaluation does: on the target's grid, in RAS+ order, in relative units.

    Args:
        folder: the evaluation folder.
        case: one of its cases.

    Returns:
        The images by role, and the mask: that of the case, or else the voxels where source and target are not zero.

    Raises:
        VoxlateError: an image cannot be read, or there is no mask.
    """
    target = in_ras(folder / case.paths.target)
    images = {
        "source": on_grid(folder / case.paths.source, target),
        "target": target,
        "synthetic": on_grid(folder / case.paths.synthetic, target),
    }
    if case.paths.mask is None:
        mask = nonzero_mask(images["source"].data) & nonzero_mask(target.data)
    else:
        mask = mask_on_grid(folder / case.paths.mask, target)
    levels = case.reference_level.model_dump()
    return {role: image.with_data(image.data / np.float32(levels[role])) for role, image in images.items()}, mask


def cut_planes(images: dict[str, Volume], mask: Mask) -> tuple[tuple[Picture, ...], float]:
    """Returns the slices of `SLICE_RULE` in three planes, and the 99th percentile of |difference| inside the mask.

    Args:
        images: `source`, `target` and `synthetic` in RAS+ order, on one grid, in relative units.
        mask: shape of the images.
    """
    target = images["target"]
    difference = np.nan_to_num(images["synthetic"].data - target.data)
    inside = np.where(mask, np.abs(difference), 0.0)
    box = box_around(mask, target.spacing_mm)
    arrays = {role: image.data[box] for role, image in images.items()}
    arrays["difference"] = np.where(mask, difference, 0.0)[box].astype(np.float32)
    planes = []
    for plane in PLANES:
        index = fullest_slice(inside, plane)
        at = index - (box[plane.normal].start or 0)
        cuts = {role: cut(array, plane, at, spacing_mm=target.spacing_mm) for role, array in arrays.items()}
        planes.append(Picture(plane, position_mm(target, plane, index), cuts))
    large = float(np.percentile(inside[mask], 99)) if mask.any() else 0.0
    return tuple(planes), large


def figures(
    folder: Path, chosen: Sequence[Chosen], *, direction: Direction, data_kind: str, unit: str
) -> dict[int, Html]:
    """Returns one figure per chosen case, by its rank, or a note if the images of a case cannot be read.

    Args:
        folder: the evaluation folder.
        chosen: the cases; all differences have one colour scale.
        direction: what was translated into what.
        data_kind: `real`, `simulated` or `unknown`.
        unit: unit of the display window.
    """
    read: dict[int, Pictures | Html] = {}
    for selected in chosen:
        try:
            images, mask = relative_images(folder, selected.case)
        except VoxlateError as error:
            reason = f"{selected.title} case {selected.case.case}: its images could not be shown ({error.code})."
            read[selected.rank] = tag("p", reason, class_="note")
            continue
        read[selected.rank] = Pictures(selected, *cut_planes(images, mask))
    limit = colours.round_up(max((p.large_difference for p in read.values() if isinstance(p, Pictures)), default=0.0))
    return {
        rank: _figure(p, limit=limit, direction=direction, data_kind=data_kind, unit=unit)
        if isinstance(p, Pictures)
        else p
        for rank, p in read.items()
    }


def _figure(pictures: Pictures, *, limit: float, direction: Direction, data_kind: str, unit: str) -> Html:
    chosen = pictures.chosen
    window = chosen.case.display_range
    titles = {
        "source": ("Source", direction.source),
        "target": ("Target", f"real {direction.target}" if data_kind == "real" else direction.target),
        "synthetic": ("Synthetic", direction.target),
        "difference": ("Difference", "synthetic − target"),
    }
    value = f"{metric_of(chosen.metric).label} {labels.number(chosen.value)} {chosen.unit}".rstrip()
    score = f"rank {chosen.rank} of {chosen.of}, {value}"
    heading = tag("h3", tag("span", f"{chosen.title} case: ", tag("b", chosen.case.case)), tag("small", score))
    columns = [tag("div", tag("b", title), tag("span", shown)) for title, shown in titles.values()]
    facts = (
        f"n = 1 case. {labels.DATA_KINDS[data_kind]}. Display window of source, target and synthetic: "
        f"{labels.number(window[0], 2)} to {labels.number(window[1], 2)} {unit}."
    )
    return tag(
        "figure",
        heading,
        tag("div", columns, class_="columns"),
        [_row(picture, titles, chosen=chosen, limit=limit) for picture in pictures.planes],
        _bars(window, limit),
        tag("figcaption", facts),
        class_="case",
    )


def _row(picture: Picture, titles: dict[str, tuple[str, str]], *, chosen: Chosen, limit: float) -> Html:
    window = chosen.case.display_range
    at = f"{picture.plane.axis} = {labels.number(picture.at_mm, 0)} mm"
    cells = []
    for role, (title, shown) in titles.items():
        values = picture.images[role]
        pixels = colours.diverging(values, limit) if role == "difference" else colours.grey(values, window)
        height, width = values.shape
        image = tag(
            "img",
            src=png.data_uri(pixels),
            width=width,
            height=height,
            alt=f"{title} {shown}, {picture.plane.name}, {at}, case {chosen.case.case}",
        )
        sides = [tag("i", picture.plane.left, class_="left"), tag("i", picture.plane.right, class_="right")]
        cells.append(tag("div", image, sides, class_="panel"))
    where = tag("span", f"{picture.plane.name} {at}", class_="where")
    return tag("div", where, tag("div", cells, class_="panels"), class_="plane")


def _bars(window: tuple[float, float], limit: float) -> Html:
    grey_ends = [labels.number(window[0], 2), "display window", labels.number(window[1], 2)]
    ends = [f"\N{MINUS SIGN}{limit:g} too dark", "0", f"too bright +{limit:g}"]
    return tag(
        "div",
        _bar(png.data_uri(colours.grey_bar()), grey_ends, "Grey scale of the display window"),
        _bar(png.data_uri(colours.diverging_bar()), ends, "Colour scale of the difference"),
        class_="bars",
    )


def _bar(source: str, labels: Sequence[str], alt: str) -> Html:
    return tag(
        "div", tag("img", src=source, alt=alt), tag("div", [tag("span", label) for label in labels]), class_="bar"
    )
