"""DICOM series: the voxels come back where they were, and headers lie as often as they should."""

import json
import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest

from voxlate.simulation.files.header_variants import TAG_SHARES, HeaderVariant, draw_header_variant, timing_tags
from voxlate.simulation.physics.artefacts import thick_slices
from voxlate.simulation.physics.scan import slices_of
from voxlate.simulation.physics.scanners import SCANNERS, scanner_named
from voxlate.volume import Volume

pydicom = pytest.importorskip("pydicom")


@pytest.fixture(scope="module")
def folder(tmp_path_factory, spine):
    from voxlate.simulation.files.dicom import write_dicom

    root = tmp_path_factory.mktemp("dicom")
    write_dicom(root, spine, 0)
    return root


def series(folder, number):
    files = sorted((folder / f"sourcedata/dicom/sub-0001/ses-01/series-{number:03d}").iterdir())
    return [pydicom.dcmread(file) for file in files]


def test_voxels_come_back_at_their_place_in_the_patient(folder, spine):
    ct = spine.images["CT"]
    for dataset in series(folder, 1)[::9]:
        values = dataset.pixel_array * float(dataset.RescaleSlope) + float(dataset.RescaleIntercept)
        columns, rows = np.array(dataset.ImageOrientationPatient).reshape(2, 3)
        for row, column in ((3, 5), (40, 70)):
            offset = columns * column * dataset.PixelSpacing[1] + rows * row * dataset.PixelSpacing[0]
            place = (np.array(dataset.ImagePositionPatient) + offset) * [-1, -1, 1]
            i, j, k = np.rint(np.linalg.inv(ct.affine) @ [*place, 1])[:3].astype(int)
            assert values[row, column] == ct.data[i, j, k]


def test_a_series_shares_its_uid_and_each_slice_has_its_own(folder):
    slices = series(folder, 1)
    assert len({dataset.SeriesInstanceUID for dataset in slices}) == 1
    assert len({dataset.SOPInstanceUID for dataset in slices}) == len(slices) == 48
    assert all(dataset.PatientName == "SIMULATED^sub-0001" for dataset in slices)


def test_the_same_subject_gives_the_same_files(folder, spine, tmp_path):
    from voxlate.simulation.files.dicom import write_dicom

    for path in write_dicom(tmp_path, spine, 0)[:50]:
        assert (tmp_path / path).read_bytes() == (folder / path).read_bytes()


def test_what_each_series_truly_shows_is_kept(folder):
    truth = json.loads((folder / "derivatives/truth/sub-0001/ses-01/anat/sub-0001_ses-01_dicom.json").read_text())
    assert [row["shows"] for row in truth] == ["CT", "T2w"]


def test_headers_tell_the_truth_hide_it_or_contradict_it_as_often_as_asked():
    headers = [
        draw_header_variant("T1ce", SCANNERS["A"], "gadobutrol", np.random.default_rng(seed)) for seed in range(800)
    ]
    shares = [np.mean([header.tags == tags for header in headers]) for tags in ("true", "absent", "contradictory")]
    assert shares == pytest.approx(TAG_SHARES, abs=0.05)
    assert all(header.agent == "GADOVIST" for header in headers if header.tags == "true")
    assert all(header.agent is None for header in headers if header.tags == "absent")
    before = [
        draw_header_variant("T1w", SCANNERS["A"], "gadobutrol", np.random.default_rng(seed)) for seed in range(200)
    ]
    assert any(header.agent == "GADOVIST" and header.tags == "contradictory" for header in before)
    assert any(
        header.is_enhanced
        for header in (draw_header_variant("T1w", SCANNERS["C"], "generic", np.random.default_rng(s)) for s in range(9))
    )


def test_vendors_differ_in_what_they_call_the_repetition_time():
    assert timing_tags("T1w", scanner_named("A"))["RepetitionTime"] == 2300
    assert timing_tags("T1w", scanner_named("B"))["RepetitionTime"] == 7.0


