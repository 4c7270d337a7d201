"""Values of tissues with their sources: relaxation times, proton density, diffusion, CT number and uptake of agent.

Values are given at 3 T. At another field T1 follows T1 ∝ B0^exponent (Rooney et al., Magn Reson Med 2007;57:308 for
brain; Bottomley et al., Med Phys 1984;11:425 for muscle and fat), and the static part of T2* shortens in proportion
to the field: 1/T2* = 1/T2 + 1/T2', 1/T2' ∝ B0. Where a value at 1.5 T is published it is used instead. "prior" marks a
plausible value chosen for this project. Absolute contrast is not claimed: published T1 of white matter at 3 T spans
0.6 to 1.1 s, up to 62 % of it because of magnetisation transfer (Assländer, arXiv 2409.05318). Every simulated scanner
therefore has its own factor on T1.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from voxlate.errors import UsageError
from voxlate.simulation.checks import require_not_negative, require_positive

Floats = NDArray[np.float64]

GREY_EXPONENT, WHITE_EXPONENT, MUSCLE_EXPONENT, FAT_EXPONENT, FLUID_EXPONENT = 0.376, 0.382, 0.420, 0.174, 0.0
"""b of T1 ∝ B0^b: brain from Rooney 2007, muscle and fat from Bottomley 1984; T1 of fluid does not change."""
REFERENCE_TESLA = 3.0
JITTER = {"t1_ms": 0.05, "t2_ms": 0.08, "proton_density": 0.03}
"""Relative standard deviation between subjects. Prior, chosen for this project."""


@dataclass(frozen=True)
class Relaxation:
    """Relaxation times and proton density, each a number or an array; the arrays broadcast together.

    Attributes:
        t1_ms, t2_ms, t2_star_ms: relaxation times in ms.
        proton_density: relative to water, zero or more.

    Raises:
        UsageError: `TIME_NEGATIVE` when a time is not positive, `DENSITY_NEGATIVE` when a density is below zero.
    """

    t1_ms: ArrayLike
    t2_ms: ArrayLike
    t2_star_ms: ArrayLike
    proton_density: ArrayLike

    def __post_init__(self) -> None:
        require_positive("TIME_NEGATIVE", T1=self.t1_ms, T2=self.t2_ms, T2_star=self.t2_star_ms)
        require_not_negative("DENSITY_NEGATIVE", proton_density=self.proton_density)


@dataclass(frozen=True)
class Tissue:
    """One tissue at one field strength.

    Attributes:
        name: key of `TISSUES`.
        t1_ms, t2_ms, t2_star_ms: relaxation times in ms.
        proton_density: relative to water, zero or more.
        adc_um2_ms: apparent diffusion coefficient in 0.001 mm²/s.
        hounsfield: mean CT number in HU.
        uptake: concentration of contrast agent over that in plasma, minutes after the injection.
        exponent: b of T1 ∝ B0^b.
        source: source of the relaxation times.
        turbo_kept: fraction of the signal that a train of refocusing pulses leaves; the pulses saturate bound water
            (Melki and Mulkern, Magn Reson Med 1992;24:189). Without it grey matter would be darker than white matter
            on FLAIR.

    Raises:
        UsageError: `TIME_NEGATIVE`, `DENSITY_NEGATIVE`, `UPTAKE_NEGATIVE`.
    """

    name: str
    t1_ms: float
    t2_ms: float
    t2_star_ms: float
    proton_density: float
    adc_um2_ms: float
    hounsfield: float
    uptake: float = 0.0
    exponent: float = GREY_EXPONENT
    source: str = "prior"
    turbo_kept: float = 1.0

    def __post_init__(self) -> None:
        require_not_negative("UPTAKE_NEGATIVE", uptake=self.uptake)
        _ = self.relaxation

    @property
    def relaxation(self) -> Relaxation:
        """Returns the relaxation times and proton density."""
        return Relaxation(self.t1_ms, self.t2_ms, self.t2_star_ms, self.proton_density)

    def at_field(self, field_tesla: float) -> Tissue:
        """Returns the tissue, whose values are at 3 T, at another field: measured values at 1.5 T, else scaled ones.

        Args:
            field_tesla: field strength in tesla, 0.2 to 7, the range in which Rooney et al. measured.

        Raises:
            UsageError: `FIELD_STRENGTH` outside this range.
        """
        if not 0.2 <= field_tesla <= 7.0:
            raise UsageError(
                "FIELD_STRENGTH", f"a field of {field_tesla:g} T is outside 0.2 to 7 T, where T1 can be scaled"
            )
        ratio = field_tesla / REFERENCE_TESLA
        static = max(1 / self.t2_star_ms - 1 / self.t2_ms, 0.0) * ratio
        scaled = replace(self, t1_ms=self.t1_ms * ratio**self.exponent, t2_star_ms=float(1 / (1 / self.t2_ms + static)))
        measured = MEASURED_AT_1_5_TESLA.get(self.name) if field_tesla == 1.5 else None
        if measured is None:
            return scaled
        t1_ms, t2_star_ms, density = measured
        return replace(scaled, t1_ms=t1_ms, t2_star_ms=t2_star_ms, proton_density=density)

    def jittered(self, rng: np.random.Generator) -> Tissue:
        """Returns the tissue of one subject: each value times a normal factor around 1.

        The standard deviations are those of `JITTER`; draws are clipped at 2.5 of them.
        """
        factors = {name: 1 + sd * float(np.clip(rng.standard_normal(), -2.5, 2.5)) for name, sd in JITTER.items()}
        return replace(
            self,
            t1_ms=self.t1_ms * factors["t1_ms"],
            t2_ms=self.t2_ms * factors["t2_ms"],
            t2_star_ms=self.t2_star_ms * factors["t2_ms"],
            proton_density=self.proton_density * factors["proton_density"],
        )


# Columns: name, T1, T2, T2* (ms), proton density, ADC (0.001 mm²/s), HU, uptake, exponent, source, turbo_kept. The
# uptake is the concentration 5 min after 0.1 mmol/kg over 0.646 mM, the concentration in plasma at that time.
_TABLE = (
    Tissue("air", 1000, 50, 1, 0.0, 0.0, -1000, 0.0, 0.0, "no water"),
    Tissue("csf", 4160, 1650, 57, 1.00, 3.1, 8, 0.0, FLUID_EXPONENT, "MRzero"),
    Tissue("vitreous", 4000, 1200, 200, 1.00, 2.9, 10, 0.0, FLUID_EXPONENT),
    Tissue("lens", 1500, 35, 20, 0.70, 1.0, 70, 0.0),
    Tissue(
        "gm", 1560, 83, 66, 0.80, 0.89, 40, 0.0077, GREY_EXPONENT, "MRzero; ADC Helenius 2002; uptake Steen 1999", 0.92
    ),
    Tissue(
        "wm", 830, 75, 53, 0.70, 0.70, 28, 0.0062, WHITE_EXPONENT, "MRzero; ADC Helenius 2002; uptake Blystad", 0.78
    ),
    Tissue("blood", 1650, 150, 30, 0.90, 1.2, 52, 0.58, GREY_EXPONENT, "Lu 2004; uptake 1 - haematocrit"),
    Tissue("artery", 1664, 150, 48, 0.90, 1.2, 45, 0.58, GREY_EXPONENT, "Lu 2004; uptake 1 - haematocrit"),
    Tissue("dura", 900, 50, 20, 0.80, 1.0, 60, 0.25),
    Tissue("bone", 400, 1.0, 0.8, 0.03, 0.0, 1300, 0.0, 0.0, "no visible water"),
    Tissue("marrow", 586, 100, 25, 0.75, 0.4, 380, 0.03, FAT_EXPONENT, "de Bazelaire 2004 (T1)"),
    Tissue("fat", 370, 125, 11, 1.00, 0.1, -90, 0.0, FAT_EXPONENT, "MRzero; T2 apparent"),
    Tissue("muscle", 1410, 50, 29, 0.95, 1.5, 50, 0.12, MUSCLE_EXPONENT, "Stanisz", 0.75),
    Tissue("skin", 1000, 45, 25, 0.80, 1.2, 30, 0.12, MUSCLE_EXPONENT),
    Tissue("choroid", 1600, 120, 60, 0.90, 1.4, 42, 0.5),
    Tissue("pituitary", 1400, 90, 40, 0.85, 1.0, 42, 0.4),
    Tissue("mucosa", 1300, 90, 40, 0.90, 1.4, 40, 0.4),
    Tissue("cord", 993, 78, 55, 0.75, 0.9, 35, 0.0062, WHITE_EXPONENT, "Stanisz at 3 T", 0.8),
    Tissue("vertebra", 586, 78, 16, 0.75, 0.4, 178, 0.03, FAT_EXPONENT, "de Bazelaire 2004"),
    Tissue("annulus", 950, 50, 20, 0.60, 1.3, 90, 0.02),
    Tissue("nucleus", 1000, 129, 60, 0.85, 1.7, 82, 0.01),
    Tissue("ligament", 700, 20, 8, 0.35, 0.8, 70, 0.05),
    Tissue("cartilage", 1100, 40, 22, 0.75, 1.2, 95, 0.02),
    Tissue("oedema", 1400, 120, 80, 0.87, 1.45, 18, 0.0161, GREY_EXPONENT, "prior; uptake Blystad"),
    Tissue("rim", 1600, 110, 80, 0.88, 0.96, 38, 0.217, GREY_EXPONENT, "prior; ADC of glioblastoma; uptake of 838 ms"),
    Tissue("core", 1700, 140, 90, 0.90, 1.2, 30, 0.008),
    Tissue("necrosis", 2200, 250, 100, 0.93, 2.1, 15, 0.004),
    Tissue("plaque", 1300, 180, 120, 0.85, 1.1, 22, 0.008),
    Tissue("infarct", 1500, 130, 80, 0.87, 0.45, 20, 0.008),
    Tissue("haemorrhage", 450, 60, 20, 0.90, 0.6, 65, 0.0, 0.2, "prior; methaemoglobin, bright on T1 without contrast"),
    Tissue("haemosiderin", 1200, 35, 8, 0.60, 0.7, 60, 0.0),
    Tissue("melanin", 600, 60, 30, 0.85, 0.8, 48, 0.217, 0.2, "prior; bright on T1 without contrast"),
    Tissue("protein", 650, 140, 60, 0.87, 1.1, 35, 0.008, 0.2, "prior; bright on T1 without contrast"),
    Tissue("lipoma", 370, 125, 11, 1.00, 0.1, -80, 0.0, FAT_EXPONENT, "as fat"),
    Tissue("meningioma", 1400, 90, 60, 0.86, 0.85, 48, 0.39),
    Tissue("lymphoma", 1450, 92, 68, 0.86, 0.63, 47, 0.3),
    Tissue("meninges", 1900, 160, 80, 0.92, 1.6, 32, 0.3),
    Tissue("metastasis", 1550, 105, 75, 0.87, 0.90, 40, 0.217),
)
TISSUES = {tissue.name: tissue for tissue in _TABLE}
"""All tissues at 3 T, by name."""

MEASURED_AT_1_5_TESLA = {
    "wm": (640.0, 66.0, 0.70),
    "gm": (1190.0, 80.0, 0.80),
    "csf": (4100.0, 100.0, 1.0),
    "fat": (330.0, 15.0, 1.0),
    "lipoma": (330.0, 15.0, 1.0),
    "blood": (1440.0, 60.0, 0.9),
    "rim": (1250.0, 100.0, 0.88),
}
"""T1 and T2* in ms and proton density of tissues with values of their own at 1.5 T."""
