"""The prepared cases of a run: training, validation and, without pairs, the targets alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from voxlate.bundle.prepared_case import PreparedCase, prepare_case, prepare_unpaired
from voxlate.bundle.recipe import Recipe
from voxlate.cases import ABSENT, Case
from voxlate.errors import UsageError
from voxlate.preparation import PreparationSettings
from voxlate.preparation.store import PreparationStore
from voxlate.training.data.duplicates import require_separate_splits
from voxlate.training.preflight import target_mask
from voxlate.training.simulated.windows import SimulatedWindows


@dataclass(frozen=True)
class TrainingCohort:
    """The prepared cases of a run.

    Attributes:
        train: pairs; in training without pairs, the sources alone.
        validation: pairs.
        targets: in training without pairs, the targets alone; otherwise None.
        simulated: windows of simulated heads, if the recipe asks for them.
    """

    train: list[PreparedCase]
    validation: list[PreparedCase]
    targets: list[PreparedCase] | None = None
    simulated: SimulatedWindows | None = None


def prepare_training(
    cases: Sequence[Case],
    folder: Path,
    recipe: Recipe,
    *,
    has_windows: bool = False,
    simulated: SimulatedWindows | None = None,
    store: PreparationStore | None = None,
) -> TrainingCohort:
    """Prepares the cases of training and validation.

    All cases, those of the test split too, are first searched for an image that is in two splits.

    Args:
        cases: of all splits.
        folder: gets the arrays of the prepared cases.
        recipe: the resolved recipe.
        has_windows: whether a dataset of the user gives the windows; then no training case is needed.
        simulated: windows of simulated heads; see `SimulatedWindows.of`.
        store: keeps brain masks, bias fields and registrations; see `voxlate.preparation.fit_preparation`.

    Raises:
        UsageError: `NO_TRAINING_CASE`; `SOURCE_NOWHERE` for an additional source that no training case has;
            `SIMULATED_SPACING`.
        InputRefused: `IMAGE_IN_TWO_SPLITS`.
        VoxlateError: a case cannot be used; the message begins with its name.
    """
    training = [case for case in cases if case.split == "train"]
    if not training and not has_windows:
        raise UsageError(
            "NO_TRAINING_CASE",
            "the table has no case whose split is `train`; write train into its column split, or let voxlate init "
            "--scans FOLDER make a table with splits",
        )
    require_separate_splits(cases)
    settings, more = recipe.preparation, recipe.more_sources
    absent = [name for name in more if not any(name in case.more for case in training)]
    if absent and training:
        raise UsageError(
            "SOURCE_NOWHERE", f"no training case has {absent[0]}; use the name that the table or the pattern uses"
        )
    prepare, prepare_one = partial(prepare_case, store=store), partial(prepare_unpaired, store=store)
    validation = [prepare(case, folder, settings, more) for case in cases if case.split == "validation"]
    if recipe.data.paired:
        pairs = [prepare(case, folder, settings, more) for case in training]
        if simulated is not None and pairs:
            simulated.require_spacing(pairs[0].spacing_mm)
        return TrainingCohort(pairs, validation, simulated=simulated)
    sources = [
        prepare_one(case.case, case.source, folder / "sources", settings, case.mask)
        for case in training
        if case.source != ABSENT
    ]
    targets = [
        prepare_one(case.case, case.target, folder / "targets", _target_settings(recipe), target_mask(case))
        for case in training
        if case.target != ABSENT
    ]
    if not sources or not targets:
        missing = "target" if sources else "source"
        raise UsageError(
            "NO_TRAINING_CASE", f"no training row has a {missing}; training without pairs needs both lists"
        )
    return TrainingCohort(sources, validation, targets)


def _target_settings(recipe: Recipe) -> PreparationSettings:
    """Returns the preparation of a target without a paired source: that of a source, with the target's reference."""
    settings = recipe.preparation
    return settings.model_copy(update={"reference": settings.target_reference or settings.reference, "range_hu": None})
