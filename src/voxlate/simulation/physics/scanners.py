"""Simulated scanners with their protocols: A, B, C and E for training, D and F for out-of-distribution tests, G of Li.

The timings of A to F are typical ones, not measurements of a product; those of G are of Li et al. 2022. Each scanner
has a fixed factor on the T1 of white matter and one on the T1 of grey matter, because measured T1 differs between sites
(see `anatomy.tissues`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeAlias

from numpy.typing import ArrayLike

from voxlate.errors import UsageError
from voxlate.simulation.anatomy.tissues import TISSUES, Floats, Relaxation, Tissue
from voxlate.simulation.physics.sequences import (
    Flair,
    GradientEcho,
    Mprage,
    SpinEcho,
    flair,
    mprage,
    nulling_time_ms,
    spin_echo,
    spoiled_gradient_echo,
    turbo_spin_echo,
)
from voxlate.simulation.rng import generator

T1wTiming: TypeAlias = Mprage | GradientEcho | SpinEcho
WHITE_FACTOR_RANGE, GREY_FACTOR_RANGE = (0.75, 1.15), (0.85, 1.15)
"""Range of the factors on T1. Published T1 of white matter at 3 T, 0.6 to 1.1 s, over 0.83 s would be 0.72 to 1.33."""
_SCANNER_SEED = 27  # with this seed every ratio of grey to white matter is in the published range of 0.5 to 0.7


@dataclass(frozen=True)
class Scanner:
    """One scanner with its T1-weighted protocol.

    Attributes:
        name: key of `SCANNERS`.
        field_tesla: field strength in tesla.
        t1w: timing of its T1-weighted sequence; its class gives the sequence.
        slice_mm: thickness of T1w slices; zero for a 3-D sequence.
        gap_mm: gap between T1w slices.
        is_held_out: whether it is used by name only; training and data sets never draw it.
        t2w_timing: timing of its T2-weighted turbo spin echo; None for the usual one of the field strength.
    """

    name: str
    field_tesla: float
    t1w: T1wTiming
    slice_mm: float = 0.0
    gap_mm: float = 0.0
    is_held_out: bool = False
    t2w_timing: SpinEcho | None = None

    @property
    def t2w(self) -> SpinEcho:
        """Returns the timing of the T2-weighted turbo spin echo."""
        if self.t2w_timing is not None:
            return self.t2w_timing
        return SpinEcho(5000.0, 100.0) if self.field_tesla < 2 else SpinEcho(6000.0, 96.0)

    @property
    def diffusion(self) -> SpinEcho:
        """Returns the timing of the echo-planar sequence."""
        return SpinEcho(6500.0, 90.0) if self.field_tesla < 2 else SpinEcho(7000.0, 72.0)

    @property
    def flair(self) -> Flair:
        """Returns the timing of the FLAIR, whose inversion time nulls fluid at this field."""
        repetition = 8500.0 if self.field_tesla < 2 else 9000.0
        fluid_t1 = TISSUES["csf"].at_field(self.field_tesla).t1_ms
        return Flair(repetition, round(nulling_time_ms(fluid_t1, repetition)), 110.0)

    def tissues(self) -> dict[str, Tissue]:
        """Returns all tissues at this field by name, with the factors of this scanner on T1."""
        rng = generator(_SCANNER_SEED, ord(self.name), "scanner")
        factors = {"wm": rng.uniform(*WHITE_FACTOR_RANGE), "gm": rng.uniform(*GREY_FACTOR_RANGE)}
        at_field = {name: tissue.at_field(self.field_tesla) for name, tissue in TISSUES.items()}
        for name, factor in factors.items():
            at_field[name] = replace(at_field[name], t1_ms=at_field[name].t1_ms * float(factor))
        return at_field


SCANNERS = {
    scanner.name: scanner
    for scanner in (
        Scanner("A", 3.0, Mprage(2300, 900, 2.98, 9, 7.1, 176, 88)),
        Scanner("B", 3.0, Mprage(1900, 900, 2.30, 9, 7.0, 160, 80)),
        Scanner("C", 1.5, Mprage(1600, 800, 3.37, 15, 7.5, 160, 80)),
        Scanner("D", 1.5, Mprage(1800, 778, 3.3, 12, 8.2, 120, 40), is_held_out=True),
        Scanner("E", 1.5, GradientEcho(25, 4.6, 30)),
        Scanner("F", 3.0, SpinEcho(600, 10), slice_mm=5.0, gap_mm=1.0, is_held_out=True),
        # Li et al. 2022: TR, TE and turbo factor of the T1, TR and TE of the T2 as printed. TI, flip angle and echo
        # spacing are not printed; they are those of C, whose TR and TE are the same. The long echo train of SPACE with
        # its varying flip angles is modelled as a turbo spin echo.
        Scanner(
            "G", 1.5, Mprage(1600, 800, 3.37, 15, 7.5, 125, 62), is_held_out=True, t2w_timing=SpinEcho(2500.0, 123.0)
        ),
    )
}
TRAINING_SCANNERS = tuple(name for name, scanner in SCANNERS.items() if not scanner.is_held_out)


def scanner_named(name: str) -> Scanner:
    """Returns the scanner of a name.

    Raises:
        UsageError: `SCANNER_UNKNOWN`, with the valid names.
    """
    if name not in SCANNERS:
        raise UsageError("SCANNER_UNKNOWN", f"unknown scanner {name!r}; choose from {', '.join(SCANNERS)}")
    return SCANNERS[name]


def t1w_signal(tissue: Relaxation, timing: T1wTiming, flip_scale: ArrayLike = 1.0) -> Floats:
    """Returns the signal of the T1-weighted sequence that a timing belongs to, float64 of the tissue's shape.

    Args:
        tissue: relaxation times.
        timing: timing of an MPRAGE, gradient echo or spin echo.
        flip_scale: actual over nominal flip angle; a spin echo ignores it.
    """
    if isinstance(timing, Mprage):
        return mprage(tissue, timing, flip_scale)
    if isinstance(timing, GradientEcho):
        return spoiled_gradient_echo(tissue, timing, flip_scale)
    return spin_echo(tissue, timing)


def less_weighted(timing: T1wTiming, weighting: float) -> T1wTiming:
    """Returns a T1-weighted sequence with less T1 weighting.

    An MPRAGE inverts only that fraction of the magnetisation and is read later (TI and TR over the weighting), a
    gradient echo has that fraction of its flip angle, a spin echo has a TR over the weighting. (A smaller flip angle
    alone would raise the contrast of an MPRAGE.)

    Args:
        timing: planned timing.
        weighting: above 0; 1 for the planned sequence.
    """
    if isinstance(timing, Mprage):
        return replace(
            timing,
            efficiency=timing.efficiency * weighting,
            inversion_ms=timing.inversion_ms / weighting,
            repetition_ms=timing.repetition_ms / weighting,
        )
    if isinstance(timing, GradientEcho):
        return replace(timing, flip_deg=timing.flip_deg * weighting)
    return replace(timing, repetition_ms=timing.repetition_ms / weighting)


def contrast_signal(
    contrast: str, tissue: Relaxation, scanner: Scanner, flip_scale: ArrayLike = 1.0, *, weighting: float = 1.0
) -> Floats:
    """Returns the signal of a tissue in one contrast, float64 of the tissue's shape.

    Args:
        contrast: `T1w`, `T2w`, `FLAIR` or `b0`.
        tissue: relaxation times.
        scanner: scanner, which sets the timing.
        flip_scale: actual over nominal flip angle; acts on T1w gradient echoes.
        weighting: 1 as planned; with less, tissues differ less. Acts on T1 (`less_weighted`), or on the echo time of
            T2w and FLAIR.

    Raises:
        UsageError: `CONTRAST_UNKNOWN`.
    """
    if contrast == "T1w":
        return t1w_signal(tissue, less_weighted(scanner.t1w, weighting), flip_scale)
    if contrast == "T2w":
        return turbo_spin_echo(tissue, replace(scanner.t2w, echo_ms=scanner.t2w.echo_ms * weighting))
    if contrast == "FLAIR":
        return flair(tissue, replace(scanner.flair, echo_ms=scanner.flair.echo_ms * weighting))
    if contrast == "b0":
        return turbo_spin_echo(tissue, scanner.diffusion)
    raise UsageError("CONTRAST_UNKNOWN", f"unknown contrast {contrast!r}; choose from T1w, T2w, FLAIR and b0")
