"""What header and pixels say together, and who of the two decided."""

from __future__ import annotations

import math
from dataclasses import dataclass

from voxlate.quality.tiers import SURE

HEADER_ODDS = 9.0
"""A header that says yes is taken to be right nine times in ten; one in conflict or silent says nothing."""

PIXEL_KINDS = ("T1w", "T2w", "FLAIR", "DWI", "ADC", "CT")
"""What pixels can tell; SWI or an angiography would be called one of these."""

_LEAST = 1e-6


@dataclass(frozen=True)
class Decision:
    """Whether an agent was given.

    Attributes:
        state: `yes`, `no` or `unknown`.
        probability: of yes.
        by: `header`, `pixels`, `both`, `pixels against header`, or nothing while it is unknown.
    """

    state: str
    probability: float
    by: str


def decide_agent(header: str, pixels: float | None, *, sure: float = SURE) -> Decision:
    """Returns what both say: odds of the header times odds of the pixels, as if they erred independently.

    Args:
        header: `yes`, `no`, `unknown` or `conflict`.
        pixels: calibrated probability of yes, or none when they were not looked at.
        sure: least probability of an answer.
    """
    own = {"yes": math.log(HEADER_ODDS), "no": -math.log(HEADER_ODDS)}.get(header, 0.0)
    seen = 0.0 if pixels is None else _logit(pixels)
    probability = 1 / (1 + math.exp(-(own + seen)))
    # the header alone reaches 0.9 exactly; rounding must not decide
    state = "yes" if probability >= sure - 1e-9 else "no" if probability <= 1 - sure + 1e-9 else "unknown"
    return Decision(state, probability, _by(state, header, seen))


def decide_kind(header: str, pixels: str) -> str:
    """Returns the contrast: that of the header where the pixels agree or say nothing, else `conflict`.

    Args:
        header: of `voxlate classify`; what pixels cannot tell (SWI, angiography …) stays.
        pixels: a contrast or `unknown`.
    """
    if pixels in ("unknown", header) or header not in (*PIXEL_KINDS, "unknown", "echo planar"):
        return header
    return pixels if header in ("unknown", "echo planar") else "conflict"


def _by(state: str, header: str, seen: float) -> str:
    if state == "unknown":
        return ""
    toward = seen if state == "yes" else -seen
    if header not in ("yes", "no"):
        return "pixels"
    if header != state:
        return "pixels against header"
    return "both" if toward > math.log(SURE / (1 - SURE)) else "header"


def _logit(p: float) -> float:
    bounded = min(max(p, _LEAST), 1 - _LEAST)
    return math.log(bounded / (1 - bounded))
