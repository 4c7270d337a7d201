"""A patient whose lumbar spine is scanned: the random factors that all images share, and the body built from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

import numpy as np

from voxlate.simulation.anatomy.partial_volume import PaintedAnatomy
from voxlate.simulation.anatomy.spine import DISC_LEVELS_MM, DiscFactors, SpineFactors, build_spine, draw_spine_factors
from voxlate.simulation.anatomy.tissues import Tissue
from voxlate.simulation.factors import PatientFactors
from voxlate.simulation.lesions.disc_grades import ANNULUS_T2_MS, draw_disc
from voxlate.simulation.patient import tissue_values
from voxlate.simulation.physics.contrast_agent import AGENTS
from voxlate.simulation.physics.render import Body, Substance, draw_textures
from voxlate.simulation.physics.scanners import Scanner
from voxlate.simulation.rng import generator, seed_sequence


@dataclass(frozen=True)
class SpinePatient:
    """One patient in one scanner.

    Attributes:
        scanner: scanner.
        spine: factors of the spine.
        tissues: tissues of the patient at the field of the scanner, those of each disc included, by name.
    """

    scanner: Scanner
    spine: SpineFactors
    tissues: Mapping[str, Tissue]

    def factors(self) -> PatientFactors:
        """Returns the random factors as they are stored."""
        return {
            "scanner": self.scanner.name,
            "field_tesla": self.scanner.field_tesla,
            "spine": asdict(self.spine),
            "tissues": {name: tissue_values(tissue) for name, tissue in self.tissues.items()},
        }


def draw_spine_patient(seed: int, subject: int, scanner: Scanner) -> SpinePatient:
    """Returns the patient of one subject.

    Args:
        seed: seed of the data set.
        subject: number of the subject, from 0.
        scanner: scanner.
    """
    rng = generator(seed, subject, "tissues")
    at_field = scanner.tissues()
    tissues = {name: at_field[name].jittered(rng) for name in sorted(at_field)}
    disc_rng = generator(seed, subject, "discs")
    discs = tuple(draw_disc(disc_rng) for _ in DISC_LEVELS_MM)
    for number, disc in enumerate(discs, start=1):
        tissues |= _disc_tissues(number, disc, tissues)
    return SpinePatient(scanner, draw_spine_factors(discs, generator(seed, subject, "spine")), tissues)


def build_spine_patient(
    patient: SpinePatient, seed: int, subject: int, spacing_mm: float
) -> tuple[PaintedAnatomy, Body]:
    """Returns the painted spine of a patient and its body.

    Args:
        patient: patient.
        seed: seed of the data set.
        subject: number of the subject, from 0.
        spacing_mm: isotropic voxel size.
    """
    painted = build_spine(patient.spine, spacing_mm, seed_sequence(seed, subject, "anatomy"))
    substances = {name: Substance(tissue) for name, tissue in patient.tissues.items()}
    textures = draw_textures(painted.frame.shape, spacing_mm, generator(seed, subject, "texture"))
    return painted, Body(
        substances, AGENTS["generic"], reference="muscle", tissue_map=painted.tissue_map, textures=textures
    )


def disc_slices(patient: SpinePatient, painted: PaintedAnatomy) -> list[int]:
    """Returns the index along the third axis of the slice through the middle of each disc.

    Args:
        patient: patient.
        painted: spine of the patient.
    """
    frame = painted.frame
    points = [frame.to_index @ np.array([0, 0, level, 1.0]) for level in DISC_LEVELS_MM]
    return [int(np.clip(round(float(point[2])), 0, frame.shape[2] - 1)) for point in points]


def _disc_tissues(number: int, disc: DiscFactors, tissues: Mapping[str, Tissue]) -> dict[str, Tissue]:
    """Returns the tissues of one disc; T2* of the nucleus is half its T2 and its annulus has 8 HU more, as priors."""
    nucleus, annulus = tissues["nucleus"], tissues["annulus"]
    return {
        f"D{number}-nucleus": replace(
            nucleus, t2_ms=disc.nucleus_t2_ms, t2_star_ms=disc.nucleus_t2_ms / 2, hounsfield=disc.nucleus_hu
        ),
        f"D{number}-annulus": replace(annulus, t2_ms=ANNULUS_T2_MS[disc.grade - 1], hounsfield=disc.nucleus_hu + 8),
    }
