"""What does this series show? Rules over its header, in order; the first that fits decides and says by what.

The timing of the sequence outranks words: a description is not trustworthy, but sometimes all there is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from voxlate.archive.contrast_agent import plain

Header = Mapping[str, str]

MR_CLASSES = ("1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.4.1", "1.2.840.10008.5.1.4.1.1.4.4")
CT_CLASSES = ("1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.5.1.4.1.1.2.2")


@dataclass(frozen=True)
class SeriesType:
    """What a series shows.

    Attributes:
        kind: as in `RULES`; `unknown` when no rule fits.
        rule: the words of the rule.
        is_by_text: whether words alone decided.
    """

    kind: str
    rule: str
    is_by_text: bool = False


@dataclass(frozen=True)
class Rule:
    """One row of the table: what it concludes, its words for the documentation, and when it fits."""

    kind: str
    words: str
    fits: Callable[[Header], bool]
    is_by_text: bool = False


def series_type_of(header: Header) -> SeriesType:
    """Returns what a series shows.

    Args:
        header: values by keyword, as text; several values parted by a backslash, times in milliseconds.
    """
    for rule in RULES:
        if rule.fits(header):
            return SeriesType(rule.kind, rule.words, rule.is_by_text)
    return SeriesType("unknown", "no rule fits")


def number(header: Header, keyword: str) -> float:
    """Returns the first value of an element as a number, or NaN."""
    try:
        return float(header.get(keyword, "").split("\\")[0])
    except ValueError:
        return float("nan")


def _values(header: Header, keyword: str) -> set[str]:
    return {part.strip().upper() for part in header.get(keyword, "").split("\\")}


def _says(*patterns: str) -> Callable[[Header], bool]:
    """Returns a test of description and protocol."""
    whole = re.compile("|".join(patterns))

    def fits(header: Header) -> bool:
        return any(whole.search(plain(header.get(key, ""))) for key in ("SeriesDescription", "ProtocolName"))

    return fits


def _is(keyword: str, *words: str) -> Callable[[Header], bool]:
    return lambda header: bool(_values(header, keyword) & set(words))


def _either(*tests: Callable[[Header], bool]) -> Callable[[Header], bool]:
    return lambda header: any(test(header) for test in tests)


def _all(*tests: Callable[[Header], bool]) -> Callable[[Header], bool]:
    return lambda header: all(test(header) for test in tests)


def _between(keyword: str, low: float, high: float) -> Callable[[Header], bool]:
    return lambda header: low <= number(header, keyword) <= high


def _inverts_late(header: Header) -> bool:
    return number(header, "InversionTime") > 1500


_GRADIENT = _is("ScanningSequence", "GR", "RM")
_SPIN = _is("ScanningSequence", "SE", "RM")
_SHORT_ECHO = _between("EchoTime", 0.1, 10)
_EPI = _is("ScanningSequence", "EP")

RULES = (
    Rule("synthetic", "SyntheticData YES, or SYNTHETIC in ImageType", _either(
        _is("SyntheticData", "YES"), _is("ImageType", "SYNTHETIC"))),
    Rule("other", "no MR or CT image", lambda header: header.get("SOPClassUID", MR_CLASSES[0]) not in (
        *MR_CLASSES, *CT_CLASSES)),
    Rule("localizer", "LOCALIZER in ImageType, or localizer, scout, survey, 3-plane in the description", _either(
        _is("ImageType", "LOCALIZER"),
        _says(r"\bloc\b", r"locali[sz]", r"scout", r"survey", r"topogram", r"3\W*plane"))),
    Rule("derived", "subtraction, projection or reformat by ImageType or description", _either(
        _is("ImageType", "SUBTRACTION", "SUBTRACT", "PROJECTION IMAGE", "MIP", "MPR", "REFORMATTED", "CSA MPR"),
        _says(r"\bsub\b", r"subtract", r"\bmip\b", r"\bmpr\b", r"reformat", r"screen\W*save"))),
    Rule("CT", "modality CT", _is("Modality", "CT")),
    Rule("ADC", "ADC in ImageType, or ADC, apparent diffusion in the description", _either(
        _is("ImageType", "ADC"), _says(r"\bd?adc\b", r"apparent diff"))),
    Rule("diffusion map", "FA, TRACEW, EADC or a tensor in ImageType or description", _either(
        _is("ImageType", "FA", "TRACEW", "EADC", "COLFA", "TENSOR"), _says(r"\beadc\b", r"tracew", r"\bcol\W*fa\b"))),
    Rule("DWI", "DIFFUSION in ImageType, a b value, or dwi, diff, dti in the description", _either(
        _is("ImageType", "DIFFUSION"), lambda header: number(header, "DiffusionBValue") >= 0,
        _says(r"\bdwi\b", r"\bdti\b", r"diff", r"ep2d.*\bb\s?\d+"))),
    Rule("perfusion", "PERFUSION or ASL in ImageType, or perf, DSC, DCE, ASL, CBF, MTT in the description", _either(
        _is("ImageType", "PERFUSION", "ASL", "CBF", "CBV", "MTT", "TTP"),
        _says(r"perf", r"\bdsc\b", r"\bdce\b", r"(?:\b|\dd?p?c?)asl\b", r"pcasl", r"\bcbf\b", r"\bcbv\b", r"\bmtt\b",
              r"\bttp\b"))),
    Rule("SWI", "SWI, SWAN, suscept, venobold in the description", _says(
        r"\bswi\b", r"\bswan\b", r"suscept", r"venobold")),
    Rule("fMRI", "bold, fmri, resting state in the description, or rest, task with TE 15 to 60 ms", _either(
        _says(r"\bbold\b", r"fmri", r"resting\W*state"),
        _all(_says(r"\brest\d*\b", r"\btask"), _between("EchoTime", 15, 60)))),
    Rule("angiography", "ANGIO in ImageType, or TOF, angio, MRA, MRV in the description", _either(
        _is("ImageType", "ANGIO"), _says(r"\btof\b", r"angio", r"\bmra\b", r"\bmrv\b", r"phase\W*contrast"))),
    Rule("field map", "phase in ImageType, or field map, shim, B0, B1 in the description of no echo-planar image",
         _either(
        _is("ImageType", "P", "PHASE", "PHASE MAP", "B0", "B1", "FIELD_MAP"),
        _all(_says(r"field\W*map", r"\bfmap", r"shim", r"\bt?b[01]\b"), lambda header: not _EPI(header)))),
    Rule("FLAIR", "spin echo, TI > 1500 ms, TE >= 60 ms", _all(
        _SPIN, _inverts_late, _between("EchoTime", 60, 1000))),
    Rule("T1w", "gradient echo, TE <= 10 ms, TI 500 to 1200 ms", _all(
        _GRADIENT, _SHORT_ECHO, _between("InversionTime", 500, 1200))),
    Rule("T1w", "gradient echo, TE <= 10 ms, TR <= 50 ms, flip angle >= 8 degrees, no late inversion", _all(
        _GRADIENT, _SHORT_ECHO, _between("RepetitionTime", 0.1, 50), _between("FlipAngle", 8, 180),
        lambda header: not _inverts_late(header))),
    Rule("T1w", "spin echo, TE <= 30 ms, TR 300 to 1000 ms, no late inversion", _all(
        _SPIN, _between("EchoTime", 0.1, 30), _between("RepetitionTime", 300, 1000),
        lambda header: not _inverts_late(header))),
    Rule("T1w", "spin echo, TE <= 30 ms, TI 500 to 1200 ms", _all(
        _SPIN, _between("EchoTime", 0.1, 30), _between("InversionTime", 500, 1200))),
    Rule("T2*w", "gradient echo, TE >= 12 ms", _all(_is("ScanningSequence", "GR"), _between("EchoTime", 12, 200))),
    Rule("T2w", "spin echo, TE >= 60 ms, TR >= 1500 ms", _all(
        _SPIN, _between("EchoTime", 60, 1000), _between("RepetitionTime", 1500, 1e5))),
    Rule("PDw", "spin echo, TE <= 45 ms, TR >= 1500 ms, no inversion", _all(
        _SPIN, _between("EchoTime", 0.1, 45), _between("RepetitionTime", 1500, 1e5),
        lambda header: not number(header, "InversionTime") > 0)),
    Rule("FLAIR", "flair or dark fluid in the description", _says(r"flair", r"dark\W*fluid"), is_by_text=True),
    Rule("T1w", "T1, MPRAGE, SPGR, BRAVO, TFE in the description", _says(
        r"\bt1", r"mp\W*rage", r"spgr", r"bravo", r"\btfe\b"), is_by_text=True),
    Rule("T2w", "T2 in the description", _says(r"\bt2(?!\*)"), is_by_text=True),
    Rule("PDw", "PD or proton density in the description", _says(r"\bpd\b", r"proton\W*dens"), is_by_text=True),
    Rule("echo planar", "an echo-planar image that nothing else is said of", _EPI),
)  # fmt: skip
