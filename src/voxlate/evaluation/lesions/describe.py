"""All rows of the lesions of one case."""

from __future__ import annotations

import numpy as np

from voxlate.errors import InputRefused
from voxlate.evaluation.lesions.differences import find_structures
from voxlate.evaluation.lesions.labelled import enhancement, measure_lesions
from voxlate.evaluation.schema.rows import CaseLesionRow, EnhancementRow
from voxlate.volume import Array, Mask


def describe_lesions(
    images: dict[str, Array],
    mask: Mask,
    regions: dict[str, Mask],
    *,
    spacing_mm: tuple[float, float, float],
    data_range: float,
) -> list[CaseLesionRow]:
    """Returns the rows of a case, each with its `kind`.

    There is one row `structures` and up to 20 rows `candidate`. With labels there is also one row `lesion` per
    connected lesion and one row `enhancement` for the enhancing label, or for all lesions when no label was named as
    enhancing. When a case has no white-matter-like tissue to compare its lesions with, one row `no_reference` says why.

    Args:
        images: `source`, `synthetic` and `target`, each of shape (i, j, k) on one grid and in one unit.
        mask: (i, j, k), the voxels where images are compared.
        regions: name to voxels (i, j, k), see `voxlate.evaluation.cases.regions.lesion_regions`; empty without labels.
        spacing_mm: of the grid, along the three axes.
        data_range: L, in the unit of the images.
    """
    structures, candidates = find_structures(images, mask, spacing_mm=spacing_mm, data_range=data_range)
    rows: list[CaseLesionRow] = [structures, *candidates]
    if "lesion" not in regions:
        return rows
    normal = regions.get("normal_appearing", np.zeros_like(mask))
    region = "enhancing" if "enhancing" in regions else "lesion"
    voxel_mm3 = float(np.prod(spacing_mm))
    try:
        indices = enhancement(images, regions[region], normal)
        lesions = measure_lesions(
            images,
            regions["lesion"],
            normal,
            voxel_mm3=voxel_mm3,
            data_range=data_range,
            enhancing=regions.get("enhancing"),
        )
    except InputRefused as error:
        return [*rows, {"kind": "no_reference", "reason": error.message}]
    enhancement_row: EnhancementRow = {
        "kind": "enhancement",
        "region": region,
        "index_source": indices["index_source"],
        "index_synthetic": indices["index_synthetic"],
        "index_target": indices["index_target"],
        "share_reached": indices["share_reached"],
    }
    return [*rows, enhancement_row, *lesions]
