"""A linear mixed model with one random intercept: value ~ fixed effects + (1 | patient).

For several scans per patient, or several scanners. Fitted by restricted maximum likelihood: with the ratio
r = variance between patients / residual variance, everything else has a closed form, so one number is
searched for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize, stats

from voxlate.errors import InputRefused
from voxlate.evaluate.statistics.samples import MINIMUM_PATIENTS, Values

_LARGEST_LOG_RATIO = 14.0


@dataclass(frozen=True)
class MixedModel:
    """A fitted model.

    Attributes:
        coefficients: one per column of the design.
        standard_errors: of the coefficients.
        p: two-sided, from the normal distribution.
        patient_variance: between patients.
        residual_variance: within them.
        log_likelihood: restricted.
    """

    coefficients: Values
    standard_errors: Values
    p: Values
    patient_variance: float
    residual_variance: float
    log_likelihood: float


def fit_mixed_model(values: ArrayLike, design: ArrayLike, patients: Sequence[str]) -> MixedModel:
    """Returns the fit of `values` (n) on `design` (n, effects; include a column of ones) with patients as groups.

    Raises:
        InputRefused: `LENGTHS`, `NON_FINITE`, `TOO_FEW_PATIENTS`; `DESIGN` when the columns depend on one
            another or leave no degree of freedom.
    """
    y, x = np.asarray(values, dtype=np.float64), np.asarray(design, dtype=np.float64)
    names, groups = np.unique(np.asarray(patients), return_inverse=True)
    _require_fit(y, x, groups, len(names))
    log_ratio = _best_log_ratio(y, x, groups)
    # The likelihood may rise towards no variance between patients at all; that edge is tried too.
    ratio = max((0.0, float(np.exp(log_ratio))), key=lambda r: _restricted(y, x, groups, r)[0])
    likelihood, coefficients, precision, residual = _restricted(y, x, groups, ratio)
    errors = np.sqrt(residual * np.diag(np.linalg.inv(precision)))
    p = 2 * stats.norm.sf(np.abs(coefficients / errors))
    return MixedModel(coefficients, errors, p, ratio * residual, residual, likelihood)


def _require_fit(y: Values, x: Values, groups: np.typing.NDArray[np.intp], patients: int) -> None:
    if x.ndim != 2 or y.ndim != 1 or not y.size == x.shape[0] == groups.size:
        raise InputRefused("LENGTHS", f"values {y.shape}, design {x.shape} and {groups.size} patients do not fit")
    if not (np.isfinite(y).all() and np.isfinite(x).all()):
        raise InputRefused("NON_FINITE", "a value or the design of the mixed model is not finite")
    if patients < MINIMUM_PATIENTS:
        raise InputRefused("TOO_FEW_PATIENTS", f"the mixed model has {patients} patients; it needs {MINIMUM_PATIENTS}")
    if np.linalg.matrix_rank(x) < x.shape[1] or y.size <= x.shape[1] + 1:
        raise InputRefused("DESIGN", f"the {x.shape[1]} effects cannot be told apart from {y.size} values")


def _best_log_ratio(y: Values, x: Values, groups: np.typing.NDArray[np.intp]) -> float:
    def loss(log_ratio: float) -> float:
        return -_restricted(y, x, groups, float(np.exp(log_ratio)))[0]

    bounds = (-_LARGEST_LOG_RATIO, _LARGEST_LOG_RATIO)
    return float(optimize.minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-9}).x)


def _restricted(
    y: Values, x: Values, groups: np.typing.NDArray[np.intp], ratio: float
) -> tuple[float, Values, Values, float]:
    """Returns restricted log-likelihood, coefficients, X'V⁻¹X and residual variance, with V = I + r ZZ'.

    Woodbury: V⁻¹ takes from each group its mean times r n / (1 + r n).
    """
    sizes = np.bincount(groups)
    shrink = (ratio / (1 + ratio * sizes))[:, None]
    table = np.column_stack([x, y])
    sums = np.stack([np.bincount(groups, column) for column in table.T], axis=1)
    inner = table.T @ table - sums.T @ (shrink * sums)
    precision, moment = inner[:-1, :-1], inner[:-1, -1]
    coefficients = np.asarray(np.linalg.solve(precision, moment), dtype=np.float64)
    freedom = y.size - x.shape[1]
    residual = float(inner[-1, -1] - moment @ coefficients) / freedom
    residual = max(residual, 1e-300)
    determinants = float(np.log1p(ratio * sizes).sum()) + float(np.linalg.slogdet(precision)[1])
    likelihood = float(-0.5 * (freedom * (np.log(2 * np.pi * residual) + 1) + determinants))
    return likelihood, coefficients, precision, residual
