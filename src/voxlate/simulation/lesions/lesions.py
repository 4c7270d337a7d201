"""Draws the lesions of a subject: kind, position, size, tissue and enhancement.

Positions are template millimetres, as in `anatomy.head_shapes`. Probabilities, sizes and shares are priors chosen for
this project. They make 10 to 20 % of the lesions bright on T1w without contrast agent, so that a model that removes
contrast must keep some bright lesions, and leave 15 to 25 % of the gliomas without enhancement.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from voxlate.errors import UsageError
from voxlate.simulation.anatomy import head_shapes
from voxlate.simulation.anatomy.brain import ventricle_distance
from voxlate.simulation.anatomy.shapes import Point, Points
from voxlate.simulation.anatomy.tissues import Tissue
from voxlate.simulation.factors import LesionRow
from voxlate.simulation.lesions.enhancement import ADC_SPREAD, CORRELATION_RANGE, T2_SPREAD, Leakiness, draw_leakiness
from voxlate.volume import Array

LESION_SETS = {
    "none": 0.08,
    "glioma": 0.22,
    "metastases": 0.16,
    "meningioma": 0.09,
    "plaques": 0.11,
    "infarct": 0.06,
    "haemorrhage": 0.05,
    "lipoma": 0.03,
    "cavernoma": 0.05,
    "lymphoma": 0.05,
    "punctate": 0.03,
    "leptomeningeal": 0.03,
    "pachymeningeal": 0.02,
    "cavity": 0.02,
}
"""Which lesions a subject has, with the probability of each choice."""
_MAX_TRIES = 200  # positions that are tried before a lesion is dropped; chosen by hand, not tuned
NON_ENHANCING_UPTAKE = 0.008
"""Largest uptake of a lesion that does not enhance: 0.005 mM at 0.646 mM in plasma. Prior."""
_T1_SPREAD = 0.08  # relative standard deviation of T1 between lesions of one kind; prior
_HU_SPREAD = 3.0  # standard deviation of the CT number between lesions of one kind; prior


@dataclass(frozen=True)
class LesionKind:
    """Properties of one kind of lesion; a pair of numbers is the range of a uniform draw.

    Attributes:
        tissue: tissue of the solid part.
        diameter_mm: diameter of the solid part, necrosis included.
        oedema_mm: width of the oedema.
        core: share of the solid volume that is core, 0 to 1.
        enhancing: probability of enhancement.
        bright: probability of being bright on T1w without contrast agent, and the tissue that is bright: the core of a
            glioma or a cavernoma that has one, else the solid part.
        site: `white`, `ventricle`, `surface`, `sulci`, `dura` or `midline`.
        filling: tissue of the core.
        grows_in: tissues that the lesion replaces, within its outline; none for a lesion that replaces all of them.
    """

    tissue: str
    diameter_mm: tuple[float, float]
    oedema_mm: tuple[float, float] = (0.0, 0.0)
    core: tuple[float, float] = (0.0, 0.0)
    enhancing: float = 0.0
    bright: tuple[float, str] = (0.0, "")
    site: str = "white"
    filling: str = "necrosis"
    grows_in: tuple[str, ...] = ()


LESION_KINDS = {
    "glioma": LesionKind("rim", (22, 52), (5, 22), (0.0, 0.6), 0.8, (0.14, "haemorrhage")),
    "metastasis": LesionKind("metastasis", (2, 20), (0, 12), (0.0, 0.4), 0.85, (0.14, "melanin")),
    "meningioma": LesionKind("meningioma", (15, 40), (0, 6), enhancing=1.0, site="dura"),
    "plaque": LesionKind("plaque", (3, 12), enhancing=0.2, bright=(0.1, "protein"), site="ventricle"),
    "infarct": LesionKind("infarct", (18, 45), site="surface"),
    "haemorrhage": LesionKind("haemorrhage", (10, 35), (2, 8), bright=(1.0, "haemorrhage")),
    "lipoma": LesionKind("lipoma", (6, 18), bright=(1.0, "lipoma"), site="midline"),
    "cavernoma": LesionKind("haemosiderin", (6, 20), (0, 2), (0.4, 0.7), bright=(1.0, "haemorrhage")),
    "lymphoma": LesionKind("lymphoma", (10, 35), (4, 14), enhancing=0.95),
    "punctate": LesionKind("metastasis", (1.5, 3.5), enhancing=0.9),
    "leptomeningeal": LesionKind("meninges", (25, 55), enhancing=0.95, site="sulci", grows_in=("csf",)),
    "pachymeningeal": LesionKind("meninges", (40, 80), enhancing=1.0, site="dura", grows_in=("dura",)),
    "cavity": LesionKind(
        "rim", (18, 45), (2, 9), (0.65, 0.85), 0.7, (0.2, "haemorrhage"), site="surface", filling="csf"
    ),
}
"""Every kind of lesion. Sizes and probabilities are priors: gliomas have an enhancing rim or none, lymphomas are solid,
metastases and punctate foci small, a cavity after an operation is full of fluid with a thin wall, and meninges enhance
along sulci (leptomeningeal) or the dura (pachymeningeal)."""


@dataclass(frozen=True)
class Lesion:
    """One lesion.

    Attributes:
        name: unique in the subject, such as `L01`.
        kind: key of `LESION_KINDS`.
        centre_mm: x, y and z of its centre in template mm.
        diameter_mm: diameter of the solid part, necrosis included.
        oedema_mm: width of the oedema around it.
        core_share: share of the solid volume that is core, 0 to 1.
        solid: tissue of the solid part at the field of the scanner, uptake included.
        core: tissue of the core at the field of the scanner.
        t1_bright: whether some of it is bright on T1w without contrast agent.
        enhances: whether it takes up contrast agent.
        median_uptake: median uptake of the lesions of its kind that enhance.
        leakiness: sets the uptake if the lesion enhances.
    """

    name: str
    kind: str
    centre_mm: Point
    diameter_mm: float
    oedema_mm: float
    core_share: float
    solid: Tissue
    core: Tissue
    t1_bright: bool
    enhances: bool
    median_uptake: float
    leakiness: Leakiness

    @property
    def tissues(self) -> dict[str, Tissue]:
        """Returns its tissues by their names in the partial-volume map."""
        return {f"{self.name}-solid": self.solid, f"{self.name}-core": self.core}

    def row(self) -> LesionRow:
        """Returns its row for the table of lesions."""
        return {
            "lesion": self.name,
            "kind": self.kind,
            "diameter_mm": round(self.diameter_mm, 3),
            "oedema_mm": round(self.oedema_mm, 3),
            "core_share": round(self.core_share, 4),
            "enhances": self.enhances,
            "t1_bright": self.t1_bright,
            "uptake": round(self.solid.uptake, 5),
            "tissue": self.solid.name,
        }


def draw_lesions(
    rng: np.random.Generator, tissues: Mapping[str, Tissue], lesion_set: str | None = None
) -> list[Lesion]:
    """Returns the lesions of one subject, which do not overlap; a lesion that fits nowhere is dropped.

    Args:
        rng: generator of all draws.
        tissues: tissues at the field of the scanner, by name.
        lesion_set: key of `LESION_SETS`; drawn when not given.

    Raises:
        UsageError: `LESION_UNKNOWN` for any other `lesion_set`.
    """
    # Drawn even when the set is given, so that the draws after it are the same.
    drawn = str(rng.choice(list(LESION_SETS), p=list(LESION_SETS.values())))
    lesion_set = drawn if lesion_set is None else lesion_set
    require_lesion_set(lesion_set)
    correlation = float(rng.uniform(*CORRELATION_RANGE))
    several = {
        "none": [],
        "metastases": ["metastasis"] * int(rng.integers(1, 11)),
        "plaques": ["plaque"] * int(rng.integers(4, 21)),
        "punctate": ["punctate"] * int(rng.integers(5, 16)),
    }
    lesions: list[Lesion] = []
    for kind in several.get(lesion_set, [lesion_set]):
        lesion = draw_lesion(kind, f"L{len(lesions) + 1:02d}", correlation, tissues, rng)
        site = _free_site(lesion, lesions, rng)
        if site is not None:
            lesions.append(replace(lesion, centre_mm=site))
    return lesions


def require_lesion_set(name: str) -> None:
    """Refuses a name that is no key of `LESION_SETS`.

    Raises:
        UsageError: `LESION_UNKNOWN`, with the valid names.
    """
    if name not in LESION_SETS:
        raise UsageError("LESION_UNKNOWN", f"unknown lesions {name!r}; choose from {', '.join(LESION_SETS)}")


def draw_lesion(
    kind: str, name: str, correlation: float, tissues: Mapping[str, Tissue], rng: np.random.Generator
) -> Lesion:
    """Returns a lesion whose centre is still at the origin.

    Args:
        kind: key of `LESION_KINDS`.
        name: name of the lesion.
        correlation: correlation of the uptake with T2 and ADC, 0 to 1; see `enhancement`.
        tissues: tissues at the field of the scanner, by name.
        rng: generator of all draws.
    """
    traits = LESION_KINDS[kind]
    diameter = float(rng.uniform(*traits.diameter_mm))
    if kind == "metastasis":  # log-normal with a median of 6 mm: many are smaller than 5 mm
        diameter = float(np.clip(6 * np.exp(0.55 * rng.standard_normal()), *traits.diameter_mm))
    # A lesion of at most 8 mm has no core, which would be smaller than a few voxels.
    core_share = float(rng.uniform(*traits.core)) if diameter > 8 else 0.0
    bright = bool(rng.random() < traits.bright[0])
    has_core = traits.core[1] > 0 and diameter > 8
    if bright and kind == "glioma":
        core_share = max(core_share, 0.25)
    filling = traits.bright[1] if bright and kind in ("glioma", "cavernoma") else traits.filling
    base = tissues[traits.bright[1] if bright and not (kind in ("glioma", "cavernoma") and has_core) else traits.tissue]
    factors = [
        float(np.exp(sd * np.clip(rng.standard_normal(), -2.5, 2.5))) for sd in (_T1_SPREAD, T2_SPREAD, ADC_SPREAD)
    ]
    enhances = bool(rng.random() < traits.enhancing) and base.name not in ("haemorrhage", "lipoma")
    leakiness = draw_leakiness(factors[1], factors[2], correlation, rng)
    median = tissues[traits.tissue].uptake if tissues[traits.tissue].uptake > 0.05 else tissues["rim"].uptake
    uptake = leakiness.uptake(median) if enhances else min(base.uptake, NON_ENHANCING_UPTAKE)
    solid = _varied(base, factors, uptake, float(rng.normal(0, _HU_SPREAD)))
    core = _varied(tissues[filling], [1.0, 1.0, 1.0], tissues[filling].uptake, 0.0)
    oedema = float(rng.uniform(*traits.oedema_mm))
    return Lesion(
        name, kind, (0.0, 0.0, 0.0), diameter, oedema, core_share, solid, core, bright, enhances, median, leakiness
    )


def depth_needed_mm(lesion: Lesion) -> float:
    """Returns the smallest depth of a lesion's centre below the hull of the brain, in mm, at which the lesion fits."""
    # Half a diameter inside the brain; lesions that grow from its surface may lie closer. Chosen by hand; not tuned.
    return {"dura": 0.15, "surface": 0.1, "sulci": 0.05}.get(LESION_KINDS[lesion.kind].site, 0.5) * lesion.diameter_mm


