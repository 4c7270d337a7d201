"""Combines the evidence of header and pixels on contrast agent and series type."""

from __future__ import annotations

import math
from dataclasses import dataclass

from voxlate.quality.tiers import SURE

HEADER_ODDS = 9.0
"""Odds that a header with a clear answer is right: nine to one, assumed and not measured.

A header without an answer, or with a conflict, has odds of one. At nine to one the header alone just reaches `SURE`.
"""

PIXEL_KINDS = ("T1w", "T2w", "FLAIR", "DWI", "ADC", "CT")
"""Series types that the network knows. It would call SWI or angiography one of these."""

# Keeps the logit finite for probabilities of 0 and 1.
_LEAST = 1e-6


@dataclass(frozen=True)
class Decision:
    """Decision on the contrast agent.

    Attributes:
        state: `yes`, `no` or `unknown`.
        probability: of `yes`.
        by: deciding evidence: `header`, `pixels`, `both` or `pixels against header`; empty when `unknown`.
    """

    state: str
    probability: float
    by: str


def decide_agent(header: str, pixels: float | None) -> Decision:
    """Returns the decision from the product of the odds of header and pixels (naive Bayes: independent errors).

    An answer other than `unknown` has at least the probability `SURE`.

    Args:
        header: `yes`, `no`, `unknown` or `conflict`.
        pixels: calibrated probability of `yes`, None when the pixels were not examined.

    Example:
        >>> decide_agent("conflict", 0.95).state
        'yes'
    """
    header_logit = {"yes": math.log(HEADER_ODDS), "no": -math.log(HEADER_ODDS)}.get(header, 0.0)
    pixel_logit = 0.0 if pixels is None else _logit(pixels)
    probability = 1 / (1 + math.exp(-(header_logit + pixel_logit)))
    # the header alone gives exactly 0.9; the tolerance keeps rounding from deciding
    state = "yes" if probability >= SURE - 1e-9 else "no" if probability <= 1 - SURE + 1e-9 else "unknown"
    return Decision(state, probability, _by(state, header, pixel_logit))


def decide_kind(header: str, pixels: str) -> str:
    """Returns the series type: that of the header, of the pixels when the header has none, or `conflict`.

    Args:
        header: series type from the header; one that the network does not know (SWI, angiography ...) is kept.
        pixels: series type from the pixels, or `unknown`.

    Example:
        >>> decide_kind("T1w", "T2w"), decide_kind("unknown", "T2w"), decide_kind("SWI", "T2w")
        ('conflict', 'T2w', 'SWI')
    """
    if pixels in ("unknown", header) or header not in (*PIXEL_KINDS, "unknown", "echo planar"):
        return header
    return pixels if header in ("unknown", "echo planar") else "conflict"


def _by(state: str, header: str, pixel_logit: float) -> str:
    if state == "unknown":
        return ""
    support = pixel_logit if state == "yes" else -pixel_logit  # of the pixels for the decision
    if header not in ("yes", "no"):
        return "pixels"
    if header != state:
        return "pixels against header"
    return "both" if support > math.log(SURE / (1 - SURE)) else "header"


def _logit(p: float) -> float:
    bounded = min(max(p, _LEAST), 1 - _LEAST)
    return math.log(bounded / (1 - bounded))
