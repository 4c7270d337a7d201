import json
from pathlib import Path

import pytest

from voxlate.cases import Case
from voxlate.errors import InputRefused, NoInput
from voxlate.evaluation.subgroups import NO_FACTORS, read_factors

CASES = [Case(f"case-{n}", f"sub-{n // 2}", "test", Path("s"), Path("t")) for n in range(10)]


def table(folder, text):
    path = folder / "groups.tsv"
    path.write_text(text)
    return path


def test_groups_by_patient_hold_for_each_of_the_patient_s_cases(tmp_path):
    factors = read_factors(table(tmp_path, "participant_id\tscanner\nsub-0\tA\nsub-1\tn/a\n"), CASES)
    assert [factors.of(case) for case in CASES[:4]] == [{"scanner": "A"}, {"scanner": "A"}, {}, {}]
    assert NO_FACTORS.of(CASES[0]) == {}


def test_many_numbers_are_cut_in_two_at_their_median_and_few_are_kept(tmp_path):
    rows = "".join(f"case-{n}\t{30 + 5 * n}\t{1.5 if n % 2 else 3}\n" for n in range(10))
    factors = read_factors(table(tmp_path, f"case\tage\tfield\n{rows}"), CASES)
    assert factors.of(CASES[0]) == {"age": "below 52.5", "field": "3"}
    assert factors.of(CASES[9]) == {"age": "52.5 and above", "field": "1.5"}


def test_a_column_that_may_name_a_person_is_refused(tmp_path):
    rows = "".join(f"case-{n}\tPerson {n}\n" for n in range(5))
    with pytest.raises(InputRefused, match=r"FACTORS .*5 different texts for 5 names"):
        read_factors(table(tmp_path, f"case\tname\n{rows}"), CASES)


@pytest.mark.parametrize(
    "text", ["age\n5\n", "case\tage\ncase-0\n", "case\tage\ncase-0\t4\ncase-0\t5\n", "", "case\tage\n"]
)
def test_a_table_without_a_key_column_or_rows_is_refused(tmp_path, text):
    with pytest.raises(InputRefused, match="FACTORS"):
        read_factors(table(tmp_path, text), CASES)


def test_a_table_of_other_cases_and_a_missing_one_are_no_input(tmp_path):
    with pytest.raises(NoInput, match="none of the 10 cases"):
        read_factors(table(tmp_path, "case\tage\nother\t4\n"), CASES)
    with pytest.raises(NoInput, match="NO_INPUT"):
        read_factors(tmp_path / "none.tsv", CASES)


def test_the_truth_of_a_simulation_gives_scanner_field_age_quality_and_lesions(tmp_path):
    grades = {"contrast": 0, "motion": 2, "noise": 1, "improper": ""}
    content = {
        "scanner": "E",
        "field_tesla": 1.5,
        "head": {"age_years": 61.27},
        "acquisitions": {"T1w": {"grades": grades}},
    }
    (tmp_path / "case-3_factors.json").write_text(json.dumps(content))
    (tmp_path / "case-3_lesions.tsv").write_text("id\tkind\n1\tglioma\n2\tbleed\n3\tglioma\n")
    found = read_factors(tmp_path, CASES).of(CASES[3])
    assert found == {
        "scanner": "E",
        "field_t": "1.5",
        "age_years": "61.3",
        "quality": "low",
        "lesion_type": "bleed and glioma",
    }
    (tmp_path / "case-3_lesions.tsv").write_text("id\n1\n")
    with pytest.raises(InputRefused, match=r"FACTORS case-3_lesions\.tsv: column kind is missing"):
        read_factors(tmp_path, CASES)
    (tmp_path / "case-3_factors.json").write_text("{")
    with pytest.raises(InputRefused, match="FACTORS"):
        read_factors(tmp_path, CASES)