def require_fit(lesion: Lesion) -> None:
    """Refuses a lesion that would extend beyond the brain.

    Raises:
        UsageError: `LESION_DOES_NOT_FIT`, with its diameter and the depth of its centre.
    """
    depth = -_at(head_shapes.cerebrum, lesion.centre_mm)
    if depth < depth_needed_mm(lesion):
        raise UsageError(
            "LESION_DOES_NOT_FIT",
            f"the centre of lesion {lesion.name}, {lesion.diameter_mm:g} mm wide, must be "
            f"{depth_needed_mm(lesion):.1f} mm inside the brain and is {depth:.1f} mm inside; move it or make it "
            "smaller",
        )


def _varied(base: Tissue, factors: list[float], uptake: float, hounsfield: float) -> Tissue:
    """Returns a tissue with T1, T2 and ADC times `factors`, another uptake and `hounsfield` more HU."""
    t1, t2, adc = factors
    return replace(
        base,
        t1_ms=base.t1_ms * t1,
        t2_ms=base.t2_ms * t2,
        t2_star_ms=base.t2_star_ms * t2,
        adc_um2_ms=base.adc_um2_ms * adc,
        hounsfield=base.hounsfield + hounsfield,
        uptake=uptake,
    )


def _free_site(lesion: Lesion, others: list[Lesion], rng: np.random.Generator) -> Point | None:
    """Returns a position where a lesion fits and touches no other, or None after `_MAX_TRIES` positions."""
    for _ in range(_MAX_TRIES):
        site = _candidate(LESION_KINDS[lesion.kind].site, rng)
        depth = -_at(head_shapes.cerebrum, site)
        apart = all(
            float(np.linalg.norm(np.subtract(site, other.centre_mm)))
            > (lesion.diameter_mm + other.diameter_mm) * 0.6 + 2
            for other in others
        )
        if apart and depth >= depth_needed_mm(lesion) and _suits(LESION_KINDS[lesion.kind].site, site, depth, lesion):
            return site
    return None


