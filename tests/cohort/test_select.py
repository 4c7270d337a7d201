"""Every series ends in a pair or has a reason why not; splits do not share patients and do not change."""

import json
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest

from voxlate.archive.rows import IndexRow
from voxlate.cohort.build_cohort import without_assigned_low
from voxlate.cohort.rules import Condition, Rules, Splits, read_rules, with_exclusions
from voxlate.cohort.select import select
from voxlate.cohort.series_rows import SeriesRow, join_grades
from voxlate.cohort.splits import assign_splits, assignment_of, frozen_splits
from voxlate.errors import InputRefused, NoInput, UsageError

ROOT = Path(__file__).resolve().parents[2]
BOTTANI = ROOT / "cohorts" / "bottani2024.yaml"


def row(patient, study, series, **more):
    told = {"patient": patient, "study": study, "series": series, "kind": "T1w", "agent": "unknown", "fault": "",
            "slices": 170, "day": "2010-01-10", "manufacturer": "GE", "field_tesla": 3.0, "model": "M",
            "acquisition": "3D", "body_part": "HEAD", "age_years": 50.0, "sex": "F", "kernel": None,
            "minute": None, "number": None}  # fmt: skip
    return told | more


def grade(series, **more):
    told = {"tier": "good", "kind": "T1w", "agent": "yes", "pass_probability": 0.9}
    return {"item": {"name": series}, "state": "OK", "content": series, "row": told | more}


def warehouse(patients=40):
    """Each patient has a session with one T1ce and one T1nce; every fifth T1ce is of low quality."""
    rows, grades = [], []
    for n in range(patients):
        for agent in ("yes", "no"):
            series = f"s{n:03d}{agent}"
            rows.append(row(f"p{n:03d}", f"e{n:03d}", series, manufacturer="GE" if n % 2 else "SIEMENS"))
            tier = "low" if agent == "yes" and n % 5 == 0 else "good"
            grades.append(grade(series, agent=agent, tier=tier))
    return rows, grades


def rules(**more):
    content = {"name": "test", "source": {"shows": "T1ce", "when": [{"column": "agent", "is": "yes"}]},
               "target": {"shows": "T1w", "when": [{"column": "agent", "is": "no"}]}}  # fmt: skip
    return Rules.model_validate(content | more)


def test_every_series_is_in_a_pair_or_has_a_reason():
    rows, grades = warehouse()
    rows += [row("p000", "e000", "localizer", kind="localizer"), row("p001", "e001", "few", slices=12),
             row("p002", "e002", "mixed", fault="PATIENT_MIXED"), row("p003", "e003", "ungraded"),
             row("p100", "e100", "alone")]  # fmt: skip
    grades += [grade("few"), grade("alone"), grade("localizer", kind="localizer")]
    found = select(join_grades(rows, grades), read_rules(BOTTANI))
    reasons = dict(found.exclusions)
    assert reasons == {
        "localizer": "not T1-weighted by its header",
        "few": "fewer than 40 slices",
        "mixed": "inconsistent identifiers",
        "ungraded": "cannot be read, or was not graded",
        "alone": "no partner, or a better scan of the session was taken",
    }
    assert len(found.pairs) == 40
    assert 2 * len(found.pairs) + len(reasons) == len(rows) == found.scans


def test_the_counts_of_the_flow_chart_add_up():
    rows, grades = warehouse(10)
    rows += [row("p000", "e000", f"x{k}", kind="T2w") for k in range(7)]
    found = select(join_grades(rows, grades), read_rules(BOTTANI))
    scans = [box for box in found.flow_steps if box.unit == "scan"]
    assert scans[0].before == len(rows)
    for box, following in pairwise(scans):
        assert following.before == box.before - box.dropped
    assert next(box.dropped for box in found.flow_steps if "header" in box.reason) == 7
    pairs = [box for box in found.flow_steps if box.unit == "pair"]
    assert pairs[-1].before - pairs[-1].dropped == len(found.pairs)


