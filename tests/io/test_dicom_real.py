"""Series of four vendors as they come out of archives: read as another converter reads them, or refused by name."""

from __future__ import annotations

import numpy as np
import pytest
from phantoms import DATA

from voxlate.errors import InputRefused
from voxlate.io.dicom import dicom_files, find_series, read_series

DICOM = DATA / "dicom"
pytestmark = pytest.mark.skipif(not DICOM.is_dir(), reason="development data are not here")

# Shape of each volume, and how many there are, as dcm2niix 1.0.20260724 gives them; it also gave the same affines.
VOLUMES = {
    "agfa_pacs/Siemens": ((64, 64, 25), 4),
    "agfa_pacs/Agfa": ((64, 64, 25), 4),
    "enhanced_multivendor/In/Philips": ((64, 64, 32), 2),
    "enhanced_multivendor/In/Siemens/XA10": ((64, 64, 6), 4),
}


def only_series(folder):
    with dicom_files(DICOM / folder) as files:
        (series,) = find_series(files)
    return series


@pytest.mark.parametrize("folder", VOLUMES)
def test_a_series_of_several_volumes_is_told_apart(folder):
    shape, count = VOLUMES[folder]
    series = only_series(folder)
    with pytest.raises(InputRefused, match=f"SEVERAL_VOLUMES the series holds {count} volumes"):
        read_series(series)
    volumes = [read_series(series, volume=number + 1).volume for number in range(count)]
    assert all(volume.data.shape == shape for volume in volumes)
    assert all(volume.grid.matches(volumes[0].grid) for volume in volumes)
    assert not np.array_equal(volumes[0].data, volumes[1].data)


def test_one_archive_s_copy_has_the_voxels_of_the_scanner_s():
    original, copy = (read_series(only_series(f"agfa_pacs/{name}"), volume=1).volume for name in ("Siemens", "Agfa"))
    assert np.array_equal(original.data, copy.data)
    assert original.grid.matches(copy.grid)


@pytest.mark.parametrize(
    ("folder", "code"),
    [
        ("nih_ge_siemens/In/20180918GE/mr_0004", "POSITIONS_REPEAT"),
        ("nih_ge_siemens/In/20180918Si/mr_0003", "MOSAIC"),
    ],
)
def test_what_is_no_single_volume_is_refused(folder, code):
    with pytest.raises(InputRefused, match=code):
        read_series(only_series(folder))


def test_raw_data_are_no_image_and_a_perfusion_series_beside_them_is_told_apart():
    with dicom_files(DICOM / "philips_enhanced") as files:
        codes = []
        for series in find_series(files):
            with pytest.raises(InputRefused) as refused:
                read_series(series)
            codes.append(refused.value.code)
    assert codes == ["NOT_AN_IMAGE", "SEVERAL_VOLUMES"]
