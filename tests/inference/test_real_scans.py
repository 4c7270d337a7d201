"""Real scans, if the development data are available."""

import nibabel as nib
import numpy as np
import pytest
from phantoms import DATA

from voxlate.inference.files import translate_file
from voxlate.inference.item import Item
from voxlate.inference.translate import Options
from voxlate.io.nifti import read_volume
from voxlate.preparation import PreparationSettings, fit_preparation

PAIRS = DATA / "pairs"
pytestmark = pytest.mark.skipif(not PAIRS.exists(), reason="the development data are not here")


def test_a_translated_scan_lies_voxel_for_voxel_on_its_source(bundle, tmp_path):
    source = PAIRS / "MS_ljubljana_07" / "t1ce.nii.gz"
    translate_file(bundle, source, tmp_path / "out.nii.gz")
    before, after = nib.load(source), nib.load(tmp_path / "out.nii.gz")
    assert after.shape == before.shape
    assert np.allclose(after.affine, before.affine, atol=1e-4)
    inside = before.get_fdata() > 0
    assert np.allclose(after.get_fdata()[inside], 2.5 * before.get_fdata()[inside], rtol=1e-3, atol=0.1)


def test_contrast_agent_hardly_moves_the_level_between_two_scans_of_one_sequence():
    levels = []
    for name in ("t1ce", "t1"):
        scan = read_volume(PAIRS / "MS_ljubljana_07" / f"{name}.nii.gz")
        levels.append(fit_preparation(scan, None, PreparationSettings()).level)
    assert levels[0] == pytest.approx(levels[1], rel=0.05)


def test_thick_slices_of_a_real_scan_come_back_at_their_own_places(bundle, tmp_path):
    folder = DATA / "native" / "TCGA-FG-6692_native"
    item = Item("scan", folder / "t1ce.nii.gz", folder / "brainmask_t1ce.nii.gz")
    made = translate_file(bundle, item, tmp_path / "out.nii.gz", options=Options(gate="off"))
    assert made.voxels_mm == pytest.approx((0.898, 0.898, 1.1), abs=1e-3)  # the slices are 5.5 mm apart
    source, inside = read_volume(item.source), read_volume(item.mask).data > 0.5
    assert made.volume.grid.matches(source.grid)
    assert np.allclose(made.volume.data[inside], 2.5 * source.data[inside], rtol=1e-3)  # by this network
    assert not made.volume.data[~inside].any()
