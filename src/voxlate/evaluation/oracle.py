"""Comparison with the lowest possible error: simulated targets state the RMSE that no model can beat on average."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from voxlate.cases import Case
from voxlate.evaluation.schema.results import Oracle
from voxlate.evaluation.simulated_subgroups import factors_files
from voxlate.io.documents import read_json


def oracle_errors(folder: Path, cases: Sequence[Case], target: str) -> dict[str, float]:
    """Returns case to the lowest possible RMSE in the brain, in % of the target's 99.5th percentile, where stated.

    Args:
        folder: of a simulation's truth, with `<case>_factors.json`.
        cases: evaluated cases.
        target: contrast of the target in the simulator's spelling (`T1w`); if the truth has one target only, its name
            does not matter.
    """
    stated = ((case, _stated(path, target)) for case, path in factors_files(folder, cases))
    return {case: error for case, error in stated if error is not None}


def _stated(path: Path, target: str) -> float | None:
    try:
        stated = read_json(path)["oracle"]
        chosen = stated[target] if target in stated else next(iter(stated.values())) if len(stated) == 1 else {}
        return float(chosen["all"]["rmse_percent"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def compare_with_oracle(errors: Mapping[str, float], ours: Mapping[str, float]) -> Oracle | None:
    """Returns root mean squares over the cases that have both errors; None if there is no such case.

    Args:
        errors: lowest possible RMSE by case.
        ours: RMSE of the synthetic image in the mask, intensities as written, by case, in the same unit.
    """
    both = [case for case in errors if np.isfinite(ours.get(case, np.nan))]
    if not both:
        return None
    oracle, made = (float(np.sqrt(np.mean([of[case] ** 2 for case in both]))) for of in (errors, ours))
    return Oracle(cases=len(both), oracle_rmse_percent=oracle, synthetic_rmse_percent=made, is_below=made < oracle)
