"""Classifies every DICOM series of a folder by its headers: series type, contrast-agent status and their evidence."""

from __future__ import annotations

import secrets
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voxlate.archive import allowlists
from voxlate.archive.contrast_agent import AgentStatus, agent_status_of, with_timeline
from voxlate.archive.pseudonyms import pseudonym
from voxlate.archive.series_type import SeriesType, series_type_of
from voxlate.errors import NoInput
from voxlate.io.site_key import site_key

if TYPE_CHECKING:
    from pydicom import Dataset

    from voxlate.io.dicom import DicomSeries

CLASSIFIED_ELEMENTS = (
    "Modality", "SOPClassUID", "ImageType", "SeriesDescription", "ProtocolName", "ScanningSequence", "SequenceVariant",
    "MRAcquisitionType", "RepetitionTime", "EchoTime", "InversionTime", "FlipAngle", "DiffusionBValue",
    "MagneticFieldStrength", "Manufacturer", "ContrastBolusAgent", "ContrastBolusIngredient", "ContrastBolusVolume",
    "ContrastBolusTotalDose", "ContrastBolusStartTime", "AcquisitionTime", "SyntheticData",
)  # fmt: skip
# Enhanced images hold these elements in functional groups; each group maps its keywords to those of classic images.
_ECHO = {"RepetitionTime": "RepetitionTime", "FlipAngle": "FlipAngle", "EffectiveEchoTime": "EchoTime"}
_FUNCTIONAL_GROUPS = (
    ("MRTimingAndRelatedParametersSequence", _ECHO),
    ("MREchoSequence", _ECHO),
    ("MRModifierSequence", {"InversionTimes": "InversionTime"}),
    ("MRDiffusionSequence", {"DiffusionBValue": "DiffusionBValue"}),
    ("PixelMeasuresSequence", {name: name for name in ("PixelSpacing", "SliceThickness", "SpacingBetweenSlices")}),
)
COLUMNS = (
    "study", "series", "number", "files", "modality", "manufacturer", "kind", "rule", "by_text", "agent",
    "may_be_enhanced", "evidence", "fault",
)  # fmt: skip
"""Columns of the table of `voxlate classify`."""


@dataclass(frozen=True)
class ClassifiedSeries:
    """One classified series.

    Attributes:
        study, series: pseudonyms; see `classify`.
        number: SeriesNumber.
        files: number of files.
        modality, manufacturer: of the lists in `allowlists`; `other` for any other text, empty where there is none.
        kind: series type.
        agent: contrast-agent status.
        fault: code of a fault of the identifiers, empty without one.
    """

    study: str
    series: str
    number: int
    files: int
    modality: str
    manufacturer: str
    kind: SeriesType
    agent: AgentStatus
    fault: str

    def row(self) -> tuple[str, ...]:
        """Returns the values of `COLUMNS`; of header texts only the matched words, which cannot name a person."""
        first = (self.study, self.series, str(self.number), str(self.files), self.modality, self.manufacturer)
        kind = (self.kind.kind, self.kind.rule, "yes" if self.kind.is_by_text else "no")
        enhanced = "yes" if self.agent.may_be_enhanced else "no"
        return (*first, *kind, self.agent.state, enhanced, self.agent.evidence_text, self.fault)


def classify(path: Path) -> list[ClassifiedSeries]:
    """Returns every series at or below a path.

    The pseudonyms are made with the key of the site (environment variable `VOXLATE_UID_SALT`). Without it each call
    draws a key of its own, so that its pseudonyms differ from those of any other call: pseudonyms made with a key that
    everybody knows can be computed from the identifiers.

    Args:
        path: a folder, a DICOM file or a zip.

    Raises:
        NoInput: `NO_INPUT` when there is no DICOM file.
        InputRefused: see `find_series`.
    """
    from voxlate.io.dicom import dicom_files, find_series

    with dicom_files(path) as files:
        series = find_series(files)
    if not series:
        raise NoInput("NO_INPUT", f"{path.name} contains no DICOM file")
    headers = [header_of(each.first) for each in series]
    key = site_key() or secrets.token_hex(32)
    classified = [_classified(each, header, key) for each, header in zip(series, headers, strict=True)]
    return list(_with_timelines(classified, headers))


def header_of(dataset: Dataset) -> dict[str, str]:
    """Returns the elements that classify a series, as text by keyword; damaged and absent elements are left out.

    The elements of an enhanced (multi-frame) image come from its shared functional groups and those of its first frame.
    """
    header = {keyword: element_text(dataset, keyword) for keyword in CLASSIFIED_ELEMENTS if keyword in dataset}
    groups = [*(dataset.get("SharedFunctionalGroupsSequence") or [])[:1]]
    groups += (dataset.get("PerFrameFunctionalGroupsSequence") or [])[:1]
    for group in groups:
        for sequence, names in _FUNCTIONAL_GROUPS:
            for item in (group.get(sequence) or [])[:1]:
                header |= {ours: element_text(item, theirs) for theirs, ours in names.items() if theirs in item}
    if groups and "ScanningSequence" not in header:
        contrast = {"GRADIENT": "GR", "SPIN": "SE", "BOTH": "GR\\SE"}
        header["ScanningSequence"] = contrast.get(element_text(dataset, "EchoPulseSequence").upper(), "")
    agents: list[Any] = list(dataset.get("ContrastBolusAgentSequence") or [])
    if agents:
        header["ContrastBolusAgent"] = "agent"
    return header


def element_text(dataset: Any, keyword: str) -> str:
    """Returns an element as text, several values separated by backslashes; empty when it is absent or damaged."""
    try:
        value = dataset.get(keyword)
    except Exception:  # pydicom raises many types for damaged values; the element counts as absent
        return ""
    if value is None:
        return ""
    is_multiple = isinstance(value, list | tuple) or type(value).__name__ == "MultiValue"
    return "\\".join(str(each) for each in value) if is_multiple else str(value)


def _classified(series: DicomSeries, header: dict[str, str], key: str) -> ClassifiedSeries:
    return ClassifiedSeries(
        pseudonym(key, "study", element_text(series.first, "StudyInstanceUID")),
        pseudonym(key, "series", series.uid),
        series.number,
        len(series.files),
        allowlists.listed_code(header.get("Modality", ""), allowlists.MODALITIES) or "",
        allowlists.manufacturer(header.get("Manufacturer", "")) or "",
        series_type_of(header),
        agent_status_of(header),
        "" if series.fault is None else series.fault.code,
    )


def _with_timelines(
    series: Sequence[ClassifiedSeries], headers: Sequence[dict[str, str]]
) -> Iterator[ClassifiedSeries]:
    """Yields the series with `may_be_enhanced` set from the timeline of their study."""
    studies: dict[str, list[int]] = defaultdict(list)
    for index, each in enumerate(series):
        studies[each.study].append(index)
    agents: dict[int, AgentStatus] = {}
    for members in studies.values():
        times = [headers[index].get("AcquisitionTime", "") for index in members]
        starts = [headers[index].get("ContrastBolusStartTime", "") for index in members]
        statuses = with_timeline([series[index].agent for index in members], times, starts)
        agents |= dict(zip(members, statuses, strict=True))
    for index, each in enumerate(series):
        yield replace(each, agent=agents[index])
