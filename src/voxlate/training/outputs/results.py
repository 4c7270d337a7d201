"""What a finished run writes: the bundle with what inference needs of the training cases, and the files beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from voxlate.bundle.bundle import read_weights, write_bundle
from voxlate.bundle.networks import generator_of
from voxlate.bundle.out_of_distribution import fit_training_statistics, intensity_quantiles
from voxlate.bundle.prepared_case import PreparedCase
from voxlate.bundle.recipe import Recipe, recipe_text
from voxlate.cases import Case, write_cases
from voxlate.evaluation.baselines import HistogramMatch, histogram_match_to_json
from voxlate.evaluation.training_cases import starts_of
from voxlate.io.atomic import write_json, write_text
from voxlate.training.checkpoint import Progress
from voxlate.training.data.cohort import TrainingCohort
from voxlate.training.given import Given
from voxlate.training.outputs.card import card, with_starts
from voxlate.training.outputs.filter_visualisation import filter_visualisation
from voxlate.training.schedule import learning_rate
from voxlate.training.validation import latest_best_weights

UNKNOWN_MAPPING = {"gain": 1.0, "log_sd": 0.0, "offset": 0.0, "median": 1.0, "n": 0, "spacing_mm": None}
"""The content of `mapping.json` when all windows came from a dataset: the level of the target is that of the source."""


_KEPT = ("training", "validation", "stopped", "processes")
"""What `history.json` holds of the progress of a run."""


def write_results(
    run: Path, recipe: Recipe, cases: Sequence[Case], cohort: TrainingCohort, progress: Progress, *, given: Given
) -> None:
    """Writes the bundle, `cases.tsv`, `recipe.yaml` and `history.json` of a finished run.

    Args:
        run: its folder, with the best weights of each stage.
        recipe: the resolved recipe.
        cases: all cases of the run, those of the test split too.
        cohort: the prepared cases of training and validation.
        progress: of the finished run.
        given: Python objects in place of what the recipe names.
    """
    weights = read_weights(latest_best_weights(run, len(recipe.plan)))
    history = _history(recipe, progress)
    mapping = level_mapping(cohort.train, cohort.targets) if cohort.train else dict(UNKNOWN_MAPPING)
    documents = {"mapping": mapping, "history": history, **_statistics(recipe, cohort)}
    network = generator_of(recipe, trust_code=True, network=given.network)
    network.load_state_dict(weights)
    pictured = (cohort.validation or cohort.train)[:1]
    pictures = filter_visualisation(network, pictured[0]) if pictured else None
    documents |= {} if pictures is None else {"pictures": pictures}
    splits = ("train", "validation", "test")
    names = {split: [case.case for case in cases if case.split == split] for split in splits}
    starts = starts_of(run)
    documents |= {"start": {"starts": [asdict(start) for start in starts]}} if starts else {}
    drawn = "" if cohort.simulated is None else cohort.simulated.told
    windows = 0 if given.windows is None else given.windows.count
    text = card(recipe, weights, names=names, progress=progress, mapping=mapping, windows=windows, drawn=drawn)
    text = with_starts(text, starts)
    write_bundle(run / "bundle", recipe, weights, documents=documents, card=text)
    if cases:
        write_cases(run / "cases.tsv", list(cases))
    write_text(run / "recipe.yaml", recipe_text(recipe))
    write_json(run / "history.json", history)


def _statistics(recipe: Recipe, cohort: TrainingCohort) -> dict[str, Any]:
    """Returns `baselines` and `known`, which only whole training cases give, or nothing without such cases."""
    if not cohort.train:
        return {}
    # A source in Hounsfield units cannot be taken for a target: their values have different units.
    comparable = () if recipe.preparation.range_hu is not None else cohort.targets or cohort.train
    targets = [intensity_quantiles(case.target[case.mask]) for case in comparable]
    return {
        "baselines": quantile_functions(cohort.train, cohort.targets),
        "known": fit_training_statistics([case.description for case in cohort.train], targets).to_json(),
    }


def level_mapping(cases: Sequence[PreparedCase], targets: Sequence[PreparedCase] | None = None) -> dict[str, Any]:
    """Returns the content of `mapping.json`: how reference levels of targets relate to those of their sources.

    The gain is the geometric mean of the ratios target level / source level, since a gain multiplies.

    Args:
        cases: of the training; pairs, or sources alone when `targets` are given.
        targets: of training without pairs; each is compared with the mean source.

    Returns:
        gain, `log_sd` (standard deviation of the logarithm of the ratios), `offset` and `median` of targets in relative
        units, number `n` of targets, and least and largest voxel spacing in mm.
    """
    others = cases if targets is None else targets
    sources = np.log([case.source_level for case in cases])
    levels = np.log([case.target_level for case in others])
    ratios = levels - (sources if targets is None else sources.mean())
    spacings = [spacing for case in cases for spacing in case.spacing_mm]
    return {
        "gain": float(np.exp(ratios.mean())),
        "log_sd": float(ratios.std(ddof=1)) if len(ratios) > 1 else 0.0,
        "offset": float(np.mean([case.target_offset for case in others])),
        "median": float(np.mean([case.target_median for case in others])),
        "n": len(others),
        "spacing_mm": [min(spacings), max(spacings)],
    }


def quantile_functions(cases: Sequence[PreparedCase], targets: Sequence[PreparedCase] | None = None) -> dict[str, Any]:
    """Returns the content of `baselines.json`: mean quantile functions, which the histogram-matched baseline needs.

    Args:
        cases: of the training; pairs, or sources alone when `targets` are given.
        targets: of training without pairs.
    """
    source = np.mean([case.quantiles[0] for case in cases], axis=0)
    target = np.mean([case.quantiles[1] for case in (cases if targets is None else targets)], axis=0)
    return histogram_match_to_json(HistogramMatch(source, target, len(cases)))


def _history(recipe: Recipe, progress: Progress) -> dict[str, Any]:
    """Returns the content of `history.json`: losses, validation errors, early stops, processes, learning rates."""
    history: dict[str, Any] = {key: asdict(progress)[key] for key in _KEPT}
    history["learning_rate"] = [
        {"step": point["step"], "value": learning_rate(recipe, int(point["step"]) - 1)} for point in progress.training
    ]
    return history
