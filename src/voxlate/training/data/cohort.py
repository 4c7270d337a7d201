"""The prepared cases of a run: training, validation and, without pairs, the targets alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from voxlate.bundle.prepared_case import PreparedCase, prepare_case, prepare_unpaired
from voxlate.bundle.recipe import Recipe
from voxlate.bundle.settings import DEFAULT_TABLE
from voxlate.cases import ABSENT, Case
from voxlate.errors import NoInput, UsageError
from voxlate.preparation import PreparationSettings
from voxlate.preparation.store import PreparationStore
from voxlate.training.data.duplicates import require_separate_splits
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
        raise UsageError("NO_TRAINING_CASE", "the table has no case whose split is `train`")
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
        prepare_one(case.case, case.target, folder / "targets", _target_settings(recipe), _target_mask(case))
        for case in training
        if case.target != ABSENT
    ]
    if not sources or not targets:
        missing = "target" if sources else "source"
        raise UsageError(
            "NO_TRAINING_CASE", f"no training row has a {missing}; training without pairs needs both lists"
        )
    return TrainingCohort(sources, validation, targets)


def require_files(cases: Sequence[Case], recipe: Recipe, folder: Path) -> None:
    """Refuses a training whose files do not exist, before any of them is read.

    Args:
        cases: of all splits; files of the test split are not needed.
        recipe: names the cases.
        folder: the data folder.

    Raises:
        NoInput: `NO_INPUT`, with the number of cases, the first file, what names it, and the remedy.
    """
    needed = [case for case in cases if case.split != "test"]
    absent = [(case.case, path) for case in needed for path in _files(case, recipe) if not path.is_file()]
    if not absent:
        return
    case, path = absent[0]
    data, place = recipe.data, folder.resolve().name
    start = f"{len(dict(absent))} of {len(needed)} cases lack a file, first {case}: {path.name} does not exist"
    if not data.names_cases and not (folder / DEFAULT_TABLE).is_file():
        raise NoInput("NO_INPUT", f"{start}; correct its path in the list of cases")
    if data.source is not None:
        origin = f"the recipe {recipe.name} looks for {data.source} and {data.target} in the folder {place}"
        table = f"{place}/{DEFAULT_TABLE}" if (folder / DEFAULT_TABLE).is_file() else DEFAULT_TABLE
        remedy = f"`voxlate init {table} my.yaml` writes a recipe for a table of your own; or pass --data"
    else:
        origin = f"the table {data.cases or DEFAULT_TABLE} in the folder {place} names it"
        remedy = "paths in a table are relative to its folder; correct the table, or pass --data"
    raise NoInput("NO_INPUT", f"{start}; {origin}; {remedy} with the folder of the data")


def _files(case: Case, recipe: Recipe) -> list[Path]:
    """Returns the files of a case that the training of a recipe reads."""
    if recipe.data.paired or case.split != "train":
        paths = [case.source, case.target, case.mask, case.labels, *map(case.more.get, recipe.more_sources)]
    else:
        paths = [case.source, case.target, case.mask, _target_mask(case)]
    return [path for path in paths if path is not None and path != ABSENT]


def _target_mask(case: Case) -> Path | None:
    """Returns the brain mask of an unpaired target; in a row without a source, `mask` is that of the target."""
    return case.mask if case.source == ABSENT else case.target_mask


def _target_settings(recipe: Recipe) -> PreparationSettings:
    """Returns the preparation of a target without a paired source: that of a source, with the target's reference."""
    settings = recipe.preparation
    return settings.model_copy(update={"reference": settings.target_reference or settings.reference, "range_hu": None})
