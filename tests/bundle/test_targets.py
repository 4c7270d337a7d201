"""Which image of a case is its target, and what the recipe's target must agree with."""

from pathlib import Path

import pytest

from voxlate.bundle.recipe import parse_recipe
from voxlate.cases import Case, write_cases
from voxlate.errors import InputRefused, NoInput

TEXT = "{name: one, source: CT, target: %s, data: {cases: cases.tsv}}"


def recipe(target="T1w", **overrides):
    return parse_recipe(TEXT % target, name="x.yaml", overrides=overrides)


@pytest.fixture
def cohort(tmp_path):
    def case(name, split, **more):
        paths = {contrast: tmp_path / f"{name}_{contrast}.nii.gz" for contrast in more}
        return Case(name, name, split, tmp_path / f"{name}_ct.nii.gz", tmp_path / f"{name}_T1w.nii.gz", more=paths)

    write_cases(tmp_path / "cases.tsv", [case("a", "train", T2w=1), case("b", "train"), case("c", "test", T2w=1)])
    return tmp_path


def names(cases):
    return [(case.case, case.target.name, sorted(case.more)) for case in cases]


def test_the_target_is_taken_from_the_column_of_its_contrast(cohort):
    assert names(recipe("T1w").cases(cohort)) == [
        ("a", "a_T1w.nii.gz", ["T2w"]),
        ("b", "b_T1w.nii.gz", []),
        ("c", "c_T1w.nii.gz", ["T2w"]),
    ]
    assert names(recipe("T2w").cases(cohort)) == [("a", "a_T2w.nii.gz", []), ("c", "c_T2w.nii.gz", [])]


def test_a_column_of_another_name_of_the_contrast_is_found(cohort):
    assert names(recipe("T2").cases(cohort)) == [("a", "a_T2w.nii.gz", []), ("c", "c_T2w.nii.gz", [])]


def test_rows_that_never_had_a_target_stay_when_the_target_is_a_further_image(cohort):
    table = (cohort / "cases.tsv").read_text().splitlines()
    assert table[2].startswith("b\t")
    table[2] = table[2].replace("b_T1w.nii.gz", "")  # of unpaired lists: a source alone
    (cohort / "cases.tsv").write_text("\n".join(table) + "\n")
    unpaired = {"data.paired": False, "cycle": {}, "loss": {}, "adversarial": {"conditional": False}}
    assert [case.case for case in recipe("T2w", **unpaired).cases(cohort)] == ["a", "b", "c"]


def test_a_target_that_is_named_as_another_contrast_is_refused(cohort):
    with pytest.raises(InputRefused, match=r"TARGET_CONTRAST a: the recipe translates to T2w, but a_T1w.nii.gz"):
        recipe("T2w", **{"data.target_column": "target"}).cases(cohort)
    with pytest.raises(InputRefused, match=r"TARGET_CONTRAST a: .*to FLAIR"):
        recipe("FLAIR").cases(cohort)


def test_contrast_agent_is_seen_in_the_sidecar_of_a_target(cohort):
    assert len(recipe("T1nce").cases(cohort)) == 3
    (cohort / "b_T1w.json").write_text('{"ContrastBolusIngredient": "GADOLINIUM"}')
    with pytest.raises(InputRefused, match=r"TARGET_CONTRAST b: .*is named as T1ce"):
        recipe("T1nce").cases(cohort)


def test_a_name_that_states_no_contrast_is_accepted(cohort):
    write_cases(cohort / "cases.tsv", [Case("a", "a", "train", Path("s.nii"), cohort / "target.nii.gz")])
    assert len(recipe("T2w").cases(cohort)) == 1


def test_a_column_without_any_image_is_refused(cohort):
    with pytest.raises(NoInput, match="NO_TARGET no case has an image in the column more:ADC"):
        recipe("ADC", **{"data.target_column": "more:ADC"}).cases(cohort)
