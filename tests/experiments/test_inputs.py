"""Data of the user's are checked before anything is trained on them."""

import pytest
from tiny import write_cohort

from voxlate.cases import write_cases
from voxlate.errors import InputRefused, NoInput, UsageError
from voxlate.experiments.inputs import require_contrasts
from voxlate.experiments.settings import Evaluation


def taking(recipe, *more):
    return recipe.model_copy(update={"more_sources": more})


def test_a_cohort_that_lacks_a_contrast_is_refused_before_anything_is_trained(tmp_path, recipe):
    cases = write_cohort(tmp_path, ["train", "test"], shape=(6, 6, 6))
    table = tmp_path / "cases.tsv"
    with pytest.raises(InputRefused, match=r"TARGET_MISSING no case has T2w, .* t2; add the column more:T2w"):
        require_contrasts(table, {"a": recipe}, {"t2": Evaluation(target="T2w")})
    with pytest.raises(UsageError, match=r"SOURCE_NOWHERE no case has ADC, T2w; add to cases\.tsv: more:ADC, more:T2w"):
        require_contrasts(table, {"a": taking(recipe, "T2w"), "b": taking(recipe, "T2w", "ADC")}, {})
    require_contrasts(table, {"a": taking(recipe, "T2w"), "b": recipe}, {"test": Evaluation()})  # b can be trained
    cases[0].more["T2w"] = cases[0].source
    write_cases(table, cases)
    require_contrasts(table, {"a": taking(recipe, "T2w")}, {"t2": Evaluation(target="T2w")})
    with pytest.raises(NoInput, match="this table of cases does not exist"):
        require_contrasts(tmp_path / "none.tsv", {"a": recipe}, {})
