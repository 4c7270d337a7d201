"""Classifies a DICOM series by its header: series type such as T1w or FLAIR, from an ordered table of rules.

The first rule that fits decides. Rules on sequence timing precede rules on the description: a technologist may type
any description, but the scanner writes the timing. Times are in milliseconds, flip angles in degrees.

Reasons for the limits of `RULES`, which were chosen by hand from the usual timing of sequences:

- An inversion time above 1500 ms nulls fluid (FLAIR); 500 to 1200 ms is the inversion of MPRAGE and of T1 FLAIR.
- An echo time of at most 10 ms for gradient echoes and 30 ms for spin echoes leaves little T2 weighting; at least 12 ms
  and 60 ms give T2*w and T2w.
- A repetition time of at most 50 ms (gradient echo) or 300 to 1000 ms (spin echo) gives T1 weighting, of at least
  1500 ms (spin echo) little. MPRAGE is recognised by its inversion time instead, since vendors write either the time
  between inversions (about 2300 ms) or the one between excitations (about 7 ms) as its repetition time.
- A flip angle below 8 degrees gives proton density weighting at a short repetition time.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from voxlate.archive.contrast_agent import plain

Header = Mapping[str, str]
"""Elements of a header as text by keyword; several values are separated by a backslash."""

MR_CLASSES = ("1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.4.1", "1.2.840.10008.5.1.4.1.1.4.4")
CT_CLASSES = ("1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.5.1.4.1.1.2.2")
"""SOP classes of MR and of CT images: single frame, enhanced, and legacy converted enhanced."""


@dataclass(frozen=True)
class SeriesType:
    """What a series shows.

    Attributes:
        kind: as in `RULES`; `unknown` when no rule fits.
        rule: description of the rule that decided.
        is_by_text: whether text alone decided.
    """

    kind: str
    rule: str
    is_by_text: bool = False


class Condition(Protocol):
    """A test of a header."""

    def fits(self, header: Header) -> bool:
        """Returns whether the header fits."""


@dataclass(frozen=True)
class HasValue:
    """One of the values of an element is in a list; with `is_negated`, none is."""

    keyword: str
    values: tuple[str, ...]
    is_negated: bool = False

    def fits(self, header: Header) -> bool:
        """Returns whether the header fits; values are compared in capitals."""
        present = {part.strip().upper() for part in header.get(self.keyword, "").split("\\")}
        return present.isdisjoint(self.values) == self.is_negated


@dataclass(frozen=True)
class InRange:
    """The first value of an element is a number from `least` to `most`; with `or_missing`, a missing one fits too."""

    keyword: str
    least: float = -math.inf
    most: float = math.inf
    or_missing: bool = False

    def fits(self, header: Header) -> bool:
        """Returns whether the header fits."""
        value = number(header, self.keyword)
        return self.or_missing if math.isnan(value) else self.least <= value <= self.most


@dataclass(frozen=True)
class TextMatches:
    """SeriesDescription or ProtocolName matches one of some patterns, in small letters without accents."""

    patterns: tuple[str, ...]

    def fits(self, header: Header) -> bool:
        """Returns whether the header fits."""
        texts = [plain(header.get(keyword, "")) for keyword in ("SeriesDescription", "ProtocolName")]
        return any(re.search(pattern, text) for pattern in self.patterns for text in texts)


@dataclass(frozen=True)
class OtherClass:
    """The SOP class is present and not in a list."""

    classes: tuple[str, ...]

    def fits(self, header: Header) -> bool:
        """Returns whether the header fits."""
        return "SOPClassUID" in header and header["SOPClassUID"] not in self.classes


@dataclass(frozen=True)
class SeriesTypeRule:
    """One row of the table.

    Attributes:
        kind: series type that it concludes.
        words: description for the documentation and for the index.
        alternatives: the rule fits when all conditions of one alternative fit.
        is_by_text: whether it looks at text alone.
    """

    kind: str
    words: str
    alternatives: tuple[tuple[Condition, ...], ...]
    is_by_text: bool = False

    def fits(self, header: Header) -> bool:
        """Returns whether the header fits."""
        return any(all(condition.fits(header) for condition in conditions) for conditions in self.alternatives)


def series_type_of(header: Header) -> SeriesType:
    """Returns the series type that the first fitting rule concludes.

    Args:
        header: elements as text by keyword.

    Example:
        >>> series_type_of({"ScanningSequence": "GR", "EchoTime": "2.98", "InversionTime": "900"}).kind
        'T1w'
    """
    for rule in RULES:
        if rule.fits(header):
            return SeriesType(rule.kind, rule.words, rule.is_by_text)
    return SeriesType("unknown", "no rule fits")


def number(header: Header, keyword: str) -> float:
    """Returns the first value of an element as a number, NaN when it is missing or not a number."""
    try:
        return float(header.get(keyword, "").split("\\")[0])
    except ValueError:
        return math.nan


# RM is research mode, which leaves the kind of echo open.
_GRADIENT_ECHO = HasValue("ScanningSequence", ("GR", "RM"))
_SPIN_ECHO = HasValue("ScanningSequence", ("SE", "RM"))
_ECHO_PLANAR = HasValue("ScanningSequence", ("EP",))
_NOT_ECHO_PLANAR = HasValue("ScanningSequence", ("EP",), is_negated=True)

# 0.1 ms as the least time excludes 0, which stands for a missing value.
_SHORT_ECHO_GRADIENT = InRange("EchoTime", 0.1, 10)
_SHORT_ECHO_SPIN = InRange("EchoTime", 0.1, 30)
_LONG_ECHO_SPIN = InRange("EchoTime", 60, 1000)
_LONG_REPETITION = InRange("RepetitionTime", 1500, 1e5)
_T1_INVERSION = InRange("InversionTime", 500, 1200)
_LATE_INVERSION = InRange("InversionTime", math.nextafter(1500, math.inf))
_NO_LATE_INVERSION = InRange("InversionTime", most=1500, or_missing=True)
_NO_INVERSION = InRange("InversionTime", most=0, or_missing=True)

RULES = (
    SeriesTypeRule(
        "synthetic",
        "SyntheticData YES, or SYNTHETIC in ImageType",
        ((HasValue("SyntheticData", ("YES",)),), (HasValue("ImageType", ("SYNTHETIC",)),)),
    ),
    SeriesTypeRule(
        "other",
        "no MR or CT image",
        ((OtherClass((*MR_CLASSES, *CT_CLASSES)),),),
    ),
    SeriesTypeRule(
        "localizer",
        "LOCALIZER in ImageType, or localizer, scout, survey, 3-plane in the description",
        (
            (HasValue("ImageType", ("LOCALIZER",)),),
            (TextMatches((r"\bloc\b", r"locali[sz]", r"scout", r"survey", r"topogram", r"3\W*plane")),),
        ),
    ),
    SeriesTypeRule(
        "derived",
        "subtraction, projection or reformat by ImageType or description",
        (
            (HasValue("ImageType", ("SUBTRACTION", "SUBTRACT", "PROJECTION IMAGE", "MIP", "MPR", "REFORMATTED",
                                    "CSA MPR")),),
            (TextMatches((r"\bsub\b", r"subtract", r"\bmip\b", r"\bmpr\b", r"reformat", r"screen\W*save")),),
        ),
    ),
    SeriesTypeRule(
        "CT",
        "modality CT",
        ((HasValue("Modality", ("CT",)),),),
    ),
    SeriesTypeRule(
        "ADC",
        "ADC in ImageType, or ADC, apparent diffusion in the description",
        ((HasValue("ImageType", ("ADC",)),), (TextMatches((r"\bd?adc\b", r"apparent diff")),)),
    ),
    SeriesTypeRule(
        "diffusion map",
        "FA, TRACEW, EADC or a tensor in ImageType or description",
        (
            (HasValue("ImageType", ("FA", "TRACEW", "EADC", "COLFA", "TENSOR")),),
            (TextMatches((r"\beadc\b", r"tracew", r"\bcol\W*fa\b")),),
        ),
    ),
    SeriesTypeRule(
        "DWI",
        "DIFFUSION in ImageType, a b value, or dwi, diff, dti in the description",
        (
            (HasValue("ImageType", ("DIFFUSION",)),),
            (InRange("DiffusionBValue", least=0),),
            (TextMatches((r"\bdwi\b", r"\bdti\b", r"diff", r"ep2d.*\bb\s?\d+")),),
        ),
    ),
    SeriesTypeRule(
        "perfusion",
        "PERFUSION or ASL in ImageType, or perf, DSC, DCE, ASL, CBF, MTT in the description",
        (
            (HasValue("ImageType", ("PERFUSION", "ASL", "CBF", "CBV", "MTT", "TTP")),),
            (TextMatches((r"perf", r"\bdsc\b", r"\bdce\b", r"(?:\b|\dd?p?c?)asl\b", r"pcasl", r"\bcbf\b", r"\bcbv\b",
                          r"\bmtt\b", r"\bttp\b")),),
        ),
    ),
    SeriesTypeRule(
        "SWI",
        "SWI, SWAN, suscept, venobold in the description",
        ((TextMatches((r"\bswi\b", r"\bswan\b", r"suscept", r"venobold")),),),
    ),
    SeriesTypeRule(
        "fMRI",
        "bold, fmri, resting state in the description, or rest, task with TE 15 to 60 ms",
        (
            (TextMatches((r"\bbold\b", r"fmri", r"resting\W*state")),),
            (TextMatches((r"\brest\d*\b", r"\btask")), InRange("EchoTime", 15, 60)),
        ),
    ),
    SeriesTypeRule(
        "angiography",
        "ANGIO in ImageType, or TOF, angio, MRA, MRV in the description",
        (
            (HasValue("ImageType", ("ANGIO",)),),
            (TextMatches((r"\btof\b", r"angio", r"\bmra\b", r"\bmrv\b", r"phase\W*contrast")),),
        ),
    ),
    SeriesTypeRule(
        "field map",
        "phase in ImageType, or field map, shim, B0, B1 in the description of no echo-planar image",
        (
            (HasValue("ImageType", ("P", "PHASE", "PHASE MAP", "B0", "B1", "FIELD_MAP")),),
            (TextMatches((r"field\W*map", r"\bfmap", r"shim", r"\bt?b[01]\b")), _NOT_ECHO_PLANAR),
        ),
    ),
    SeriesTypeRule(
        "FLAIR",
        "spin echo, TI > 1500 ms, TE >= 60 ms",
        ((_SPIN_ECHO, _LATE_INVERSION, _LONG_ECHO_SPIN),),
    ),
    SeriesTypeRule(
        "T1w",
        "gradient echo, TE <= 10 ms, TI 500 to 1200 ms",
        ((_GRADIENT_ECHO, _SHORT_ECHO_GRADIENT, _T1_INVERSION),),
    ),
    SeriesTypeRule(
        "T1w",
        "gradient echo, TE <= 10 ms, TR <= 50 ms, flip angle >= 8 degrees, no late inversion",
        ((_GRADIENT_ECHO, _SHORT_ECHO_GRADIENT, InRange("RepetitionTime", 0.1, 50), InRange("FlipAngle", 8, 180),
          _NO_LATE_INVERSION),),
    ),
    SeriesTypeRule(
        "T1w",
        "spin echo, TE <= 30 ms, TR 300 to 1000 ms, no late inversion",
        ((_SPIN_ECHO, _SHORT_ECHO_SPIN, InRange("RepetitionTime", 300, 1000), _NO_LATE_INVERSION),),
    ),
    SeriesTypeRule(
        "T1w",
        "spin echo, TE <= 30 ms, TI 500 to 1200 ms",
        ((_SPIN_ECHO, _SHORT_ECHO_SPIN, _T1_INVERSION),),
    ),
    SeriesTypeRule(
        "T2*w",
        "gradient echo, TE >= 12 ms",
        ((HasValue("ScanningSequence", ("GR",)), InRange("EchoTime", 12, 200)),),
    ),
    SeriesTypeRule(
        "T2w",
        "spin echo, TE >= 60 ms, TR >= 1500 ms",
        ((_SPIN_ECHO, _LONG_ECHO_SPIN, _LONG_REPETITION),),
    ),
    SeriesTypeRule(
        "PDw",
        "spin echo, TE <= 45 ms, TR >= 1500 ms, no inversion",
        ((_SPIN_ECHO, InRange("EchoTime", 0.1, 45), _LONG_REPETITION, _NO_INVERSION),),
    ),
    SeriesTypeRule(
        "FLAIR",
        "flair or dark fluid in the description",
        ((TextMatches((r"flair", r"dark\W*fluid")),),),
        is_by_text=True,
    ),
    SeriesTypeRule(
        "T1w",
        "T1, MPRAGE, SPGR, BRAVO, TFE in the description",
        ((TextMatches((r"\bt1", r"mp\W*rage", r"spgr", r"bravo", r"\btfe\b")),),),
        is_by_text=True,
    ),
    SeriesTypeRule(
        "T2w",
        "T2 in the description",
        ((TextMatches((r"\bt2(?!\*)",)),),),
        is_by_text=True,
    ),
    SeriesTypeRule(
        "PDw",
        "PD or proton density in the description",
        ((TextMatches((r"\bpd\b", r"proton\W*dens")),),),
        is_by_text=True,
    ),
    SeriesTypeRule(
        "echo planar",
        "an echo-planar image that nothing else is said of",
        ((_ECHO_PLANAR,),),
    ),
)  # fmt: skip
