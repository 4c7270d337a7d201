"""Types of the rows that `evaluation.json` lists under `lesions` and `volumes`.

Rows are plain dictionaries, as files and tables hold them; these types name their keys. A value is None where it is not
defined or not finite. The rows of one case get `case` and `patient` when the rows of all cases are put together.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NotRequired, TypedDict, overload


class CaseRow(TypedDict):
    """A row of one case."""

    case: NotRequired[str]
    patient: NotRequired[str]


class StructuresRow(CaseRow):
    """Structures found in the difference images of a case, without labels (`voxlate.evaluation.lesions.differences`).

    `threshold` is in the unit of comparison; of each kind the number and the total volume in mm³ are given.
    """

    kind: Literal["structures"]
    threshold: float
    candidates_count: int
    candidates_mm3: float
    false_structures_count: int
    false_structures_mm3: float
    false_enhancements_count: int
    false_enhancements_mm3: float
    leftovers_count: int
    leftovers_mm3: float


class CandidateRow(CaseRow):
    """A connected part in which source and target differ.

    `candidate` is its rank by volume, `voxel` the RAS+ index of its centre, `change` the mean of target minus source,
    `share_reached` the share of this change that the synthetic image shows.
    """

    kind: Literal["candidate"]
    candidate: int
    volume_mm3: float
    diameter_mm: float
    size: str
    voxel: list[int]
    change: float
    share_reached: float | None


class Indices(TypedDict):
    """Mean of a region divided by the mean of white-matter-like tissue of the same image, and the share reached."""

    index_source: float | None
    index_synthetic: float | None
    index_target: float | None
    share_reached: float | None


class EnhancementRow(CaseRow, Indices):
    """Brightness of the enhancing label of a case, or of all its lesions (`region`)."""

    kind: Literal["enhancement"]
    region: str


class LesionRow(CaseRow, Indices):
    """A connected lesion.

    `lesion` is its rank by volume, `voxel` the RAS+ index of its centre; `mae_source`, `mae_synthetic` are in % of L.
    `index_of` names the part whose indices are given, `enhancing` or `lesion`. `is_kept` is None for a lesion that does
    not stand out in the target.
    """

    kind: Literal["lesion"]
    lesion: int
    volume_mm3: float
    diameter_mm: float
    size: str
    voxel: list[int]
    mae_source: float
    mae_synthetic: float
    index_of: str
    is_bright_in_target: bool
    is_dark_in_target: bool
    is_kept: bool | None


class NoReferenceRow(CaseRow):
    """A case whose lesions have no indices, and why."""

    kind: Literal["no_reference"]
    reason: str


class LesionSizeRow(TypedDict):
    """Lesions of one size class over all patients; errors in % of L and the share reached are means over patients."""

    kind: Literal["by_size"]
    size: str
    n_lesions: int
    n_patients: int
    n_bright_in_target: int
    n_bright_kept: int
    n_dark_in_target: int
    n_dark_kept: int
    mae_source: float | None
    mae_synthetic: float | None
    share_reached: float | None


class WorstCaseRow(TypedDict):
    """A case among the worst by one criterion, a column of `structures` or `lesion` rows."""

    kind: Literal["worst_case"]
    criterion: str
    rank: int
    case: str
    patient: str
    value: float


CaseLesionRow = StructuresRow | CandidateRow | EnhancementRow | LesionRow | NoReferenceRow
"""A row of the lesions of one case."""

AnyLesionRow = CaseLesionRow | LesionSizeRow | WorstCaseRow
"""A row under `lesions`."""


class TissueRow(CaseRow):
    """Volume and overlap of one tissue in one image by one segmenter; `tiv_cm3` is that of the target."""

    segmenter: str
    method: str
    tissue: str
    volume_cm3: float
    target_cm3: float
    tiv_cm3: float
    dice: float | None
    hd95_mm: float | None


class VolumeRow(TissueRow):
    """A `TissueRow` with its volume difference (`voxlate.evaluation.tissues.volumes`)."""

    mean_tiv_cm3: float
    vd_cm3: float
    avd_cm3: float


class Equivalence(TypedDict):
    """Two one-sided tests of volumes against a margin."""

    margin_cm3: float
    p: float | None
    is_shown: bool


class Agreement(TypedDict):
    """Agreement of two measurements; `note` says why it was not computed, and is empty otherwise.

    `bland_altman` holds the fields of `voxlate.evaluation.statistics.BlandAltman`; `icc_2_1` and `icc_3_1` the value
    and both ends of its 95 % interval.
    """

    bland_altman: NotRequired[dict[str, float | list[float | None] | None]]
    icc_2_1: NotRequired[list[float | None]]
    icc_3_1: NotRequired[list[float | None]]
    concordance: NotRequired[float | None]
    equivalence: NotRequired[Equivalence]
    note: str


class AgreementRow(Agreement):
    """Agreement of the volumes of one tissue with the target's, over `n` patients."""

    kind: Literal["agreement"]
    segmenter: str
    method: str
    tissue: str
    n: int


AnyVolumeRow = VolumeRow | AgreementRow
"""A row under `volumes`."""


@overload
def of_kind(rows: Sequence[AnyLesionRow], kind: Literal["lesion"]) -> list[LesionRow]: ...
@overload
def of_kind(rows: Sequence[AnyLesionRow], kind: Literal["structures"]) -> list[StructuresRow]: ...
@overload
def of_kind(rows: Sequence[AnyLesionRow], kind: Literal["enhancement"]) -> list[EnhancementRow]: ...
def of_kind(rows: Sequence[AnyLesionRow], kind: str) -> Sequence[AnyLesionRow]:
    """Returns the rows of one kind, in order.

    Args:
        rows: rows under `lesions`.
        kind: `lesion`, `structures` or `enhancement`.
    """
    return [row for row in rows if row.get("kind") == kind]
