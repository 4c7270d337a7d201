"""The series type by header: each rule, their order, and the contrast-agent timeline of a study."""

from pathlib import Path

import pytest
from click.testing import CliRunner
from dicom_series import write_series
from phantoms import DATA

from voxlate.archive.classify import COLUMNS, classify
from voxlate.archive.pseudonyms import pseudonym
from voxlate.archive.series_type import RULES, series_type_of
from voxlate.cli import voxlate
from voxlate.simulation.files.header_variants import OTHERS, draw_header_variant, timing_tags
from voxlate.simulation.physics.scanners import SCANNERS
from voxlate.simulation.rng import generator

DICOM_DATA = DATA / "dicom"
MPRAGE = {"ScanningSequence": "GR\\IR", "EchoTime": "2.98", "InversionTime": "900", "RepetitionTime": "2300"}


def simulated(shown, name, number=0):
    tags = {
        key: "\\".join(map(str, v)) if isinstance(v, list) else str(v)
        for key, v in timing_tags(shown, SCANNERS[name]).items()
    }
    variant = draw_header_variant(shown, SCANNERS[name], "generic", generator(0, number, shown))
    return tags | {"SeriesDescription": variant.description, "Modality": "CT" if shown == "CT" else "MR"}


@pytest.mark.parametrize("name", SCANNERS)
@pytest.mark.parametrize(
    ("shown", "kind"),
    [
        ("T1w", "T1w"),
        ("T1ce", "T1w"),
        ("T2w", "T2w"),
        ("FLAIR", "FLAIR"),
        ("b1000", "DWI"),
        ("ADC", "ADC"),
        ("CT", "CT"),
    ],
)
def test_series_of_simulated_scanners_have_their_series_type(shown, kind, name):
    for number in range(12):
        header = simulated(shown, name, number)
        assert series_type_of(header).kind == kind, header


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({}, "T1w"),
        ({"RepetitionTime": "7.4"}, "T1w"),  # as GE and Philips write the same sequence
        ({"ImageType": "DERIVED\\SECONDARY\\OTHER\\SYNTHETIC"}, "synthetic"),
        ({"SyntheticData": "YES"}, "synthetic"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"}, "other"),
        ({"ImageType": "ORIGINAL\\PRIMARY\\LOCALIZER"}, "localizer"),
        ({"SeriesDescription": "3-plane loc"}, "localizer"),
        ({"SeriesDescription": "SUB T1"}, "derived"),
        ({"ImageType": "DERIVED\\PRIMARY\\MPR"}, "derived"),
        ({"SeriesDescription": "TOF 3D"}, "angiography"),
        ({"SeriesDescription": "SWI mag"}, "SWI"),
        ({"SeriesDescription": "ep2d_perf"}, "perfusion"),
        ({"SeriesDescription": "fMRI rest"}, "fMRI"),
        ({"SeriesDescription": "REST1 w SMS PF7-8", "EchoTime": "30", "InversionTime": ""}, "fMRI"),
        ({"SeriesDescription": "rest T1"}, "T1w"),
        ({"ImageType": "ORIGINAL\\PRIMARY\\PERFUSION\\NONE"}, "perfusion"),
        ({"SeriesDescription": "WIP SOURCE - 3DpCASL"}, "perfusion"),
        ({"SeriesDescription": "B0 NS"}, "field map"),
        ({"SeriesDescription": "gre_field_mapping"}, "field map"),
        ({"ImageType": "ORIGINAL\\PRIMARY\\P\\ND"}, "field map"),
        ({"DiffusionBValue": "0"}, "DWI"),
        ({"ImageType": "DERIVED\\PRIMARY\\FA"}, "diffusion map"),
        ({"InversionTime": "2500", "ScanningSequence": "SE\\IR", "EchoTime": "110", "RepetitionTime": "9000"}, "FLAIR"),
        ({"InversionTime": "", "ScanningSequence": "SE", "EchoTime": "12", "RepetitionTime": "600"}, "T1w"),
        ({"InversionTime": "800", "ScanningSequence": "SE\\IR", "EchoTime": "9", "RepetitionTime": "2200"}, "T1w"),
        ({"InversionTime": "", "ScanningSequence": "SE", "EchoTime": "15", "RepetitionTime": "3000"}, "PDw"),
        ({"InversionTime": "", "ScanningSequence": "GR", "EchoTime": "20", "RepetitionTime": "600"}, "T2*w"),
        ({"InversionTime": "", "ScanningSequence": "EP", "EchoTime": "30"}, "echo planar"),
    ],
)
def test_each_rule_decides_on_its_series_type(change, kind):
    assert series_type_of(MPRAGE | change).kind == kind


