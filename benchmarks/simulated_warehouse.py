"""Simulates images that a data warehouse lists as T1-weighted, with headers that may be wrong and the truth about each.

Bottani et al. 2024 selected 3-D T1-weighted images by their headers: a quarter were not proper T1-weighted images, 59 %
of the others were taken after gadolinium, and some 30 % were of low quality. The shares here are the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from voxlate.simulation.anatomy.partial_volume import PaintedAnatomy
from voxlate.simulation.files.header_variants import VENDORS, draw_header_variant, timing_tags
from voxlate.simulation.patient import PatientOptions, build_patient, draw_patient
from voxlate.simulation.physics.quality import Grades
from voxlate.simulation.physics.render import Body
from voxlate.simulation.physics.scan import ScanPlan, scan
from voxlate.simulation.physics.scanners import Scanner, scanner_named
from voxlate.simulation.physics.sequences import GradientEcho, Mprage
from voxlate.simulation.rng import generator
from voxlate.volume import Volume

NOT_T1W, WITH_AGENT = 0.26, 0.59
"""Share of images that are not proper T1w, and of proper ones with contrast agent (Bottani et al. 2024)."""
TIERS = {"good": 0.35, "medium": 0.35, "low": 0.30}
"""Share of each tier; that of low quality from Bottani et al. 2024, the rest split evenly."""
OTHERS = ("T2w", "FLAIR", "DWI", "CT")
"""Images of another contrast that are listed as T1w."""
_CORRECT_TIMING = 0.3  # share of them whose timing tags show the true sequence; chosen by hand, not tuned
_IMPROPER_SHARE = (
    0.5  # share of the images that are not proper T1w for a reason other than contrast; by hand, not tuned
)
_DWI = ("b0", "b1000", "ADC")
_FIRST_NAME = 0x100  # names of varied scanners are single characters, because a scanner's seed is the code of its name


@dataclass(frozen=True)
class Filed:
    """One image that the warehouse lists as T1-weighted.

    Attributes:
        patient: number of the patient, from 0.
        scanner: name of the scanner.
        volume: the image.
        header: DICOM keyword to its value as text.
        shows: true contrast: `T1w`, `T2w`, `FLAIR`, `DWI`, `ADC` or `CT`.
        is_proper: whether it is a T1w of a whole head.
        has_agent: whether contrast agent had been given.
        grades: image quality.
        brain: brain mask if it is on the grid of the image, else None.
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
        seed: seed of the warehouse.
        patient: number of the patient, from 0.
        scanner: scanner of the visit, such as one of `varied_scanner`.
        images: number of images.
        spacing_mm: isotropic voxel size.
        not_t1w: share of images that are not proper T1w.
    """
    drawn = draw_patient(seed, patient, 0, scanner, PatientOptions("gadobutrol", 0.1, None))
    painted, body = build_patient(drawn, seed, patient, spacing_mm)
    for number in range(images):
        rng = generator(seed, patient, "filed", str(number))
        yield _filed((seed, patient, number), scanner, (painted, body), rng, not_t1w)


def varied_scanner(number: int) -> Scanner:
    """Returns a random scanner, the same for a number, with timings in the ranges of scanners A, B, C and E."""
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
    """Returns the slice thickness in mm, most often 0 for a 3-D sequence: archives hold some thick slices too."""
    return float(rng.choice([0.0, 0.0, 0.0, 3.0, 5.0]))


def _filed(
    which: tuple[int, int, int],
    scanner: Scanner,
    head: tuple[PaintedAnatomy, Body],
    rng: np.random.Generator,
    not_t1w: float,
) -> Filed:
    seed, patient, number = which
    has_agent = bool(rng.random() < WITH_AGENT)
    is_other, is_improper = bool(rng.random() < not_t1w), bool(rng.random() < _IMPROPER_SHARE)
    mix = {"improper": 1.0} if is_other and is_improper else TIERS
    name = str(rng.choice(OTHERS)) if is_other and not is_improper else "T1ce" if has_agent else "T1w"
    plan = ScanPlan(seed, patient, number, scanner, mix)
    volumes, settings = scan(plan, [name], head[0].frame, head[1])
    image = str(rng.choice(_DWI)) if name == "DWI" else name
    grades = getattr(settings[name], "grades", Grades())
    shows = {"T1ce": "T1w", "b0": "DWI", "b1000": "DWI"}.get(image, image)
    volume = volumes[image]
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


def _brain(painted: PaintedAnatomy, volume: Volume) -> Volume | None:
    if volume.data.shape != painted.frame.shape:
        return None
    return Volume((painted.inside >= 0.5).astype(np.float32), painted.frame.affine, "mask")


@lru_cache(maxsize=64)
def _named_scanner(scanner: Scanner) -> Scanner:
    """Returns the named scanner whose vendor's headers a varied scanner writes."""
    if scanner.name in VENDORS:
        return scanner
    return scanner_named("ABCE"[ord(scanner.name) % 4])


def _header(name: str, scanner: Scanner, has_agent: bool, is_other: bool, rng: np.random.Generator) -> dict[str, str]:
    """Returns a header that describes a T1w; the timing tags of another contrast are sometimes the true ones."""
    writer = _named_scanner(scanner)
    stated = "T1ce" if has_agent else "T1w"
    variant = draw_header_variant(stated, writer, "gadobutrol", rng)
    has_true_timing = is_other and name not in ("T1w", "T1ce") and rng.random() < _CORRECT_TIMING
    timing = timing_tags(name if has_true_timing and name != "CT" else stated, replace(writer, t1w=scanner.t1w))
    header = {
        key: "\\".join(map(str, value)) if isinstance(value, list) else str(value) for key, value in timing.items()
    }
    header |= {
        "Modality": "CT" if name == "CT" else "MR",
        "SeriesDescription": variant.description,
        "Manufacturer": VENDORS[writer.name],
    }
    header |= {"ImageType": "ORIGINAL\\PRIMARY\\M", "MRAcquisitionType": "2D" if scanner.slice_mm else "3D"}
    if variant.agent is not None:
        header["ContrastBolusAgent"] = variant.agent
    return header
