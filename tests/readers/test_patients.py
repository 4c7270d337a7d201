"""Several cases of one patient are one cluster of the intervals and tests."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from voxlate.errors import InputRefused, NoInput
from voxlate.readers.analysis import analyse_study
from voxlate.readers.analysis.discrimination import forced_choice, real_or_synthetic
from voxlate.readers.analysis.froc import marks
from voxlate.readers.analysis.grading import quality, similarity
from voxlate.readers.analysis.records import Record
from voxlate.readers.analysis.statistics.mrmc import mean_influences, reader_mean
from voxlate.readers.analysis.statistics.rank_comparison import compare_ranks
from voxlate.readers.package import create_package, load_package
from voxlate.readers.study import ForcedChoice, Marks, Quality, RealOrSynthetic, Similarity
from voxlate.web.server.answer_log import AnswerLog
from voxlate.web.server.sql import SqliteDatabase

from .conftest import STUDY, Browser

CASES = [f"case{at}" for at in range(8)]
LESION = {"spacing_mm": [1.0, 1.0, 1.0], "voxels": [[0, 0, 0]]}


def test_cases_that_repeat_their_patient_leave_the_interval_as_it_is():
    generator = np.random.default_rng(3)
    values = generator.normal(size=10) + 0.5 * generator.normal(size=(4, 10))
    patients = [str(at) for at in range(10)]
    alone = reader_mean(*mean_influences(values))
    thrice = reader_mean(*mean_influences(np.tile(values, 3)), patients=patients * 3)
    assert (thrice.low, thrice.high, thrice.freedom) == pytest.approx((alone.low, alone.high, alone.freedom))
    naive = reader_mean(*mean_influences(np.tile(values, 3)))
    assert naive.high - naive.low < thrice.high - thrice.low


@pytest.mark.parametrize(("is_named", "lowest", "highest"), [(True, 0.92, 0.98), (False, 0.0, 0.88)])
def test_the_interval_covers_the_truth_only_if_the_patients_are_named(is_named, lowest, highest):
    generator = np.random.default_rng(1)
    patients = [str(at // 4) for at in range(60)] if is_named else None
    covered = []
    for _ in range(400):
        of_patient = np.repeat(generator.normal(size=15), 4)
        values = of_patient + generator.normal(size=(3, 60)) + 0.1 * generator.normal(size=(3, 1))
        found = reader_mean(*mean_influences(values), patients=patients)
        covered.append(found.low <= 0 <= found.high)
    assert lowest <= np.mean(covered) <= highest


def record(reader, case, shown, answer):
    return Record(reader, case, "d", shown, 0, 0, False, False, answer, "", 1.0, 0, "", patient=case)


def drawn(kind, generator):
    """Returns an answer drawn at random."""
    place = [0, 0, 0] if generator.random() < 0.5 else [90, 90, 90]
    return {
        "real_or_synthetic": {"confidence": int(generator.integers(1, 7))},
        "forced_choice": {"side": str(generator.choice(["left", "right"]))},
        "similarity": {"scores": {"disc": int(generator.integers(50, 100))}},
        "quality": {"grades": {"noise": int(generator.integers(1, 6))}},
        "marks": {"marks": [{"voxel": place, "confidence": 3}]},
    }[kind] | {"kind": kind}


def mean_of(records, design):
    """Returns the mean over readers of a design."""
    match design:
        case RealOrSynthetic():
            return real_or_synthetic(records, design, 0.05).mean_auc.mean
        case ForcedChoice():
            return forced_choice(records, design, 0.05).mean_accuracy.mean
        case Similarity():
            return similarity(records, design, 0.05).structures[0].pooled.mean
        case Quality():
            return quality(records, design, 0.05).items[0].difference.mean
    return marks(records, design, {each.case: [LESION] for each in records}, 0.05).difference.mean


@pytest.mark.parametrize(
    "design",
    [
        RealOrSynthetic(name="d"),
        ForcedChoice(name="d"),
        Similarity(name="d", structures=("disc",)),
        Quality(name="d", items=("noise",)),
        Marks(name="d"),
    ],
    ids=lambda design: design.kind,
)
def test_every_design_takes_the_cases_of_a_patient_for_one_cluster(design):
    generator = np.random.default_rng(4)
    both = [("real", "synthetic")] if design.kind in ("forced_choice", "similarity") else [("real",), ("synthetic",)]
    records = [record("anna", case, shown, drawn(design.kind, generator)) for case in CASES for shown in both]
    again = [replace(each, case=f"{each.case}b") for each in records]
    alone, twice = mean_of(records, design), mean_of([*records, *again], design)
    assert alone.note == ""
    assert twice.mean == pytest.approx(alone.mean)
    unnamed = mean_of([replace(each, patient=None) for each in [*records, *again]], design)
    assert (twice.low, twice.high, twice.freedom) == pytest.approx((alone.low, alone.high, alone.freedom))
    assert unnamed.standard_error < twice.standard_error


def test_the_bootstrap_of_ranks_draws_patients_with_all_their_cases():
    generator = np.random.default_rng(0)
    design = Similarity(name="d", structures=("disc",))
    records = [record("anna", case, ("real", "synthetic"), drawn("similarity", generator)) for case in CASES]
    scores = {case: float(generator.random()) for case in CASES}
    again = [replace(each, case=f"{each.case}b") for each in records]
    twice = scores | {f"{case}b": value for case, value in scores.items()}
    alone = compare_ranks(records, design, scores, metric="mae")
    named = compare_ranks([*records, *again], design, twice, metric="mae")
    unnamed = compare_ranks([replace(each, patient=None) for each in [*records, *again]], design, twice, metric="mae")
    assert named.high - named.low == pytest.approx(alone.high - alone.low, abs=0.05)
    assert unnamed.high - unnamed.low < 0.8 * (alone.high - alone.low)


def study_with_patients(sources, folder, lines):
    for name in ("real", "synthetic", "lesions"):
        shutil.copytree(sources / name, folder / name)
    (folder / "study.yaml").write_text(f"{STUDY}patients: cases.tsv\n")
    (folder / "cases.tsv").write_text("\n".join(["case\tpatient", *lines]) + "\n")
    return folder / "study.yaml"


def test_the_patients_of_a_table_are_frozen_and_named_in_the_results(sources, tmp_path):
    lines = [f"case{at}\tpatient{at // 2}" for at in range(8)]
    create_package(study_with_patients(sources, tmp_path, lines), tmp_path / "study")
    package = load_package(tmp_path / "study")
    assert package.key["patients"] == {f"case{at}": f"patient{at // 2}" for at in range(8)}
    changed = json.loads((tmp_path / "study" / "key.json").read_text())
    changed["patients"]["case0"] = "patient9"
    (tmp_path / "study" / "key.json").write_text(json.dumps(changed))
    with pytest.raises(InputRefused, match="PROTOCOL_CHANGED"):
        load_package(tmp_path / "study")


@pytest.mark.parametrize("lines", [["case0\tone"], [f"case{at}\tn/a" for at in range(8)]])
def test_a_case_without_a_patient_is_refused(sources, tmp_path, lines):
    with pytest.raises(InputRefused, match=r"CASES cases.tsv names no patient of case"):
        create_package(study_with_patients(sources, tmp_path, lines), tmp_path / "study")


def test_a_table_of_patients_that_does_not_exist_is_refused(sources, tmp_path):
    path = study_with_patients(sources, tmp_path, [])
    (tmp_path / "cases.tsv").unlink()
    with pytest.raises(NoInput, match="NO_INPUT"):
        create_package(path, tmp_path / "study")


def test_the_report_states_the_number_of_patients(sources, tmp_path):
    lines = [f"case{at}\tpatient{at // 2}" for at in range(8)]
    create_package(study_with_patients(sources, tmp_path, lines), tmp_path / "study")
    package = load_package(tmp_path / "study")
    store = AnswerLog(SqliteDatabase(package.folder / "answers.sqlite"), package.protocol_hash)
    browser = Browser(package, store, "anna").enter()
    while browser.state()["trial"]:
        assert "patient" not in json.dumps(browser.state())
        assert browser.answer().status_code == 200
    store.close()
    analyse_study(package.folder, tmp_path / "out")
    found = json.loads((tmp_path / "out" / "analysis.json").read_text())
    assert (found["cases"], found["patients"]) == (8, 4)
    assert "8 cases of 4 patients." in (tmp_path / "out" / "report.html").read_text()
