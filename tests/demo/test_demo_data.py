"""What the demo shows first, and whether its test set can reach significance."""

import pytest

from voxlate.demo.__main__ import MODEL
from voxlate.demo.first import translate_first_head
from voxlate.demo.patients import LESIONS, SPLITS
from voxlate.io.nifti import read_volume
from voxlate.simulation.lesions.lesions import LESION_SETS


def test_the_smallest_p_of_the_demo_s_test_patients_is_below_five_per_cent_after_adjustment():
    smallest = 2 / 2 ** SPLITS.count("test")  # all differences of one sign, two-sided
    assert smallest * 44 < 0.05  # comparisons in the family of lesions, the largest of the evaluation


def test_the_lesions_of_the_demo_exist():
    assert set(LESIONS) <= set(LESION_SETS)


@pytest.mark.slow
def test_the_first_head_loses_most_of_its_enhancement(tmp_path):
    left = translate_first_head(tmp_path, MODEL)
    assert -20 < left < 40
    assert (tmp_path / "first.png").stat().st_size > 10_000
    source, synthetic = (read_volume(tmp_path / f"{name}.nii.gz") for name in ("t1ce", "synthetic"))
    assert synthetic.grid.matches(source.grid, tolerance_mm=1e-4)
