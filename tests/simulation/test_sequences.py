from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxlate.errors import UsageError
from voxlate.simulation.anatomy.tissues import Relaxation
from voxlate.simulation.physics.sequences import (
    Flair,
    GradientEcho,
    Mprage,
    SpinEcho,
    diffusion,
    flair,
    mprage,
    nulling_time_ms,
    spin_echo,
    spoiled_gradient_echo,
    turbo_spin_echo,
)

WHITE = Relaxation(830.0, 75.0, 53.0, 0.70)
SIEMENS = Mprage(2300, 900, 2.98, 9, 7.1, 176, 88)


def recursion(tissue, timing, repetitions=40):
    """Follows the magnetisation pulse by pulse until it repeats."""
    angle, magnetisation = np.deg2rad(timing.flip_deg), 1.0
    for _ in range(repetitions):
        magnetisation = -timing.efficiency * magnetisation
        magnetisation = 1 - (1 - magnetisation) * np.exp(-timing.before_ms / tissue.t1_ms)
        for readout in range(timing.readouts):
            if readout == timing.centre:
                seen = magnetisation * np.sin(angle)
            magnetisation *= np.cos(angle)
            magnetisation = 1 - (1 - magnetisation) * np.exp(-timing.spacing_ms / tissue.t1_ms)
        magnetisation = 1 - (1 - magnetisation) * np.exp(-timing.after_ms / tissue.t1_ms)
    return tissue.proton_density * abs(seen) * np.exp(-timing.echo_ms / tissue.t2_star_ms)


@settings(deadline=None, max_examples=25)
@given(
    t1=st.floats(200, 4500),
    flip=st.floats(2, 30),
    centre=st.integers(0, 100),
    efficiency=st.floats(0.7, 1.0),
)
def test_mprage_in_closed_form_equals_the_recursion(t1, flip, centre, efficiency):
    tissue = Relaxation(t1, 80.0, 60.0, 0.8)
    timing = Mprage(2300, 900, 3.0, flip, 7.1, 176, centre, efficiency)
    assert mprage(tissue, timing) == pytest.approx(recursion(tissue, timing), abs=1e-10)


def test_spoiled_gradient_echo_is_largest_at_the_ernst_angle():
    angles = np.linspace(1, 60, 5901)
    signals = [float(spoiled_gradient_echo(WHITE, GradientEcho(25, 4.6, angle))) for angle in angles]
    ernst = np.rad2deg(np.arccos(np.exp(-25 / 830.0)))
    assert angles[np.argmax(signals)] == pytest.approx(ernst, abs=0.01)


def test_spoiled_gradient_echo_by_hand():
    # E1 = exp(-0.025) = 0.975310, sin 30 = 0.5, cos 30 = 0.866025, exp(-0.1) = 0.904837
    signal = spoiled_gradient_echo(Relaxation(1000, 100, 46, 1.0), GradientEcho(25, 4.6, 30))
    assert signal == pytest.approx(0.5 * 0.024690 / (1 - 0.975310 * 0.866025) * 0.904837, rel=1e-4)


def test_spin_echo_by_hand():
    # TR = T1, TE = 20: 1 - 2 exp(-0.99) + exp(-1) = 0.624726; exp(-0.2) = 0.818731
    signal = spin_echo(Relaxation(1000, 100, 50, 0.8), SpinEcho(1000, 20))
    assert signal == pytest.approx(0.8 * (1 - 2 * 0.371577 + 0.367879) * 0.818731, rel=1e-5)


def test_turbo_spin_echo_by_hand():
    signal = turbo_spin_echo(Relaxation(1000, 100, 50, 1.0), SpinEcho(2000, 100))
    assert signal == pytest.approx((1 - 0.135335) * 0.367879, rel=1e-5)


def test_flair_by_hand_and_dark_at_the_nulling_time():
    # TI = T1 ln 2, TR without end: exactly nothing; TI = T1: |1 - 2/e| = 0.264241
    assert flair(Relaxation(1000, 100, 50, 1.0), Flair(1e6, 1000, 0)) == pytest.approx(0.264241, rel=1e-5)
    assert nulling_time_ms(1000, 1e6) == pytest.approx(693.147, rel=1e-5)
    null = nulling_time_ms(4160, 9000)
    assert flair(Relaxation(4160, 1650, 57, 1.0), Flair(9000, null, 110)) == pytest.approx(0, abs=1e-12)


def test_diffusion_by_hand():
    assert diffusion(2.0, 1.0, 1000) == pytest.approx(2 / np.e)
    assert diffusion(2.0, 3.0, 0) == 2.0


def test_a_higher_flip_scale_is_a_higher_flip():
    doubled = mprage(WHITE, SIEMENS, 2.0)
    assert doubled == pytest.approx(mprage(WHITE, Mprage(2300, 900, 2.98, 18, 7.1, 176, 88)))


@pytest.mark.parametrize("values", [(-1, 75, 53, 0.7), (830, 0, 53, 0.7), (830, 75, np.nan, 0.7)])
def test_a_time_that_is_not_positive_is_refused(values):
    with pytest.raises(UsageError, match="TIME_NEGATIVE"):
        Relaxation(*values)


def test_impossible_timings_and_negative_weightings_are_refused():
    with pytest.raises(UsageError, match="SEQUENCE_IMPOSSIBLE"):
        Mprage(1000, 900, 3, 9, 7.1, 176, 88)
    with pytest.raises(UsageError, match="TIME_NEGATIVE"):
        SpinEcho(600, -1)
    with pytest.raises(UsageError, match="B_VALUE_NEGATIVE"):
        diffusion(1.0, 1.0, -5)
    with pytest.raises(UsageError, match="DENSITY_NEGATIVE"):
        Relaxation(1000, 100, 50, -0.1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"centre": -1}, "the centre of k-space is readout -1; choose one from 0 to 175"),
        ({"centre": 176, "inversion_ms": 1300}, "the centre of k-space is readout 176; choose one from 0 to 175"),
        ({"centre": np.nan}, "the centre of k-space is readout nan"),
        ({"efficiency": -0.1}, "the inversion turns -0.1 of the magnetisation; give a share from 0 to 1"),
        ({"efficiency": 1.01}, "the inversion turns 1.01 of the magnetisation"),
        ({"efficiency": np.nan}, "the inversion turns nan of the magnetisation"),
    ],
)
def test_an_mprage_with_a_centre_outside_of_its_train_or_an_impossible_inversion_is_refused(changes, message):
    with pytest.raises(UsageError, match=f"SEQUENCE_IMPOSSIBLE {message}"):
        replace(SIEMENS, **changes)


@pytest.mark.parametrize("changes", [{"centre": 0}, {"centre": 175, "inversion_ms": 1300}, {"efficiency": 0.0}])
def test_an_mprage_at_the_ends_of_its_ranges_equals_the_recursion(changes):
    timing = replace(SIEMENS, **changes)
    assert mprage(WHITE, timing) == pytest.approx(recursion(WHITE, timing), abs=1e-10)


def test_the_message_names_the_value_that_is_refused_and_not_the_smallest():
    with pytest.raises(UsageError, match="T1 is inf; it must be a finite number above zero"):
        Relaxation(np.array([800.0, np.inf]), 80.0, 60.0, 0.7)
    with pytest.raises(UsageError, match="proton_density is -1; it must be a finite number of zero or more"):
        Relaxation(800.0, 80.0, 60.0, -1.0)
