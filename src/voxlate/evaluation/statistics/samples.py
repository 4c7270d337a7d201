"""The patient is the unit: several scans of one patient are averaged before anything is tested."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from voxlate.errors import InputRefused

Values = NDArray[np.float64]

MINIMUM_PATIENTS = 3
"""With fewer patients no test is run: any p value and any interval would say more than two patients can."""


def by_patient(values: ArrayLike, patients: Sequence[str]) -> dict[str, float]:
    """Returns each patient's mean over that patient's values, patients in order of first appearance.

    Raises:
        InputRefused: `LENGTHS` when there is not one patient for each value.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.shape != (len(patients),):
        raise InputRefused("LENGTHS", f"{array.size} values come with {len(patients)} patients; give one for each")
    collected: dict[str, list[float]] = {}
    for patient, value in zip(patients, array, strict=True):
        collected.setdefault(patient, []).append(float(value))
    return {patient: float(np.mean(own)) for patient, own in collected.items()}


def sample(values: ArrayLike, *, name: str = "sample", least: int = MINIMUM_PATIENTS) -> Values:
    """Returns the values as a vector of finite numbers, at least `least` of them.

    Raises:
        InputRefused: `TOO_FEW_PATIENTS`, `NON_FINITE`, or `DIMENSIONS` when it is not a vector.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1:
        raise InputRefused("DIMENSIONS", f"the {name} must be a vector, this one has shape {array.shape}")
    if array.size < least:
        raise InputRefused("TOO_FEW_PATIENTS", f"the {name} has {array.size} patients; no test is run below {least}")
    if not np.isfinite(array).all():
        raise InputRefused("NON_FINITE", f"{int((~np.isfinite(array)).sum())} values of the {name} are not finite")
    return array


def differences(first: ArrayLike, second: ArrayLike) -> Values:
    """Returns first − second, patient by patient.

    Raises:
        InputRefused: as `sample`; `LENGTHS` when both have not the same number of patients.
    """
    one, two = sample(first, name="first sample"), sample(second, name="second sample")
    if one.size != two.size:
        raise InputRefused("LENGTHS", f"a paired test has {one.size} and {two.size} values; pair them by patient")
    return one - two
