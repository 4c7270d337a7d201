"""Signal equations of MR sequences in closed form.

Times are in milliseconds, flip angles in degrees, proton densities relative to water, signals without unit. Every
function broadcasts over the arrays of a `Relaxation` and returns float64 of their common shape. Formulas: Bernstein,
King and Zhou, Handbook of MRI Pulse Sequences (2004); `mprage` is the steady state of inversion, delay, readout train
and delay.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from voxlate.errors import UsageError
from voxlate.simulation.anatomy.tissues import Floats, Relaxation
from voxlate.simulation.checks import require_not_negative, require_positive


@dataclass(frozen=True)
class Mprage:
    """Timing of an MPRAGE: an inversion and a train of low-angle pulses, repeated.

    Attributes:
        repetition_ms: TR, from one inversion to the next.
        inversion_ms: TI, from the inversion to the readout of the centre of k-space.
        echo_ms: TE.
        flip_deg: flip angle of a readout.
        spacing_ms: from one readout to the next.
        readouts: number of readouts per inversion.
        centre: index of the readout of the centre of k-space, from 0 to `readouts` - 1.
        efficiency: fraction of the magnetisation that the inversion turns, 0 to 1.

    Raises:
        UsageError: `TIME_NEGATIVE`; `SEQUENCE_IMPOSSIBLE` when the train does not fit between the inversions, or for a
            centre or an efficiency outside of its range.
    """

    repetition_ms: float
    inversion_ms: float
    echo_ms: float
    flip_deg: float
    spacing_ms: float
    readouts: int
    centre: int
    efficiency: float = 1.0

    def __post_init__(self) -> None:
        require_positive("TIME_NEGATIVE", TR=self.repetition_ms, echo_spacing=self.spacing_ms, readouts=self.readouts)
        require_not_negative("TIME_NEGATIVE", TI=self.inversion_ms, TE=self.echo_ms)
        if not 0 <= self.centre < self.readouts:  # also refuses NaN
            raise UsageError(
                "SEQUENCE_IMPOSSIBLE",
                f"the centre of k-space is readout {self.centre}; choose one from 0 to {self.readouts - 1}",
            )
        if not 0 <= self.efficiency <= 1:
            raise UsageError(
                "SEQUENCE_IMPOSSIBLE",
                f"the inversion turns {self.efficiency:g} of the magnetisation; give a share from 0 to 1",
            )
        if self.before_ms < 0 or self.after_ms < 0:
            raise UsageError(
                "SEQUENCE_IMPOSSIBLE",
                f"{self.readouts} readouts every {self.spacing_ms:g} ms do not fit TI {self.inversion_ms:g} ms and "
                f"TR {self.repetition_ms:g} ms; shorten the train",
            )

    @property
    def before_ms(self) -> float:
        """Returns the delay from the inversion to the first readout in ms."""
        return self.inversion_ms - self.centre * self.spacing_ms

    @property
    def after_ms(self) -> float:
        """Returns the delay from the last readout to the next inversion in ms."""
        return self.repetition_ms - self.before_ms - self.readouts * self.spacing_ms


@dataclass(frozen=True)
class GradientEcho:
    """Timing of a spoiled gradient echo (FLASH, SPGR): TR and TE in ms, flip angle in degrees."""

    repetition_ms: float
    echo_ms: float
    flip_deg: float

    def __post_init__(self) -> None:
        require_positive("TIME_NEGATIVE", TR=self.repetition_ms)
        require_not_negative("TIME_NEGATIVE", TE=self.echo_ms)


@dataclass(frozen=True)
class SpinEcho:
    """Timing of a spin echo or a turbo spin echo: TR and TE in ms; of a turbo spin echo TE is the effective one."""

    repetition_ms: float
    echo_ms: float

    def __post_init__(self) -> None:
        require_positive("TIME_NEGATIVE", TR=self.repetition_ms)
        require_not_negative("TIME_NEGATIVE", TE=self.echo_ms)


@dataclass(frozen=True)
class Flair:
    """Timing of a fluid-attenuated inversion recovery: TR, TI and effective TE in ms."""

    repetition_ms: float
    inversion_ms: float
    echo_ms: float

    def __post_init__(self) -> None:
        require_positive("TIME_NEGATIVE", TR=self.repetition_ms, TI=self.inversion_ms)
        require_not_negative("TIME_NEGATIVE", TE=self.echo_ms)


def spoiled_gradient_echo(tissue: Relaxation, timing: GradientEcho, flip_scale: ArrayLike = 1.0) -> Floats:
    """Returns PD sin a (1 - E1) / (1 - E1 cos a) exp(-TE/T2*), E1 = exp(-TR/T1).

    Args:
        tissue: T1, T2* and proton density.
        timing: TR, TE, flip angle.
        flip_scale: actual over nominal flip angle (transmit field); it broadcasts with the tissue.
    """
    angle = np.deg2rad(timing.flip_deg) * np.asarray(flip_scale, dtype=np.float64)
    recovered = np.exp(-timing.repetition_ms / _array(tissue.t1_ms))
    steady = np.sin(angle) * (1 - recovered) / (1 - recovered * np.cos(angle))
    decay = np.exp(-timing.echo_ms / _array(tissue.t2_star_ms))
    return np.asarray(_array(tissue.proton_density) * steady * decay)


def mprage(tissue: Relaxation, timing: Mprage, flip_scale: ArrayLike = 1.0) -> Floats:
    """Returns the signal of an MPRAGE at the centre of k-space in steady state.

    In one repetition the longitudinal magnetisation M is inverted to -eff M, recovers for `before_ms`, approaches
    M_ss = (1 - E)/(1 - E cos a) by a factor of E cos a per readout, and recovers for `after_ms`; M is the fixed point
    of this map (Deichmann et al., NeuroImage 2000;12:112, for eff = 1).

    Args:
        tissue: T1, T2* and proton density.
        timing: timing of the sequence.
        flip_scale: actual over nominal flip angle (transmit field); it broadcasts with the tissue.
    """
    angle = np.deg2rad(timing.flip_deg) * np.asarray(flip_scale, dtype=np.float64)
    t1 = _array(tissue.t1_ms)
    per_readout = np.exp(-timing.spacing_ms / t1)
    decay = np.cos(angle) * per_readout
    plateau = (1 - per_readout) / (1 - decay)
    before, after = np.exp(-timing.before_ms / t1), np.exp(-timing.after_ms / t1)
    train = decay**timing.readouts
    # The equation of the fixed point is linear in M:
    # M = 1 - after + after (plateau (1 - train) + train (1 - before - eff M before))
    fixed = 1 - after + after * (plateau * (1 - train) + train * (1 - before))
    fixed = fixed / (1 + after * train * timing.efficiency * before)
    start = 1 - before - timing.efficiency * fixed * before
    at_centre = plateau + (start - plateau) * decay**timing.centre
    weight = _array(tissue.proton_density) * np.exp(-timing.echo_ms / _array(tissue.t2_star_ms))
    return np.asarray(weight * np.sin(angle) * np.abs(at_centre))


def spin_echo(tissue: Relaxation, timing: SpinEcho) -> Floats:
    """Returns PD |1 - 2 exp(-(TR - TE/2)/T1) + exp(-TR/T1)| exp(-TE/T2), exact for pulses of 90 and 180 degrees.

    Args:
        tissue: T1, T2 and proton density.
        timing: TR and TE.
    """
    t1 = _array(tissue.t1_ms)
    refocused = np.exp(-(timing.repetition_ms - timing.echo_ms / 2) / t1)
    recovery = 1 - 2 * refocused + np.exp(-timing.repetition_ms / t1)
    return np.asarray(_array(tissue.proton_density) * np.abs(recovery) * _t2_decay(tissue, timing.echo_ms))


def turbo_spin_echo(tissue: Relaxation, timing: SpinEcho) -> Floats:
    """Returns PD (1 - exp(-TR/T1)) exp(-TE/T2).

    Args:
        tissue: T1, T2 and proton density.
        timing: TR and effective TE.
    """
    recovery = 1 - np.exp(-timing.repetition_ms / _array(tissue.t1_ms))
    return np.asarray(_array(tissue.proton_density) * recovery * _t2_decay(tissue, timing.echo_ms))


def flair(tissue: Relaxation, timing: Flair) -> Floats:
    """Returns PD |1 - 2 exp(-TI/T1) + exp(-TR/T1)| exp(-TE/T2).

    Args:
        tissue: T1, T2 and proton density.
        timing: TR, TI and effective TE.
    """
    t1 = _array(tissue.t1_ms)
    recovery = 1 - 2 * np.exp(-timing.inversion_ms / t1) + np.exp(-timing.repetition_ms / t1)
    return np.asarray(_array(tissue.proton_density) * np.abs(recovery) * _t2_decay(tissue, timing.echo_ms))


def nulling_time_ms(t1_ms: float, repetition_ms: float) -> float:
    """Returns the inversion time in ms at which `flair` has no signal: T1 ln(2 / (1 + exp(-TR/T1))).

    Args:
        t1_ms: T1.
        repetition_ms: TR.

    Example:
        >>> round(nulling_time_ms(4160, 9000))
        2431

    Raises:
        UsageError: `TIME_NEGATIVE`.
    """
    require_positive("TIME_NEGATIVE", T1=t1_ms, TR=repetition_ms)
    return float(t1_ms * np.log(2 / (1 + np.exp(-repetition_ms / t1_ms))))


def diffusion(unweighted: ArrayLike, diffusivity_um2_ms: ArrayLike, b_value_s_mm2: float) -> Floats:
    """Returns S0 exp(-b ADC).

    Args:
        unweighted: S0, the signal at b = 0.
        diffusivity_um2_ms: ADC in um²/ms, which is 0.001 mm²/s; it broadcasts with the signal.
        b_value_s_mm2: b, zero or more.

    Raises:
        UsageError: `B_VALUE_NEGATIVE`, `DIFFUSIVITY_NEGATIVE`.
    """
    require_not_negative("B_VALUE_NEGATIVE", b_value=b_value_s_mm2)
    require_not_negative("DIFFUSIVITY_NEGATIVE", ADC=diffusivity_um2_ms)
    return _array(unweighted) * np.exp(-b_value_s_mm2 * 1e-3 * _array(diffusivity_um2_ms))


def _t2_decay(tissue: Relaxation, echo_ms: float) -> Floats:
    return np.asarray(np.exp(-echo_ms / _array(tissue.t2_ms)))


def _array(value: ArrayLike) -> Floats:
    return np.asarray(value, dtype=np.float64)
