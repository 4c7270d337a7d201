"""Rules without a target select every source, and no other scan; the cohort can be translated, and nothing else."""

import itertools
import json
import re
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
from click.testing import CliRunner
from dicom_series import everywhere, voxels, write_series
from pydantic import ValidationError

from voxlate.cases import ABSENT, read_cases
from voxlate.cli import voxlate
from voxlate.cohort.build_cohort import without_unreadable
from voxlate.cohort.cohort_table import cohort_table
from voxlate.cohort.rules import Rules, read_rules, with_test_share
from voxlate.cohort.select import select
from voxlate.cohort.series_rows import join_grades
from voxlate.errors import InputRefused, NoInput, UsageError
from voxlate.inference.inputs import items_of_cases
from voxlate.inference.manifest import read_manifest
from voxlate.io.nifti import read_volume
from voxlate.shipped import find_shipped

from .test_further import scan

ENHANCED = {"name": "test", "source": {"shows": "T1ce", "when": [{"column": "agent", "is": "yes"}]}}
T2 = {"shows": "T2w", "when": [{"column": "kind", "is": "T2w"}]}


def shipped(name):
    return read_rules(find_shipped("cohorts", name, what="rules"))


def grade(row, **more):
    told = {"tier": "good", "kind": row["kind"], "agent": row["agent"], "pass_probability": 0.9}
    return {"item": {"name": row["series"]}, "state": "OK", "content": row["series"], "row": told | more}


def warehouse():
    """Every combination of kind, agent, body part and grade, of two sessions for each of some patients."""
    rows, grades = [], []
    kinds, agents = ("T1w", "T2w", "localizer", "conflict"), ("yes", "no", "unknown", "conflict")
    parts, tiers = ("HEAD", "BRAIN", "KNEE", "other", None), ("good", "medium", "low", "improper", "unknown", None)
    for number, (kind, agent, part, tier) in enumerate(itertools.product(kinds, agents, parts, tiers)):
        row = scan(f"p{number // 20:03d}", f"{number % 2}", kind, agent, body_part=part)
        rows.append(row | {"series": f"s{number:04d}"})
        if tier is not None:
            grades.append(grade(rows[-1], tier=tier))
    return sorted(rows, key=lambda row: row["series"][::-1]), grades


def test_every_enhanced_t1_of_a_head_of_known_quality_is_in_and_no_other_scan():
    rows, grades = warehouse()
    tiers = {each["item"]["name"]: each["row"]["tier"] for each in grades}
    expected = {
        row["series"]
        for row in rows
        if row["kind"] == "T1w"
        and row["agent"] == "yes"
        and row["body_part"] != "KNEE"
        and tiers.get(row["series"]) in ("good", "medium", "low")
    }
    found = select(join_grades(rows, grades), shipped("enhanced_t1"))
    assert {pair.source["series"] for pair in found.pairs} == expected
    assert len(expected) == 4 * 3
    assert found.unit == "single"
    assert all(pair.target is None and pair.series == [pair.source["series"]] for pair in found.pairs)


def test_every_series_is_a_single_scan_or_has_a_reason_and_the_counts_add_up():
    rows, grades = warehouse()
    found = select(join_grades(rows, grades), shipped("enhanced_t1"))
    reasons = dict(found.exclusions)
    assert len(found.pairs) + len(reasons) == len(rows) == found.scans
    assert not set(reasons) & {pair.source["series"] for pair in found.pairs}
    assert found.flow_steps[0].before == len(rows)
    for step, following in pairwise(found.flow_steps):
        assert following.before == step.before - step.dropped
    assert found.flow_steps[-1].before - found.flow_steps[-1].dropped == len(found.pairs)
    dropped = {step.reason: step.dropped for step in found.flow_steps if step.dropped}
    assert dropped == Counter(reasons.values())
    assert {step.unit for step in found.flow_steps} == {"scan"}


def test_the_names_of_single_scans_are_distinct_and_do_not_depend_on_the_order_of_the_index():
    rows, grades = warehouse()
    found = select(join_grades(rows, grades), shipped("enhanced_t1"))
    names = [pair.name for pair in found.pairs]
    assert len(set(names)) == len(names)
    assert select(join_grades(rows[::-1], grades), shipped("enhanced_t1")).pairs == found.pairs


