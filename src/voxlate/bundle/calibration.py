"""The map from the spread of several predictions to the expected error of a voxel; `voxlate calibrate` fits it.

    expected error^2 = floor^2 + (factor * spread^power)^2

in relative units (multiples of the image's reference level). A bundle may hold the calibration of its own predictions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from voxlate.volume import Array

CALIBRATION_FILE = "calibration.json"


@dataclass(frozen=True)
class Calibration:
    """The map from the spread of predictions to their expected error.

    Attributes:
        floor, factor, power: parameters of the formula above; the floor in relative units.
        members: hashes of the weights of the ensemble members.
        mirror: whether flipped scans were predicted as well.
        cases: number of cases of the fit.
    """

    floor: float
    factor: float
    power: float
    members: tuple[str, ...]
    mirror: bool
    cases: int

    def expected_error(self, spread: Array, level: float = 1.0) -> Array:
        """Returns the expected standard deviation of the error; the floor where all predictions agree.

        Args:
            spread: standard deviations of predictions, of any shape.
            level: one relative unit in the unit of `spread`.
        """
        relative = np.hypot(self.floor, self.factor * (np.asarray(spread, dtype=np.float64) / level) ** self.power)
        return np.asarray(level * relative, dtype=np.float32)


def calibration_from_json(content: Any) -> Calibration:
    """Returns the calibration in a file that `voxlate calibrate` wrote.

    Args:
        content: of the file.

    Raises:
        ValueError: it is no calibration, or its numbers are negative or not finite.
    """
    try:
        stated = content["calibration"]
        calibration = Calibration(**stated | {"members": tuple(stated["members"])})
        numbers = (calibration.floor, calibration.factor, calibration.power)
        is_valid = all(np.isfinite(number) and number >= 0 for number in numbers)
    except (LookupError, TypeError) as error:
        raise ValueError("it does not have the fields of a calibration") from error
    if not is_valid:
        raise ValueError("floor, factor and power must be finite and not negative")
    return calibration
