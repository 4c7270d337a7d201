"""Quality rules (layer A): compares each measure of a scan with two limits.

The rules need no training: the same voxels give the same verdicts, and the network (layer B) does not change them. The
limits were set by hand on simulated visits and on the few real scans of development (`docs/how-to/cohort.md`); where a
limit has another source, the table names it. `VERSION` changes with any limit.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

VERSION = "1"
"""Version of the limits; part of the fingerprint of each grading."""

Verdict = Literal["pass", "warn", "fail", "note", "unmeasured"]


@dataclass(frozen=True)
class Rule:
    """One quality rule.

    Attributes:
        code: stable code.
        measure: key of the measures; see `voxlate.quality.measures`.
        words: unit and meaning, for the documentation.
        warn, fail: limits; a value beyond one has that verdict. NaN when there is no such limit.
        is_least: whether values below the limits are beyond them, instead of values above.
        is_note: whether the rule notes a property that is not a fault, instead of failing.
        is_of_mr: whether the rule does not apply to Hounsfield units, where air and head differ by a thousand.
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
        """Returns the verdict on a value; `unmeasured` for NaN."""
        if not math.isfinite(value):
            return "unmeasured"

        def beyond(limit: float) -> bool:
            return value < limit if self.is_least else value > limit

        if beyond(self.fail):
            return "note" if self.is_note else "fail"
        return "warn" if beyond(self.warn) else "pass"


_NONE = math.nan

# BLURRED: a sharpness of 0.5 is that of edges as sharp as the pixels, 0.25 that of an image blurred over many pixels
# (see `sharpness`). HEAD_SMALL: 700 ml is also the least volume that counts as a brain (`_BRAIN_ML`).
RULES = (
    Rule("SLICES_FEW", "slices", "number of slices; Bottani et al. leave out images of fewer than 40", _NONE, 40,
         is_least=True),
    Rule("SLICES_THICK", "slice_spacing_mm", "distance between slices in mm; that of a 2-D image is large", 2.0, 10.0),
    Rule("FIELD_SMALL", "field_of_view_mm", "shortest side of the field of view in mm", 150, 110, is_least=True),
    Rule("HEAD_SMALL", "head_ml", "volume of the head or brain that was found, in ml", 1000, 700, is_least=True),
    Rule("TRUNCATED", "truncated", "share of the head's cross-section at an end of the image other than the lower one",
         0.2, 0.5),
    Rule("CLIPPED", "clipped", "share of the voxels that have the highest value", 0.001, 0.02),
    Rule("LEVELS_FEW", "levels", "number of different values; a mask or a map has few", 200, 48, is_least=True),
    Rule("NOISE", "noise_percent", "SD of the noise in % of the signal of bright tissue", 9, 14),
    Rule("GHOSTING", "ghosting",
         "signal of the air beside the head minus that in the corners, as a share of the signal of bright tissue",
         0.03, 0.08, is_of_mr=True),
    Rule("SLICE_JUMP", "slice_jump", "relative step of one slice against its neighbours", 0.15, 0.35),
    Rule("SHADING", "shading", "relative SD of the signal of bright tissue between blocks of 30 mm", 0.25, 0.45,
         is_of_mr=True),
    Rule("BLURRED", "least_sharpness",
         "mean squared difference of neighbouring voxels over that of voxels two apart, along the blurrier axis "
         "(sharp 0.5, blurred 0.25)", 0.30, 0.26, is_least=True, is_of_mr=True),
    Rule("CONTRAST_LOW", "contrast", "range of the values inside the brain (10th to 90th percentile) over their median",
         0.22, 0.10, is_least=True, is_of_mr=True),
    Rule("SKULL_STRIPPED", "stripped", "share of constant air in the image, around a body of a brain's size", _NONE,
         0.45, is_note=True),
    Rule("DEFACED", "carved", "share of the air before the face that is constant, minus that of the other air", _NONE,
         0.25, is_note=True),
)  # fmt: skip

# Volumes in ml that a skull-stripped brain may have, from a small to a large brain with its fluid; chosen by hand.
_BRAIN_ML = (700.0, 2300.0)

# Least share of voxels near -1000 HU, the value of air, in a CT; chosen by hand.
_AIR_SHARE = 0.05


@dataclass(frozen=True)
class Finding:
    """Result of one rule for one scan.

    Attributes:
        code: of the rule.
        value: of the measure, NaN when it could not be measured.
        warn, fail: limits of the rule.
        verdict: see `Rule.verdict`.
    """

    code: str
    value: float
    warn: float
    fail: float
    verdict: Verdict


def apply_rules(measures: Mapping[str, float]) -> tuple[Finding, ...]:
    """Returns the finding of every rule, in the order of `RULES`.

    Args:
        measures: see `voxlate.quality.measures.measure`.
    """
    values = dict(measures) | {"stripped": _stripped(measures)}
    if is_hounsfield(measures):
        values |= {rule.measure: math.nan for rule in RULES if rule.is_of_mr}
    return tuple(
        Finding(rule.code, values[rule.measure], rule.warn, rule.fail, rule.verdict(values[rule.measure]))
        for rule in RULES
    )


def is_hounsfield(measures: Mapping[str, float]) -> bool:
    """Returns whether a scan is in Hounsfield units: over a twentieth of its voxels are near -1000, which is air."""
    return measures["hounsfield"] > _AIR_SHARE


def worst_verdict(findings: tuple[Finding, ...]) -> Literal["pass", "warn", "fail"]:
    """Returns `fail` if a rule failed, else `warn` if one warned, else `pass`."""
    verdicts = {finding.verdict for finding in findings}
    return "fail" if "fail" in verdicts else "warn" if "warn" in verdicts else "pass"


def _stripped(measures: Mapping[str, float]) -> float:
    """Returns the share of constant air around a body of the size of a brain, 0 around a larger or smaller body."""
    is_brain = _BRAIN_ML[0] < measures["head_ml"] < _BRAIN_ML[1]
    return measures["constant_air"] if is_brain else 0.0