def test_a_low_target_is_excluded_and_a_low_source_goes_to_the_test():
    rows, grades = warehouse()
    grades[1]["row"]["tier"] = "low"  # the target of the first patient
    found = select(join_grades(rows, grades), read_rules(BOTTANI))
    assert dict(found.exclusions) == dict.fromkeys(["s000yes", "s000no"], "T1nce of low quality")
    settings = read_rules(BOTTANI).splits
    splits = assign_splits(found.pairs, settings)
    places = {pair.name: assignment_of(pair, settings, splits) for pair in found.pairs}
    assert {place.split for pair, place in zip(found.pairs, places.values(), strict=True) if pair.is_low} == {"test"}
    sets = Counter(place.test_set for place in places.values())
    assert sets["Test_low"] == 7
    assert sets["Test_good"] == round(0.1 * 32)


def test_the_scan_of_a_session_with_the_best_tier_then_the_highest_probability_is_taken():
    rows = [row("p", "e", name) for name in ("a", "b", "c", "d")]
    grades = [grade("a", tier="medium"), grade("b", pass_probability=0.7), grade("c"), grade("d", agent="no")]
    found = select(join_grades(rows, grades), rules())
    assert [(pair.source["series"], pair.target["series"]) for pair in found.pairs] == [("c", "d")]


def test_pairs_may_be_days_apart_only_when_the_rules_allow_it():
    rows = [row("p", "e1", "a"), row("p", "e2", "b", day="2010-01-13"), row("p", "e3", "c", day="2010-01-11")]
    grades = [grade("a"), grade("b", agent="no"), grade("c", agent="no")]
    assert not select(join_grades(rows, grades), rules()).pairs
    near = select(join_grades(rows, grades), rules(pair={"within": 3}))
    assert [(pair.source["series"], pair.target["series"]) for pair in near.pairs] == [("a", "c")]
    assert not select(join_grades(rows, grades), rules(pair={"within": 0})).pairs


def test_a_duplicate_image_counts_once_and_not_at_all_under_two_patients():
    rows = [row("p", "e", "a"), row("p", "e", "copy"), row("p", "e", "n"), row("q", "f", "x"), row("r", "g", "y")]
    grades = [grade("a"), grade("copy"), grade("n", agent="no"), grade("x"), grade("y")]
    grades[1]["content"], grades[4]["content"] = "a", "x"
    found = select(join_grades(rows, grades), rules())
    assert dict(found.exclusions) == {
        "copy": "same image as another scan",
        "x": "same image under two patients",
        "y": "same image under two patients",
    }
    kept = dict(select(join_grades(rows, grades), rules(drop_duplicates=False)).exclusions)
    assert set(kept.values()) == {"no partner, or a better scan of the session was taken"}


def test_the_grade_of_a_person_overrides_the_software():
    rows, grades = warehouse(2)
    persons = {"s000yes": {"tier": "improper"}, "s001yes": {"agent": "no"}}
    scans = join_grades(rows, grades, persons)
    assert {scan["series"]: scan["graded_by"] for scan in scans}["s000yes"] == "person"
    assert not select(scans, read_rules(BOTTANI)).pairs


def test_a_list_made_by_a_person_excludes_pairs(tmp_path):
    rows, grades = warehouse(3)
    (tmp_path / "large.tsv").write_text("item\treason\nsub-p001_ses-e001\tlarge\n")
    (tmp_path / "rules.yaml").write_text(
        json.dumps(rules().model_dump(mode="json", by_alias=True, exclude_none=True)
                   | {"steps": [{"reason": "large lesions", "of": "pair", "listed": "large.tsv"}]})
    )  # fmt: skip
    found = select(join_grades(rows, grades), read_rules(tmp_path / "rules.yaml"))
    assert dict(found.exclusions) == dict.fromkeys(["s001yes", "s001no"], "large lesions")
    (tmp_path / "large.tsv").write_text("name\nx\n")
    with pytest.raises(InputRefused, match="LIST"):
        select(join_grades(rows, grades), read_rules(tmp_path / "rules.yaml"))
    (tmp_path / "large.tsv").write_text("name\titem\nx\n")
    with pytest.raises(InputRefused, match=r"LIST large\.tsv: line 2 has more or fewer fields"):
        select(join_grades(rows, grades), read_rules(tmp_path / "rules.yaml"))
    (tmp_path / "large.tsv").unlink()
    with pytest.raises(NoInput, match=r"NO_INPUT large\.tsv: this table does not exist"):
        select(join_grades(rows, grades), read_rules(tmp_path / "rules.yaml"))


