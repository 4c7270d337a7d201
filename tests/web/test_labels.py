from __future__ import annotations

import math

import pytest

from voxlate.web import labels


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.9123, "0.912"), (12.345, "12.3"), (-1.5, "−1.50"), (1234.5, "1234"), (0.0, "0.00"), (-0.0001, "−0.0001")],
)
def test_a_number_has_three_significant_digits_and_a_typographic_minus_sign(value: float, text: str) -> None:
    assert labels.number(value) == text


def test_a_number_that_rounds_to_zero_has_no_sign() -> None:
    assert labels.number(-0.0004, 2) == "0.00"


def test_a_zero_of_a_column_of_tiny_values_is_written_without_decimals() -> None:
    assert labels.number(3e-9, labels.decimals_for([3e-9, -2e-9])) == "0"


def test_a_mean_without_a_spread_stands_alone() -> None:
    assert labels.mean_and_sd(8.557, 0.712) == "8.56 ± 0.71"
    assert labels.mean_and_sd(8.557, None) == "8.56"
    assert labels.mean_and_sd(None, None) == labels.MISSING


@pytest.mark.parametrize("value", [None, math.nan, math.inf])
def test_a_missing_number_is_a_dash(value: float | None) -> None:
    assert labels.number(value) == labels.MISSING


def test_a_small_p_is_never_printed_as_zero() -> None:
    assert labels.p_value(1e-9).startswith("<")
    assert labels.p_value(0.0491) == "0.049"
    assert [labels.p_value(p) for p in (0.0496, 0.0504, 0.04997, 0.05)] == ["0.0496", "0.0504", "0.04997", "0.050"]
    assert [labels.p_value(p) for p in (0.0098, 0.0104, 0.01)] == ["0.0098", "0.0104", "0.010"]
    assert labels.p_value(0.5) == "0.50"


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("/data/ann/Smith_John/t1.nii.gz is odd", "t1.nii.gz is odd"),
        (r"C:\data\Smith\t1.nii: bad", "t1.nii: bad"),
        ("see '/mnt/x/y'", "see 'y'"),
        ("source/target in mm/s, 3 of 4", "source/target in mm/s, 3 of 4"),
    ],
)
def test_an_absolute_path_is_shortened_to_its_last_part(text: str, kept: str) -> None:
    assert labels.without_paths(text) == kept
