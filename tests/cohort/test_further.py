"""Further sources of a pair, the shipped rules of the papers, and the table of a cohort."""

from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import ValidationError

from voxlate.archive.rows import IndexRow
from voxlate.cohort.build_cohort import without_unreadable, write_cohort
from voxlate.cohort.cohort_table import cohort_table
from voxlate.cohort.rules import Rules, read_rules
from voxlate.cohort.select import select
from voxlate.cohort.series_rows import join_grades
from voxlate.errors import InputRefused

COHORTS = Path(__file__).resolve().parents[2] / "cohorts"
DEFAULTS = {"agent": "unknown", "fault": "", "slices": 100, "day": "2015-06-10", "manufacturer": "SIEMENS",
            "field_tesla": 2.89, "model": "SKYRA", "acquisition": "3D", "body_part": "HEAD", "age_years": 40.0,
            "sex": "F", "kernel": None}  # fmt: skip


def scan(patient, study, kind, agent="unknown", **more):
    name = f"{patient}-{study}-{kind}-{agent}"
    known = {"patient": patient, "study": f"{patient}{study}", "series": name, "kind": kind, "agent": agent}
    return dict.fromkeys(IndexRow.__annotations__) | DEFAULTS | known | more


def session(patient, study="1", **more):
    """Returns the four scans that the rules of Chen et al. take."""
    contrasts = (("T1w", "no"), ("T1w", "yes"), ("T2w", "unknown"), ("ADC", "unknown"))
    return [scan(patient, study, kind, agent, **more) for kind, agent in contrasts]


def chosen(rows, name):
    return select(join_grades(rows, []), read_rules(COHORTS / f"{name}.yaml"))


def with_optional(rules):
    more = tuple(side.model_copy(update={"required": False}) for side in rules.more)
    return rules.model_copy(update={"more": more})


def test_a_pair_takes_its_t2_and_adc_from_its_own_session():
    rows = [*session("p"), *session("p", "2", day="2016-01-01")]
    pairs = chosen(rows, "chen2022").pairs
    assert len(pairs) == 2
    for pair in pairs:
        assert list(pair.more) == ["T2w", "ADC"]
        assert {each["study"] for each in pair.more.values()} == {pair.source["study"]}


def test_of_several_further_sources_the_nearest_in_time_is_taken_and_none_beyond_the_limit():
    rules = read_rules(COHORTS / "chen2022.yaml")
    near = rules.model_copy(update={"pair": rules.pair.model_copy(update={"within": 9})})
    pair = [each for each in session("p") if each["kind"] == "T1w"]
    days = {"2": "2015-06-17", "3": "2015-06-13", "4": "2015-06-25"}
    later = [scan("p", study, kind, day=day) for study, day in days.items() for kind in ("T2w", "ADC")]
    (found,) = select(join_grades([*pair, *later], []), near).pairs
    assert {each["day"] for each in found.more.values()} == {"2015-06-13"}
    assert not select(join_grades([*pair, *later[4:]], []), near).pairs


@pytest.mark.parametrize("absent", ["T2w", "ADC"])
def test_a_pair_without_a_required_source_is_dropped_with_its_reason_and_kept_where_it_is_optional(absent):
    rows = [each for each in session("p") if each["kind"] != absent]
    found = chosen(rows, "chen2022")
    assert not found.pairs
    assert set(dict(found.exclusions).values()) >= {f"no {absent}"}
    assert len(found.exclusions) == len(rows)
    rules = read_rules(COHORTS / "chen2022.yaml")
    optional = with_optional(rules)
    (pair,) = select(join_grades(rows, []), optional).pairs
    assert absent not in pair.more


def test_a_rule_of_pairs_may_name_a_further_source_even_where_it_is_missing():
    rules = read_rules(COHORTS / "chen2022.yaml")
    content = rules.model_dump(mode="json", by_alias=True, exclude_none=True)
    content["more"] = [dict(side, required=False) for side in content["more"]]
    content["steps"] = [{"reason": "few slices", "of": "pair", "drop": [{"column": "ADC.slices", "below": 20}]}]
    rows = [*session("p"), *session("q")[:3]]
    rows[3]["slices"] = 10
    found = select(join_grades(rows, []), Rules.model_validate(content))
    assert [pair.patient for pair in found.pairs] == ["q"]


def test_an_unreadable_optional_source_costs_only_itself_and_a_required_one_the_pair():
    rules = read_rules(COHORTS / "chen2022.yaml")
    selection = select(join_grades(session("p"), []), rules)
    faults = {selection.pairs[0].more["ADC"]["series"]: "TRUNCATED"}
    assert not without_unreadable(selection, rules, faults).pairs
    optional = with_optional(rules)
    (pair,) = without_unreadable(selection, optional, faults).pairs
    assert list(pair.more) == ["T2w"]


def test_an_unreadable_optional_source_has_its_row_among_the_exclusions_and_makes_no_flow_step():
    rules = with_optional(read_rules(COHORTS / "chen2022.yaml"))
    selection = select(join_grades(session("p"), []), rules)
    adc = selection.pairs[0].more["ADC"]["series"]
    kept = without_unreadable(selection, rules, {adc: "TRUNCATED"})
    assert kept.exclusions == ((adc, "cannot be read: TRUNCATED"),)
    assert kept.flow_steps == selection.flow_steps
    assert without_unreadable(selection, rules, {}) == selection