@pytest.mark.parametrize("shipped", ["bottani2024", "enhanced_t1"])
def test_lists_of_cases_and_of_patients_are_excluded_from_pairs_and_from_single_scans(shipped, tmp_path):
    rows, grades = warehouse(4)
    cases, patients = tmp_path / "large_lesions.tsv", tmp_path / "trauma.tsv"
    cases.write_text("item\tseen by\nsub-p001_ses-e001\tA\n")
    patients.write_text("item\nsub-p002\nsub-p00\n")
    chosen = with_exclusions(read_rules(ROOT / "cohorts" / f"{shipped}.yaml"), [cases, patients])
    found = select(join_grades(rows, grades), chosen)
    assert [pair.patient for pair in found.pairs] == ["p000", "p003"]
    reasons = dict(found.exclusions)
    assert (reasons["s001yes"], reasons["s002yes"]) == ("listed in large_lesions.tsv", "listed in trauma.tsv")
    assert [(step.unit, step.before, step.dropped) for step in found.flow_steps[-2:]] == [
        (chosen.unit, 4, 1),
        (chosen.unit, 3, 1),
    ]


@pytest.mark.parametrize(
    ("condition", "fits"),
    [
        ({"is": 3}, True),
        ({"is": [2, 4]}, False),
        ({"is_not": [2, 4]}, True),
        ({"below": 3}, False),
        ({"below": 3.5}, True),
        ({"above": 2}, True),
        ({"missing": False}, True),
        ({"missing": True}, False),
    ],
)
def test_each_condition_compares_and_a_missing_value_fits_missing_only(condition, fits):
    test = Condition.model_validate({"column": "x"} | condition)
    assert test.fits({"x": 3}) is fits
    assert test.fits({"x": None}) is (condition == {"missing": True})


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("name: x\ntarget: {shows: T1ce, when: []}\n", "source: Field required"),
        ("name: [", "not YAML.*line [12]"),
        (BOTTANI.read_text() + "\ncolour: red\n", "colour is not a key of the rules"),
        (BOTTANI.read_text().replace("is: low", "is: low, below: 3"), "exactly one"),
        (BOTTANI.read_text().replace("by: patient", "by: model"), "low: false"),
    ],
)
def test_wrong_rules_are_refused_with_their_place(tmp_path, text, told):
    (tmp_path / "rules.yaml").write_text(text)
    with pytest.raises(UsageError, match=told):
        read_rules(tmp_path / "rules.yaml")


def test_an_unknown_column_and_an_empty_index_are_refused():
    rows, grades = warehouse(2)
    with pytest.raises(UsageError, match="COLUMN"):
        select(join_grades(rows, grades), rules(steps=[{"reason": "x", "drop": [{"column": "nothing", "is": 1}]}]))
    with pytest.raises(NoInput, match="NO_INPUT"):
        select([], rules())


def test_no_patient_is_in_two_splits_and_strata_get_their_shares():
    rows, grades = warehouse(200)
    for n in range(200):  # a second session of each patient
        for agent in ("yes", "no"):
            rows.append(row(f"p{n:03d}", f"f{n:03d}", f"t{n:03d}{agent}", manufacturer="GE" if n % 2 else "SIEMENS"))
            grades.append(grade(f"t{n:03d}{agent}", agent=agent))
    found = select(join_grades(rows, grades), rules())
    settings = Splits(strata=("manufacturer",), test=0.2, validation=0.1, low=False)
    splits = assign_splits(found.pairs, settings)
    assert len(found.pairs) == 400
    assert Counter(splits.values()) == {"test": 40, "validation": 20, "train": 140}
    makers = {pair.patient: pair.source["manufacturer"] for pair in found.pairs}
    tests = Counter(makers[name] for name, split in splits.items() if split == "test")
    assert tests == {"GE": 20, "SIEMENS": 20}


