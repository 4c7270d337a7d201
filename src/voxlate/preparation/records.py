"""Rows of a prepared cohort: what `prepare` records about each case, on disk and for its page."""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict, final


class ScoreRecord(TypedDict):
    """Quality of a registration; keys beyond these are figures of single measures.

    Attributes:
        verdict: `good`, `doubtful` or `bad`.
        edge_agreement: share of edges that coincide, from 0 to 1.
        nmi: normalised mutual information.
    """

    verdict: str
    edge_agreement: float
    nmi: float


class RegistrationRecord(TypedDict):
    """Registration of the target, or of a further source, to the source.

    Attributes:
        matrix: (4, 4), as nested lists; see `voxlate.preparation.registration.transform`.
        moved_mm: mean displacement of the brain.
        score: quality.
    """

    matrix: list[list[float]]
    moved_mm: float
    score: ScoreRecord


@final
class MissingRecord(TypedDict):
    """A further source that could not be read or registered: code and message of the error."""

    code: str
    message: str


class MaskRecord(TypedDict):
    """The brain mask.

    Attributes:
        verdict: `good`, `doubtful` or `bad`.
        volume_cm3: volume of the brain.
    """

    verdict: str
    volume_cm3: float


class BrainRecord(TypedDict):
    """The brain of one scan.

    Attributes:
        method: how its mask was found, or `given`.
        seen: what was recognised in the scan; None where a method was named and nothing was looked for.
        text: both in words; absent in records of older versions.
    """

    method: str
    seen: dict[str, Any] | None
    text: NotRequired[str]


class PreparationRecord(TypedDict):
    """One case of a prepared cohort.

    Attributes:
        case: name of the case.
        state: `done`, `refused` or `failed`.
        code, message: of the error, unless the case is done.
        saw: what was recognised in the scans, in one line, if the case is done.
        is_aligned: whether they were aligned already and not registered.
        brains: how the brains of `source` and `target` were found, and what was recognised.
        registration, mask, doubts: measurements, if the case is done.
        more: registration of each further source by contrast, or why it is missing; absent without further sources.
        seconds: time of each step, if the case is done.
        template: registration to the template, where one was asked for.
        fingerprint, voxlate, settings, inputs, files: origin of the case and hashes of its files, if it is done.
    """

    case: str
    state: str
    code: NotRequired[str]
    message: NotRequired[str]
    saw: NotRequired[str]
    is_aligned: NotRequired[bool]
    brains: NotRequired[dict[str, BrainRecord]]
    registration: NotRequired[RegistrationRecord]
    mask: NotRequired[MaskRecord]
    doubts: NotRequired[list[str]]
    more: NotRequired[dict[str, RegistrationRecord | MissingRecord]]
    seconds: NotRequired[dict[str, float]]
    template: NotRequired[dict[str, Any]]
    fingerprint: NotRequired[str]
    voxlate: NotRequired[str]
    settings: NotRequired[dict[str, Any]]
    inputs: NotRequired[dict[str, Any]]
    files: NotRequired[dict[str, str]]
