"""Simulates one subject: anatomy, lesions, images and the truth about them."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace

from voxlate.errors import UsageError
from voxlate.simulation.anatomy.anatomies import Anatomies, EmbeddedHead
from voxlate.simulation.anatomy.label_map import LabelMaps
from voxlate.simulation.anatomy.partial_volume import PaintedAnatomy
from voxlate.simulation.checks import require_not_negative
from voxlate.simulation.factors import OracleError, PatientFactors, SubjectFactors
from voxlate.simulation.lesions.lesions import Lesion, require_lesion_set
from voxlate.simulation.oracle import (
    Posterior,
    acquisition_variance,
    contrast_removal_posterior,
    disc_posterior,
    oracle_error,
    texture_variance,
    virtual_contrast_posterior,
    visibility,
)
from voxlate.simulation.patient import PatientOptions, build_patient, draw_patient
from voxlate.simulation.physics.acquisition import MrSettings
from voxlate.simulation.physics.contrast_agent import AGENTS
from voxlate.simulation.physics.ct import CtSettings
from voxlate.simulation.physics.quality import checked_mix
from voxlate.simulation.physics.render import Body
from voxlate.simulation.physics.scan import ScanPlan, contrast_of, scan
from voxlate.simulation.physics.scanners import TRAINING_SCANNERS, Scanner, scanner_named
from voxlate.simulation.rng import generator
from voxlate.simulation.spine_patient import build_spine_patient, disc_slices, draw_spine_patient
from voxlate.simulation.truth import Truth, build_truth
from voxlate.volume import Volume

TASKS = {
    "t1ce_t1": ("T1w", "T1ce"),
    "virtual_contrast": ("T1w", "T2w", "FLAIR", "DWI", "T1ce"),
    "ct_to_mr": ("CT", "T1w", "T2w"),
    "spine": ("CT", "T2w"),
}
"""Images of each task. The truth is aligned with the first; the others are misregistered as in a real session."""
TARGETS = {"t1ce_t1": ("T1w",), "virtual_contrast": ("T1ce",), "ct_to_mr": ("T1w", "T2w"), "spine": ("T2w",)}
"""Images that a model of each task predicts."""
SIZES_MM = {"small": 2.0, "full": 1.0}
"""Isotropic voxel size of each size."""


@dataclass(frozen=True)
class Options:
    """Options of a simulated subject.

    Attributes:
        dose_mmol_kg: dose of the contrast agent in mmol per kg of body weight; with zero T1ce is a second T1w.
        agent: key of `AGENTS`.
        is_same_acquisition: whether T1ce repeats the noise, pose and scale of T1w, to isolate the effect of the agent.
        is_aligned: whether all images have the pose of the first, so that a model can be trained on them without
            registration. Each keeps its own noise and scale.
        lesions: key of `LESION_SETS`, or None to draw it.
        quality_mix: shares of good, medium, low and improper images.
        missing_share: probability, below 1, that an image other than the first is missing.
        anatomies: where heads come from: `EmbeddedHead`, the `LabelMaps` of a folder, or `FormulaHeads`.

    Raises:
        UsageError: `DOSE_NEGATIVE`, `QUALITY_MIX`, `SHARE`, `AGENT_UNKNOWN`, `LESION_UNKNOWN`.
    """

    dose_mmol_kg: float = 0.1
    agent: str = "gadobutrol"
    is_same_acquisition: bool = False
    is_aligned: bool = False
    lesions: str | None = None
    quality_mix: dict[str, float] = field(default_factory=lambda: {"good": 1.0})
    missing_share: float = 0.0
    anatomies: Anatomies = field(default_factory=EmbeddedHead)

    def __post_init__(self) -> None:
        require_not_negative("DOSE_NEGATIVE", dose=self.dose_mmol_kg)
        checked_mix(self.quality_mix)
        if not 0 <= self.missing_share < 1:
            raise UsageError(
                "SHARE", f"the share of missing images is {self.missing_share:g}; it must be 0 or more and below 1"
            )
        if self.agent not in AGENTS:
            raise UsageError("AGENT_UNKNOWN", f"unknown agent {self.agent!r}; choose from {', '.join(AGENTS)}")
        if self.lesions is not None:
            require_lesion_set(self.lesions)


@dataclass(frozen=True)
class Subject:
    """A simulated subject.

    Attributes:
        name: such as `sub-0007`.
        task: key of `TASKS`.
        images: `T1w`, `T1ce`, `T2w`, `FLAIR`, `b0`, `b500`, `b1000`, `ADC` (0.001 mm²/s) or `CT` (HU) to its volume.
        truth: truth at the place of the first image; see `Truth`.
    """

    name: str
    task: str
    images: dict[str, Volume]
    truth: Truth


def simulate_subject(
    task: str,
    *,
    seed: int,
    subject: int = 0,
    session: int = 0,
    size: str = "small",
    scanner: str | None = None,
    options: Options | None = None,
) -> Subject:
    """Returns one subject of a data set; the same arguments give the same bytes in any order and process.

    Args:
        task: key of `TASKS`.
        seed: seed of the data set.
        subject: number of the subject, from 0.
        session: number of the visit, from 0; another visit scans the same anatomy again.
        size: `small` (2 mm) or `full` (1 mm).
        scanner: key of `SCANNERS`; drawn among the training scanners when not given.
        options: dose, lesions, quality and others; see `Options`.

    Raises:
        UsageError: `TASK_UNKNOWN`, `SIZE_UNKNOWN`, `SCANNER_UNKNOWN`, `SEED_NEGATIVE`; `ANATOMY_TASK` for a spine with
            label maps of heads.
        InputRefused: see `voxlate.simulation.anatomy.label_map.read_label_map`.
    """
    require_task(task)
    require_size(size)
    options = options or Options()
    require_heads(task, options)
    drawn = str(generator(seed, subject, f"session-{session}", "scanner").choice(TRAINING_SCANNERS))
    chosen = scanner_named(drawn if scanner is None else scanner)
    plan = ScanPlan(
        seed, subject, session, chosen, options.quality_mix, options.is_same_acquisition, options.is_aligned
    )
    case = _spine_case(plan, size) if task == "spine" else _head_case(plan, task, size, options)
    images, settings = scan(plan, TASKS[task], case.painted.frame, case.body)
    rows = [visibility(lesion, case.body, chosen, settings) for lesion in case.lesions]
    oracle = _oracle(task, case, chosen, settings, is_same_acquisition=options.is_same_acquisition)
    factors: SubjectFactors = {
        "task": task,
        "size": size,
        "seed": seed,
        "subject": subject,
        "session": session,
        **case.factors,
        "acquisitions": {name: asdict(acquired) for name, acquired in settings.items()},
        "oracle": oracle,
    }
    truth = build_truth(case.painted, case.lesions, factors, rows)
    missing = _missing(plan, list(images), options.missing_share)
    images = {name: image for name, image in images.items() if name not in missing}
    return Subject(subject_name(subject), task, images, truth)


@dataclass(frozen=True)
class _Case:
    """A painted patient, and what the oracle needs about it.

    Attributes:
        painted: anatomy with its lesions.
        body: everything about the patient that an image depends on.
        lesions: lesions of a head.
        factors: random factors.
        posteriors: target to the posterior of each tissue whose signal the source images leave uncertain.
        is_texture_hidden: whether the source is a CT, which does not show the texture of T1 and T2.
    """

    painted: PaintedAnatomy
    body: Body
    lesions: list[Lesion]
    factors: PatientFactors
    posteriors: dict[str, dict[str, Posterior]]
    is_texture_hidden: bool


def _head_case(plan: ScanPlan, task: str, size: str, options: Options) -> _Case:
    anatomy = options.anatomies.of(plan.seed, plan.subject)
    patient_options = PatientOptions(options.agent, options.dose_mmol_kg, options.lesions, anatomy)
    patient = draw_patient(plan.seed, plan.subject, plan.session, plan.scanner, patient_options)
    painted, body = build_patient(patient, plan.seed, plan.subject, SIZES_MM[size], anatomy)
    posterior_of = {"t1ce_t1": contrast_removal_posterior, "virtual_contrast": virtual_contrast_posterior}.get(task)
    target = TARGETS[task][0]
    posteriors: dict[str, Posterior] = {}
    if posterior_of is not None:
        for lesion in patient.lesions:
            posterior = posterior_of(body, plan.scanner, lesion, patient.injection.plasma_mm)
            posteriors[f"{lesion.name}-solid"] = posterior
    return _Case(painted, body, patient.lesions, patient.factors(), {target: posteriors}, task == "ct_to_mr")


def _spine_case(plan: ScanPlan, size: str) -> _Case:
    patient = draw_spine_patient(plan.seed, plan.subject, plan.scanner)
    painted, body = build_spine_patient(patient, plan.seed, plan.subject, SIZES_MM[size])
    posteriors = {
        f"D{number}-nucleus": disc_posterior(body, plan.scanner, disc, f"D{number}-nucleus")
        for number, disc in enumerate(patient.spine.discs, start=1)
    }
    factors: PatientFactors = {**patient.factors(), "disc_slices": disc_slices(patient, painted)}
    return _Case(painted, body, [], factors, {"T2w": posteriors}, is_texture_hidden=True)


def _oracle(
    task: str,
    case: _Case,
    scanner: Scanner,
    settings: dict[str, MrSettings | CtSettings],
    *,
    is_same_acquisition: bool,
) -> dict[str, OracleError]:
    """Returns the oracle's errors for each target of a task; `settings` are those of each image."""
    errors = {}
    for target in TARGETS[task]:
        acquired = settings[target]
        noise, acquisition, texture = 0.0, None, None
        contrast, mask = contrast_of(target), case.painted.inside >= 0.5
        if isinstance(acquired, MrSettings):
            if is_same_acquisition and "T1ce" in TASKS[task]:  # the source shows noise and shading of the target
                acquired = replace(acquired, noise_percent=0.0, shading=0.0)
            noise = acquired.noise_percent / 100
            spacing_mm, has_agent = case.painted.frame.spacing_mm, target == "T1ce"
            acquisition = acquisition_variance(
                case.body, scanner, contrast, acquired, mask, spacing_mm=spacing_mm, has_agent=has_agent
            )
        if case.is_texture_hidden:
            texture = texture_variance(case.body, scanner, contrast)
        posteriors = case.posteriors.get(target, {})
        errors[target] = oracle_error(case.body, posteriors, texture, mask, noise, acquisition)
    return errors