def test_a_split_does_not_change_and_its_file_is_protected_by_a_hash(tmp_path):
    rows, grades = warehouse(40)
    settings = Splits(low=False)
    pairs = select(join_grades(rows, grades), rules()).pairs
    splits = frozen_splits(tmp_path, pairs, settings, extend=False)
    assert frozen_splits(tmp_path, pairs[::-1], settings, extend=False) == splits
    assert frozen_splits(tmp_path, pairs[:7], settings, extend=False) == splits
    more_rows, more_grades = warehouse(60)
    more = select(join_grades(more_rows, more_grades), rules()).pairs
    with pytest.raises(UsageError, match=r"SPLIT_FROZEN.*20 groups"):
        frozen_splits(tmp_path, more, settings, extend=False)
    with pytest.raises(UsageError, match="other settings"):
        frozen_splits(tmp_path, pairs, Splits(low=False, seed=1), extend=False)
    extended = frozen_splits(tmp_path, more, settings, extend=True)
    assert splits.items() <= extended.items()
    assert len(extended) == 60
    text = (tmp_path / "split.json").read_text()
    (tmp_path / "split.json").write_text(text.replace('"test"', '"train"', 1))
    with pytest.raises(InputRefused, match="SPLIT_CHANGED"):
        frozen_splits(tmp_path, pairs, settings, extend=False)


def test_a_whole_scanner_can_be_held_out():
    rows, grades = warehouse(60)
    for n, each in enumerate(rows):
        each["model"] = f"M{n // 2 % 6}"
    pairs = select(join_grades(rows, grades), rules()).pairs
    settings = Splits(by="model", test=0.34, validation=0.17, low=False)
    splits = assign_splits(pairs, settings)
    assert Counter(splits.values()) == {"test": 2, "validation": 1, "train": 3}
    assert {assignment_of(pair, settings, splits).split for pair in pairs if pair.source["model"] == "M0"} == {
        splits["M0"]
    }


def test_the_copy_whose_session_gives_a_pair_is_kept():
    rows = [row("p", "e1", "a"), row("p", "e2", "z"), row("p", "e2", "n")]
    grades = [grade("a"), grade("z"), grade("n", agent="no")]
    grades[1]["content"] = "a"
    found = select(join_grades(rows, grades), rules())
    assert [(pair.source["series"], pair.target["series"]) for pair in found.pairs] == [("z", "n")]


def test_a_copy_under_another_patient_counts_even_when_it_is_excluded_for_another_reason():
    rows = [row("p", "e", "a"), row("p", "e", "n"), row("q", "f", "x", fault="FRAME_MIXED")]
    grades = [grade("a"), grade("n", agent="no"), grade("x")]
    grades[2]["content"] = "a"
    assert not select(join_grades(rows, grades), rules()).pairs


def test_the_pair_nearest_in_time_is_made_first():
    rows = [row("p", "e1", "s1", day="2010-01-01"), row("p", "e2", "s2", day="2010-01-04"), row("p", "e2", "t")]
    rows[2]["day"] = "2010-01-04"
    grades = [grade("s1"), grade("s2"), grade("t", agent="no")]
    found = select(join_grades(rows, grades), rules(pair={"within": 5}))
    assert [(pair.source["series"], pair.target["series"]) for pair in found.pairs] == [("s2", "t")]


def test_a_joined_row_has_every_column_of_its_type_and_no_other():
    index_row = dict.fromkeys(IndexRow.__annotations__) | row("p", "e", "a")
    graded, ungraded = join_grades([index_row, index_row | {"series": "b"}], [grade("a")])
    assert set(graded) == set(ungraded) == set(SeriesRow.__annotations__)
    assert (graded["graded_by"], ungraded["graded_by"]) == ("voxlate", None)


