"""The laws that the benchmarks fit to costs, and the helper that measures a command."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))

from command_cost import command_cost
from cost_fit import fit_law, law_of

SIZES = [1.0, 2.0, 5.0, 10.0, 40.0]


def test_a_line_with_a_start_is_found_as_one():
    law = fit_law(SIZES, [3 + 0.5 * size for size in SIZES])
    assert law.kind == "line"
    assert (law.start, law.price) == pytest.approx((3, 0.5))
    assert law.at(100) == pytest.approx(53)
    assert law.error < 1e-9


def test_a_power_is_found_as_one():
    law = fit_law(SIZES, [0.2 * size**1.7 for size in SIZES])
    assert law.kind == "power"
    assert (law.price, law.exponent) == pytest.approx((0.2, 1.7))
    assert law.at(100) == pytest.approx(0.2 * 100**1.7)


def test_a_start_and_a_price_with_noise_are_not_taken_for_a_power():
    law = fit_law([4, 8, 16], [4.9, 7.4, 11.3])  # a power of 0.6 fits these best, and predicts half as much at 1,000
    assert law.kind == "line"
    assert law.at(1000) > 400


def test_a_cost_that_does_not_grow_has_the_price_zero():
    law = fit_law(SIZES, [7.0] * len(SIZES))
    assert (law.price, law.exponent) == pytest.approx((0, 0), abs=1e-9)
    assert law.at(1e6) == pytest.approx(7)


def test_the_interval_of_the_price_holds_the_true_price_in_19_of_20_trials():
    random, held = np.random.default_rng(0), 0
    for _ in range(400):
        noise = random.normal(1, 0.02, len(SIZES))
        low, high = fit_law(SIZES, (3 + 0.5 * np.array(SIZES)) * noise).price_95
        held += low <= 0.5 <= high
    assert 0.92 <= held / 400 <= 0.98


def test_a_law_is_the_same_after_it_was_kept_in_a_result():
    law = fit_law(SIZES, [3.3, 3.9, 5.7, 8.1, 23.0])
    assert law_of(law.row()).at(20) == pytest.approx(law.at(20), rel=1e-3)


def test_work_costs_processor_seconds_and_sleep_does_not():
    code = "import time; time.sleep(0.4)\nwhile time.process_time() < 0.3: pass\nprint('done')"
    cost = command_cost([sys.executable, "-c", code])
    assert cost.output == "done\n"
    assert cost.processor_s == pytest.approx(0.3, abs=0.15)
    assert cost.clock_s >= 0.6


HOLD = "import time; held = b'x' * ({} << 20); time.sleep(0.8)"


def test_the_peak_of_a_command_is_the_memory_that_it_held():
    empty, full = (command_cost([sys.executable, "-c", HOLD.format(mib)]).peak_mib for mib in (1, 150))
    assert full - empty == pytest.approx(149, abs=5)


def test_the_memory_of_workers_adds_up_and_the_peak_is_that_of_one():
    run = f"subprocess.Popen([sys.executable, '-c', {HOLD.format(100)!r}])"
    code = f"import subprocess, sys; both = [{run}, {run}]\nfor each in both: each.wait()"
    cost = command_cost([sys.executable, "-c", code])
    assert 100 <= cost.peak_mib <= 130
    assert 200 <= cost.together_mib <= 250


def test_a_command_that_fails_is_an_error_with_its_words():
    with pytest.raises(RuntimeError, match=r"exit status 3(.|\n)*no luck"):
        command_cost([sys.executable, "-c", "import sys; print('no luck'); sys.exit(3)"])