def _missing(plan: ScanPlan, names: list[str], share: float) -> set[str]:
    """Returns the names of the images that are missing: never the first; a diffusion series is missing as a whole."""
    missing = {name for name in names[1:] if plan.stream("missing", name).random() < share}
    series = {"b0", "b500", "b1000", "ADC"} & set(names)
    return (missing - series) | (series if "b0" in missing else set())


def require_heads(task: str, options: Options) -> None:
    """Refuses label maps of heads for a task without heads.

    Args:
        task: key of `TASKS`.
        options: options, with or without label maps.

    Raises:
        UsageError: `ANATOMY_TASK`.
    """
    if task == "spine" and isinstance(options.anatomies, LabelMaps):
        raise UsageError(
            "ANATOMY_TASK", "the task spine cannot use label maps of heads; leave out --anatomy or choose another task"
        )


def subject_name(number: int) -> str:
    """Returns the name of a subject by its number: `sub-0001` for 0."""
    return f"sub-{number + 1:04d}"


def require_task(task: str) -> None:
    """Refuses a name that is no key of `TASKS`.

    Raises:
        UsageError: `TASK_UNKNOWN`, with the valid names.
    """
    if task not in TASKS:
        raise UsageError("TASK_UNKNOWN", f"unknown task {task!r}; choose from {', '.join(TASKS)}")


def require_size(size: str) -> None:
    """Refuses a name that is no key of `SIZES_MM`.

    Raises:
        UsageError: `SIZE_UNKNOWN`, with the valid names.
    """
    if size not in SIZES_MM:
        raise UsageError("SIZE_UNKNOWN", f"unknown size {size!r}; choose from {', '.join(SIZES_MM)}")
