"""Does a model score better than anything could? Simulated targets come with the least error there is to make."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from voxlate.cases import Case
from voxlate.evaluation.results import Oracle
from voxlate.io.documents import read_json


def oracle_errors(folder: Path, cases: Sequence[Case], target: str) -> dict[str, float]:
    """Returns case to the least RMSE in the brain, in % of the target's 99.5th percentile, as far as it is stated.

    Args:
        folder: of a simulation's truth, with `<case>_factors.json`.
        cases: evaluated.
        target: what is to be made, as the simulator calls it (`T1w`); with one target in the truth its name is no
        matter.
    """
    wanted = {f"{case.case}_factors.json": case.case for case in cases}
    found = {}
    for path in sorted(folder.rglob("*_factors.json")):
        if path.name in wanted:
            error = _stated(path, target)
            if error is not None:
                found[wanted[path.name]] = error
    return found


def _stated(path: Path, target: str) -> float | None:
    try:
        stated: Mapping[str, Any] = read_json(path)["oracle"]
        chosen = stated[target] if target in stated else next(iter(stated.values())) if len(stated) == 1 else {}
        return float(chosen["all"]["rmse_percent"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def compare_with_oracle(errors: Mapping[str, float], ours: Mapping[str, float]) -> Oracle | None:
    """Returns the comparison over the cases that have both figures: root mean squares over cases, and the verdict.

    Args:
        errors: of the oracle, by case.
        ours: RMSE of the synthetic image in the mask as written, by case, in the same unit.
    """
    both = [case for case in errors if np.isfinite(ours.get(case, np.nan))]
    if not both:
        return None
    oracle, made = (float(np.sqrt(np.mean([of[case] ** 2 for case in both]))) for of in (errors, ours))
    return Oracle(cases=len(both), oracle_rmse_percent=oracle, synthetic_rmse_percent=made, is_below=made < oracle)
