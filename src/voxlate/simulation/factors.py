"""Types of what is stored about a simulated subject: `factors.json` and the rows of `lesions.tsv`.

Keys are those on disk. A nested `dict[str, Any]` is a dataclass of the simulator as `dataclasses.asdict` writes it.
"""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict


class LesionRow(TypedDict):
    """One lesion of a subject.

    Attributes:
        lesion: name, unique in the subject.
        kind: key of `LESION_KINDS`.
        diameter_mm: diameter of the solid part, necrosis included.
        oedema_mm: width of the oedema.
        core_share: part of the solid volume that is core, 0 to 1.
        enhances: whether it takes up contrast agent.
        t1_bright: whether some of it is bright on T1w without contrast agent.
        uptake: concentration of contrast agent over that in plasma.
        tissue: tissue of the solid part.
    """

    lesion: str
    kind: str
    diameter_mm: float
    oedema_mm: float
    core_share: float
    enhances: bool
    t1_bright: bool
    uptake: float
    tissue: str


class Visibility(TypedDict, total=False):
    """Contrast-to-noise ratio of a lesion's solid part against white matter in each MR image that was acquired."""

    cnr_T1w: float
    cnr_T1ce: float
    cnr_T2w: float
    cnr_FLAIR: float
    cnr_DWI: float


class PaintedLesionRow(LesionRow, Visibility):
    """One row of `lesions.tsv`: the lesion, its painted volume in mL and its visibility."""

    volume_ml: float


class RegionError(TypedDict):
    """Mean squared errors of the oracle in one region, over the reference signal squared.

    Attributes:
        unpredictable_mse: expected error from what the source images do not show.
        realised_mse: the same for the values that were drawn in this subject.
        acquisition_mse: expected error from shading, pose and non-rigid displacement of the target.
        total_mse: the sum of `unpredictable_mse`, `acquisition_mse` and the noise.
        rmse_percent: root of the total in per cent of the target's 99.5th percentile; present when the acquisition is
            known.
    """

    unpredictable_mse: float
    realised_mse: float
    acquisition_mse: float
    total_mse: float
    rmse_percent: NotRequired[float]


class OracleError(TypedDict):
    """Errors of the oracle for one target.

    Attributes:
        unit: unit of the mean squared errors.
        noise_mse: variance of the target's noise.
        all: in the whole mask.
        uncertain: in the part of the mask that uncertain tissues fill at least by half.
    """

    unit: str
    noise_mse: float
    all: NotRequired[RegionError]
    uncertain: NotRequired[RegionError]


class PatientFactors(TypedDict):
    """What was drawn for a patient in a scanner; a head has the keys from `sequence` to `inflow`, a spine the last two.

    Attributes:
        scanner: name.
        field_tesla: field strength in tesla.
        tissues: tissue to its relaxation times (ms), proton density, ADC (0.001 mm²/s), CT number (HU) and uptake.
        sequence: class of the T1-weighted sequence.
        t1w_timing: its timing, in ms and degrees.
        head: `HeadFactors` or `LabelHeadFactors`.
        agent: name of the contrast agent.
        dose_mmol_kg: dose in mmol per kg of body weight.
        delay_min: minutes from injection to image.
        plasma_mm: concentration in plasma at that time, in mM.
        inflow: signal of arterial blood in a gradient echo over that of blood at rest.
        spine: `SpineFactors`.
        disc_slices: index along the third axis of the slice through the middle of each disc.
    """

    scanner: str
    field_tesla: float
    tissues: dict[str, dict[str, float]]
    sequence: NotRequired[str]
    t1w_timing: NotRequired[dict[str, Any]]
    head: NotRequired[dict[str, Any]]
    agent: NotRequired[str]
    dose_mmol_kg: NotRequired[float]
    delay_min: NotRequired[float]
    plasma_mm: NotRequired[float]
    inflow: NotRequired[float]
    spine: NotRequired[dict[str, Any]]
    disc_slices: NotRequired[list[int]]


class SubjectFactors(PatientFactors):
    """What was drawn and computed for one session of a subject, apart from volumes.

    Attributes:
        task: key of `TASKS`.
        size: key of `SIZES_MM`.
        seed: seed of the data set.
        subject: number of the subject, from 0.
        session: number of the visit, from 0.
        acquisitions: image to `MrSettings` or `CtSettings`.
        oracle: target to the errors of the oracle.
    """

    task: str
    size: str
    seed: int
    subject: int
    session: int
    acquisitions: dict[str, dict[str, Any]]
    oracle: dict[str, OracleError]


class Factors(SubjectFactors):
    """The content of `factors.json`: the factors, and the volume of each tissue group inside the dura in mL."""

    volumes_inside: dict[str, float]
