"""What the gate says of real scans: of the contrast that a model was trained on, of others, and of heads turned round.

    python benchmarks/bench_gate.py [PAIRS]

PAIRS is a folder of subjects (by default that of the development data) with t1ce, t1, t2 and flair; six of them are the
training scans (those of `bench_systems.py`), and only the gate is fitted, no network. Contrasts of training subjects
count as well, because the gate has seen no other contrast of them; their T1ce does not."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from machine import development_data, write_result

from voxlate.bundle.out_of_distribution import TrainingStatistics, describe, fit_training_statistics
from voxlate.io.nifti import read_volume
from voxlate.preparation import PreparationSettings, fit_preparation
from voxlate.volume import Volume

TRAINING = ("BraTS-GLI-00001-000", "BraTS2021_00006", "BraTS2021_01657", "BraTS2021_01659", "Brats18_2013_2_1")
TRAINING += ("TCGA-FG-6692_sri24",)
TURNS = {"upside down": "S", "turned by 180 degrees": "SA", "back to front": "A"}
SETTINGS = PreparationSettings()


def described(scan: Volume, turn: str = ""):
    axes = [axis for axis, code in enumerate(nib.aff2axcodes(scan.affine)) if set(code) & set(turn + opposite(turn))]
    turned = scan.with_data(np.flip(scan.data, axes) if axes else scan.data)
    preparation = fit_preparation(turned, None, SETTINGS)
    return describe(preparation.apply(turned).data, preparation.mask)


def opposite(turn: str) -> str:
    return turn.translate(str.maketrans("SA", "IP"))


def real_groups(folder: Path) -> tuple[TrainingStatistics, dict[str, list[dict[str, Any]]]]:
    """Returns what the gate knows after the training scans, and the descriptions of all groups."""
    subjects = sorted(path.name for path in folder.iterdir() if path.is_dir())
    scans = {name: read_volume(folder / name / "t1ce.nii.gz") for name in subjects}
    targets = [described(read_volume(folder / name / "t1.nii.gz"))["intensities"] for name in TRAINING]
    known = fit_training_statistics([described(scans[name]) for name in TRAINING], targets)
    groups = {"T1ce of other patients": [described(scans[name]) for name in subjects if name not in TRAINING]}
    for contrast in ("t1", "t2", "flair"):
        paths = [folder / name / f"{contrast}.nii.gz" for name in subjects]
        groups[contrast.upper()] = [described(read_volume(path)) for path in paths if path.exists()]
    for name, turn in TURNS.items():
        groups[f"T1ce {name}"] = [described(scan, turn) for scan in scans.values()]
    return known, groups


def main() -> None:
    pairs = Path(sys.argv[1]) if len(sys.argv) > 1 else development_data("pairs")
    if pairs is None:
        return
    known, groups = real_groups(pairs)
    rows = []
    for name, several in groups.items():
        found = [known.score(each) for each in several]
        counts = {
            verdict: sum(each.verdict == verdict for each in found) for verdict in ("known", "unusual", "unknown")
        }
        rows.append({"scans": name, "n": len(found)} | counts | {"scores": [round(each.score, 2) for each in found]})
        print(rows[-1])
    write_result("gate", {"training_scans": len(TRAINING), "rows": rows})


if __name__ == "__main__":
    main()
