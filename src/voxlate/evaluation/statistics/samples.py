"""Samples over patients: several scans of one patient are averaged before any test, because they are not independent.

A sample is a vector of shape (patients,) of finite numbers.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from voxlate.errors import InputRefused

Values = NDArray[np.float64]

MINIMUM_PATIENTS = 3
"""With fewer patients no test is run: two differences leave one degree of freedom, and the interval spans 18 SD."""

_LEAST_SPREAD = 1e-12
"""Relative to the largest absolute value: a smaller standard deviation is rounding."""


def by_patient(values: ArrayLike, patients: Sequence[str]) -> dict[str, float]:
    """Returns the mean of the values of each patient, patients in order of first appearance.

    Args:
        values: (n,), one value per scan.
        patients: the patient of each scan, n names.

    Raises:
        InputRefused: `LENGTHS` when the numbers of values and of names differ.

    Example:
        >>> by_patient([1.0, 3.0, 10.0], ["a", "a", "b"])
        {'a': 2.0, 'b': 10.0}
    """
    array = np.asarray(values, dtype=np.float64)
    if array.shape != (len(patients),):
        raise InputRefused("LENGTHS", f"{array.size} values come with {len(patients)} patients; give one for each")
    collected: dict[str, list[float]] = {}
    for patient, value in zip(patients, array, strict=True):
        collected.setdefault(patient, []).append(float(value))
    return {patient: float(np.mean(own)) for patient, own in collected.items()}


def sample(values: ArrayLike, *, name: str = "sample", least: int = MINIMUM_PATIENTS) -> Values:
    """Returns the values as a vector of float64 and checks them.

    Args:
        values: (patients,).
        name: of the sample, for messages.
        least: smallest number of values that is accepted.

    Raises:
        InputRefused: `TOO_FEW_PATIENTS`, `NON_FINITE`, or `DIMENSIONS` when it is not a vector.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1:
        raise InputRefused("DIMENSIONS", f"the {name} must be a vector, this one has shape {array.shape}")
    if array.size < least:
        raise InputRefused("TOO_FEW_PATIENTS", f"no test is run below {least} patients; the {name} has {array.size}")
    if not np.isfinite(array).all():
        raise InputRefused("NON_FINITE", f"{int((~np.isfinite(array)).sum())} values of the {name} are not finite")
    return array


def differences(first: ArrayLike, second: ArrayLike) -> Values:
    """Returns first − second for each patient.

    Args:
        first: (patients,).
        second: (patients,), same order and unit.

    Raises:
        InputRefused: as `sample`; `LENGTHS` when the numbers of patients differ.
    """
    one, two = sample(first, name="first sample"), sample(second, name="second sample")
    if one.size != two.size:
        raise InputRefused("LENGTHS", f"a paired test has {one.size} and {two.size} values; pair them by patient")
    return one - two


def standard_deviation(values: Values) -> float:
    """Returns the standard deviation with n − 1 in the denominator; 0 when the values differ by rounding only.

    Args:
        values: (patients,), at least two.
    """
    spread = float(values.std(ddof=1))
    return spread if spread > _LEAST_SPREAD * float(np.abs(values).max()) else 0.0
