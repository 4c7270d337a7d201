"""Heads simulated from the label maps of the development data, tables of training cases, and tissue maps."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
from machine import ROOT
from scipy import ndimage

from voxlate.cases import Case, read_cases, write_cases
from voxlate.simulation.anatomy.label_map import LabelMaps
from voxlate.simulation.files.dataset import Plan, write_dataset
from voxlate.simulation.files.tissue_maps import MapPlan, write_tissue_maps

EXCLUDED = "18.nii.gz"  # refused for 1.2 ml of unlabelled sinus air when the recorded models were trained
TEST_MAPS = ("04.nii.gz", "11.nii.gz", "16.nii.gz")  # of the test heads of CT; chosen arbitrarily before the first run
TISSUE_MAPS, N_TISSUE_MAPS, MAP_SEED = ROOT / "runs" / "tissue_maps", 64, 41
QUALITY = {"good": 0.6, "medium": 0.3, "low": 0.1}
TABLE = "train_cases.tsv"
_MOST_EROSION = 3  # voxels of 1 mm; masks of real data end between the cortex and the dura
_VALIDATION_EVERY = 16  # the 16th, 32nd … head is for validation


def is_validation(number: int) -> bool:
    """Returns whether a simulated head, counted from 0, is for validation."""
    return number % _VALIDATION_EVERY == _VALIDATION_EVERY - 1


def label_maps(maps: Path, links: Path, leave_out: Collection[str] = (EXCLUDED,)) -> LabelMaps:
    """Returns the maps of the development data but some, by links in a folder of their own."""
    links.mkdir(parents=True, exist_ok=True)
    for path in sorted(maps.glob("*.nii.gz")):
        if path.name not in leave_out and not (links / path.name).exists():
            (links / path.name).symlink_to(path.resolve())
    return LabelMaps.find(links)


def simulate(folder: Path, plan: Plan) -> None:
    """Writes a data set, and its cases for training into `train_cases.tsv`.

    Brain masks are eroded by 0 to 3 voxels, because masks of real data are tight or wide.
    """
    for _ in write_dataset(folder, plan):
        pass
    rng, cases = np.random.default_rng(5), list[Case]()
    for number, case in enumerate(read_cases(folder / "cases.tsv")):
        assert case.mask is not None, "simulated heads have a brain mask"
        mask = nibabel.load(case.mask)
        inside = np.asanyarray(mask.dataobj) > 0
        steps = int(rng.integers(0, _MOST_EROSION + 1))
        if steps:
            inside = ndimage.binary_erosion(inside, iterations=steps)
        path = folder / "masks" / f"{case.patient}.nii.gz"
        path.parent.mkdir(exist_ok=True)
        nibabel.save(nibabel.Nifti1Image(inside.astype(np.uint8), mask.affine), path)
        split = "validation" if is_validation(number) else "train"
        cases.append(replace(case, case=case.patient, split=split, mask=path))
    write_cases(folder / TABLE, cases)


def write_maps(maps: Path) -> Path:
    """Writes tissue maps for training windows, unless they are there (10 minutes on one core); returns their folder.

    Args:
        maps: folder of the label maps of the development data.
    """
    anatomies = label_maps(maps, TISSUE_MAPS.with_name("maps_train"), (EXCLUDED, *TEST_MAPS))
    for _ in write_tissue_maps(TISSUE_MAPS, MapPlan(N_TISSUE_MAPS, MAP_SEED, "full", None, anatomies)):
        pass
    return TISSUE_MAPS