def test_an_enhanced_file_holds_all_slices_with_their_places(spine, tmp_path):
    from dataclasses import replace

    from voxlate.simulation.files.dicom import _instances
    from voxlate.simulation.files.dicom_series import SimulatedSeries

    header = HeaderVariant("T2", None, "absent", is_enhanced=True, slope=2.0, intercept=0.0)
    one = SimulatedSeries("sub-0001", 0, 1, "T2w", spine.images["T2w"], header, scanner_named("C"), "LSPINE")
    ((name, dataset),) = _instances(replace(one))
    dataset.save_as(tmp_path / name, enforce_file_format=True)
    read = pydicom.dcmread(tmp_path / name)
    assert read.pixel_array.shape == (48, 80, 80)
    places = [frame.PlanePositionSequence[0].ImagePositionPatient[2] for frame in read.PerFrameFunctionalGroupsSequence]
    assert np.diff(places) == pytest.approx(2.0)


@pytest.mark.parametrize("is_enhanced", [False, True])
def test_thick_slices_state_their_thickness_and_their_distance(is_enhanced, spine):
    from voxlate.simulation.files.dicom import _instances
    from voxlate.simulation.files.dicom_series import SimulatedSeries

    header = HeaderVariant("T1", None, "absent", is_enhanced=is_enhanced, slope=1.0, intercept=0.0)
    volume, scanner = thick_slices(spine.images["T2w"], 5.0, 1.0), scanner_named("F")
    slice_mm, _ = slices_of(scanner, "T1w")
    made = [
        each for _, each in _instances(SimulatedSeries("s", 0, 1, "T1w", volume, header, scanner, "HEAD", slice_mm))
    ]
    measures = made[0].SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0] if is_enhanced else made[0]
    assert (measures.SliceThickness, measures.SpacingBetweenSlices) == (5, 6)
    assert made[0].MRAcquisitionType == "2D"


def test_subjects_of_two_data_sets_are_not_of_one_study(glioma, tmp_path):
    def study(seed):
        root, factors = tmp_path / str(seed), {**glioma.truth.factors, "seed": seed}
        thin = {name: Volume(image.data[:, :, :2], image.affine, name) for name, image in glioma.images.items()}
        write_dicom(root, replace(glioma, images=thin, truth=replace(glioma.truth, factors=factors)), 0)
        return {pydicom.dcmread(path).StudyInstanceUID for path in root.rglob("*.dcm")}

    from voxlate.simulation.files.dicom import write_dicom

    first, second = study(1), study(2)
    assert len(first) == len(second) == 1
    assert first != second


def test_without_a_dose_no_true_header_states_an_agent(glioma, tmp_path):
    from voxlate.simulation.files.dicom import write_dicom

    image = glioma.images["T1ce"]
    for seed in range(12):
        factors = {**glioma.truth.factors, "seed": seed, "dose_mmol_kg": 0.0}
        thin = {"T1ce": Volume(image.data[:, :, :1], image.affine, "T1ce")}
        write_dicom(tmp_path, replace(glioma, images=thin, truth=replace(glioma.truth, factors=factors)), 0)
        (row,) = json.loads(next(tmp_path.rglob("*_dicom.json")).read_text())
        assert row["tags"] != "true" or row["agent"] not in ("GADOVIST", "Gd")


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="needs dicom3tools")
@pytest.mark.parametrize("is_enhanced", [False, True])
@pytest.mark.parametrize("shows", ["T1w", "ADC"])
def test_a_validator_finds_no_error_in_classic_and_enhanced_files(is_enhanced, shows, spine, tmp_path):
    from voxlate.simulation.files.dicom import _instances
    from voxlate.simulation.files.dicom_series import SimulatedSeries

    header = replace(
        draw_header_variant(shows, SCANNERS["A"], "gadobutrol", np.random.default_rng(1)), is_enhanced=is_enhanced
    )
    series = SimulatedSeries("sub-0001", 0, 1, shows, spine.images["T2w"], header, SCANNERS["A"], "HEAD")
    name, dataset = next(_instances(series))
    dataset.save_as(tmp_path / name, enforce_file_format=True)
    done = subprocess.run(["dciodvfy", tmp_path / name], capture_output=True, text=True, check=False)
    assert "Error" not in done.stdout + done.stderr
    assert (int(dataset.get("NumberOfFrames", 1)) > 1) is is_enhanced
