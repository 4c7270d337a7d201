"""Layer A: each measure against its limits. The same scan gives the same verdicts, and no learned answer changes them.

The limits were set on simulated visits and on the real scans that development had; `VERSION` changes with any of them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

VERSION = "1"
Verdict = Literal["pass", "warn", "fail", "note", "unmeasured"]


@dataclass(frozen=True)
class Rule:
    """One row of the table.

    Attributes:
        code: stable.
        measure: key of `measure`'s answer.
        words: what it means for a person.
        warn, fail: limits; a value beyond them is one. Not a number for a limit that there is not.
        is_least: whether values below the limits are beyond them.
        is_note: whether it tells a property that is no fault in itself.
        is_of_mr: whether it means nothing in Hounsfield units, in which head and air differ by thousands.
    """

    code: str
    measure: str
    words: str
    warn: float
    fail: float
    is_least: bool = False
    is_note: bool = False
    is_of_mr: bool = False

    def verdict(self, value: float) -> Verdict:
        """Returns what a value is."""
        if not math.isfinite(value):
            return "unmeasured"

        def beyond(limit: float) -> bool:
            return value < limit if self.is_least else value > limit

        if beyond(self.fail):
            return "note" if self.is_note else "fail"
        return "warn" if beyond(self.warn) else "pass"


_NONE = math.nan
RULES = (
    Rule("SLICES_FEW", "slices", "slices; Bottani et al. leave out images of fewer than 40", _NONE, 40, is_least=True),
    Rule("SLICES_THICK", "slice_spacing_mm", "mm between slices; a 2-D image", 2.0, 10.0),
    Rule("FIELD_SMALL", "field_of_view_mm", "mm of the shortest side", 150, 110, is_least=True),
    Rule("HEAD_SMALL", "head_ml", "ml of head or brain found", 1000, 700, is_least=True),
    Rule("TRUNCATED", "truncated", "of its cross-section touch an end of the image other than the lower", 0.2, 0.5),
    Rule("CLIPPED", "clipped", "of the voxels have the highest number", 0.001, 0.02),
    Rule("LEVELS_FEW", "levels", "different numbers; a mask or a map has few", 200, 48, is_least=True),
    Rule("NOISE", "noise_percent", "per cent of bright tissue, deviation between neighbours", 9, 14),
    Rule("GHOSTING", "ghosting", "of bright tissue, more air signal beside the head than in the corners", 0.03, 0.08,
         is_of_mr=True),
    Rule("SLICE_JUMP", "slice_jump", "relative step of one slice against its neighbours", 0.15, 0.35),
    Rule("SHADING", "shading", "variation of bright tissue between blocks of 30 mm", 0.25, 0.45, is_of_mr=True),
    Rule("BLURRED", "least_sharpness", "of the variation over two pixels is there over one, along the worse axis", 0.30,
         0.26, is_least=True, is_of_mr=True),
    Rule("CONTRAST_LOW", "contrast", "spread of the brain's values over their median", 0.22, 0.10, is_least=True,
         is_of_mr=True),
    Rule("SKULL_STRIPPED", "stripped", "of the image is constant air around a body of a brain's size", _NONE, 0.45,
         is_note=True),
    Rule("DEFACED", "carved", "of the air before the face is constant, but not elsewhere", _NONE, 0.25, is_note=True),
)  # fmt: skip
_BRAIN_ML = (700.0, 2300.0)
_AIR_SHARE = 0.05


@dataclass(frozen=True)
class Finding:
    """One rule applied."""

    code: str
    value: float
    warn: float
    fail: float
    verdict: Verdict


def apply_rules(measures: Mapping[str, float]) -> tuple[Finding, ...]:
    """Returns every rule's finding, in the order of the table."""
    known = dict(measures) | {"stripped": _stripped(measures)}
    if is_hounsfield(measures):
        known |= {rule.measure: math.nan for rule in RULES if rule.is_of_mr}
    return tuple(
        Finding(rule.code, known[rule.measure], rule.warn, rule.fail, rule.verdict(known[rule.measure]))
        for rule in RULES
    )


def is_hounsfield(measures: Mapping[str, float]) -> bool:
    """Tells whether a scan is in Hounsfield units: a twentieth of it lies about -1000, which is air."""
    return measures["hounsfield"] > _AIR_SHARE


def worst_verdict(findings: tuple[Finding, ...]) -> Literal["pass", "warn", "fail"]:
    """Returns `fail` if a rule failed, else `warn` if one warned, else `pass`."""
    found = {finding.verdict for finding in findings}
    return "fail" if "fail" in found else "warn" if "warn" in found else "pass"


def _stripped(measures: Mapping[str, float]) -> float:
    is_brain = _BRAIN_ML[0] < measures["head_ml"] < _BRAIN_ML[1]
    return measures["constant_air"] if is_brain else 0.0
