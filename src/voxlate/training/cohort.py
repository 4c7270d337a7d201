"""The cases of a recipe, prepared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from voxlate.bundle.prepared_case import PreparedCase, prepare_alone, prepare_case
from voxlate.bundle.recipe import Recipe
from voxlate.cases import Case
from voxlate.errors import UsageError
from voxlate.preparation import PreparationSettings
from voxlate.training.duplicates import require_separate_splits


@dataclass(frozen=True)
class TrainingCohort:
    """What a run sees.

    Attributes:
        train: pairs; without pairs the sources alone.
        validation: pairs.
        targets: the targets alone, without pairs; otherwise None.
    """

    train: list[PreparedCase]
    validation: list[PreparedCase]
    targets: list[PreparedCase] | None = None


def prepare_training(cases: Sequence[Case], folder: Path, recipe: Recipe) -> TrainingCohort:
    """Returns the prepared cases of training and validation; their arrays are below `folder`.

    All cases, those to be tested on too, are looked through for an image that stands in two splits.

    Raises:
        UsageError: `NO_TRAINING_CASE`; `SOURCE_NOWHERE` for an additional source that no training case has.
        InputRefused: `IMAGE_IN_TWO_SPLITS`.
        VoxlateError: a case cannot be used; its name stands before the reason.
    """
    training = [case for case in cases if case.split == "train"]
    if not training:
        raise UsageError("NO_TRAINING_CASE", "the table has no case whose split is `train`")
    require_separate_splits(cases)
    settings, more = recipe.preparation, recipe.more_sources
    nowhere = [name for name in more if not any(name in case.more for case in training)]
    if nowhere:
        raise UsageError("SOURCE_NOWHERE", f"no training case has {nowhere[0]}; name it as the table or pattern does")
    validation = [prepare_case(case, folder, settings, more) for case in cases if case.split == "validation"]
    if recipe.data.paired:
        return TrainingCohort([prepare_case(case, folder, settings, more) for case in training], validation)
    sources = [prepare_alone(case.case, case.source, folder / "sources", settings, case.mask) for case in training]
    targets = [prepare_alone(case.case, case.target, folder / "targets", _of_targets(recipe)) for case in training]
    return TrainingCohort(sources, validation, targets)


def _of_targets(recipe: Recipe) -> PreparationSettings:
    """Returns how a target is prepared that has no source to be prepared by."""
    settings = recipe.preparation
    return settings.model_copy(update={"reference": settings.target_reference or settings.reference, "range_hu": None})
