"""Readers whose skill is known, to test the analysis with; what comes of them is no reader study.

The latent model is that of Roe and Metz 1997 for one modality. The impression of a reader of a case's version is

    skill [synthetic] + reader's bias for the version + case + case's version + reader's view of it + noise,

all normal. `case` is common to both versions and to all readers: a hard patient looks odd either way. A rating is
the impression cut into equally likely grades.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from voxlate.readers.analysis.records import Values


@dataclass(frozen=True)
class Skill:
    """Standard deviations of the latent model.

    Attributes:
        separation: mean impression of synthetic minus that of real images; 0 for readers who cannot tell.
        reader: of readers' biases for a version.
        case: common to both versions of a case.
        version: of a case's version, common to all readers.
        view: of a reader's own view of an image.
    """

    separation: float = 0.0
    reader: float = 0.15
    case: float = 0.4
    version: float = 0.5
    view: float = 0.75


def simulate_ratings(
    generator: np.random.Generator, skill: Skill, *, studies: int, readers: int, cases: int, levels: int
) -> NDArray[np.float64]:
    """Returns (studies, 2, readers, cases): ratings 1 to `levels` of real (first) and synthetic images."""
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
    """Returns the AUC of the mean over all readers and cases, for ratings in `levels` grades.

    Real and synthetic image of the comparison belong to different cases, as all but one in n do.
    """
    spread = np.sqrt(skill.reader**2 + skill.case**2 + skill.version**2 + skill.view**2)
    cuts = skill.separation / 2 + spread * stats.norm.ppf(np.arange(0, levels + 1) / levels)
    real = np.diff(stats.norm.cdf(cuts, 0, spread))
    synthetic = np.diff(stats.norm.cdf(cuts, skill.separation, spread))
    below = np.concatenate([[0.0], np.cumsum(real)[:-1]])
    return float(synthetic @ (below + real / 2))


def separation_for(auc: float, skill: Skill) -> float:
    """Returns the separation at which ungraded impressions have this AUC."""
    spread = np.sqrt(skill.reader**2 + skill.case**2 + skill.version**2 + skill.view**2)
    return float(np.sqrt(2) * spread * stats.norm.ppf(auc))


def simulate_scores(
    generator: np.random.Generator, *, studies: int, readers: int, cases: int, reader_sd: float, case_sd: float
) -> Values:
    """Returns (studies, readers, cases) of scores with mean 0 and noise of 1, for means and agreement."""
    return np.asarray(
        reader_sd * generator.standard_normal((studies, readers, 1))
        + case_sd * generator.standard_normal((studies, 1, cases))
        + generator.standard_normal((studies, readers, cases))
    )
