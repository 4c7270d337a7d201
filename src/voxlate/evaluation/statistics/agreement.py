"""Do two measurements of the same patients agree?

Correlation does not show it: two measurements that differ by a constant factor correlate perfectly.

- Bland–Altman (1986, 1999): the mean difference (bias) and the limits of agreement, bias ± 1.96 SD, within which 95 %
  of normal differences lie, with intervals.
- Lin's concordance (1989): 2 s12 / (s1² + s2² + (m1 − m2)²), which is Pearson's r times a factor for the distance from
  the line of identity.
- Intraclass correlation of a two-way model, single measurement (McGraw and Wong 1996): ICC(2,1) for absolute agreement,
  with methods as a random sample; ICC(3,1) for consistency, which ignores a constant offset between methods.

Samples are vectors of shape (patients,) in the same order and unit. All intervals are of 95 %.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from voxlate.errors import InputRefused
from voxlate.evaluation.statistics.samples import Values, differences, sample


@dataclass(frozen=True)
class BlandAltman:
    """Agreement of two measurements, in their own unit.

    Attributes:
        n: number of patients.
        bias: mean of first − second.
        bias_interval: interval of the bias.
        lower: lower limit of agreement, bias − 1.96 SD.
        lower_interval: interval of `lower`, from the standard error √(SD² (1/n + 1.96² / (2 (n−1)))).
        upper: upper limit of agreement, bias + 1.96 SD.
        upper_interval: interval of `upper`.
        slope: slope of the regression of the differences on the means; not 0 when the error grows with the size.
        slope_p: two-sided p of the slope; NaN when all means are equal.
    """

    n: int
    bias: float
    bias_interval: tuple[float, float]
    lower: float
    lower_interval: tuple[float, float]
    upper: float
    upper_interval: tuple[float, float]
    slope: float
    slope_p: float


def bland_altman(first: ArrayLike, second: ArrayLike) -> BlandAltman:
    """Returns bias and limits of agreement of first − second (Bland and Altman 1986, 1999).

    Args:
        first: (patients,), one measurement per patient.
        second: (patients,), the other measurement, same order and unit.

    Raises:
        InputRefused: as `differences`.
    """
    d = differences(first, second)
    n, bias, spread = d.size, float(d.mean()), float(d.std(ddof=1))
    t = float(stats.t.ppf(0.975, n - 1))
    z = float(stats.norm.ppf(0.975))
    at_bias = t * spread / np.sqrt(n)
    at_limit = t * spread * np.sqrt(1 / n + z**2 / (2 * (n - 1)))
    lower, upper = bias - z * spread, bias + z * spread
    slope, slope_p = _trend((np.asarray(first, dtype=np.float64) + np.asarray(second)) / 2, d)
    return BlandAltman(
        n=n,
        bias=bias,
        bias_interval=(bias - at_bias, bias + at_bias),
        lower=lower,
        lower_interval=(lower - at_limit, lower + at_limit),
        upper=upper,
        upper_interval=(upper - at_limit, upper + at_limit),
        slope=slope,
        slope_p=slope_p,
    )


def concordance(first: ArrayLike, second: ArrayLike) -> float:
    """Returns Lin's concordance correlation, −1 to 1: 2 s12 / (s1² + s2² + (m1 − m2)²), population moments.

    Args:
        first: (patients,), one measurement per patient.
        second: (patients,), the other measurement, same order and unit.

    Raises:
        InputRefused: as `differences`; `CONSTANT` when all values of both measurements are equal.
    """
    differences(first, second)
    one, two = sample(first), sample(second)
    scale = one.var() + two.var() + (one.mean() - two.mean()) ** 2
    if scale == 0:
        raise InputRefused(
            "CONSTANT", "all values of both measurements are equal; agreement beyond chance is not defined"
        )
    return float(2 * np.mean((one - one.mean()) * (two - two.mean())) / scale)


@dataclass(frozen=True)
class IntraclassCorrelation:
    """An intraclass correlation.

    Attributes:
        form: `ICC(2,1)` or `ICC(3,1)`.
        value: the coefficient.
        low: lower end of its interval.
        high: upper end of its interval.
    """

    form: str
    value: float
    low: float
    high: float


def icc(ratings: ArrayLike) -> tuple[IntraclassCorrelation, IntraclassCorrelation]:
    """Returns ICC(2,1) and ICC(3,1).

    Args:
        ratings: (patients, methods), at least 3 patients and 2 methods.

    Raises:
        InputRefused: `DIMENSIONS`, `TOO_FEW_PATIENTS`, `NON_FINITE`; `CONSTANT` when patients do not differ and
            methods agree exactly.
    """
    table = np.asarray(ratings, dtype=np.float64)
    if table.ndim != 2 or table.shape[1] < 2:
        raise InputRefused("DIMENSIONS", f"an ICC needs patients x methods, at least 2 methods, not {table.shape}")
    sample(table[:, 0])
    sample(table.ravel())
    n, k = table.shape
    rows, columns, error = _mean_squares(table)
    if rows == 0 and error == 0:
        raise InputRefused("CONSTANT", "the patients do not differ; an intraclass correlation is not defined")
    agreement = (rows - error) / (rows + (k - 1) * error + k * (columns - error) / n)
    consistency = (rows - error) / (rows + (k - 1) * error)
    if error == 0 and columns == 0:
        perfect = (1.0, 1.0, 1.0)
        return IntraclassCorrelation("ICC(2,1)", *perfect), IntraclassCorrelation("ICC(3,1)", *perfect)
    return (
        IntraclassCorrelation("ICC(2,1)", agreement, *_agreement_interval(rows, columns, error, n, k)),
        IntraclassCorrelation("ICC(3,1)", consistency, *_consistency_interval(rows, error, n, k)),
    )


def _trend(means: Values, d: Values) -> tuple[float, float]:
    """Returns slope and p of the regression of the differences on the means."""
    if np.ptp(means) == 0:
        return 0.0, float("nan")
    fit = stats.linregress(means, d)
    return float(fit.slope), float(fit.pvalue)


def _mean_squares(table: Values) -> tuple[float, float, float]:
    """Returns the mean squares of rows (patients), columns (methods) and residual of a two-way analysis of variance."""
    n, k = table.shape
    grand = table.mean()
    rows, columns = table.mean(axis=1) - grand, table.mean(axis=0) - grand
    residual = table - grand - rows[:, None] - columns
    return (
        float(k * np.square(rows).sum() / (n - 1)),
        float(n * np.square(columns).sum() / (k - 1)),
        float(np.square(residual).sum() / ((n - 1) * (k - 1))),
    )


def _consistency_interval(rows: float, error: float, n: int, k: int) -> tuple[float, float]:
    if error == 0:
        return 1.0, 1.0
    ratio, freedom = rows / error, (n - 1) * (k - 1)
    low = ratio / float(stats.f.ppf(0.975, n - 1, freedom))
    high = ratio * float(stats.f.ppf(0.975, freedom, n - 1))
    return (low - 1) / (low + k - 1), (high - 1) / (high + k - 1)


def _agreement_interval(rows: float, columns: float, error: float, n: int, k: int) -> tuple[float, float]:
    """Returns the interval of ICC(2,1), with Satterthwaite's degrees of freedom (McGraw and Wong 1996)."""
    value = (rows - error) / (rows + (k - 1) * error + k * (columns - error) / n)
    ratio = columns / error if error else np.inf
    if np.isfinite(ratio):
        upper = (k - 1) * (n - 1) * (k * value * ratio + n * (1 + (k - 1) * value) - k * value) ** 2
        lower = (n - 1) * k**2 * value**2 * ratio**2 + (n * (1 + (k - 1) * value) - k * value) ** 2
        freedom = upper / lower
    else:
        freedom = float(k - 1)
    f_low = float(stats.f.ppf(0.975, n - 1, freedom))
    f_high = float(stats.f.ppf(0.975, freedom, n - 1))
    mixed = k * columns + (k * n - k - n) * error
    low = n * (rows - f_low * error) / (f_low * mixed + n * rows)
    high = n * (f_high * rows - error) / (mixed + n * f_high * rows)
    return low, high
