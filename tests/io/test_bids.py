"""BIDS names and tables; the validator of BIDS checks whole data sets in tests/inference and tests/simulation."""

import doctest
import json
from pathlib import Path

import pytest

from voxlate.errors import InputRefused
from voxlate.io import bids


def test_the_examples_in_the_docstrings_run():
    assert doctest.testmod(bids).attempted > 0
    assert doctest.testmod(bids).failed == 0


@pytest.mark.parametrize("contrast", bids.IMAGES)
def test_every_image_gets_a_name_that_is_valid_bids(contrast):
    path = bids.image_path("sub-01", "ses-01", contrast)
    bids.require_valid_scan(path)
    assert bids.is_contrast_enhanced(path) == (contrast == "T1ce")


def test_all_names_of_a_contrast_have_one_suffix():
    assert {bids.suffix_of(name) for name in ("T1", "T1w", "T1nce", "T1ce")} == {"T1w"}
    assert (bids.suffix_of("CT"), bids.suffix_of("PD"), bids.suffix_of("T2*w")) == ("ct", "PDw", "T2starw")
    assert bids.suffix_of("Elastogram") is None
    assert bids.suffix_of("DWI") is None


@pytest.mark.parametrize("name", ["T1w.nii.gz", "sub-1_T1w.nii.bz2", "sub-1_run-1_run-2_T1w.nii", "sub-1_ses-_T1w.nii"])
def test_a_name_that_is_not_bids_is_refused(name):
    with pytest.raises(InputRefused, match="BIDS"):
        bids.require_valid_scan(Path(name))


def test_times_are_seconds_and_missing_values_are_left_out():
    row = {"repetition_ms": 2000.0, "echo_ms": None, "flip_deg": 9.0, "model": ""}
    assert bids.acquisition_fields(row) == {"FlipAngle": 9.0, "RepetitionTime": 2.0}


def test_participants_without_a_value_get_n_a(tmp_path):
    columns = {"age": {"Units": "years"}}
    bids.write_participants(tmp_path, [{"participant_id": "sub-1", "age": None}], columns)
    assert (tmp_path / "participants.tsv").read_text() == "participant_id\tage\nsub-1\tn/a\n"
    assert json.loads((tmp_path / "participants.json").read_text()) == columns
