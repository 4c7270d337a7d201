import numpy as np
import pytest
from phantoms import DATA, ball, head

from voxlate.errors import InputRefused
from voxlate.io.nifti import read_volume
from voxlate.preparation.align_scan import require_scan
from voxlate.preparation.masks.labels import looks_like_labels
from voxlate.volume import Volume


def labels() -> Volume:
    data = ball((30, 31, 32), 13) * 1.0 + ball((30, 31, 32), 9) + 2.0 * ball((30, 31, 32), 5)
    return Volume(data, np.eye(4))


def test_regions_of_whole_numbers_are_labels_and_texture_or_fractions_are_not():
    assert looks_like_labels(labels())
    assert not looks_like_labels(labels().with_data(labels().data * 0.7))
    assert not looks_like_labels(head(0))
    assert not looks_like_labels(head(0).with_data(np.round(head(0).data / 100)))  # a scan of few grey values


def test_a_mask_is_labels_and_another_constant_is_left_to_its_own_code():
    mask = ball((20, 20, 20), 8)
    assert looks_like_labels(Volume(mask, np.eye(4)))
    assert looks_like_labels(Volume(255.0 * mask, np.eye(4)))
    assert not looks_like_labels(Volume(7.0 * mask, np.eye(4)))


def test_a_scan_enlarged_along_one_axis_is_no_label_map():
    thick = np.repeat(np.round(head(1).data), 8, axis=2)
    assert not looks_like_labels(Volume(thick, np.eye(4)))


def test_labels_and_single_slices_are_refused_in_place_of_a_scan():
    require_scan("target", head(0))
    with pytest.raises(InputRefused, match="LABEL_MAP the target is a map of labels"):
        require_scan("target", labels())
    with pytest.raises(InputRefused, match=r"TOO_FEW_SLICES the target has one slice \(21 x 26 x 1\)"):
        require_scan("target", Volume(head(0).data[:, :, 11:12], np.eye(4)))


@pytest.mark.skipif(not DATA.exists(), reason="the development data are not here")
def test_a_real_segmentation_is_labels_and_its_scan_is_not():
    folder = DATA / "pairs" / "BraTS2021_01657"
    assert looks_like_labels(read_volume(folder / "seg.nii.gz"))
    assert not looks_like_labels(read_volume(folder / "t2.nii.gz"))