def test_several_scans_of_a_session_are_all_in_and_numbered_in_order_of_acquisition():
    rows = [scan("p", "1", "T1w", "yes", minute=minute) | {"series": name, "number": number}
            for name, minute, number in (("c", 9.0, 1), ("a", 2.0, 5), ("b", None, 2))]  # fmt: skip
    rows.append(scan("p", "2", "T1w", "yes"))
    pairs = select(join_grades(rows, []), Rules.model_validate(ENHANCED)).pairs
    assert [(pair.name, pair.source["series"]) for pair in pairs] == [
        ("sub-p_ses-p1_run-1", "a"),
        ("sub-p_ses-p1_run-2", "c"),
        ("sub-p_ses-p1_run-3", "b"),
        ("sub-p_ses-p2", "p-2-T1w-yes"),
    ]


def test_the_best_scan_of_each_session_is_kept_where_the_rules_ask_for_it():
    rows = [scan("p", "1", "T1w", "yes") | {"series": name} for name in ("a", "b", "c")]
    grades = [grade(rows[0], tier="low"), grade(rows[1], tier="medium"), grade(rows[2], tier="medium")]
    grades[2]["row"]["pass_probability"] = 0.95
    found = select(join_grades(rows, grades), Rules.model_validate(ENHANCED | {"best_of_session": True}))
    assert [(pair.name, pair.source["series"]) for pair in found.pairs] == [("sub-p_ses-p1", "c")]
    assert set(dict(found.exclusions).values()) == {
        "does not meet the conditions of the source, or a better scan of the session was taken"
    }


def test_a_copy_of_a_scan_counts_once():
    rows = [scan("p", "1", "T1w", "yes") | {"series": name} for name in ("a", "copy")]
    grades = [grade(row) | {"content": "a"} for row in rows]
    found = select(join_grades(rows, grades), Rules.model_validate(ENHANCED))
    assert dict(found.exclusions) == {"copy": "same image as another scan"}


def test_a_single_scan_takes_a_further_source_from_its_session_alone():
    rows = [scan("p", "1", "T1w", "yes"), scan("p", "1", "T2w"), scan("q", "1", "T1w", "yes"), scan("q", "2", "T2w")]
    required = select(join_grades(rows, []), Rules.model_validate(ENHANCED | {"more": [T2]}))
    assert [(pair.patient, list(pair.more)) for pair in required.pairs] == [("p", ["T2w"])]
    assert dict(required.exclusions) == {
        "q-1-T1w-yes": "no T2w",
        "q-2-T2w-unknown": "does not meet the conditions of the source",
    }
    assert required.flow_steps[-1].unit == "single"
    optional = Rules.model_validate(ENHANCED | {"more": [T2 | {"required": False}]})
    assert [list(pair.more) for pair in select(join_grades(rows, []), optional).pairs] == [["T2w"], []]


def test_an_unreadable_scan_is_excluded_with_its_reason():
    rules = Rules.model_validate(ENHANCED)
    selection = select(join_grades([scan("p", "1", "T1w", "yes"), scan("q", "1", "T1w", "yes")], []), rules)
    kept = without_unreadable(selection, rules, {"p-1-T1w-yes": "REFUSED:SLICE_MISSING"})
    assert [pair.patient for pair in kept.pairs] == ["q"]
    assert kept.exclusions == (("p-1-T1w-yes", "cannot be read: REFUSED:SLICE_MISSING"),)
    assert (kept.flow_steps[-1].unit, kept.flow_steps[-1].dropped) == ("single", 1)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({}, True),
        ({"body_part": None}, False),
        ({"body_part": "other"}, False),
        ({"body_part": "CHEST"}, False),
        ({"kernel": "sharp"}, False),
        ({"agent": "yes"}, False),
        ({"agent": "no", "kernel": "soft"}, True),
        ({"fault": "PATIENT_MIXED"}, False),
    ],
)
def test_a_plain_ct_of_a_head_is_in_and_one_whose_body_part_is_not_stated_is_not(change, told):
    found = select(join_grades([scan("p", "1", "CT", field_tesla=None) | change], []), shipped("ct_head"))
    assert bool(found.pairs) is told
    assert len(found.pairs) + len(found.exclusions) == 1


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"pair": {"within": "session"}}, "pair is given without a target; add the target, or remove pair"),
        (
            {"steps": [{"reason": "x", "of": "pair", "drop": [{"column": "source.tier", "is": "low"}]}]},
            "the step 'x' is `of: pair`, and there is no target; write `of: scan`",
        ),
        (
            {"target": {"shows": "T1w", "when": []}, "best_of_session": True},
            "best_of_session is for rules without a target; .* remove it",
        ),
        ({"more": [T2, T2]}, "name each contrast once"),
        ({"more": [T2 | {"shows": "T1ce"}]}, "name each contrast once"),
    ],
)
def test_rules_that_contradict_themselves_are_refused_with_the_remedy(tmp_path, change, told):
    with pytest.raises(ValidationError, match=told):
        Rules.model_validate(ENHANCED | change)
    (tmp_path / "rules.yaml").write_text(json.dumps(ENHANCED | change))
    with pytest.raises(UsageError, match=f"RULES rules.yaml: .*{told}"):
        read_rules(tmp_path / "rules.yaml")


