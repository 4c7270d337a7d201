"""All that is said of the lesions of one case."""

from __future__ import annotations

from typing import Any

import numpy as np

from voxlate.errors import InputRefused
from voxlate.evaluation.lesions.differences import find_structures
from voxlate.evaluation.lesions.labelled import enhancement, measure_lesions
from voxlate.volume import Array, Mask


def describe_lesions(
    images: dict[str, Array],
    mask: Mask,
    regions: dict[str, Mask],
    *,
    spacing_mm: tuple[float, float, float],
    data_range: float,
) -> list[dict[str, Any]]:
    """Returns the records of a case, each with its `kind`.

    `structures` (one), `candidate` (some); with labels also `lesion` (one per connected lesion) and `enhancement`
    (one, over the enhancing label, or over all lesions when no value was named). Where a case has no tissue to
    compare a lesion with, one record `no_reference` says why.

    Args:
        images: `source`, `synthetic` and `target` in one unit.
        mask: where images are compared.
        regions: see `voxlate.evaluation.cases.regions.lesion_regions`; empty without labels.
        spacing_mm: of the grid.
        data_range: L.
    """
    structures, candidates = find_structures(images, mask, spacing_mm=spacing_mm, data_range=data_range)
    records = [{"kind": "structures", **structures}]
    records += [{"kind": "candidate", **candidate} for candidate in candidates]
    if "lesion" not in regions:
        return records
    normal = regions.get("normal_appearing", np.zeros_like(mask))
    name = "enhancing" if "enhancing" in regions else "lesion"
    voxel_mm3 = float(np.prod(spacing_mm))
    try:
        index = {"kind": "enhancement", "region": name, **enhancement(images, regions[name], normal)}
        lesions = measure_lesions(
            images,
            regions["lesion"],
            normal,
            voxel_mm3=voxel_mm3,
            data_range=data_range,
            enhancing=regions.get("enhancing"),
        )
    except InputRefused as error:
        return [*records, {"kind": "no_reference", "reason": error.message}]
    return [*records, index, *({"kind": "lesion", **lesion} for lesion in lesions)]
