"""Simulates ratings of readers with a known AUC, to test the analysis of reader studies.

The latent model is that of Roe and Metz 1997 for one modality. The impression that a reader has of an image is

    separation (synthetic images only) + bias of the reader for the version + case + version of the case + view,

where all terms but the first are normal. `case` is common to both versions and to all readers. A rating is the
impression cut into equally likely grades.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats


@dataclass(frozen=True)
class Skill:
    """Standard deviations of the latent model.

    Attributes:
        separation: mean impression of synthetic images minus that of real images; 0 for readers who guess.
        reader: of the bias of a reader for a version.
        case: of the term common to both versions of a case.
        version: of the term of one version of a case, common to all readers.
        view: of the term of one reader and one image.

    The defaults were chosen by hand; they are not estimates from a study.
    """

    separation: float = 0.0
    reader: float = 0.15
    case: float = 0.4
    version: float = 0.5
    view: float = 0.75


def simulate_ratings(
    generator: np.random.Generator, skill: Skill, *, studies: int, readers: int, cases: int, levels: int
) -> NDArray[np.float64]:
    """Returns (studies, 2, readers, cases) ratings from 1 to `levels` of real (index 0) and synthetic images.

    Args:
        generator: draws the impressions.
        skill: of the readers.
        studies: number of simulated studies.
        readers: per study.
        cases: per study.
        levels: of the rating scale.
    """
    normal = generator.standard_normal
    impression = skill.reader * normal((studies, 2, readers, 1))
    impression = impression + skill.case * normal((studies, 1, 1, cases))
    impression = impression + skill.version * normal((studies, 2, 1, cases))
    impression = impression + skill.view * normal((studies, 2, readers, cases))
    impression[:, 1] += skill.separation
    spread = np.sqrt(skill.reader**2 + skill.case**2 + skill.version**2 + skill.view**2)
    cuts = skill.separation / 2 + spread * stats.norm.ppf(np.arange(1, levels) / levels)
    return np.asarray(np.searchsorted(cuts, impression) + 1, dtype=np.float64)


def true_auc(skill: Skill, *, levels: int) -> float:
    """Returns the expected AUC over all readers and cases, for ratings in `levels` grades.

    The compared real and synthetic image belong to different cases, as they do in all but one of n comparisons.
    """
    spread = np.sqrt(skill.reader**2 + skill.case**2 + skill.version**2 + skill.view**2)
    cuts = skill.separation / 2 + spread * stats.norm.ppf(np.arange(0, levels + 1) / levels)
    real = np.diff(stats.norm.cdf(cuts, 0, spread))
    synthetic = np.diff(stats.norm.cdf(cuts, skill.separation, spread))
    below = np.concatenate([[0.0], np.cumsum(real)[:-1]])
    return float(synthetic @ (below + real / 2))


def separation_for(auc: float, skill: Skill) -> float:
    """Returns the separation at which the impressions, before they are graded, have this AUC."""
    spread = np.sqrt(skill.reader**2 + skill.case**2 + skill.version**2 + skill.view**2)
    return float(np.sqrt(2) * spread * stats.norm.ppf(auc))
