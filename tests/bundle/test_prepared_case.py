"""A prepared case is read back where its files and settings are the same, and made anew where one of them changed."""

from dataclasses import fields

import numpy as np
import pytest
from tiny import write_cohort

import voxlate.bundle.prepared_case as module
from voxlate.bundle.prepared_case import prepare_case, prepare_unpaired
from voxlate.io.nifti import read_volume
from voxlate.io.nifti.write import write_volume
from voxlate.preparation import PreparationSettings

SETTINGS = PreparationSettings()


@pytest.fixture
def case(tmp_path):
    return write_cohort(tmp_path / "data", ["train"])[0]


@pytest.fixture
def preparations(monkeypatch):
    """Counts how often a preparation is fitted."""
    counted = []
    original = module.fit_preparation
    monkeypatch.setattr(module, "fit_preparation", lambda *args, **more: counted.append(1) or original(*args, **more))
    return counted


def same(first, second):
    for field in fields(first):
        a, b = getattr(first, field.name), getattr(second, field.name)
        if field.name == "description":
            assert list(a) == list(b)
            assert all(np.array_equal(a[key], b[key], equal_nan=True) for key in a)
        elif field.name in ("quantiles", "more"):
            assert len(a) == len(b)
            assert all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))
        else:
            assert np.array_equal(a, b) if isinstance(a, np.ndarray) else a == b, field.name


def test_the_same_files_and_settings_are_prepared_once_and_read_back_bit_for_bit(case, tmp_path, preparations):
    first = prepare_case(case, tmp_path / "p", SETTINGS)
    second = prepare_case(case, tmp_path / "p", SETTINGS)
    assert len(preparations) == 1
    same(first, second)
    same(
        prepare_unpaired("a", case.source, tmp_path / "u", SETTINGS),
        prepare_unpaired("a", case.source, tmp_path / "u", SETTINGS),
    )
    assert len(preparations) == 2


@pytest.mark.parametrize("change", ["settings", "file", "array"])
def test_a_change_of_settings_file_or_array_is_noticed(case, tmp_path, preparations, change):
    prepare_case(case, tmp_path / "p", SETTINGS)
    settings = SETTINGS
    if change == "settings":
        settings = SETTINGS.model_copy(update={"margin_mm": 1.0})
    elif change == "file":
        volume = read_volume(case.source)
        write_volume(case.source, volume.with_data(volume.data * 2), dtype="float32")
    else:
        (mask,) = (tmp_path / "p" / case.case).glob("*/mask.npy")
        mask.write_bytes(b"damaged")
    prepare_case(case, tmp_path / "p", settings)
    assert len(preparations) == 2


def test_two_settings_of_one_case_lie_side_by_side(case, tmp_path, preparations):
    wide = SETTINGS.model_copy(update={"margin_mm": 3.0})
    for settings in (SETTINGS, wide, SETTINGS, wide):
        prepare_case(case, tmp_path / "p", settings)
    assert len(preparations) == 2
