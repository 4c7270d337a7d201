import numpy as np
import pytest

from voxlate.errors import UsageError
from voxlate.preparation.adc import FITS, fitted_adc

B = (0, 500, 1000)
TRUTH = np.linspace(0.3, 3.2, 40)


def images(adc=TRUTH, signal=800.0):
    return [signal * np.exp(-b * 1e-3 * adc) for b in B]


@pytest.mark.parametrize("fit", FITS)
def test_every_convention_is_exact_without_noise(fit):
    assert fitted_adc(images(), B, fit=fit) == pytest.approx(TRUTH, rel=1e-10)


def test_the_conventions_differ_where_the_decay_is_not_one_exponential():
    signals = [0.7 * np.exp(-b * 1e-3 * 2.0) + 0.3 * np.exp(-b * 1e-3 * 0.3) for b in B]
    found = {fit: float(fitted_adc([np.array([s]) for s in signals], B, fit=fit)[0]) for fit in FITS}
    first = -np.log(signals[1] / signals[0]) / 0.5
    second = -np.log(signals[2] / signals[0])
    assert found["mean"] == pytest.approx((first + second) / 2)
    assert found["least_squares"] == pytest.approx(-np.polyfit([0, 0.5, 1], np.log(signals), 1)[0])
    weighted = -np.polyfit([0, 0.5, 1], np.log(signals), 1, w=signals)[0]
    assert found["weighted"] == pytest.approx(weighted)


def test_taking_the_noise_back_removes_most_of_the_bias_of_fluid():
    random = np.random.default_rng(0)
    sd, truth = 20.0, 2.0
    noisy = []
    for signal in images(np.full(200_000, truth), 800.0):
        noise = random.normal(0, sd, (2, signal.size))
        noisy.append(np.hypot(signal + noise[0], noise[1]))
    plain, corrected = np.median(fitted_adc(noisy, B)), np.median(fitted_adc(noisy, B, noise_sd=sd))
    assert plain < truth - 0.02
    assert abs(corrected - truth) < 0.01


def test_what_does_not_rise_above_the_noise_gets_no_value():
    assert fitted_adc([np.array([10.0])] * 3, B, noise_sd=8.0) == pytest.approx([0])
    assert fitted_adc([np.zeros(2)] * 3, B) == pytest.approx([0, 0])


@pytest.mark.parametrize(
    ("call", "code"),
    [
        (lambda: fitted_adc([np.ones(3)] * 2, (0, -5)), "B_VALUE_NEGATIVE"),
        (lambda: fitted_adc([np.ones(3)] * 2, (500, 500)), "B_VALUES"),
        (lambda: fitted_adc([np.ones(3)], (0, 500)), "B_VALUES"),
        (lambda: fitted_adc([np.ones(3)] * 2, (500, 1000), fit="mean"), "ADC_FIT"),
        (lambda: fitted_adc([np.ones(3)] * 2, (0, 1000), fit="best"), "ADC_FIT"),
        (lambda: fitted_adc([np.ones(3)] * 2, (0, 1000), noise_sd=-1), "NOISE"),
    ],
)
def test_measurements_that_give_no_adc_are_refused(call, code):
    with pytest.raises(UsageError, match=code):
        call()
