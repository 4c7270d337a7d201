"""The typed rows that describe one series: in the index, as `voxlate grade` graded it, and as a person graded it.

`archive`, `cohort` and `quality` exchange series as these rows. They are the rows of the files on disk
(`series.parquet`, `items/*.json`), so that a key here is a column or a JSON key there.
"""

from __future__ import annotations

from typing import NotRequired, TypedDict

TIERS = ("good", "medium", "low")
"""Quality tiers of Bottani et al. 2024, best first."""


class IndexRow(TypedDict):
    """One series of `series.parquet`; the order of the fields is the order of the columns, their types are its types.

    Attributes:
        patient, study, series: pseudonyms.
        day: date of the study as ISO 8601, moved by the patient's shift; None when unknown.
        modality, body_part, acquisition, sex: DICOM codes of known lists, `other` for any other code.
        manufacturer: a known manufacturer or `other`.
        model: a known scanner model, else a pseudonym.
        site, scanner: pseudonyms of institution and device.
        kernel: `soft`, `sharp` or `other` for CT.
        kind, rule, by_text: series type, the rule that decided, and whether only text decided; see `SeriesType`.
        agent, evidence, may_be_enhanced: contrast-agent status and its evidence; see `AgentStatus`.
        fault: code of a fault of the identifiers, empty without one.
        number: SeriesNumber.
        files, slices: number of files and of frames; copies of a file count once.
        rows, columns: size of a slice, in pixels.
        minute: minutes from the first acquisition of the study to this one.
        age_years: at most 89.
        field_tesla: magnetic field strength.
        slice_spacing_mm, pixel_spacing_mm: between slices, and the first value of PixelSpacing.
        repetition_ms, echo_ms, inversion_ms, flip_deg: sequence parameters.
    """

    patient: str
    study: str
    series: str
    day: str | None
    modality: str | None
    manufacturer: str | None
    model: str | None
    site: str | None
    scanner: str | None
    sex: str | None
    body_part: str | None
    acquisition: str | None
    kernel: str | None
    kind: str
    rule: str
    agent: str
    evidence: str
    fault: str
    number: int | None
    files: int
    slices: int
    rows: int | None
    columns: int | None
    minute: float | None
    age_years: float | None
    field_tesla: float | None
    slice_spacing_mm: float | None
    pixel_spacing_mm: float | None
    repetition_ms: float | None
    echo_ms: float | None
    inversion_ms: float | None
    flip_deg: float | None
    by_text: bool
    may_be_enhanced: bool


# `pass` is a column that ClinicaDL's quality check writes and a keyword of Python, hence this form.
_PassColumn = TypedDict("_PassColumn", {"pass": bool})


class GradeRow(_PassColumn):
    """One graded series of `grades.tsv`; the file has one more column for the measured value of each quality rule.

    Attributes:
        pass: no rule failed, and `pass_probability` is at least a half.
        pass_probability: probability of a proper T1w of good or medium quality.
        verdict: `fail`, `warn` or `pass` of the quality rules.
        tier: one of `TIERS`, `improper` or `unknown`.
        kind: series type from header and pixels.
        agent: contrast-agent status from header and pixels.
        proper_probability: probability of a T1w of a whole head.
        agent_probability: probability that a contrast agent was given, from header and pixels.
        good_probability, medium_probability, low_probability: probability of each tier.
        grade_contrast, grade_motion, grade_noise: likeliest grade, 0, 1 or 2.
        failed, warned, noted: codes of rules, joined by commas.
        agent_by: evidence that decided on the agent; see `Decision`.
        pixel_kind: series type from the pixels alone.
    """

    pass_probability: float
    verdict: str
    tier: str
    kind: str
    agent: str
    proper_probability: float
    agent_probability: float
    good_probability: float
    medium_probability: float
    low_probability: float
    grade_contrast: int
    grade_motion: int
    grade_noise: int
    failed: str
    warned: str
    noted: str
    agent_by: str
    pixel_kind: str


class GradeItem(TypedDict):
    """The scan that a `GradeRecord` grades; the fields are those of `voxlate.quality.items.Item`."""

    name: str
    participant: str
    session: str
    header_kind: str
    header_agent: str
    fault: str
    stamp: str


class GradeRecord(TypedDict):
    """One file `items/*.json` of `voxlate grade`.

    Attributes:
        item: the scan.
        stamp: fingerprints of the grader and of the scan.
        state: `OK`, `REFUSED:CODE` or `FAILED:CODE`.
        row: columns of the table; only with state `OK`.
        grading: every probability and finding; only with state `OK`.
        content: hash of the voxels; only with state `OK`.
    """

    item: GradeItem
    stamp: list[str]
    state: str
    row: NotRequired[GradeRow]
    grading: NotRequired[object]
    content: NotRequired[str]


class PersonGrade(TypedDict, total=False):
    """The last grade that a person gave a series, in the columns of `GradeRow`; absent keys were not answered.

    Attributes:
        content: hash of the voxels that the person saw.
        tier: one of `TIERS`, or `improper`.
    """

    content: str
    tier: str
    kind: str
    grade_contrast: int
    grade_motion: int
    grade_noise: int
    agent: str
    agent_by: str