def test_pairs_have_the_default_limit_and_splits_and_single_scans_have_none():
    single = Rules.model_validate(ENHANCED)
    assert (single.pair, single.splits) == (None, None)
    pairs = Rules.model_validate(ENHANCED | {"target": {"shows": "T1w", "when": []}})
    assert (pairs.pair.within, pairs.splits.test) == ("session", 0.1)
    with pytest.raises(UsageError, match=r"RULES --test: these rules do not split single scans; leave --test out"):
        with_test_share(single, 0.3)


def test_the_table_counts_the_scans_of_each_quality():
    rows = [scan(name, "1", "T1w", "yes") for name in ("a", "b", "c")]
    pairs = select(join_grades(rows, []), Rules.model_validate(ENHANCED)).pairs
    header, *table = cohort_table({"good": pairs[:2], "low": pairs[2:]}, source="T1ce", target=None)
    assert header == ["characteristic", "value", "all", "good", "low"]
    cells = {(row[0], row[1]): row[2:] for row in table}
    assert cells["scans to translate", ""] == cells["images", ""] == ["3", "2", "1"]
    assert cells["images by contrast", "T1ce"] == ["3", "2", "1"]
    assert ("pairs", "") not in cells


# --- from DICOM to a table -----------------------------------------------------------------------------------------


def run(*arguments):
    result = CliRunner().invoke(voxlate, list(map(str, arguments)), standalone_mode=False, catch_exceptions=False)
    assert not result.return_value, result.output
    return result.output


def of(patient, study, series, **elements):
    """Returns a change of headers that puts a series under a patient and a study, with identifiers of its own."""
    head = {"PatientID": patient, "StudyInstanceUID": f"1.2.{study}", "SeriesInstanceUID": f"1.2.{study}.{series}",
            "FrameOfReferenceUID": f"1.2.{study}.9", "SeriesNumber": series, "BodyPartExamined": "HEAD"}  # fmt: skip
    put = everywhere(**head, **elements)

    def change(dataset, k):
        put(dataset, k)
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"1.2.{study}.{series}.{k + 1}"

    return change


@pytest.fixture
def index(tmp_path, monkeypatch):
    """An index of three sessions: one with two enhanced scans, one with an enhanced and a plain one, one plain."""
    monkeypatch.setenv("VOXLATE_UID_SALT", "a secret of the site")
    archive = tmp_path / "archive"
    plain = {"SeriesDescription": "T1 3D", "ContrastBolusAgent": "NONE"}
    for number, (patient, study, series, elements) in enumerate([
        ("P1", 1, 1, {}), ("P1", 1, 2, {}), ("P2", 2, 1, {}), ("P2", 2, 2, plain), ("P3", 3, 1, plain),
    ]):  # fmt: skip
        data = voxels() + number  # other images, so that none is a copy
        write_series(archive / f"{study}-{series}", of(patient, study, series, **elements), data=data)
    run("index", archive, tmp_path / "index", "--jobs", 1, "--no-progress")
    return tmp_path / "index"


def written(tmp_path, index, **more):
    (tmp_path / "rules.yaml").write_text(json.dumps(ENHANCED | more))
    said = run("cohort", tmp_path / "rules.yaml", index, tmp_path / "out", "--jobs", 1)
    return said, tmp_path / "out" / "cases.tsv"


def test_a_cohort_of_single_scans_is_written_as_bids_and_read_to_be_translated(tmp_path, index):
    said, table = written(tmp_path, index)
    assert "5 series, 3 scans: 3 quality unknown" in said
    assert "left out: 2 series, does not meet the conditions of the source" in said
    assert table.read_text().splitlines()[0].split("\t") == ["case", "patient", "source", "mask", "labels"]
    cases = read_cases(table, paired=False, single=True)
    assert Counter(len(case.case.split("_run-")) for case in cases) == {2: 2, 1: 1}
    for case in cases:
        run_entity = [part for part in case.case.split("_") if part.startswith("run-")]
        assert case.source.name == "_".join([*case.case.split("_")[:2], "ce-gadolinium", *run_entity, "T1w.nii.gz"])
        assert (case.target, case.split) == (ABSENT, "test")
    data = sorted(int(read_volume(case.source).data.min()) for case in cases)
    assert data == [int(voxels().min()) + number for number in range(3)]
    items = [(item.name, item.source) for item in items_of_cases(cases, "test")]
    assert items == [(item.name, item.source) for item in read_manifest(table).items()]
    told = json.loads((table.parent / "cohort.json").read_text())
    assert (told["quality"], "splits" in told) == ({"quality unknown": 3}, False)
    assert "3 scans" in (table.parent / "cohort.html").read_text()
    assert "3 scans" in (table.parent / "flow.svg").read_text()
    assert "pair" not in (table.parent / "flow.svg").read_text()
    assert not (table.parent / "split.json").exists()