def test_a_further_source_that_another_pair_still_uses_is_not_excluded_with_its_first_pair():
    rules = read_rules(COHORTS / "chen2022.yaml")
    near = rules.model_copy(update={"pair": rules.pair.model_copy(update={"within": 9})})
    later = [each for each in session("p", "2", day="2015-06-12") if each["kind"] == "T1w"]
    selection = select(join_grades([*session("p"), *later], []), near)
    first, second = selection.pairs
    assert first.more == second.more
    assert first.more
    kept = without_unreadable(selection, near, {second.target["series"]: "TRUNCATED"})
    assert kept.pairs == (first,)
    assert dict(kept.exclusions) == {
        second.source["series"]: "its partner cannot be read",
        second.target["series"]: "cannot be read: TRUNCATED",
    }
    assert kept.flow_steps[-1].dropped == 1


def test_two_series_that_would_get_one_file_name_are_refused(tmp_path):
    rows = [*session("p", "-sameday-1"), *session("p", "-sameday-2")]  # the name of a session has 8 characters
    rules = read_rules(COHORTS / "chen2022.yaml")
    selection = select(join_grades(rows, []), rules)
    assert len(selection.pairs) == 2
    with pytest.raises(InputRefused, match=r"NAMES_COLLIDE two scans would get the name sub-p_ses-p-sameda"):
        list(write_cohort(selection, rules, tmp_path / "index", tmp_path / "out"))


def test_a_contrast_is_named_once():
    rules = read_rules(COHORTS / "chen2022.yaml").model_dump(mode="json", by_alias=True, exclude_none=True)
    rules["more"][0]["shows"] = "T1w"
    with pytest.raises(ValidationError, match="name each contrast once"):
        Rules.model_validate(rules)


BOTTANI = [scan("p", "1", "T1w", agent) for agent in ("yes", "no")]
LEE = [scan("p", "1", "CT", body_part="LSPINE", field_tesla=None), scan("p", "2", "T2w", body_part="LSPINE",
       day="2015-06-13", acquisition="2D")]  # fmt: skip
LI = [scan("p", "1", "CT", field_tesla=None, acquisition=None), scan("p", "2", "T1w", day="2015-07-01"),
      scan("p", "2", "T2w", day="2015-07-01")]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "rows", "change"),
    [
        ("bottani2024", BOTTANI, {"acquisition": "2D"}),
        ("bottani2024", BOTTANI, {"body_part": "KNEE"}),
        ("bottani2024", BOTTANI, {"age_years": 17.0}),
        ("bottani2024", BOTTANI, {"slices": 39}),
        ("chen2022", session("p"), {"field_tesla": 1.5}),
        ("chen2022", session("p"), {"manufacturer": "GE"}),
        ("chen2022", session("p"), {"body_part": "CSPINE"}),
        ("lee2020", LEE, {"body_part": "CSPINE"}),
        ("lee2020", LEE, {"kernel": "sharp"}),
        ("lee2020", [*LEE[:1], LEE[1] | {"day": "2015-06-14"}], {}),
        ("li2022", LI, {"age_years": 61.0}),
        ("li2022", LI, {"acquisition": "2D"}),
        ("li2022", LI, {"age_years": 17.0}),
        ("li2022", LI[:2], {}),
    ],
)
def test_the_rules_of_each_paper_take_its_scans_and_leave_out_what_it_left_out(name, rows, change):
    grades = [
        {"item": {"name": row["series"]}, "state": "OK", "content": row["series"],
         "row": {"tier": "good", "kind": row["kind"], "agent": row["agent"], "pass_probability": 0.9}}
        for row in rows
    ]  # fmt: skip
    rules = read_rules(COHORTS / f"{name}.yaml")
    taken = select(join_grades(rows, grades), rules).pairs
    assert len(taken) == (1 if change else 0)
    assert not select(join_grades([row | change for row in rows], grades), rules).pairs
    unknown = dict.fromkeys(change)  # a value that no header states excludes nothing
    unknown.pop("slices", None)
    assert len(select(join_grades([row | unknown for row in rows], grades), rules).pairs) == len(taken)


def test_the_table_counts_images_scanners_and_patients_of_every_part():
    rows = [*session("a", sex="M", age_years=30.0), *session("b", model="PRISMA", age_years=50.0),
            *session("b", "2", model="PRISMA", age_years=52.0, day="2017-01-01")]  # fmt: skip
    pairs = chosen(rows, "chen2022").pairs
    parts = {"train": [pair for pair in pairs if pair.patient == "b"], "Test_good": [pairs[0]]}
    assert pairs[0].patient == "a"
    header, *table = cohort_table(parts, source="T1w", target="T1ce")
    assert header == ["characteristic", "value", "all", "train", "Test_good"]
    cells = {(row[0], row[1]): row[2:] for row in table}
    assert cells["patients", ""] == ["2", "1", "1"]
    assert cells["pairs", ""] == ["3", "2", "1"]
    assert cells["images", ""] == ["12", "8", "4"]
    assert cells["images by contrast", "T1ce"] == ["3", "2", "1"]
    assert cells["images by field strength", "3 T"] == ["12", "8", "4"]
    assert cells["models by manufacturer", "SIEMENS"] == ["2", "1", "1"]
    assert cells["images by model", "SIEMENS PRISMA"] == ["8", "8", "0"]
    assert cells["patients by sex", "M"] == ["1", "0", "1"]
    assert cells["age in years", "mean ± SD"] == ["40.0 ± 14.1", "50.0", "30.0"]  # the age at the first scan


def test_an_unknown_field_or_age_is_counted_as_not_stated():
    pair = chosen(session("a", field_tesla=None, age_years=None), "chen2022").pairs[0]
    pair = replace(pair, more={})
    cells = {(row[0], row[1]): row[2:] for row in cohort_table({"train": [pair]}, source="T1w", target="T1ce")}
    assert cells["images by field strength", "not stated"] == ["2", "2"]
    assert cells["age in years", "patients with a known age"] == ["0", "0"]