def _suits(site: str, position: Point, depth: float, lesion: Lesion) -> bool:
    """Returns whether a position belongs to a site; `depth` is its depth below the hull in mm."""
    if site == "dura":
        return depth < 0.3 * lesion.diameter_mm and position[2] > -20
    if site == "surface":
        return depth < 0.25 * lesion.diameter_mm + 2 and position[2] > -15
    if site == "sulci":
        return depth < 0.4 * lesion.diameter_mm and position[2] > -20
    outside_ventricle = _at(ventricle_distance, position)
    if site == "ventricle":
        return 0.4 * lesion.diameter_mm < outside_ventricle < 14
    return outside_ventricle > 0.3 * lesion.diameter_mm or site == "midline"


def _candidate(site: str, rng: np.random.Generator) -> Point:
    """Returns a random position in template mm, anywhere in the box of the cerebrum or near the midline."""
    if site == "midline":
        return float(rng.uniform(-3, 3)), float(rng.uniform(-30, 50)), float(rng.uniform(22, 32))
    x, y, z = rng.uniform([-66, -84, -30], [66, 84, 62])
    return float(x), float(y), float(z)


def _at(distance: Callable[[Points], Array], position: Point) -> float:
    """Returns the signed distance in mm of one position to a shape."""
    x, y, z = (np.asarray([value], dtype=np.float32) for value in position)
    return float(distance((x, y, z))[0])
