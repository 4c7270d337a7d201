"""What a warehouse has filed as T1-weighted: one visit's images as they come, with the truth that their headers hide.

Bottani et al. 2024 chose 3-D T1-weighted images by their headers and found a quarter to be none, 59 % of the others
after gadolinium and some 30 % of low quality. Here the same is drawn, with headers that contradict themselves.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from voxlate.simulation.anatomy.partial_volume import Painted
from voxlate.simulation.files.header_variants import VENDORS, draw_header_variant, timing_tags
from voxlate.simulation.patient import Asked, build_patient, draw_patient
from voxlate.simulation.physics.quality import Grades
from voxlate.simulation.physics.render import Body
from voxlate.simulation.physics.scan import Scan, scan
from voxlate.simulation.physics.scanners import Scanner, scanner_named
from voxlate.simulation.physics.sequences import GradientEcho, Mprage
from voxlate.simulation.rng import generator
from voxlate.volume import Volume

NOT_T1W, WITH_AGENT = 0.26, 0.59
TIERS = {"good": 0.35, "medium": 0.35, "low": 0.30}
OTHERS = ("T2w", "FLAIR", "DWI", "CT")
_HONEST_TIMING = 0.3
_IMPROPER_SHARE = 0.5
_DWI = ("b0", "b1000", "ADC")
_FIRST_NAME = 0x100


@dataclass(frozen=True)
class Filed:
    """One image that the headers filed as T1-weighted.

    Attributes:
        patient: number.
        scanner: which.
        volume: its voxels.
        header: elements as text by keyword.
        shows: `T1w`, `T2w`, `FLAIR`, `DWI`, `ADC` or `CT`.
        is_proper: whether it is a T1w of a whole head.
        has_agent: whether an agent had been given.
        grades: of contrast, motion and noise.
        brain: mask of the brain where its truth lies on the grid of the image, else none.
    """

    patient: int
    scanner: str
    volume: Volume
    header: dict[str, str]
    shows: str
    is_proper: bool
    has_agent: bool
    grades: Grades
    brain: Volume | None


def visit(
    seed: int, patient: int, *, scanner: Scanner, images: int = 4, spacing_mm: float = 2.0, not_t1w: float = NOT_T1W
) -> Iterator[Filed]:
    """Yields the images of one patient's visit.

    Args:
        seed: of the warehouse.
        patient: number in it.
        scanner: where; the training scanners are varied by `varied_scanner`.
        images: how many.
        spacing_mm: of the voxels.
        not_t1w: share of images that are no proper T1w.
    """
    drawn = draw_patient(seed, patient, 0, scanner, Asked("gadobutrol", 0.1, None))
    painted, body = build_patient(drawn, seed, patient, spacing_mm)
    for number in range(images):
        rng = generator(seed, patient, "filed", str(number))
        yield _filed((seed, patient, number), scanner, (painted, body), rng, not_t1w)


def varied_scanner(number: int) -> Scanner:
    """Returns a scanner that is none of those with a name: the timing drawn about that of A, B, C and E."""
    rng = generator(4, number, "varied scanner")
    strong = bool(rng.random() < 0.6)
    name = chr(_FIRST_NAME + number % 0x5000)
    if rng.random() < 0.3:
        timing = GradientEcho(float(rng.uniform(8, 30)), float(rng.uniform(2, 6)), float(rng.uniform(12, 32)))
        return Scanner(name, 3.0 if strong else 1.5, timing, _thickness(rng))
    readouts = int(rng.integers(150, 200))
    spacing = float(rng.uniform(6.5, 8))
    after = readouts // 2 * spacing
    inversion = max(float(rng.uniform(750, 1050)), after + 20)
    repetition = float(rng.uniform(max(1500, inversion + after + 100), 2500))
    flip = float(rng.uniform(8, 15))
    timing_ir = Mprage(repetition, inversion, float(rng.uniform(2, 4.5)), flip, spacing, readouts, readouts // 2)
    return Scanner(name, 3.0 if strong else 1.5, timing_ir, _thickness(rng))


def _thickness(rng: np.random.Generator) -> float:
    """Returns the thickness of slices, most often none of its own; a real archive holds thick ones among the thin."""
    return float(rng.choice([0.0, 0.0, 0.0, 3.0, 5.0]))


def _filed(
    which: tuple[int, int, int], scanner: Scanner, head: tuple[Painted, Body], rng: np.random.Generator, not_t1w: float
) -> Filed:
    seed, patient, number = which
    has_agent = bool(rng.random() < WITH_AGENT)
    is_other, is_improper = bool(rng.random() < not_t1w), bool(rng.random() < _IMPROPER_SHARE)
    mix = {"improper": 1.0} if is_other and is_improper else TIERS
    name = str(rng.choice(OTHERS)) if is_other and not is_improper else "T1ce" if has_agent else "T1w"
    plan = Scan(seed, patient, number, scanner, mix)
    volumes, settings = scan(plan, [name], head[0].frame, head[1])
    shown = str(rng.choice(_DWI)) if name == "DWI" else name
    grades = getattr(settings[name], "grades", Grades())
    shows = {"T1ce": "T1w", "b0": "DWI", "b1000": "DWI"}.get(shown, shown)
    volume = volumes[shown]
    return Filed(
        patient=patient,
        scanner=scanner.name,
        volume=volume,
        header=_header(name, scanner, has_agent, is_other, rng),
        shows="T2w" if grades.improper == "t2_weighted" else shows,
        is_proper=not is_other,
        has_agent=name == "T1ce",
        grades=grades,
        brain=_brain(head[0], volume),
    )


def _brain(painted: Painted, volume: Volume) -> Volume | None:
    if volume.data.shape != painted.frame.shape:
        return None
    return Volume((painted.inside >= 0.5).astype(np.float32), painted.frame.affine, "mask")


@lru_cache(maxsize=64)
def _known(scanner: Scanner) -> Scanner:
    """Returns the named scanner whose habits of writing headers a varied one has."""
    if scanner.name in VENDORS:
        return scanner
    return scanner_named("ABCE"[ord(scanner.name) % 4])


def _header(name: str, scanner: Scanner, has_agent: bool, is_other: bool, rng: np.random.Generator) -> dict[str, str]:
    """Returns a header that says T1w, or whose timing tells better."""
    writer = _known(scanner)
    said = "T1ce" if has_agent else "T1w"
    habit = draw_header_variant(said, writer, "gadobutrol", rng)
    is_honest = is_other and name not in ("T1w", "T1ce") and rng.random() < _HONEST_TIMING
    timing = timing_tags(name if is_honest and name != "CT" else said, replace(writer, t1w=scanner.t1w))
    header = {
        key: "\\".join(map(str, value)) if isinstance(value, list) else str(value) for key, value in timing.items()
    }
    header |= {
        "Modality": "CT" if name == "CT" else "MR",
        "SeriesDescription": habit.description,
        "Manufacturer": VENDORS[writer.name],
    }
    header |= {"ImageType": "ORIGINAL\\PRIMARY\\M", "MRAcquisitionType": "2D" if scanner.slice_mm else "3D"}
    if habit.agent is not None:
        header["ContrastBolusAgent"] = habit.agent
    return header
