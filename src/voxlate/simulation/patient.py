"""A patient: the random factors that all images of a head share, and the body built from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np

from voxlate.simulation.anatomy.formula_head import HeadFactors, build_head, draw_head_factors
from voxlate.simulation.anatomy.label_head import (
    LabelHeadFactors,
    build_label_head,
    draw_embedded_head_factors,
    draw_label_head_factors,
)
from voxlate.simulation.anatomy.label_map import LabelMap
from voxlate.simulation.anatomy.partial_volume import PaintedAnatomy
from voxlate.simulation.anatomy.tissues import Tissue
from voxlate.simulation.factors import PatientFactors
from voxlate.simulation.lesions.lesion_shapes import paint_lesion
from voxlate.simulation.lesions.lesions import Lesion, draw_lesions
from voxlate.simulation.physics.contrast_agent import AGENTS, Agent, plasma_concentration_mm
from voxlate.simulation.physics.render import Body, Substance, draw_textures
from voxlate.simulation.physics.scanners import Scanner
from voxlate.simulation.rng import generator, seed_sequence


@dataclass(frozen=True)
class Injection:
    """The injection of a contrast agent.

    Attributes:
        agent: contrast agent.
        dose_mmol_kg: dose in mmol per kg of body weight.
        delay_min: minutes from injection to image.
    """

    agent: Agent
    dose_mmol_kg: float
    delay_min: float

    @property
    def plasma_mm(self) -> float:
        """Returns the concentration in plasma, in mM, when the image is taken."""
        return float(plasma_concentration_mm(self.delay_min, self.dose_mmol_kg))


@dataclass(frozen=True)
class Patient:
    """One patient in one scanner.

    Attributes:
        scanner: scanner.
        head: factors of the head.
        lesions: lesions with their positions.
        tissues: tissues of the patient at the field of the scanner, by name.
        injection: contrast agent, dose and delay.
        inflow: signal of arterial blood in a gradient echo over that of blood at rest.
    """

    scanner: Scanner
    head: HeadFactors | LabelHeadFactors
    lesions: list[Lesion]
    tissues: Mapping[str, Tissue]
    injection: Injection
    inflow: float

    def factors(self) -> PatientFactors:
        """Returns the random factors as they are stored."""
        return {
            "scanner": self.scanner.name,
            "field_tesla": self.scanner.field_tesla,
            "sequence": type(self.scanner.t1w).__name__,
            "t1w_timing": asdict(self.scanner.t1w),
            "head": asdict(self.head),
            "agent": self.injection.agent.name,
            "dose_mmol_kg": self.injection.dose_mmol_kg,
            "delay_min": self.injection.delay_min,
            "plasma_mm": self.injection.plasma_mm,
            "inflow": self.inflow,
            "tissues": {name: tissue_values(tissue) for name, tissue in self.tissues.items()},
        }


@dataclass(frozen=True)
class PatientOptions:
    """Choices that a patient is drawn with.

    Attributes:
        agent: key of `AGENTS`.
        dose_mmol_kg: dose in mmol per kg of body weight.
        lesions: key of `LESION_SETS`, or None to draw it.
        anatomy: label map of the head, or None for a head made of formulas.
    """

    agent: str
    dose_mmol_kg: float
    lesions: str | None
    anatomy: LabelMap | None = None


def draw_patient(seed: int, subject: int, session: int, scanner: Scanner, options: PatientOptions) -> Patient:
    """Returns the patient of one subject; only the injection differs between sessions.

    The ranges of delay (4 to 10 min) and inflow (1 to 1.3) are priors chosen for this project.

    Args:
        seed: seed of the data set.
        subject: number of the subject, from 0.
        session: number of the visit, from 0.
        scanner: scanner.
        options: choices.
    """
    tissue_rng = generator(seed, subject, "tissues")
    at_field = scanner.tissues()
    tissues = {name: at_field[name].jittered(tissue_rng) for name in sorted(at_field)}
    rng = generator(seed, subject, f"session-{session}", "injection")
    injection = Injection(AGENTS[options.agent], options.dose_mmol_kg, float(rng.uniform(4, 10)))
    inflow = float(rng.uniform(1.0, 1.3))
    lesions = draw_lesions(generator(seed, subject, "lesions"), at_field, options.lesions)
    head_rng = generator(seed, subject, "head")
    head = _drawn_head(head_rng, options.anatomy)
    return Patient(scanner, head, lesions, tissues, injection, inflow)


def build_patient(
    patient: Patient, seed: int, subject: int, spacing_mm: float, anatomy: LabelMap | None = None
) -> tuple[PaintedAnatomy, Body]:
    """Returns the painted head of a patient and its body.

    Args:
        patient: patient.
        seed: seed of the data set.
        subject: number of the subject, from 0.
        spacing_mm: isotropic voxel size.
        anatomy: label map that the patient was drawn with.
    """
    head = _painted(patient.head, anatomy, spacing_mm, seed_sequence(seed, subject, "anatomy"))
    cavity = head.inside if head.ventricles is None else head.inside * (1 - head.ventricles)
    substances = {name: _substance(tissue, patient.injection) for name, tissue in patient.tissues.items()}
    for lesion in patient.lesions:
        paint_lesion(head.tissue_map, head.frame, lesion, cavity, generator(seed, subject, "outline", lesion.name))
        substances |= {name: _substance(tissue, patient.injection) for name, tissue in lesion.tissues.items()}
    textures = draw_textures(head.frame.shape, spacing_mm, generator(seed, subject, "texture"))
    return head, Body(
        substances, patient.injection.agent, inflow=patient.inflow, tissue_map=head.tissue_map, textures=textures
    )


def _drawn_head(rng: np.random.Generator, anatomy: LabelMap | None) -> HeadFactors | LabelHeadFactors:
    if anatomy is None:
        return draw_head_factors(rng)
    draw = draw_embedded_head_factors if anatomy.is_embedded else draw_label_head_factors
    return draw(rng, anatomy)


def _painted(
    factors: HeadFactors | LabelHeadFactors, anatomy: LabelMap | None, spacing_mm: float, seed: np.random.SeedSequence
) -> PaintedAnatomy:
    if isinstance(factors, HeadFactors):
        return build_head(factors, spacing_mm, seed)
    if anatomy is None:
        raise ValueError("the factors of this head belong to a label map; pass the map as `anatomy`")
    return build_label_head(factors, anatomy, spacing_mm, seed)


def _substance(tissue: Tissue, injection: Injection) -> Substance:
    return Substance(tissue, tissue.uptake * injection.plasma_mm)


def tissue_values(tissue: Tissue) -> dict[str, float]:
    """Returns the values of a tissue by name, rounded, as they are stored."""
    names = ("t1_ms", "t2_ms", "t2_star_ms", "proton_density", "adc_um2_ms", "hounsfield", "uptake")
    return {name: round(float(getattr(tissue, name)), 5) for name in names}
