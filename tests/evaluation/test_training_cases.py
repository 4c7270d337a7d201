"""What a bundle was trained on, and what the models were trained on that it began with."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from voxlate.bundle.pretrained import find_bundle
from voxlate.cases import Case
from voxlate.evaluation.training_cases import (
    STARTS,
    began_with,
    count_training_cases,
    seen_cases,
    starts_of,
    training_cases,
)

CARD = "# x\n\n| | |\n|---|---|\n| trained on | 2 cases ({}): a, b; 10 % of the windows from 3 simulated heads |\n"


def case(name: str, patient: str = "", **changes) -> Case:
    return replace(Case(name, patient or name, "test", Path("s.nii"), Path("t.nii")), **changes)


def bundle_in(folder: Path, *, kind: str = "real", name: str = "first") -> Path:
    folder.mkdir(parents=True)
    (folder / "card.md").write_text(CARD.format(kind))
    (folder / "recipe.yaml").write_text(f"name: {name}\ndata_kind: {kind}\n")
    (folder / "manifest.json").write_text(json.dumps({"files": {"weights.safetensors": "f" * 64}}))
    return folder


def test_the_cases_of_a_start_and_of_its_own_start_are_seen_by_what_began_with_it(tmp_path):
    first = bundle_in(tmp_path / "one" / "bundle")
    second = bundle_in(tmp_path / "two" / "bundle", name="second")
    (second / "card.md").write_text("| trained on | 1 cases (real): c |\n")
    (second / STARTS).write_text(json.dumps({"starts": began_with(first)}))
    third = bundle_in(tmp_path / "three" / "bundle", name="third")
    (third / "card.md").write_text("| trained on | 1 cases (real): d |\n")
    (third / STARTS).write_text(json.dumps({"starts": began_with(second)}))
    assert [(start.model, start.cases) for start in starts_of(third)] == [("second", ("c",)), ("first", ("a", "b"))]
    assert starts_of(third)[0].told == "second (ffffffffffff)"
    assert seen_cases(third, [case(name) for name in "abcde"]) == ["a", "b", "c", "d"]
    assert seen_cases(first, [case(name) for name in "abcde"]) == ["a", "b"]


def test_the_run_of_a_start_gives_the_patients_whose_other_scans_are_seen_too(tmp_path):
    bundle = bundle_in(tmp_path / "run" / "bundle")
    (tmp_path / "run" / "recipe.yaml").write_text("")
    rows = [
        "case\tpatient\tsplit\tsource\ttarget",
        "a\tp1\ttrain\ts\tt",
        "b\tp2\tvalidation\ts\tt",
        "c\tp3\ttest\ts\tt",
    ]
    (tmp_path / "run" / "cases.tsv").write_text("\n".join(rows) + "\n")
    (start,) = began_with(bundle)
    assert (start["cases"], start["patients"]) == (("a", "b"), ("p1", "p2"))


def test_names_of_simulated_cases_of_a_start_count_for_simulated_cases_of_its_data_alone(tmp_path):
    first = bundle_in(tmp_path / "one" / "bundle", kind="simulated")
    (alone,) = began_with(first)
    assert (alone["is_simulated"], alone["cases"]) == (True, ())
    rows = ["case\tpatient\tsplit\tsource\ttarget", "a\tp1\ttrain\ts\tt", "b\tp2\ttrain\ts\tt"]
    (first.parent / "cases.tsv").write_text("\n".join(rows) + "\n")
    (first.parent / "recipe.yaml").write_text("")
    second = bundle_in(tmp_path / "two" / "bundle")
    (second / "card.md").write_text("| trained on | 1 cases (real): d |\n")
    (second / STARTS).write_text(json.dumps({"starts": began_with(first)}))
    assert seen_cases(second, [case("a"), case("b", data_kind="simulated")]) == ["b"]


@pytest.mark.parametrize(("model", "count"), [("t1ce-to-t1", 8), ("t1ce-to-t1-simulated", 42)])
def test_the_card_of_a_model_counts_its_training_cases(model, count):
    assert count_training_cases(find_bundle(model)) == count


def test_a_shipped_model_names_its_real_subjects_and_the_model_that_it_began_with(tmp_path):
    shipped = find_bundle("t1ce-to-t1")
    (base,) = starts_of(shipped)
    assert base.model == "t1ce-to-t1-simulated"
    names, patients = training_cases(shipped)
    assert len(names) == 8
    assert patients == names
    mine = bundle_in(tmp_path / "mine")
    (mine / "card.md").write_text("| trained on | 1 cases (real): d |\n")
    (mine / STARTS).write_text(json.dumps({"starts": began_with(shipped)}))
    tested = [case("MS_ljubljana_07"), case("x", "BraTS2021_00006"), case("y")]
    assert seen_cases(mine, tested) == [
        "MS_ljubljana_07",
        "x",
    ]
    assert [start.model for start in starts_of(mine)] == ["t1ce-to-t1", "t1ce-to-t1-simulated"]


def test_a_bundle_of_new_weights_began_with_nothing_and_damaged_files_state_nothing(tmp_path):
    bundle = bundle_in(tmp_path / "bundle")
    assert starts_of(bundle) == []
    for text in ("{", "[]", '{"starts": 3}', '{"starts": [3]}'):
        (bundle / STARTS).write_text(text)
        assert starts_of(bundle) == []
