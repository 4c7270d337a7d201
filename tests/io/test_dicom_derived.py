"""A synthetic series: what it says of itself, where it lies, and what it never copies."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest
from dicom_series import enhanced, voxels, write_series
from pydicom import dcmread
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pydicom.uid import UID

from voxlate.errors import InputRefused, UsageError
from voxlate.io.dicom import dicom_files, find_series, read_series
from voxlate.io.dicom.derived import Derivation, derived_series, whole_numbers
from voxlate.io.scans import read_scan
from voxlate.volume import Volume

REMOVED = Derivation("T1ce", "T1nce", "small", "a" * 64, "b" * 64, "0.1.0", keeps_acquisition=True)
OTHER = replace(REMOVED, source="CT", target="T2", keeps_acquisition=False)


def derived(path, derivation=REMOVED, data=None, **options):
    scan = read_scan(path)
    volume = scan.volume if data is None else scan.volume.with_data(data)
    return derived_series(volume, scan.dicom, derivation, taken_numbers=scan.numbers, **options)


def save(datasets, folder):
    folder.mkdir()
    for k, dataset in enumerate(datasets):
        dataset.save_as(folder / f"{k}.dcm", enforce_file_format=True)


def messy(dataset, k):
    """A slice with much that must not be copied."""
    dataset.ContrastBolusAgent, dataset.InstitutionName = "GADOVIST", "CANARY clinic"
    dataset.RescaleSlope, dataset.RescaleIntercept = 2, 0
    dataset.PixelPaddingValue, dataset.LargestImagePixelValue = 0, 4000
    dataset.RequestAttributesSequence = [Dataset()]
    dataset.PatientComments, dataset.ProtocolName, dataset.OperatorsName = "CANARY", "CANARY", "CANARY^OPERATOR"
    dataset.add_new(0x00290010, "LO", "CANARY VENDOR")
    dataset.add_new(0x00291001, "LO", "CANARY private")


def test_voxels_and_places_come_back_as_they_were(tmp_path):
    write_series(tmp_path / "in")
    data = np.round(voxels() * 0.7)
    made = derived(tmp_path / "in", data=data)
    for dataset in made:
        dataset.ImageType, dataset.SyntheticData = ["DERIVED", "SECONDARY"], "NO"  # or it would not be read again
    save(made, tmp_path / "out")
    scan, source = read_scan(tmp_path / "out"), read_scan(tmp_path / "in")
    assert np.array_equal(scan.volume.data, data)
    assert scan.volume.grid.matches(source.volume.grid)
    assert scan.volume.grid.affine == pytest.approx(source.volume.grid.affine, abs=1e-6)


def test_an_oblique_enhanced_scan_becomes_classic_slices_at_its_places(tmp_path):
    turn = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))[0]
    turn *= np.sign(np.linalg.det(turn))
    dataset = enhanced(voxels())
    shared = dataset.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence[0]
    shared.ImageOrientationPatient = [*turn[:, 0], *turn[:, 1]]
    for k, frame in enumerate(dataset.PerFrameFunctionalGroupsSequence):
        frame.PlanePositionSequence[0].ImagePositionPatient = list(turn[:, 2] * 2 * k)
    (tmp_path / "in").mkdir()
    dataset.save_as(tmp_path / "in" / "one.dcm", enforce_file_format=True)
    made = derived(tmp_path / "in")
    assert [each.SourceImageSequence[0].ReferencedFrameNumber for each in made] == list(range(1, 9))
    for k, each in enumerate(made):
        assert np.array(each.ImagePositionPatient, float) == pytest.approx(turn[:, 2] * 2 * k, abs=1e-4)
    assert np.array(made[0].ImageOrientationPatient, float) == pytest.approx(turn[:, :2].T.ravel(), abs=1e-6)


def test_every_slice_says_that_it_is_synthetic_and_not_for_diagnosis(tmp_path):
    write_series(tmp_path)
    for dataset in derived(tmp_path):
        assert list(dataset.ImageType) == ["DERIVED", "SECONDARY", "OTHER", "SYNTHETIC"]
        assert dataset.SyntheticData == "YES"
        assert dataset.ContentQualification == "RESEARCH"
        assert "SYNTH" in dataset.SeriesDescription
        assert "NOT FOR DIAGNOSIS" in dataset.SeriesDescription
        assert len(dataset.SeriesDescription) <= 64
        assert dataset.ContributingEquipmentSequence[1].PurposeOfReferenceCodeSequence[0].CodeValue == "109100"
        assert dataset.Manufacturer == "voxlate"


def test_it_stays_in_the_study_and_names_the_slice_that_it_was_made_from(tmp_path):
    write_series(tmp_path / "in")
    source = dcmread(tmp_path / "in" / "IM0000.dcm")
    made = derived(tmp_path / "in")
    assert {dataset.StudyInstanceUID for dataset in made} == {source.StudyInstanceUID}
    assert {dataset.FrameOfReferenceUID for dataset in made} == {source.FrameOfReferenceUID}
    assert len({dataset.SOPInstanceUID for dataset in made}) == len(made)
    assert source.SeriesInstanceUID not in {dataset.SeriesInstanceUID for dataset in made}
    named = [dataset.SourceImageSequence[0].ReferencedSOPInstanceUID for dataset in made]
    assert named == [f"1.2.3.4.{k + 1}" for k in range(8)]
    assert made[0].SeriesNumber == 9003


def test_a_number_of_the_study_is_not_taken_twice(tmp_path):
    write_series(tmp_path / "a")
    scan = read_scan(tmp_path / "a")
    made = derived_series(scan.volume, scan.dicom, REMOVED, taken_numbers=[3, 9003, 9004])
    assert made[0].SeriesNumber == 9005


def test_an_additional_source_is_named_too(tmp_path):
    write_series(tmp_path / "a")
    write_series(tmp_path / "b", lambda dataset, k: setattr(dataset, "SeriesInstanceUID", "1.2.3.77"))
    other = read_scan(tmp_path / "b").dicom
    made = derived(tmp_path / "a", others={"T2": other})
    assert len(made[2].SourceImageSequence) == 2
    assert made[2].ReferencedSeriesSequence[1].SeriesInstanceUID == "1.2.3.77"


def test_nothing_that_is_not_on_the_list_is_copied(tmp_path):
    write_series(tmp_path, messy)
    for dataset in derived(tmp_path):
        assert "CANARY" not in str(dataset)
        for keyword in ("ContrastBolusAgent", "RescaleSlope", "PixelPaddingValue", "LargestImagePixelValue"):
            assert keyword not in dataset
        assert not [element for element in dataset if element.tag.is_private]


def test_no_contrast_agent_is_written_for_virtual_contrast(tmp_path):
    write_series(tmp_path, messy)
    made = derived(tmp_path, replace(REMOVED, source="T1", target="T1ce"))
    assert not [element.keyword for element in made[0] if "Contrast" in element.keyword]


def test_a_time_that_was_never_used_is_not_invented(tmp_path):
    write_series(tmp_path)
    made = derived(tmp_path, OTHER)[0]
    assert made.ScanningSequence == "RM"
    assert made.RepetitionTime is None
    assert made.EchoTime is None
    assert derived(tmp_path)[0].EchoTime == 3


def test_the_same_input_gives_the_same_bytes_and_a_secret_other_identifiers(tmp_path, monkeypatch):
    write_series(tmp_path / "in")
    for name in ("a", "b"):
        save(derived(tmp_path / "in"), tmp_path / name)
    for k in range(8):
        assert (tmp_path / "a" / f"{k}.dcm").read_bytes() == (tmp_path / "b" / f"{k}.dcm").read_bytes()
    monkeypatch.setenv("VOXLATE_UID_SALT", "a secret")
    salted = derived(tmp_path / "in")
    assert salted[0].SOPInstanceUID != dcmread(tmp_path / "a" / "0.dcm").SOPInstanceUID
    assert (
        derived(tmp_path / "in", replace(REMOVED, model_sha256="c" * 64))[0].SOPInstanceUID != salted[0].SOPInstanceUID
    )


def test_other_voxels_are_another_image(tmp_path):
    write_series(tmp_path)
    data = voxels().astype(float)
    first = derived(tmp_path, data=data)
    data[3, 4, 5] += 1
    second = derived(tmp_path, data=data)
    assert not {each.SOPInstanceUID for each in first} & {each.SOPInstanceUID for each in second}
    assert first[0].SeriesInstanceUID != second[0].SeriesInstanceUID


def test_an_additional_source_that_lies_elsewhere_is_refused(tmp_path):
    write_series(tmp_path / "a")
    write_series(tmp_path / "b", lambda dataset, k: setattr(dataset, "ImagePositionPatient", [0, 0, 2 * k]))
    with pytest.raises(InputRefused, match="GRID_MISMATCH an additional source"):
        derived(tmp_path / "a", others={"T2": read_scan(tmp_path / "b").dicom})


def test_a_synthetic_series_is_not_translated_again(tmp_path):
    write_series(tmp_path / "in")
    save(derived(tmp_path / "in"), tmp_path / "out")
    with pytest.raises(InputRefused, match="ALREADY_SYNTHETIC"):
        read_scan(tmp_path / "out")


def test_a_warning_about_the_scan_stands_in_the_description_of_every_slice(tmp_path):
    write_series(tmp_path)
    warned = replace(REMOVED, warning="its source is unlike the scans of the training")
    for dataset in derived(tmp_path, warned):
        assert "not for diagnosis; its source is unlike the scans of the training" in dataset.DerivationDescription
    assert "unlike" not in derived(tmp_path)[0].DerivationDescription


def test_values_that_would_lose_their_detail_are_scaled_and_that_is_told(tmp_path):
    write_series(tmp_path)
    data = voxels() / 4000.0  # from 0 to 1
    made = derived(tmp_path, data=data)
    scale = float(made[0].DerivationDescription.rpartition("divided by ")[2])
    assert made[3].pixel_array.T * scale == pytest.approx(data[:, :, 3], abs=scale)
    assert scale < 1e-3
    assert float(made[0].RescaleSlope) == pytest.approx(scale, rel=1e-5)
    low, high = np.percentile(data[data > 0], [1, 99])  # the window is one of values, not of stored numbers
    assert (made[0].WindowCenter, made[0].WindowWidth) == pytest.approx(((low + high) / 2, high - low), abs=2 * scale)
    large = whole_numbers(Volume(voxels() * 1e4, np.eye(4)))
    assert large.stored.max() <= 65535
    assert large.stored * large.scale == pytest.approx(voxels() * 1e4, abs=large.scale)


@pytest.mark.parametrize("factor", [1 / 4000, 1.0, 1e4])
def test_readers_get_the_values_of_a_dim_or_bright_volume_whatever_is_stored(tmp_path, factor):
    write_series(tmp_path / "in")
    data = np.round(voxels() * 0.7) * factor
    made = derived(tmp_path / "in", data=data)
    for dataset in made:
        dataset.ImageType, dataset.SyntheticData = ["DERIVED", "SECONDARY"], "NO"  # or it would not be read again
    save(made, tmp_path / "out")
    assert read_scan(tmp_path / "out").volume.data == pytest.approx(data, abs=data.max() / 4095 / 2 * 1.001)
    assert ("RescaleSlope" in made[0]) == (factor != 1)


def test_the_number_of_a_patient_keeps_its_issuer(tmp_path):
    write_series(tmp_path, lambda dataset, k: setattr(dataset, "IssuerOfPatientID", "HOSPITAL A"))
    assert derived(tmp_path)[0].IssuerOfPatientID == "HOSPITAL A"


def test_no_position_of_the_patient_is_invented(tmp_path):
    write_series(tmp_path / "with", lambda dataset, k: setattr(dataset, "PatientPosition", "FFS"))
    write_series(tmp_path / "without", lambda dataset, k: delattr(dataset, "PatientPosition"))
    assert derived(tmp_path / "with")[0].PatientPosition == "FFS"
    made = derived(tmp_path / "without")[0]
    assert "PatientPosition" in made
    assert not made.PatientPosition


@pytest.mark.parametrize("stated", ["YES", "NO", ""])
def test_burned_in_text_of_the_source_is_stated_unless_only_the_brain_is_left(tmp_path, stated):
    write_series(tmp_path, lambda dataset, k: setattr(dataset, "BurnedInAnnotation", stated))
    whole = derived(tmp_path, replace(REMOVED, is_brain_only=False))[0]
    assert whole.BurnedInAnnotation == ("YES" if stated == "YES" else "NO")
    assert derived(tmp_path)[0].BurnedInAnnotation == "NO"


def test_what_is_below_zero_is_zero_and_what_is_not_finite_is_refused(tmp_path):
    write_series(tmp_path)
    data = voxels().astype(float)
    data[0, 0, 0] = -5
    assert derived(tmp_path, data=data)[0].pixel_array[0, 0] == 0
    data[0, 0, 0] = np.nan
    with pytest.raises(InputRefused, match="NON_FINITE"):
        derived(tmp_path, data=data)


def test_the_window_spans_the_brain(tmp_path):
    write_series(tmp_path)
    made = derived(tmp_path)[0]
    low, high = np.percentile(voxels()[voxels() > 0], [1, 99])
    assert made.WindowCenter == pytest.approx((low + high) / 2, abs=0.1)
    assert made.WindowWidth == pytest.approx(high - low, abs=0.1)


@pytest.mark.parametrize(("charset", "name"), [("ISO_IR 100", "Müller^Élodie"), ("ISO_IR 192", "山田^太郎")])
def test_names_keep_their_letters_whatever_the_source_s_character_set(tmp_path, charset, name):
    def named(dataset, k):
        dataset.SpecificCharacterSet, dataset.PatientName = charset, name

    write_series(tmp_path / "in", named)
    save(derived(tmp_path / "in"), tmp_path / "out")
    again = dcmread(tmp_path / "out" / "0.dcm")
    assert again.SpecificCharacterSet == "ISO_IR 192"
    assert str(again.PatientName) == name


def test_a_name_in_another_character_set_than_it_says_is_told(tmp_path, caplog):
    def named(dataset, k):
        dataset.SpecificCharacterSet, dataset.PatientName = "ISO_IR 100", "Müller^Élodie"

    for path in write_series(tmp_path, named):
        content = path.read_bytes()
        path.write_bytes(content.replace(b"ISO_IR 100", b"ISO_IR 192"))
    derived(tmp_path)
    assert "CHARACTER_SET" in caplog.text
    assert "ller" not in caplog.text


def problems(tool: str, *paths) -> list[str]:
    told = subprocess.run([tool, *map(str, paths)], capture_output=True, text=True, check=False)
    return [line for line in (told.stderr + told.stdout).splitlines() if line.startswith("Error")]


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dicom3tools is not installed")
@pytest.mark.parametrize("derivation", [REMOVED, OTHER])
def test_two_validators_find_no_error_in_the_series_or_the_study(tmp_path, derivation):
    """`dciodvfy` of this age knows no SyntheticData: its one complaint is that the tag is unknown."""
    write_series(tmp_path / "in", messy)
    save(derived(tmp_path / "in", derivation), tmp_path / "with")
    save(derived(tmp_path / "in", replace(derivation, has_synthetic_tag=False)), tmp_path / "without")
    assert problems("dciodvfy", tmp_path / "without" / "3.dcm") == []
    assert all("0x0008,0x001c" in line for line in problems("dciodvfy", tmp_path / "with" / "3.dcm"))
    study = [*sorted((tmp_path / "in").iterdir()), *sorted((tmp_path / "without").iterdir())]
    assert problems("dcentvfy", *study) == []
    save(derived(tmp_path / "in", derivation, data=voxels() / 4000.0), tmp_path / "dim")
    assert all("0x0008,0x001c" in line for line in problems("dciodvfy", tmp_path / "dim" / "3.dcm"))
    broken = dcmread(tmp_path / "without" / "3.dcm")
    del broken.ImageType
    broken.save_as(tmp_path / "broken.dcm")
    assert problems("dciodvfy", tmp_path / "broken.dcm") != []


def test_a_volume_is_chosen_out_of_a_series_of_several(tmp_path):
    (tmp_path / "in").mkdir()
    enhanced(voxels(), times=2).save_as(tmp_path / "in" / "one.dcm", enforce_file_format=True)
    for text in (":2", "3:2"):
        assert read_scan(tmp_path / "in", series=text).dicom.label == "TemporalPositionIndex=2"
    with pytest.raises(InputRefused, match=r"SEVERAL_VOLUMES .* for example --series 3:2"):
        read_scan(tmp_path / "in", series="3:3")
    with pytest.raises(UsageError, match="SERIES 'two' is not the number"):
        read_scan(tmp_path / "in", series="3:two")


def test_a_series_of_a_scan_that_is_no_dicom_is_a_mistake(tmp_path):
    with pytest.raises(UsageError, match="SERIES"):
        read_scan(tmp_path / "a.nii.gz", series="4")


def test_a_series_chosen_out_of_a_study_is_that_one(tmp_path):
    write_series(tmp_path / "a")

    def other(dataset, k):
        dataset.SeriesInstanceUID, dataset.SOPInstanceUID, dataset.SeriesNumber = "1.2.3.7", f"1.2.3.7.{k + 1}", 4
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID

    write_series(tmp_path / "b", other, data=voxels()[::-1])
    with pytest.raises(
        InputRefused,
        match=r"SEVERAL_SERIES .* holds 2 series: 3 \(8 files\), 4 \(8 files\); choose.*"
        rf"\(voxlate classify {re.escape(tmp_path.name)} series\.tsv lists",
    ):
        read_scan(tmp_path)
    assert np.array_equal(read_scan(tmp_path, series="4").volume.data, voxels()[::-1])
    assert np.array_equal(read_scan(tmp_path, series="1.2.3.4").volume.data, voxels())
    with pytest.raises(Exception, match="SERIES"):
        read_scan(tmp_path, series="5")
    with dicom_files(tmp_path) as files:
        assert [read_series(series).header.SeriesNumber for series in find_series(files)] == [3, 4]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("PatientWeight", "ab"),
        ("SeriesNumber", "\n"),
        ("SeriesNumber", "99999999999"),
        ("PatientAge", "3.5"),
        ("SOPClassUID", None),
        ("StudyInstanceUID", None),
        ("RepetitionTime", "8,5"),
        ("FrameOfReferenceUID", "no uid"),
        ("SoftwareVersions", "x" * 80),
        ("NumberOfAverages", "many"),
        ("PatientBirthDate", "yesterday"),
    ],
)
def test_an_element_that_cannot_be_written_is_left_out_and_named(tmp_path, caplog, keyword, value):
    paths = write_series(tmp_path / "in")
    for path in paths:
        dataset = dcmread(path)
        if value is None:
            delattr(dataset, keyword)
        else:
            raw = value.encode().ljust(len(value) + len(value) % 2)
            tag = Tag(tag_for_keyword(keyword))
            dataset[tag] = RawDataElement(tag, dictionary_VR(tag), len(raw), raw, 0, False, True)
        dataset.save_as(path, enforce_file_format=False)
    made = derived(tmp_path / "in")
    save(made, tmp_path / "out")
    assert len(list((tmp_path / "out").iterdir())) == len(paths)
    read = dcmread(tmp_path / "out" / "0.dcm")
    assert read.PatientID == "P1"
    assert UID(read.StudyInstanceUID).is_valid
    if value is not None and keyword not in ("SeriesNumber",):
        assert "ELEMENT_LEFT_OUT" in caplog.text
        assert value not in str(read.get(keyword))


def test_text_that_is_utf_8_under_another_label_is_told(tmp_path, caplog):
    paths = write_series(tmp_path / "in")
    for path in paths:
        dataset = dcmread(path)
        dataset.SpecificCharacterSet = "ISO_IR 100"
        tag = Tag(0x00100010)
        raw = "Müller^Élodie".encode()
        raw += b" " * (len(raw) % 2)
        dataset[tag] = RawDataElement(tag, "PN", len(raw), raw, 0, False, True)
        dataset.save_as(path)
    derived(tmp_path / "in")
    assert "CHARACTER_SET PatientName is not in the character set that the source states" in caplog.text
