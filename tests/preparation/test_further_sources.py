"""Further sources come onto the grid of the source, or are missing with a reason."""

import numpy as np
import pytest
from click.testing import CliRunner
from scipy import ndimage

from preparation.heads import moved, points_mm, rigid, simulated
from voxlate.cases import Case, read_cases, write_cases
from voxlate.cli.prepare import prepare
from voxlate.errors import InputRefused
from voxlate.io.nifti import read_mask, read_volume, write_volume
from voxlate.preparation.further_sources import MissingSource, RegisteredSource, register_further, require_all
from voxlate.preparation.register_pair import PairSettings, prepare_pair
from voxlate.preparation.registration.transform import Transform
from voxlate.preparation.run import PairFiles
from voxlate.preparation.steps.grid import coarser
from voxlate.preparation.steps.resample import resample
from voxlate.volume import Volume

TRUTH = rigid(5, degrees=6, shift_mm=7)


@pytest.fixture(scope="module")
def scans():
    """Returns a stripped T1w and target T1ce of a head, and its T2w after the patient moved, of 3 x 3 x 3 mm."""
    subject = simulated("virtual_contrast")
    inside = subject.truth.brain_mask.data > 0.5
    stripped = {
        contrast: subject.images[contrast].with_data(np.where(inside, subject.images[contrast].data, 0))
        for contrast in ("T1w", "T1ce", "T2w")
    }
    coarse = resample(stripped["T2w"], coarser(stripped["T2w"].grid, 3.0))
    return stripped | {"T2w": moved(coarse, TRUTH)}


def test_a_coarser_moved_t2_comes_back_within_half_a_voxel(scans):
    source = scans["T1w"]
    brain = source.data > 0
    found = register_further(source, brain, {"T2w": scans["T2w"]}, method="nonzero")["T2w"]
    assert isinstance(found, RegisteredSource)
    assert found.volume.grid.matches(source.grid)
    assert found.registration.transform.distance_mm(TRUTH, points_mm(source, brain)).max() < 1.5  # of 3 mm voxels
    still = resample(moved(scans["T2w"], TRUTH.inverse), source.grid)
    assert np.corrcoef(found.volume.data[brain], still.data[brain])[0, 1] > 0.98


def test_an_empty_further_source_is_missing_with_its_reason(scans):
    source, t2w = scans["T1w"], scans["T2w"]
    given = {"ADC": t2w.with_data(np.zeros_like(t2w.data))}
    found = register_further(source, source.data > 0, given, method="nonzero")
    assert isinstance(found["ADC"], MissingSource)
    assert found["ADC"].code == "EMPTY_MASK"
    with pytest.raises(InputRefused, match=r"SOURCE_MISSING ADC: EMPTY_MASK"):
        require_all(found)


@pytest.mark.slow
def test_a_mirrored_further_source_is_missing(scans):
    mirrored = Volume(scans["T2w"].data, np.diag([-1.0, 1, 1, 1]) @ scans["T2w"].affine)
    found = register_further(scans["T1w"], scans["T1w"].data > 0, {"T2w": mirrored}, method="nonzero")
    assert found["T2w"].code in ("MIRRORED", "MISREGISTERED")


def test_an_aligned_further_source_on_another_grid_is_missing(scans):
    found = register_further(
        scans["T1w"], scans["T1w"].data > 0, {"T2w": scans["T2w"]}, method="nonzero", is_aligned=True
    )
    assert found["T2w"].code == "GRID_MISMATCH"


def test_the_command_keeps_a_case_whose_adc_is_missing_and_writes_the_rest(scans, tmp_path):
    aligned = scans | {"T2w": resample(moved(scans["T2w"], TRUTH.inverse), scans["T1w"].grid)}
    cut = scans["T1ce"].data.copy()
    cut[:, :, 60:] = 0  # the target shows less of the brain than the source
    aligned |= {"T1ce": scans["T1ce"].with_data(cut)}
    for contrast, volume in aligned.items():
        write_volume(tmp_path / f"{contrast}.nii.gz", volume)
    more = {"T2w": tmp_path / "T2w.nii.gz", "ADC": tmp_path / "none.nii.gz"}
    row = Case("a", "a", "test", tmp_path / "T1w.nii.gz", tmp_path / "T1ce.nii.gz", more=more)
    write_cases(tmp_path / "cases.tsv", [row])
    arguments = [str(tmp_path / "cases.tsv"), str(tmp_path / "out"), "--brain-mask", "nonzero", "--no-template"]
    arguments += ["--aligned", "--no-progress"]
    result = CliRunner().invoke(prepare, arguments, standalone_mode=False)
    assert result.return_value == 0, result.output
    assert "doubtful a: ADC is missing: NO_INPUT" in result.output
    (case,) = read_cases(tmp_path / "out" / "cases.tsv")
    assert list(case.more) == ["T2w"]
    source = read_volume(case.source)
    assert read_volume(case.more["T2w"]).grid.matches(source.grid)
    masks = [read_mask(path, like=source) for path in (case.mask, case.target_mask)]
    assert np.array_equal(masks[1], cut > 0)
    assert masks[0].sum() > 1.05 * masks[1].sum()
    page = (tmp_path / "out" / "index.html").read_text()
    assert "ADC is missing" in page
    assert "T2w: edges 0." in page
    refused = CliRunner().invoke(
        prepare, [arguments[0], str(tmp_path / "strict"), *arguments[2:], "--refuse-missing"], standalone_mode=False
    )
    assert "REFUSED:SOURCE_MISSING a: ADC: NO_INPUT" in refused.output


@pytest.mark.parametrize("contrast", ["T2*w", "a/b", ""])
def test_a_contrast_that_cannot_name_a_file_is_refused(contrast, tmp_path):
    with pytest.raises(InputRefused, match="CONTRAST_NAME"):
        PairFiles("a", tmp_path, tmp_path, more={contrast: tmp_path})


def test_an_affine_registration_finds_a_stretch_that_a_rigid_one_cannot(scans):
    stretch = Transform(np.diag([1.05, 0.97, 1.0, 1.0]))
    source, target = scans["T1w"], stretch.carry(scans["T1ce"])
    settings = PairSettings(source_mask="nonzero", target_mask="nonzero", to_template=False)
    pair = prepare_pair(source, target, settings.model_copy(update={"degrees": 12, "is_denoised": True}))
    points = points_mm(source, pair.mask)
    rigid_best = np.abs(points - points.mean(axis=0)) @ [0.05, 0.03, 0.0]
    assert pair.transform.distance_mm(stretch, points).mean() < 0.25 * rigid_best.mean()
    plain = resample(target, source.grid, pair.transform)
    inside = ndimage.binary_erosion(pair.mask, iterations=4)
    assert laplacian(pair.target.data, inside) < 0.95 * laplacian(plain.data, inside)  # denoised


def laplacian(data, inside):
    return float(np.abs(ndimage.laplace(data)[inside]).mean())