def test_text_decides_where_timing_does_not_and_is_marked():
    found = series_type_of({"SeriesDescription": "t1_mprage_sag"})
    assert (found.kind, found.is_by_text) == ("T1w", True)
    assert series_type_of({"SeriesDescription": "3D FLAIR"}).kind == "FLAIR"
    assert series_type_of({"SeriesDescription": "T2 pondéré"}).kind == "T2w"
    assert series_type_of({"SeriesDescription": "what"}).kind == series_type_of({}).kind == "unknown"
    assert all(series_type_of({"SeriesDescription": text, "Modality": "CT"}).kind == "CT" for text in OTHERS["CT"])


def test_timing_precedes_text():
    assert series_type_of(MPRAGE | {"SeriesDescription": "T2 axial"}).kind == "T1w"


def with_agent(dataset, k):
    dataset.ContrastBolusAgent, dataset.AcquisitionTime = "GADOVIST", "101500"
    dataset.SeriesDescription = "T1 DOE^JANE +C"


def before(dataset, k):
    dataset.SeriesInstanceUID, dataset.SOPInstanceUID = "1.2.3.5", f"1.2.3.5.{k}"
    dataset.SeriesDescription, dataset.AcquisitionTime, dataset.SeriesNumber = "Sag T1 MPRAGE", "100000", 2


def after(dataset, k):
    before(dataset, k)
    dataset.SeriesInstanceUID, dataset.SOPInstanceUID = "1.2.3.6", f"1.2.3.6.{k}"
    dataset.AcquisitionTime, dataset.SeriesNumber = "102000", 4


def test_the_series_of_a_study_are_classified_with_their_timeline_and_without_names(tmp_path):
    for name, change in (("a", with_agent), ("b", before), ("c", after)):
        write_series(tmp_path / "in" / name, change)
    found = {each.number: each for each in classify(tmp_path / "in")}
    assert {each.kind.kind for each in found.values()} == {"T1w"}
    assert [found[n].agent.state for n in (2, 3, 4)] == ["unknown", "yes", "unknown"]
    assert [found[n].agent.may_be_enhanced for n in (2, 3, 4)] == [False, False, True]
    result = CliRunner().invoke(voxlate, ["classify", str(tmp_path / "in"), str(tmp_path / "s.tsv")])
    assert "2 unknown, 1 yes" in result.output
    table = (tmp_path / "s.tsv").read_text()
    assert table.splitlines()[0].split("\t") == list(COLUMNS)
    assert not any(word in table + result.output for word in ("DOE", "JANE", "1.2.3", "P1", "TEST^ONE"))


def test_pseudonyms_are_those_of_the_key_and_without_one_those_of_the_call(tmp_path, monkeypatch):
    write_series(tmp_path / "in")
    command = ["classify", str(tmp_path / "in"), str(tmp_path / "s.tsv")]
    monkeypatch.setenv("VOXLATE_UID_SALT", "secret")
    (first,), (again,) = classify(tmp_path / "in"), classify(tmp_path / "in")
    assert (first.study, first.series) == (again.study, again.series)
    assert "VOXLATE_UID_SALT" not in CliRunner().invoke(voxlate, command).output
    monkeypatch.delenv("VOXLATE_UID_SALT")
    (drawn,), (other,) = classify(tmp_path / "in"), classify(tmp_path / "in")
    assert len({first.series, drawn.series, other.series}) == 3 == len({first.study, drawn.study, other.study})
    assert pseudonym("", "series", "1.2.3.4") != drawn.series
    assert "VOXLATE_UID_SALT is not set" in CliRunner().invoke(voxlate, command).output


def test_modality_and_manufacturer_are_listed_words_and_never_free_text(tmp_path):
    def named(dataset, k):
        dataset.Manufacturer, dataset.Modality = "CANARY WORKS", "CANARY"

    write_series(tmp_path / "in", named)
    write_series(tmp_path / "known", lambda dataset, k: setattr(dataset, "Manufacturer", "Siemens Healthineers"))
    (found,), (known,) = classify(tmp_path / "in"), classify(tmp_path / "known")
    assert (found.modality, found.manufacturer) == ("other", "other")
    assert (known.modality, known.manufacturer) == ("MR", "SIEMENS")


def test_every_rule_is_in_the_documentation():
    text = (Path(__file__).resolve().parents[2] / "docs" / "how-to" / "cohort.md").read_text()
    assert all(f"| {rule.kind} | {rule.words} |" in text for rule in RULES)


@pytest.mark.skipif(not DICOM_DATA.exists(), reason="the development data are not there")
def test_real_series_are_classified_as_their_protocols_name_them():
    found = sorted((each.manufacturer.split()[0].upper(), each.kind.kind) for each in classify(DICOM_DATA))
    assert found.count(("GE", "fMRI")) == 4
    assert found.count(("SIEMENS", "perfusion")) == 2
    assert found.count(("SIEMENS", "fMRI")) == 1
    assert found.count(("SIEMENS", "echo planar")) == 4
    assert {("PHILIPS", "field map"), ("PHILIPS", "perfusion")} <= set(found)
    assert ("PHILIPS", "T1w") not in found
