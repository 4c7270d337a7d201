"""Grades of lumbar discs: T2 depends strongly on the grade, CT weakly, so that CT leaves the grade uncertain.

Only the T2 values are published; what CT shows (HU, height, bulge, gas) is a prior chosen for this project so that the
grade cannot be predicted from CT with certainty.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.polynomial.hermite_e import hermegauss

from voxlate.simulation.anatomy.spine import DiscFactors
from voxlate.simulation.anatomy.tissues import Floats

NUCLEUS_T2_MS = ((210.0, 32.0), (129.0, 19.0), (84.0, 10.0), (51.0, 9.0))
"""Mean and standard deviation of the nucleus's T2 for Pfirrmann I to IV."""
ANNULUS_T2_MS = (58.5, 52.0, 46.5, 38.5)
"""Mean of the anterior and posterior annulus."""
GRADE_SHARES = (0.15, 0.35, 0.30, 0.20)
"""Probability of grades I to IV."""
HU_MEAN, HU_SPREAD = (80.0, 82.0, 84.0, 87.0), 6.0
"""CT number of the nucleus in HU by grade, and its standard deviation within a grade."""
HEIGHT_MM, HEIGHT_SPREAD = (11.0, 10.6, 10.0, 9.0), 1.3
"""Height of the disc by grade, and its standard deviation."""
BULGE_MM, BULGE_SPREAD = (0.8, 1.1, 1.6, 2.4), 1.0
"""Posterior bulge by grade, and its standard deviation."""
GAS_CHANCE = (0.0, 0.0, 0.02, 0.12)
"""Probability of gas in the disc by grade."""
STENOSIS_CHANCE = 0.2
"""Probability that the thecal sac is narrow, whatever the grade."""


def draw_disc(rng: np.random.Generator) -> DiscFactors:
    """Returns a disc with a random grade and the measures that depend on it."""
    k = int(rng.choice(4, p=GRADE_SHARES))
    mean, spread = NUCLEUS_T2_MS[k]
    narrow = rng.random() < STENOSIS_CHANCE
    return DiscFactors(
        grade=k + 1,
        nucleus_t2_ms=float(mean + spread * np.clip(rng.standard_normal(), -2.5, 2.5)),
        nucleus_hu=float(HU_MEAN[k] + HU_SPREAD * rng.standard_normal()),
        height_mm=float(np.clip(HEIGHT_MM[k] + HEIGHT_SPREAD * rng.standard_normal(), 5, 14)),
        bulge_mm=float(np.clip(BULGE_MM[k] + BULGE_SPREAD * rng.standard_normal(), 0, 6)),
        has_gas=bool(rng.random() < GAS_CHANCE[k]),
        sac_mm=float(rng.uniform(6, 10) if narrow else rng.uniform(12, 15)),
    )


def grade_posterior(disc: DiscFactors) -> Floats:
    """Returns the probabilities of grades I to IV, (4,), given the HU, height, bulge and gas of a disc without noise.

    Example:
        >>> disc = DiscFactors(2, 129.0, 82.0, 10.6, 1.1, has_gas=False, sac_mm=14.0)
        >>> round(float(grade_posterior(disc).sum()), 6)
        1.0
    """
    likelihood = np.array(GRADE_SHARES)
    for value, means, spread in (
        (disc.nucleus_hu, HU_MEAN, HU_SPREAD),
        (disc.height_mm, HEIGHT_MM, HEIGHT_SPREAD),
        (disc.bulge_mm, BULGE_MM, BULGE_SPREAD),
    ):
        likelihood = likelihood * np.exp(-(((value - np.array(means)) / spread) ** 2) / 2)
    chance = np.array(GAS_CHANCE)
    likelihood = likelihood * (chance if disc.has_gas else 1 - chance)
    return np.asarray(likelihood / likelihood.sum())


def t2_prior(weights: Sequence[float] | Floats, nodes: int = 9) -> tuple[Floats, Floats]:
    """Returns the distribution of the T2 of a nucleus, as quadrature nodes and weights (Gauss-Hermite).

    Args:
        weights: probabilities of grades I to IV, (4,).
        nodes: nodes per grade.

    Returns:
        T2 in ms and weights, (4 * nodes,) each; the weights sum to one.
    """
    points, share = hermegauss(nodes)
    share = share / share.sum()
    times = np.concatenate([mean + spread * points for mean, spread in NUCLEUS_T2_MS])
    return np.asarray(np.maximum(times, 5.0)), np.concatenate([weight * share for weight in weights])
