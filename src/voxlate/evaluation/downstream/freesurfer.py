"""Volumes of structures from label maps with FreeSurfer's numbers, and tables of FreeSurfer (`*.stats`).

SynthSeg and FastSurfer use the same numbers. `aseg.stats` gives volumes of structures, `lh.aparc.stats` and
`rh.aparc.stats` the mean thickness of cortical regions. Nothing is segmented here.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from voxlate.errors import InputRefused, NoInput
from voxlate.io.documents import InvalidDocument, read_text
from voxlate.volume import Volume

SUBCORTICAL = {
    "Thalamus": (10, 49),
    "Caudate": (11, 50),
    "Putamen": (12, 51),
    "Pallidum": (13, 52),
    "Hippocampus": (17, 53),
    "Amygdala": (18, 54),
    "Accumbens-area": (26, 58),
    "VentralDC": (28, 60),
}
"""Left and right labels of the subcortical structures, from FreeSurfer's colour table."""

OTHERS = {
    "Cerebral-White-Matter": (2, 41),
    "Cerebral-Cortex": (3, 42),
    "Lateral-Ventricle": (4, 43),
    "Inf-Lat-Vent": (5, 44),
    "Cerebellum-White-Matter": (7, 46),
    "Cerebellum-Cortex": (8, 47),
    "3rd-Ventricle": (14,),
    "4th-Ventricle": (15,),
    "Brain-Stem": (16,),
    "CSF": (24,),
}
"""Left and right labels, or the one label, of the other structures of `aseg`."""

STRUCTURES = {**SUBCORTICAL, **OTHERS}

_MM3_PER_CM3 = 1000.0
_WHOLE = 1e-3  # largest distance of a label from a whole number; files with a scale factor round


def structure_volumes(labels: Volume, *, is_by_side: bool = False) -> dict[str, float]:
    """Returns the volume of each structure in cm³, 0 for those that the map lacks.

    Args:
        labels: label map with FreeSurfer's numbers, any orientation.
        is_by_side: left and right apart, as `Left-Hippocampus`; by default their sum, as `Hippocampus`.

    Raises:
        InputRefused: `LABELS` for values that are no whole numbers, or a map without any known label.
    """
    whole = np.rint(labels.data)
    if float(np.abs(whole - labels.data).max()) > _WHOLE or whole.min() < 0:
        raise InputRefused("LABELS", "labels must be whole numbers from 0; resample label maps by nearest neighbour")
    # Not np.bincount, which counts every number up to the largest: a label of 2 000 000 000 would take 16 GB.
    present, voxels = np.unique(whole, return_counts=True)
    counts: dict[float, int] = dict(zip(present.tolist(), voxels.tolist(), strict=True))
    voxel_cm3 = labels.grid.voxel_volume_mm3 / _MM3_PER_CM3
    found: dict[str, float] = {}
    for name, numbers in STRUCTURES.items():
        sides = [counts.get(number, 0) for number in numbers]
        if is_by_side and len(sides) == 2:
            each = {f"Left-{name}": sides[0], f"Right-{name}": sides[1]}
        else:
            each = {name: sum(sides)}
        found |= {key: count * voxel_cm3 for key, count in each.items()}
    if not any(found.values()):
        raise InputRefused(
            "LABELS", "the map holds none of FreeSurfer's structures; give an aseg or SynthSeg label map"
        )
    return found


def read_stats(path: Path) -> dict[str, tuple[float, str]]:
    """Reads a table of FreeSurfer: value and unit (`cm3` or `mm`) by structure.

    A table with the column `ThickAvg` gives the mean thickness of each region, named by hemisphere (`lh-precuneus`),
    and `lh-MeanThickness`; any other the volumes of its structures, and `eTIV` where it is stated.

    Args:
        path: `aseg.stats`, `lh.aparc.stats` or another table with a line `# ColHeaders`.

    Raises:
        NoInput: `NO_INPUT` when it does not exist.
        InputRefused: `STATS` when it has another format.
    """
    if not path.is_file():
        raise NoInput("NO_INPUT", f"{path.name}: this table does not exist; check the path")
    try:
        lines = read_text(path).splitlines()
    except (InvalidDocument, OSError) as error:
        raise InputRefused("STATS", f"{path.name}: {error}; give a table that FreeSurfer wrote") from error
    heading = next((line.split()[2:] for line in lines if line.startswith("# ColHeaders")), [])
    column = next((name for name in ("ThickAvg", "Volume_mm3") if name in heading), "")
    if not column or "StructName" not in heading:
        raise InputRefused(
            "STATS",
            f"{path.name} has no column ThickAvg or Volume_mm3; give aseg.stats or lh.aparc.stats of FreeSurfer",
        )
    is_thickness = column == "ThickAvg"
    prefix = f"{_hemisphere(path, lines)}-" if is_thickness else ""
    unit, scale = ("mm", 1.0) if is_thickness else ("cm3", 1 / _MM3_PER_CM3)
    found: dict[str, tuple[float, str]] = {}
    for line in lines:
        fields = line.split()
        if not fields or line.startswith("#"):
            continue
        if len(fields) != len(heading):
            raise InputRefused("STATS", f"{path.name}: a row has {len(fields)} fields, its heading {len(heading)}")
        row = dict(zip(heading, fields, strict=True))
        found[prefix + row["StructName"]] = (_number(row[column], path) * scale, unit)
    return found | _global(path, lines, prefix, is_thickness=is_thickness)


def _hemisphere(path: Path, lines: list[str]) -> str:
    stated = next((line.split()[2] for line in lines if re.match(r"# hemi [lr]h$", line)), path.name[:2])
    if stated not in {"lh", "rh"}:
        raise InputRefused("STATS", f"{path.name} states no hemisphere; name it lh… or rh…")
    return stated


def _global(path: Path, lines: list[str], prefix: str, *, is_thickness: bool) -> dict[str, tuple[float, str]]:
    """Returns the mean thickness of a hemisphere, or the intracranial volume, from the lines `# Measure`."""
    wanted = "MeanThickness" if is_thickness else "eTIV"
    for line in lines:
        fields = [field.strip() for field in line.removeprefix("# Measure").split(",")]
        if line.startswith("# Measure") and len(fields) >= 5 and fields[1] == wanted:
            value = _number(fields[3], path)
            return {prefix + wanted: (value, "mm") if is_thickness else (value / _MM3_PER_CM3, "cm3")}
    return {}


def _number(text: str, path: Path) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise InputRefused("STATS", f"{path.name}: {text!r} is no number") from error
