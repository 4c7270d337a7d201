"""A message about a scan names the role of a file, and keeps its own words."""

from pathlib import Path

import pytest

from voxlate.inference.item import Item


@pytest.mark.parametrize(
    ("name", "message", "expected"),
    [
        ("1", "volume: 1 of 120 slices are missing, 0.1 mm", "volume: 1 of 120 slices are missing, 0.1 mm"),
        ("1", "the series holds 2 volumes (1: all; 2: echo)", "the series holds 2 volumes (1: all; 2: echo)"),
        ("1", "1: no DICOM file found", "the source: no DICOM file found"),
        ("2019", "2019 of 2020 slices", "2019 of 2020 slices"),
        ("x", "exp/x: matrix 3x4", "exp/the source: matrix 3x4"),
        ("x", "export it again", "export it again"),
        ("mask", "masked voxels, mask_of, a mask", "masked voxels, mask_of, a the source"),
        ("anna.nii.gz", "anna.nii.gz is damaged", "the source is damaged"),
        ("anna.nii.gz", "anna.json, the sidecar of the scan", "the JSON beside the source, the sidecar of the scan"),
        ("anna.nii.gz", "xanna.nii.gz is damaged; see anna.nii.gz.", "xanna.nii.gz is damaged; see the source."),
    ],
)
def test_only_a_whole_name_is_replaced_by_the_role_of_its_file(name, message, expected):
    assert Item("case", Path("in") / name).without_names(message) == expected


def test_each_file_has_its_own_role_also_when_its_name_is_that_of_a_role():
    item = Item("case", Path("anna.nii"), Path("source.nii"), {"T2": Path("anna_t2.nii")})
    assert item.without_names("anna.nii, source.nii and anna_t2.nii") == "the source, the mask and T2"
