"""Draws the DICOM header of a series as vendors and sites write it: in many languages, sometimes missing or wrong."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from voxlate.simulation.physics.scanners import Scanner
from voxlate.simulation.physics.sequences import Flair, GradientEcho, Mprage, SpinEcho

BEFORE = (
    "T1 3D",
    "Sag T1 MPRAGE",
    "T1 sans inj",
    "t1 nativ",
    "T1 ohne KM",
    "T1W_3D_TFE",
    "T1 senza mdc",
    "T1 sin contraste",
    "T1 utan gd",
    "Ax 3D T1 BRAVO",
    "t1_mprage_sag_p2_iso",
    "T1 PRE",
)
AFTER = (
    "T1 3D +C",
    "T1 GADO",
    "T1 nach KM",
    "t1_mprage_sag_p2_iso_km",
    "T1 3D inj",
    "T1 con mdc",
    "T1 con contraste",
    "T1 med gd",
    "Ax T1 BRAVO POST",
    "T1W_3D_TFE +Gd",
    "T1 POST FOSSA GADO",
    "Sag T1 MPRAGE c+",
)
CONTRADICTORY = ("T1 W WO", "T1 PRE/POST", "T1 +/- C")
OTHERS = {
    "T2w": ("Ax T2 TSE", "T2W_TSE", "t2_tse_tra", "T2 FSE axial", "T2 pondéré"),
    "FLAIR": ("3D FLAIR", "FLAIR Längs", "t2_space_dark-fluid_sag", "Ax T2 FLAIR", "FLAIR tra"),
    "b0": ("ep2d_diff_b0", "DWI b0"),
    "b500": ("ep2d_diff_b500", "DWI b500"),
    "b1000": ("ep2d_diff_b1000", "DWI b1000"),
    "ADC": ("ep2d_diff_ADC", "Apparent Diffusion Coefficient (mm2/s)", "dADC"),
    "CT": ("Crâne sans", "Kopf nativ", "HEAD 1.0 H31s", "CCT"),
}
TAGS = ("true", "absent", "contradictory")
TAG_SHARES = (0.55, 0.30, 0.15)
"""How often agent and description are true, absent or contradictory; chosen by hand."""

_NONE_WORDS = ("NONE", "no", "NO CONTRAST", "")
_AGENT_WORDS = {"gadobutrol": "GADOVIST", "gadoteridol": "PROHANCE", "gadoterate": "DOTAREM", "generic": "Gd"}
VENDORS = {
    "A": "SIEMENS",
    "B": "GE MEDICAL SYSTEMS",
    "C": "Philips",
    "D": "Siemens Healthineers",
    "E": "GE MEDICAL SYSTEMS",
    "F": "Philips Medical Systems",
    "G": "SIEMENS",
}
_WRITES_SPACING_AS_TR = {"GE MEDICAL SYSTEMS", "Philips"}


@dataclass(frozen=True)
class HeaderVariant:
    """The varying content of the header of one series.

    Attributes:
        description: series description.
        agent: value of ContrastBolusAgent; None if the tag is absent.
        tags: `true`, `absent` or `contradictory`: whether agent and description agree with the truth.
        is_enhanced: one multi-frame file instead of one file per slice.
        slope, intercept: value = slope x stored value + intercept.
    """

    description: str
    agent: str | None
    tags: str
    is_enhanced: bool
    slope: float
    intercept: float


def draw_header_variant(shown: str, scanner: Scanner, agent: str, rng: np.random.Generator) -> HeaderVariant:
    """Draws the header of a series; only those of T1-weighted images can be contradictory.

    Args:
        shown: true contrast of the image.
        scanner: the simulated scanner; its vendor decides slope and file format.
        agent: contrast agent that was given, or `generic`.
        rng: random numbers.
    """
    tags = str(rng.choice(TAGS, p=TAG_SHARES))
    is_philips = "Philips" in VENDORS[scanner.name]
    slope = float(np.round(rng.uniform(0.6, 2.4), 6)) if is_philips and shown != "CT" else 1.0
    enhanced = bool(rng.random() < 0.5) and scanner.name in "CD" and shown != "CT"
    after = shown == "T1ce"
    if shown not in ("T1w", "T1ce"):
        return HeaderVariant(str(rng.choice(OTHERS[shown])), None, "absent", enhanced, slope, 0.0)
    description, other = str(rng.choice(AFTER if after else BEFORE)), str(rng.choice(CONTRADICTORY))
    word, no_word = _AGENT_WORDS[agent], str(rng.choice(_NONE_WORDS))
    if tags == "contradictory":
        # As after copying a protocol: the tag says the opposite, and the description sometimes says both.
        description = other if rng.random() < 0.4 else description
        return HeaderVariant(description, no_word if after else word, tags, enhanced, slope, 0.0)
    stated = None if tags == "absent" else (word if after else no_word)
    return HeaderVariant(description, stated, tags, enhanced, slope, 0.0)


def timing_tags(shown: str, scanner: Scanner) -> dict[str, object]:
    """Returns the acquisition tags of an MR series as its vendor writes them, times in milliseconds.

    For an MPRAGE, Siemens writes the time between inversions as RepetitionTime, others the time between echoes.

    Args:
        shown: true contrast of the image.
        scanner: the simulated scanner.
    """
    timings: dict[str, SpinEcho | Flair] = {"T2w": scanner.t2w, "FLAIR": scanner.flair}
    timing: Mprage | GradientEcho | SpinEcho | Flair
    timing = timings.get(shown, scanner.t1w if shown in ("T1w", "T1ce") else scanner.diffusion)
    tags: dict[str, object] = {"RepetitionTime": timing.repetition_ms, "EchoTime": timing.echo_ms, "EchoTrainLength": 1}
    tags |= {"ScanningSequence": "SE", "SequenceVariant": "SK", "FlipAngle": 90.0, "ScanOptions": "PFP"}
    if isinstance(timing, Mprage):
        tags |= {"ScanningSequence": ["GR", "IR"], "SequenceVariant": ["SK", "SP", "MP"], "FlipAngle": timing.flip_deg}
        tags["InversionTime"] = timing.inversion_ms
        if VENDORS[scanner.name] in _WRITES_SPACING_AS_TR:
            tags["RepetitionTime"] = timing.spacing_ms
    elif isinstance(timing, Flair):
        tags |= {"ScanningSequence": ["SE", "IR"], "InversionTime": timing.inversion_ms}
    elif isinstance(timing, GradientEcho):
        tags |= {"ScanningSequence": "GR", "SequenceVariant": ["SP", "OSP"], "FlipAngle": timing.flip_deg}
    elif shown not in ("T1w", "T1ce", "T2w"):
        tags |= {"ScanningSequence": ["EP", "SE"], "SequenceVariant": "SK"}
    return tags
