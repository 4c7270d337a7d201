"""One image in two splits is found under whatever name, scale and orientation."""

from dataclasses import replace

import numpy as np
import pytest

from voxlate.cases import read_cases, write_cases
from voxlate.errors import InputRefused
from voxlate.io.nifti import read_volume, write_volume
from voxlate.training.data.duplicates import require_separate_splits
from voxlate.training.loop import train
from voxlate.volume import Volume


@pytest.fixture
def copied(cohort):
    """Returns the table in which a training source stands in the test split too: scaled and turned round."""
    cases = read_cases(cohort / "cases.tsv")
    scan = read_volume(cases[0].source)
    flipped = scan.affine @ np.diag([-1.0, 1.0, 1.0, 1.0])
    flipped[:3, 3] = scan.affine[:3, 3] + (scan.data.shape[0] - 1) * scan.affine[:3, 0]
    again = Volume(3 * scan.data[::-1].copy() + 7, flipped, scan.shows)
    write_volume(cohort / "again.nii.gz", again, dtype="float32")
    return [*cases[:-1], replace(cases[-1], source=cohort / "again.nii.gz")]


def test_a_copy_in_another_split_is_refused_with_both_names(copied):
    with pytest.raises(InputRefused, match=r"IMAGE_IN_TWO_SPLITS the source of case3 \(test\) is .* case0 \(train\)"):
        require_separate_splits(copied)


def test_a_copy_in_the_same_split_and_another_image_of_the_same_grid_are_not(copied):
    require_separate_splits([replace(case, split="train") for case in copied])
    require_separate_splits(copied[:-1])


def test_training_looks_through_the_cases_first(recipe, cohort, copied, tmp_path):
    write_cases(cohort / "cases.tsv", copied)
    with pytest.raises(InputRefused, match="IMAGE_IN_TWO_SPLITS"):
        train(recipe, tmp_path / "run", root=cohort)
    assert not (tmp_path / "run").exists()
