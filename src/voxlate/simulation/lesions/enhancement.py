"""How much agent a lesion takes up, and how much of that the other contrasts tell.

The leakiness of a barrier shows only in part on images without agent. Here log C = log median + spread (rho z +
sqrt(1 - rho²) e), where z is a normal score made of the lesion's own T2 and ADC, known to whoever sees those images,
and e is normal and known to nobody. Besides, some lesions do not enhance at all. What no model can know is therefore
computable, and every data set says how large it is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.polynomial.hermite_e import hermegauss

from voxlate.simulation.anatomy.tissues import Floats

T2_SPREAD, ADC_SPREAD = 0.12, 0.12
"""Relative standard deviation of a lesion's T2 and ADC between lesions of one kind."""
UPTAKE_SPREAD = 0.28
"""Standard deviation of the logarithm of the uptake: nine of ten rims lie between 0.09 and 0.22 mM at 5 minutes."""
CORRELATION_RANGE = (0.6, 0.8)


@dataclass(frozen=True)
class Leakiness:
    """What decides the uptake of one lesion.

    Attributes:
        score: z, the standardised mean of log T2 and log ADC against their kind.
        hidden: e, which no image without agent shows.
        correlation: rho, between 0 and 1.
    """

    score: float
    hidden: float
    correlation: float

    def uptake(self, median: float) -> float:
        """Returns the lesion's concentration over that in plasma."""
        return float(_uptake(median, self.score, self.hidden, self.correlation))


def draw_leakiness(t2_factor: float, adc_factor: float, correlation: float, rng: np.random.Generator) -> Leakiness:
    """Returns the leakiness of a lesion whose T2 and ADC are so many times those of its kind."""
    score = (np.log(t2_factor) / T2_SPREAD + np.log(adc_factor) / ADC_SPREAD) / np.sqrt(2)
    return Leakiness(float(score), float(rng.standard_normal()), correlation)


def uptake_prior(median: float, score: float, correlation: float, nodes: int = 32) -> tuple[Floats, Floats]:
    """Returns the uptakes that remain possible once the score is known, and their probabilities (Gauss-Hermite)."""
    points, weights = hermegauss(nodes)
    return np.asarray(_uptake(median, score, points, correlation)), np.asarray(weights / weights.sum())


def _uptake(median: float, score: float, hidden: float | Floats, correlation: float) -> Floats:
    exponent = correlation * score + np.sqrt(1 - correlation**2) * np.asarray(hidden)
    return np.asarray(median * np.exp(UPTAKE_SPREAD * exponent))