@pytest.mark.parametrize(
    "command",
    [
        "prepare {cases} prepared",
        "train t1ce_to_t1_finetuned runs --data {folder}",
        "evaluate {cases} evaluation --synthetic {folder}",
        "init {cases} my.yaml",
    ],
)
def test_what_needs_a_target_refuses_the_table_and_says_what_it_is_for(tmp_path, index, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    _, table = written(tmp_path, index)
    remedy = r"can be translated \(voxlate translate, voxlate batch\); to prepare, train or evaluate, write"
    with pytest.raises(InputRefused, match=rf"CASES cases\.tsv: column target is missing; .*{remedy}"):
        run(*command.format(cases=table, folder=table.parent).split())


def test_single_scans_are_split_by_patient_where_the_rules_say_so(tmp_path, index):
    said, table = written(tmp_path, index, splits={"test": 0.5, "validation": 0, "low": False})
    cases = read_cases(table, paired=False, single=True)
    assert Counter(case.split for case in cases) in ({"test": 2, "train": 1}, {"test": 1, "train": 2})
    assert len({(case.patient, case.split) for case in cases}) == 2
    assert "Test_good" in said
    good = read_cases(table.with_name("cases_Test_good.tsv"), paired=False, single=True)
    assert good == [case for case in cases if case.split == "test"]
    with pytest.raises(UsageError, match=r"SPLIT_FROZEN split\.json is there, and these rules do not split"):
        written(tmp_path, index)
    with pytest.raises(UsageError, match=r"RULES --extend: these rules do not split single scans"):
        run("cohort", tmp_path / "rules.yaml", index, tmp_path / "new", "--extend", "--jobs", 1)


def test_a_cohort_without_a_scan_is_an_error_that_names_the_reasons(tmp_path, index):
    none = {"shows": "T1ce", "when": [{"column": "slices", "above": 999}]}
    with pytest.raises(
        NoInput, match=r"NO_SINGLES no scan is left of 5 series \(\d.*\); exclusions\.tsv has each"
    ) as found:
        written(tmp_path, index, source=none)
    lines = (tmp_path / "out" / "exclusions.tsv").read_text().splitlines()[1:]
    assert len(lines) == 5
    for reason, count in Counter(line.split("\t")[1] for line in lines).items():
        assert f"{count} {reason}" in str(found.value)


def test_a_selection_of_nothing_leaves_an_earlier_cohort_as_it_is(tmp_path, index):
    written(tmp_path, index)
    out = tmp_path / "out"
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    with pytest.raises(NoInput, match=r"NO_SINGLES .*; out keeps its earlier cohort; .* has each"):
        written(tmp_path, index, source={"shows": "T1ce", "when": [{"column": "slices", "above": 999}]})
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


def test_the_shipped_rules_of_single_scans_are_found_by_name_and_need_no_split():
    for name, shows in (("enhanced_t1", "T1ce"), ("ct_head", "CT")):
        rules = shipped(name)
        assert (rules.source.shows, rules.target, rules.splits, rules.unit) == (shows, None, None, "single")
    with pytest.raises(NoInput, match="enhanced_t1"):
        find_shipped("cohorts", "enhanced_t2", what="rules of a cohort")
    assert Path(find_shipped("cohorts", "ct_head", what="rules")).is_file()


def test_the_rules_in_the_guide_are_valid_and_hold_single_scans(tmp_path):
    guide = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "warehouse.md"
    (text,) = re.findall(r"^```yaml\n(.*?)^```", guide.read_text(), flags=re.MULTILINE | re.DOTALL)
    (tmp_path / "rules.yaml").write_text(text)
    rows = [scan("p", "1", "T1w", "yes") | {"series": name} for name in ("a", "b")]
    rows += [scan("q", "1", "T1w", "yes", field_tesla=1.5), scan("r", "1", "T1w", "yes", acquisition="2D")]
    found = select(join_grades(rows, []), read_rules(tmp_path / "rules.yaml"))
    assert [pair.source["series"] for pair in found.pairs] == ["a"]
