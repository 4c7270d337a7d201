"""Image quality in the grades of Bottani et al. 2024: contrast, motion and noise, each 0 (good), 1 or 2 (bad).

The worst grade gives the tier: 0 is good, 1 is medium, 2 is low. The ranges below make images that look like their
grade; they are priors chosen for this project.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from voxlate.errors import UsageError

TIERS = ("good", "medium", "low")
IMPROPER = ("t2_weighted", "localiser", "cut")
"""Images filed as T1w that a study cannot use: another contrast, a few thick slices, half a head."""


@dataclass(frozen=True)
class Grades:
    """Grades of one image.

    Attributes:
        contrast, motion, noise: 0 (good), 1 or 2 (bad).
        improper: why the image is not a proper T1w, one of `IMPROPER`, or empty.

    Raises:
        UsageError: `GRADE` for any other value.
    """

    contrast: int = 0
    motion: int = 0
    noise: int = 0
    improper: str = ""

    def __post_init__(self) -> None:
        for name, grade in (("contrast", self.contrast), ("motion", self.motion), ("noise", self.noise)):
            if grade not in (0, 1, 2):
                raise UsageError("GRADE", f"the grade of {name} is {grade}; it must be 0, 1 or 2")
        if self.improper and self.improper not in IMPROPER:
            raise UsageError("GRADE", f"{self.improper!r} is not one of {', '.join(IMPROPER)}")

    @property
    def tier(self) -> str:
        """Returns `good`, `medium`, `low` or `improper`."""
        return "improper" if self.improper else TIERS[max(self.contrast, self.motion, self.noise)]


NOISE_PERCENT = ((1.5, 3.0), (5.0, 7.0), (9.0, 13.0))
"""Range of the noise's standard deviation by grade, per cent of the reference tissue's signal."""
WEIGHTING = ((1.0, 1.0), (0.40, 0.60), (0.15, 0.28))
"""Range of the remaining weighting of a sequence by grade of contrast; see `scanners.contrast_signal`."""
MOTION_SEGMENTS = ((0, 0), (3, 6), (6, 10))
"""Smallest and largest number of segments of k-space with motion, by grade."""
MOTION_SHIFT_MM = (0.0, 0.8, 3.0)
"""Standard deviation of the translation during such a segment, by grade."""
MOTION_TURN_DEG = (0.0, 0.8, 2.5)
"""Standard deviation of the rotation during such a segment, by grade."""


def parse_mix(text: str) -> dict[str, float]:
    """Returns the shares of a mix such as `good=0.6,medium=0.3,low=0.1`, scaled to sum to one.

    Example:
        >>> parse_mix("good=3,low=1")
        {'good': 0.75, 'low': 0.25}

    Raises:
        UsageError: `QUALITY_MIX` for an unknown tier, one that is given twice, a negative share or no share at all.
    """
    shares: dict[str, float] = {}
    for item in text.split(","):
        name, _, value = item.partition("=")
        if name.strip() in shares:
            raise UsageError("QUALITY_MIX", f"{name.strip()} is given twice; give each tier one share")
        try:
            shares[name.strip()] = float(value)
        except ValueError:
            raise UsageError(
                "QUALITY_MIX", f"{item!r} is not of the form tier=share; write shares such as good=0.7,low=0.3"
            ) from None
    return checked_mix(shares)


def checked_mix(shares: Mapping[str, float]) -> dict[str, float]:
    """Returns the shares of tiers scaled to sum to one.

    Args:
        shares: `good`, `medium`, `low` or `improper` to its share, zero or more.

    Raises:
        UsageError: `QUALITY_MIX`.
    """
    unknown = [name for name in shares if name not in (*TIERS, "improper")]
    total = sum(shares.values())
    if unknown or total <= 0 or not all(np.isfinite(share) and share >= 0 for share in shares.values()):
        raise UsageError(
            "QUALITY_MIX",
            f"the shares are {dict(shares)}; name {', '.join(TIERS)} or improper, with numbers of zero or more and at "
            "least one above zero",
        )
    return {name: share / total for name, share in shares.items()}


def draw_grades(shares: Mapping[str, float], rng: np.random.Generator) -> Grades:
    """Returns random grades; each of contrast, motion and noise is equally likely to be the worst.

    Args:
        shares: tier to its probability; scaled to sum to one.
        rng: generator of the draws.
    """
    mix = checked_mix(shares)
    drawn = str(rng.choice(list(mix), p=list(mix.values())))
    why = str(rng.choice(IMPROPER))
    if drawn == "improper":
        return Grades(improper=why)
    tier = TIERS.index(drawn)
    grades = [int(grade) for grade in rng.integers(0, tier + 1, 3)]
    grades[int(rng.integers(0, 3))] = tier
    return Grades(contrast=grades[0], motion=grades[1], noise=grades[2])
