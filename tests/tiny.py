"""A cohort of tiny skull-stripped pairs, and a recipe for it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from phantoms import head

from voxlate.cases import Case, write_cases
from voxlate.io.nifti import write_volume

RECIPE = """
name: tiny
source: T1ce
target: T1nce
data_kind: simulated
data: {cases: cases.tsv}
model: {name: translator, arguments: {width: 4, depth: 2, blocks: 1}}
loss: {l1: 1.0}
augmentation: {noise: 0.01}
training: {steps: 12, batch: 2, window: [16, 16, 16], learning_rate: 0.003, warmup: 2, validate_every: 4, seed: 5}
"""


def write_cohort(folder: Path, splits: list[str], shape: tuple[int, int, int] = (19, 21, 18)) -> list[Case]:
    """Writes pairs whose target is the source with its contrast turned round, and their table."""
    cases = []
    for number, split in enumerate(splits):
        source = head(number, shape=shape)
        target = source.with_data(np.where(source.data > 0, (number + 1) * (1000 - source.data), 0))
        paths = [folder / f"{role}_{number}.nii.gz" for role in ("source", "target")]
        for path, volume in zip(paths, (source, target), strict=True):
            write_volume(path, volume, dtype="float32")
        cases.append(Case(f"case{number}", f"patient{number}", split, *paths))
    write_cases(folder / "cases.tsv", cases)
    return cases
