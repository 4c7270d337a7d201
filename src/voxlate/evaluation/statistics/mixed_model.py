"""Linear mixed model with one random intercept: value ~ fixed effects + (1 | patient).

For several scans per patient, or several scanners. The model is fitted by restricted maximum likelihood. Given the
ratio r = variance between patients / residual variance all other parameters have a closed form, so the search has one
dimension. Tests use Student's t with the degrees of freedom of Satterthwaite (1946) as Giesbrecht and Burns (1985)
estimate them: the normal distribution finds effects too often where patients or readers are few.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize, stats

from voxlate.errors import InputRefused
from voxlate.evaluation.statistics.samples import MINIMUM_PATIENTS, Values

_LARGEST_LOG_RATIO = 14.0
"""The variance between patients is searched up to e^14, a million times the residual variance."""


@dataclass(frozen=True)
class MixedModel:
    """A fitted model.

    Attributes:
        coefficients: (effects,), one per column of the design.
        standard_errors: (effects,), of the coefficients.
        freedom: (effects,), degrees of freedom of each coefficient.
        p: (effects,), two-sided, from Student's t with `freedom`.
        patient_variance: variance between patients.
        residual_variance: variance within patients.
        log_likelihood: restricted log-likelihood.
    """

    coefficients: Values
    standard_errors: Values
    freedom: Values
    p: Values
    patient_variance: float
    residual_variance: float
    log_likelihood: float


def fit_mixed_model(values: ArrayLike, design: ArrayLike, patients: Sequence[str]) -> MixedModel:
    """Fits the model.

    Args:
        values: (n,), the measured values.
        design: (n, effects), the fixed effects; include a column of ones for the intercept.
        patients: the patient of each value, n names.

    Raises:
        InputRefused: `LENGTHS`, `NON_FINITE`, `TOO_FEW_PATIENTS`; `DESIGN` when the columns are linearly dependent
            or leave no degree of freedom.
    """
    y, x = np.asarray(values, dtype=np.float64), np.asarray(design, dtype=np.float64)
    names, groups = np.unique(np.asarray(patients), return_inverse=True)
    _require_fit(y, x, groups, len(names))
    log_ratio = _best_log_ratio(y, x, groups)
    # The likelihood may be largest without any variance between patients; this end of the range is tried too.
    ratio = max((0.0, float(np.exp(log_ratio))), key=lambda r: _restricted(y, x, groups, r)[0])
    likelihood, coefficients, precision, residual = _restricted(y, x, groups, ratio)
    errors = np.sqrt(residual * np.diag(np.linalg.inv(precision)))
    freedom = _satterthwaite(x, groups, ratio, residual)
    p = np.asarray(2 * stats.t.sf(np.abs(coefficients / errors), freedom), dtype=np.float64)
    return MixedModel(coefficients, errors, freedom, p, ratio * residual, residual, likelihood)


def _satterthwaite(x: Values, groups: np.typing.NDArray[np.intp], ratio: float, residual: float) -> Values:
    """Returns the degrees of freedom 2 v² / var(v) of each coefficient, where v is its variance.

    Var(v) = g' A⁻¹ g, where g is the gradient of v in the two variances (between patients, residual) and A their
    expected information, A_ij = ½ tr(P Vi P Vj), P = V⁻¹ − V⁻¹X C X'V⁻¹, C = (X'V⁻¹X)⁻¹. Without variance between
    patients the model is least squares, with n − effects degrees of freedom.

    V has the eigenvalue residual / λ on the indicator of a group, λ = 1/(1 + ratio·size), and residual elsewhere, so
    every product with a power of V⁻¹ needs only sums over groups.
    """
    n, effects = x.shape
    if ratio == 0:
        return np.full(effects, float(n - effects))
    sizes = np.bincount(groups).astype(np.float64)
    shrink = 1 / (1 + ratio * sizes)
    sums = np.stack([np.bincount(groups, column) for column in x.T], axis=1)

    def power(k: int) -> Values:
        """Returns X'V⁻ᵏX."""
        inner = x.T @ x - sums.T @ (((1 - shrink**k) / sizes)[:, None] * sums)
        return np.asarray(inner / residual**k, dtype=np.float64)

    def crossed(k: int) -> Values:
        """Returns Z'V⁻ᵏX, where Z holds the indicators of the groups."""
        return np.asarray(sums * (shrink / residual)[:, None] ** k, dtype=np.float64)

    covariance = np.linalg.inv(power(1))
    held = sizes * shrink / residual
    once = crossed(1)
    # X'V⁻¹ Vi V⁻¹X for the variance between patients (Vi = ZZ') and the residual one (Vi = I).
    middles = (once.T @ once, power(2))
    traces = np.array([[np.square(held).sum(), (held * shrink / residual).sum()], [0.0, 0.0]])
    traces[1] = traces[0, 1], (n - sizes.size + np.square(shrink).sum()) / residual**2
    both = once.T @ crossed(2)
    triples = ((once.T @ (held[:, None] * once), both), (both.T, power(3)))
    information = np.empty((2, 2))
    for i in range(2):
        for j in range(2):
            corrected = np.trace(covariance @ middles[i] @ covariance @ middles[j])
            information[i, j] = 0.5 * (traces[i, j] - 2 * np.trace(covariance @ triples[i][j]) + corrected)
    slopes = np.array([np.diag(covariance @ middle @ covariance) for middle in middles])
    spread = np.einsum("ik,ij,jk->k", slopes, np.linalg.inv(information), slopes)
    # The estimate can fall below 1, the smallest number of degrees of freedom of a t test.
    return np.asarray(np.maximum(2 * np.square(np.diag(covariance)) / spread, 1.0), dtype=np.float64)


def _require_fit(y: Values, x: Values, groups: np.typing.NDArray[np.intp], patients: int) -> None:
    if x.ndim != 2 or y.ndim != 1 or not y.size == x.shape[0] == groups.size:
        raise InputRefused("LENGTHS", f"values {y.shape}, design {x.shape} and {groups.size} patients do not fit")
    if not (np.isfinite(y).all() and np.isfinite(x).all()):
        raise InputRefused("NON_FINITE", "a value or the design of the mixed model is not finite")
    if patients < MINIMUM_PATIENTS:
        raise InputRefused("TOO_FEW_PATIENTS", f"the mixed model has {patients} patients; it needs {MINIMUM_PATIENTS}")
    if np.linalg.matrix_rank(x) < x.shape[1] or y.size <= x.shape[1] + 1:
        raise InputRefused(
            "DESIGN", f"the {x.shape[1]} effects cannot be estimated from {y.size} values; drop dependent columns"
        )


def _best_log_ratio(y: Values, x: Values, groups: np.typing.NDArray[np.intp]) -> float:
    def loss(log_ratio: float) -> float:
        return -_restricted(y, x, groups, float(np.exp(log_ratio)))[0]

    bounds = (-_LARGEST_LOG_RATIO, _LARGEST_LOG_RATIO)
    return float(optimize.minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-9}).x)


def _restricted(
    y: Values, x: Values, groups: np.typing.NDArray[np.intp], ratio: float
) -> tuple[float, Values, Values, float]:
    """Returns restricted log-likelihood, coefficients, X'V⁻¹X and residual variance, with V = I + r ZZ'.

    By the Woodbury identity, V⁻¹ subtracts from each group its mean times r n / (1 + r n).
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