def test_grades_of_other_files_are_ignored():
    rows = [row("p", "e", "a", files=12)]
    grades = [grade("a")]
    grades[0]["item"]["stamp"] = "11-5000 T1w"
    assert join_grades(rows, grades, stamps={"a": "11-5000"})[0]["state"] == "OK"
    scan = join_grades(rows, grades, stamps={"a": "12-5500"})[0]
    assert (scan["state"], scan["tier"], scan["agent"]) == ("STALE", None, "unknown")


def test_yes_and_no_match_text_though_yaml_reads_them_as_booleans(tmp_path):
    text = BOTTANI.read_text().replace('is: "yes"', "is: yes").replace('is: "no"', "is: no")
    (tmp_path / "rules.yaml").write_text(text)
    rows, grades = warehouse(4)
    assert len(select(join_grades(rows, grades), read_rules(tmp_path / "rules.yaml")).pairs) == 4


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("shows: T1ce", "shows: T1Gd", "Input should be 'T1w'"),
        ("shows: T1ce", "shows: T1w", "show the same"),
        ("test: 0.1, validation: 0.1", "test: 0.6, validation: 0.5", "nothing to train on"),
        ("reason: fewer than 40 slices", 'reason: "fewer\\tthan"', "one line"),
        ("name: T1ce", "name: 2020-13-45 #", "not YAML"),
    ],
)
def test_inconsistent_rules_are_refused_before_anything_is_written(tmp_path, before, after, told):
    assert before in BOTTANI.read_text()
    (tmp_path / "rules.yaml").write_text(BOTTANI.read_text().replace(before, after, 1))
    with pytest.raises(UsageError, match=told):
        read_rules(tmp_path / "rules.yaml")


def test_a_numeric_condition_on_text_is_refused():
    with pytest.raises(UsageError, match="COLUMN"):
        Condition(column="x", below=3).fits({"x": "T1w"})


def test_two_scanners_that_share_a_patient_are_in_one_split():
    rows, grades = warehouse(30)
    for n, each in enumerate(rows):
        each["model"] = f"M{n // 2 % 6}"
    for agent in ("yes", "no"):  # patient 0, on M0, was on M1 too
        rows.append(row("p000", "second", f"second{agent}", model="M1"))
        grades.append(grade(f"second{agent}", agent=agent))
    pairs = select(join_grades(rows, grades), rules()).pairs
    settings = Splits(by="model", test=0.4, validation=0.2, low=False)
    splits = assign_splits(pairs, settings)
    assert splits["M0"] == splits["M1"]
    with pytest.raises(UsageError, match="SPLIT_CROSSES"):
        assign_splits(pairs, settings, {"M0": "train", "M1": "test"})


def test_a_missing_split_file_beside_its_cases_is_not_drawn_again(tmp_path):
    rows, grades = warehouse(10)
    pairs = select(join_grades(rows, grades), rules()).pairs
    (tmp_path / "cases.tsv").write_text("case\n")
    with pytest.raises(InputRefused, match="SPLIT_CHANGED"):
        frozen_splits(tmp_path, pairs, Splits(low=False), extend=False)
    (tmp_path / "split.json").write_text("[]")
    with pytest.raises(InputRefused, match="SPLIT_CHANGED"):
        frozen_splits(tmp_path, pairs, Splits(low=False), extend=False)


def test_a_pair_that_becomes_low_after_its_patient_was_assigned_to_training_is_excluded():
    rows, grades = warehouse(10)
    for each in grades:
        each["row"]["tier"] = "good"
    settings = rules()
    before = select(join_grades(rows, grades), settings)
    splits = assign_splits(before.pairs, settings.splits)
    trained = next(pair for pair in before.pairs if splits[pair.patient] == "train")
    persons = {trained.source["series"]: {"tier": "low"}}
    after = without_assigned_low(select(join_grades(rows, grades, persons), settings), settings, splits)
    assert len(after.pairs) == 9
    assert {dict(after.exclusions)[trained.source["series"]]} == {
        "of low quality, but its patient is not in the test split"
    }
    assert after.flow_steps[-1].dropped == 1
