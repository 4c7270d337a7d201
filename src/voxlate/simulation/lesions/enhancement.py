"""Uptake of contrast agent by a lesion, which images without contrast agent predict only in part.

log C = log median + spread (rho z + sqrt(1 - rho²) e), where C is the uptake, z is a normal score of the lesion's own
T2 and ADC, which images without contrast agent show, and e is a normal variable that no image without contrast agent
shows. Some lesions do not enhance at all. The smallest possible error of a model can therefore be computed; it is
stored with every data set (`oracle.py`). The spreads and the range of rho are priors chosen for this project.
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
"""Range of rho."""


@dataclass(frozen=True)
class Leakiness:
    """Variables that set the uptake of one lesion.

    Attributes:
        score: z, the standardised mean of log T2 and log ADC relative to lesions of the same kind.
        hidden: e, standard normal.
        correlation: rho, 0 to 1.
    """

    score: float
    hidden: float
    correlation: float

    def uptake(self, median: float) -> float:
        """Returns the concentration in the lesion over that in plasma; `median` is the median of its kind."""
        return float(_uptake(median, self.score, self.hidden, self.correlation))


def draw_leakiness(t2_factor: float, adc_factor: float, correlation: float, rng: np.random.Generator) -> Leakiness:
    """Returns the leakiness of a lesion.

    Args:
        t2_factor: T2 over the mean of its kind.
        adc_factor: ADC over the mean of its kind.
        correlation: rho, 0 to 1.
        rng: generator of the hidden variable.
    """
    score = (np.log(t2_factor) / T2_SPREAD + np.log(adc_factor) / ADC_SPREAD) / np.sqrt(2)
    return Leakiness(float(score), float(rng.standard_normal()), correlation)


def uptake_prior(median: float, score: float, correlation: float, nodes: int = 32) -> tuple[Floats, Floats]:
    """Returns the distribution of the uptake given the score, as quadrature nodes and weights (Gauss-Hermite).

    Args:
        median: median uptake of the kind.
        score: z.
        correlation: rho, 0 to 1.
        nodes: number of nodes.

    Returns:
        Uptakes and their probabilities, (nodes,) each; the probabilities sum to one.
    """
    points, weights = hermegauss(nodes)
    return np.asarray(_uptake(median, score, points, correlation)), np.asarray(weights / weights.sum())


def _uptake(median: float, score: float, hidden: float | Floats, correlation: float) -> Floats:
    exponent = correlation * score + np.sqrt(1 - correlation**2) * np.asarray(hidden)
    return np.asarray(median * np.exp(UPTAKE_SPREAD * exponent))
