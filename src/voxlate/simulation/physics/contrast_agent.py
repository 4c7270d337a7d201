"""Gadolinium contrast agents: concentration in plasma, and the effect on relaxation times.

R1 = 1/T1 + r1 C, R2 = 1/T2 + r2 C, R2* = 1/T2* + r2 C, where C is the concentration in mM (mmol per litre) and the
relaxivities r1 and r2 are in L/mmol/s; water exchange is assumed to be fast. Relaxivities: Szomolanyi et al., Invest
Radiol 2019;54:559 (plasma, 37 °C). Plasma curve: Weinmann et al. 1984, as given by Tofts and Kermode 1991 for a bolus
of 0.1 mmol/kg; it is linear in the dose.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from voxlate.simulation.anatomy.tissues import Floats, Relaxation
from voxlate.simulation.checks import require_not_negative


@dataclass(frozen=True)
class Agent:
    """Relaxivities of a contrast agent in L/mmol/s.

    Attributes:
        name: key of `AGENTS`.
        r1_low_field: r1 at 1.5 T.
        r1_high_field: r1 at 3 T.
        r2: r2 at both fields, a generic value.
    """

    name: str
    r1_low_field: float
    r1_high_field: float
    r2: float = 5.5

    def r1(self, field_tesla: float) -> float:
        """Returns r1 in L/mmol/s at 1.5 T or 3 T, whichever is nearer."""
        return self.r1_low_field if field_tesla < 2.25 else self.r1_high_field


AGENTS = {
    "gadobutrol": Agent("gadobutrol", 4.78, 4.97),
    "gadoteridol": Agent("gadoteridol", 3.80, 3.28),
    "gadoterate": Agent("gadoterate", 3.32, 3.00),
    "generic": Agent("generic", 4.5, 4.5),
}


def plasma_concentration_mm(delay_min: ArrayLike, dose_mmol_kg: float = 0.1) -> Floats:
    """Returns the concentration in plasma in mM: dose (3.99 exp(-0.144 t) + 4.78 exp(-0.0111 t)).

    Args:
        delay_min: minutes since the injection, t; a number or an array, whose shape the result has.
        dose_mmol_kg: dose in mmol per kg of body weight.

    Example:
        >>> round(float(plasma_concentration_mm(5)), 3)
        0.646

    Raises:
        UsageError: `TIME_NEGATIVE`, `DOSE_NEGATIVE`.
    """
    require_not_negative("TIME_NEGATIVE", delay=delay_min)
    require_not_negative("DOSE_NEGATIVE", dose=dose_mmol_kg)
    minutes = np.asarray(delay_min, dtype=np.float64)
    return np.asarray(dose_mmol_kg * (3.99 * np.exp(-0.144 * minutes) + 4.78 * np.exp(-0.0111 * minutes)))


def enhanced(tissue: Relaxation, concentration_mm: ArrayLike, agent: Agent, field_tesla: float = 3.0) -> Relaxation:
    """Returns the relaxation times of a tissue with contrast agent; zero concentration leaves every bit unchanged.

    Args:
        tissue: relaxation times without contrast agent.
        concentration_mm: concentration in the tissue in mM; it broadcasts with the tissue.
        agent: contrast agent.
        field_tesla: field strength in tesla.

    Raises:
        UsageError: `CONCENTRATION_NEGATIVE`.
    """
    require_not_negative("CONCENTRATION_NEGATIVE", concentration=concentration_mm)
    per_ms = np.asarray(concentration_mm, dtype=np.float64) / 1000.0
    return Relaxation(
        _shortened(tissue.t1_ms, agent.r1(field_tesla) * per_ms),
        _shortened(tissue.t2_ms, agent.r2 * per_ms),
        _shortened(tissue.t2_star_ms, agent.r2 * per_ms),
        tissue.proton_density,
    )


def _shortened(time_ms: ArrayLike, rate_per_ms: Floats) -> Floats:
    """Returns a relaxation time in ms after a rate in 1/ms is added to its inverse."""
    time = np.asarray(time_ms, dtype=np.float64)
    return np.asarray(time / (1 + time * rate_per_ms))
