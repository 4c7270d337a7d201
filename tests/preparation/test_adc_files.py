"""`voxlate adc` computes the ADC map of files, and refuses b values that cannot be theirs."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from voxlate.cli.adc import adc
from voxlate.errors import InputRefused, UsageError
from voxlate.io.nifti import read_volume, read_volumes, write_volume, write_volumes
from voxlate.preparation import adc_files
from voxlate.preparation.adc_files import adc_of_files
from voxlate.volume import Volume

B = (0, 500, 1000)
TRUTH = np.linspace(0.4, 2.8, 6 * 5 * 4).reshape(6, 5, 4)
AFFINE = np.diag([2.0, 2, 4, 1])


@pytest.fixture
def images(tmp_path):
    """Returns one file per b value of a decay with the ADC of `TRUTH`."""
    paths = [tmp_path / f"b{b}.nii.gz" for b in B]
    for path, b in zip(paths, B, strict=True):
        write_volume(path, Volume(20000 * np.exp(-b * 1e-3 * TRUTH), AFFINE), dtype="float32")
    return paths


def run(arguments):
    return CliRunner().invoke(adc, [str(each) for each in arguments], standalone_mode=False, catch_exceptions=False)


@pytest.mark.parametrize("fit", ["weighted", "least_squares", "mean"])
def test_the_command_finds_the_adc_of_a_decay(images, tmp_path, fit):
    output = tmp_path / "adc.nii.gz"
    run([*images, output, "-b", "0,500,1000", "--fit", fit])
    assert read_volume(output).data == pytest.approx(TRUTH, rel=1e-5)
    sidecar = json.loads((tmp_path / "adc.json").read_text())
    assert (sidecar["Units"], sidecar["Voxlate"]["Fit"], sidecar["BValues"]) == ("0.001 mm2/s", fit, [0, 500, 1000])


def test_a_4d_file_is_read_with_its_b_values_and_equals_single_files(images, tmp_path):
    volumes = [read_volume(path) for path in images]
    write_volumes(tmp_path / "dwi.nii.gz", volumes)
    parts = read_volumes(tmp_path / "dwi.nii.gz")
    assert [np.abs(part.data - volume.data).max() <= 0.5 for part, volume in zip(parts, volumes, strict=True)] == [
        True
    ] * 3
    with pytest.raises(UsageError, match=r"B_VALUES dwi\.bval does not exist"):
        adc_of_files([tmp_path / "dwi.nii.gz"])
    (tmp_path / "dwi.bval").write_text("0 500 1000\n")
    assert adc_of_files([tmp_path / "dwi.nii.gz"]).data == pytest.approx(TRUTH, abs=2e-3)
    (tmp_path / "dwi.bval").write_text("0 500\n")
    with pytest.raises(InputRefused, match=r"B_VALUES .* 2 b values, its image 3 volumes"):
        adc_of_files([tmp_path / "dwi.nii.gz"])
    with pytest.raises(InputRefused, match="DIMENSIONS"):
        read_volume(tmp_path / "dwi.nii.gz")


def test_b_values_that_differ_a_little_within_a_level_are_one_level(tmp_path, monkeypatch):
    """Scanners state b by the direction of the gradient; between 995 and 1005 the anisotropy decides the signal."""
    b = (0, 5, 995, 1000, 1005)
    directions = (1.0, 1.0, 1.05, 1.0, 0.95)
    decays = [20000 * np.exp(-each * 1e-3 * TRUTH * factor) for each, factor in zip(b, directions, strict=True)]
    write_volumes(tmp_path / "dwi.nii.gz", [Volume(data, AFFINE) for data in decays])
    (tmp_path / "dwi.bval").write_text(" ".join(map(str, b)))
    assert np.median(adc_of_files([tmp_path / "dwi.nii.gz"]).data / TRUTH) == pytest.approx(1, abs=0.03)
    monkeypatch.setattr(adc_files, "fitted_adc", lambda *_, **__: pytest.fail("fitted before the check"))
    with pytest.raises(InputRefused, match=r"B_VALUES_ORDER .* at b = 2\.5 .* at b = 1000 s/mm²"):
        adc_of_files([tmp_path / "dwi.nii.gz"], [1000, 1005, 0, 5, 995])
    with pytest.raises(InputRefused, match=r"B_VALUES_ORDER .* at b = 0 .* at b = 40 s/mm²"):
        adc_of_files([tmp_path / "dwi.nii.gz"], [40, 40, 0, 0, 0])  # close, but the only two there are


def test_exchanged_b_values_another_grid_and_no_numbers_are_refused(images, tmp_path):
    with pytest.raises(InputRefused, match=r"B_VALUES_ORDER .* exchanged"):
        adc_of_files(images, [1000, 500, 0])
    with pytest.raises(UsageError, match="B_VALUES"):
        adc_of_files(images, [0, 1000])
    with pytest.raises(UsageError, match=r"B_VALUES 'none' is not a list"):
        run([*images, tmp_path / "x.nii.gz", "-b", "none"])
    write_volume(tmp_path / "other.nii.gz", Volume(TRUTH[:-1] * 100, AFFINE), dtype="float32")
    with pytest.raises(InputRefused, match="GRID_MISMATCH"):
        adc_of_files([images[0], tmp_path / "other.nii.gz"], [0, 500])
