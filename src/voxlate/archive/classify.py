"""Every series of a folder or an archive with what it shows and whether an agent was given, each with its evidence."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
_ECHO = {"RepetitionTime": "RepetitionTime", "FlipAngle": "FlipAngle", "EffectiveEchoTime": "EchoTime"}
_SHARED = (
    ("MRTimingAndRelatedParametersSequence", _ECHO),
    ("MREchoSequence", _ECHO),
    ("MRModifierSequence", {"InversionTimes": "InversionTime"}),
    ("MRDiffusionSequence", {"DiffusionBValue": "DiffusionBValue"}),
    ("PixelMeasuresSequence", {name: name for name in ("PixelSpacing", "SliceThickness", "SpacingBetweenSlices")}),
)
COLUMNS: tuple[str, ...] = (
    "study",
    "series",
    "number",
    "files",
    "modality",
    "manufacturer",
    "kind",
    "rule",
    "by_text",
    "agent",
)
COLUMNS += ("may_be_enhanced", "evidence", "fault")


@dataclass(frozen=True)
class ClassifiedSeries:
    """One series.

    Attributes:
        study, series: hashes of their identifiers with the salt of the site.
        number: of the series in its study.
        files: how many.
        modality, manufacturer: as in the header.
        kind: what it shows.
        agent: whether an agent was given.
        fault: code of what is wrong with its identifiers, or nothing.
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
        """Returns the values of `COLUMNS`; of texts only the words that decided, which name nobody."""
        first = (self.study, self.series, str(self.number), str(self.files), self.modality, self.manufacturer)
        kind = (self.kind.kind, self.kind.rule, "yes" if self.kind.is_by_text else "no")
        enhanced = "yes" if self.agent.may_be_enhanced else "no"
        return (*first, *kind, self.agent.state, enhanced, self.agent.evidence_text, self.fault)


def classify(path: Path) -> list[ClassifiedSeries]:
    """Returns every series at or below `path`, which is a folder, a DICOM file or a zip.

    Raises:
        NoInput: there is no DICOM there.
        InputRefused: what `find_series` refuses.
    """
    from voxlate.io.dicom import dicom_files, find_series

    with dicom_files(path) as files:
        found = find_series(files)
    if not found:
        raise NoInput("NO_INPUT", f"{path.name}: no DICOM file there")
    headers = [header_of(each.first) for each in found]
    made = [_classified(each, header) for each, header in zip(found, headers, strict=True)]
    return list(_timed(made, headers))


def header_of(dataset: Dataset) -> dict[str, str]:
    """Returns elements as text by keyword; those of a multi-frame image from its shared or first functional groups.

    What is damaged or absent is left out.
    """
    found = {keyword: element_text(dataset, keyword) for keyword in CLASSIFIED_ELEMENTS if keyword in dataset}
    groups = [*(dataset.get("SharedFunctionalGroupsSequence") or [])[:1]]
    groups += (dataset.get("PerFrameFunctionalGroupsSequence") or [])[:1]
    for group in groups:
        for sequence, names in _SHARED:
            for item in (group.get(sequence) or [])[:1]:
                found |= {ours: element_text(item, theirs) for theirs, ours in names.items() if theirs in item}
    if groups and "ScanningSequence" not in found:
        contrast = {"GRADIENT": "GR", "SPIN": "SE", "BOTH": "GR\\SE"}
        found["ScanningSequence"] = contrast.get(element_text(dataset, "EchoPulseSequence").upper(), "")
    agents: list[Any] = list(dataset.get("ContrastBolusAgentSequence") or [])
    if agents:
        found["ContrastBolusAgent"] = "agent"
    return found


def element_text(dataset: Any, keyword: str) -> str:
    """Returns an element as text, its values parted by backslashes; nothing when it is absent or damaged."""
    try:
        value = dataset.get(keyword)
    except Exception:  # a damaged element says nothing
        return ""
    if value is None:
        return ""
    several = isinstance(value, list | tuple) or type(value).__name__ == "MultiValue"
    return "\\".join(str(each) for each in value) if several else str(value)


def _classified(series: DicomSeries, header: dict[str, str]) -> ClassifiedSeries:
    return ClassifiedSeries(
        pseudonym(site_key(), "study", element_text(series.first, "StudyInstanceUID")),
        pseudonym(site_key(), "series", series.uid),
        series.number,
        len(series.files),
        header.get("Modality", ""),
        " ".join(header.get("Manufacturer", "").split()),
        series_type_of(header),
        agent_status_of(header),
        "" if series.fault is None else series.fault.code,
    )


def _timed(series: Sequence[ClassifiedSeries], headers: Sequence[dict[str, str]]) -> Iterator[ClassifiedSeries]:
    """Yields the series with what the timeline of each study adds."""
    studies: dict[str, list[int]] = defaultdict(list)
    for index, each in enumerate(series):
        studies[each.study].append(index)
    agents: dict[int, AgentStatus] = {}
    for members in studies.values():
        times = [headers[index].get("AcquisitionTime", "") for index in members]
        starts = [headers[index].get("ContrastBolusStartTime", "") for index in members]
        told = with_timeline([series[index].agent for index in members], times, starts)
        agents |= dict(zip(members, told, strict=True))
    for index, each in enumerate(series):
        yield replace(each, agent=agents[index])
