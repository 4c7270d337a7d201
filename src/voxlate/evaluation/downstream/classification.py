"""Can atrophy be told from tissue volumes of synthetic images as well as from those of real ones?

Bottani et al. 2024 wish for a computer-aided diagnosis trained on real and synthetic images. The classifier is a
logistic regression with L2 penalty (scikit-learn, C = 1) on standardised features: each tissue's share of the
intracranial volume (the sum of all tissues). Folds are drawn by patient and stratified by class; the test patient's
images of every method stay out of the training. Each patient's score is the mean of the held-out log-odds over repeated
cross-validations; the AUC over patients has DeLong's interval, which does not hold the variation by the training set.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxlate.errors import InputRefused
from voxlate.evaluation.downstream.classes import read_classes
from voxlate.evaluation.downstream.measurements import (
    TARGET,
    Measurement,
    read_measurements,
    require_method,
    write_result,
)
from voxlate.evaluation.downstream.roc import Area, area, difference, require_classes
from voxlate.preparation.libraries import library

FOLDS, REPEATS = 5, 10
"""Five folds as in most studies of classifiers; ten repeats make the score hardly depend on how folds were drawn."""

Features = NDArray[np.float64]


@dataclass(frozen=True)
class Regime:
    """What a classifier is trained and tested on.

    Attributes:
        train: methods whose images are in the training, such as (`target`, `synthetic`) for both.
        test: method whose images are classified.
    """

    train: tuple[str, ...]
    test: str

    @property
    def name(self) -> str:
        """Returns its name in tables: `target + synthetic -> target`."""
        return f"{' + '.join(self.train)} -> {self.test}"


@dataclass(frozen=True)
class Classified:
    """Result of one regime.

    Attributes:
        train, test: names of the methods.
        n, n_positive: number of patients, and of those with atrophy.
        auc, auc_low, auc_high: area under the ROC curve with its 95 % interval.
        accuracy: share of patients whose log-odds have the right sign.
        difference, difference_low, difference_high, difference_p: AUC minus that of the first regime (DeLong); NaN for
            the first regime itself.
    """

    train: str
    test: str
    n: int
    n_positive: int
    auc: float
    auc_low: float
    auc_high: float
    accuracy: float
    difference: float
    difference_low: float
    difference_high: float
    difference_p: float


def usual_regimes(measurements: Sequence[Measurement]) -> list[Regime]:
    """Returns the regimes of a table: real on real, then for each other method real on it, it on real, it on it, both.

    Raises:
        InputRefused: `METHOD` when the table has no `target`.
    """
    require_method(measurements, TARGET)
    regimes = [Regime((TARGET,), TARGET)]
    for method in dict.fromkeys(one.method for one in measurements if one.method != TARGET):
        pairs = (((TARGET,), method), ((method,), TARGET), ((method,), method), ((TARGET, method), TARGET))
        regimes += [Regime(train, test) for train, test in (*pairs, ((TARGET, method), method))]
    return regimes


def features(
    measurements: Sequence[Measurement], *, structures: Sequence[str] | None = None, is_relative: bool = True
) -> dict[str, dict[str, Features]]:
    """Returns the features of each patient by method, sessions averaged; patients without all structures are left out.

    Args:
        measurements: volumes.
        structures: in this order; by default all of the table.
        is_relative: divide by the sum over the structures, the intracranial volume of three tissues.

    Raises:
        InputRefused: `VOLUME` for a patient whose volumes sum to 0.
    """
    names = list(structures or dict.fromkeys(one.structure for one in measurements))
    collected: dict[str, dict[str, dict[str, list[float]]]] = {}
    for one in measurements:
        of_patient = collected.setdefault(one.method, {}).setdefault(one.patient, {})
        of_patient.setdefault(one.structure, []).append(one.value)
    found: dict[str, dict[str, Features]] = {}
    for method, patients in collected.items():
        for patient, values in patients.items():
            if not all(name in values for name in names):
                continue
            vector = np.array([np.mean(values[name]) for name in names])
            if is_relative and not vector.sum() > 0:
                raise InputRefused(
                    "VOLUME", f"{patient}: the volumes of {method} sum to {vector.sum():g}; leave it out"
                )
            found.setdefault(method, {})[patient] = vector / vector.sum() if is_relative else vector
    return found


def classify(
    measurements: Sequence[Measurement],
    has_atrophy: Mapping[str, bool],
    *,
    regimes: Sequence[Regime] | None = None,
    is_relative: bool = True,
    folds: int = FOLDS,
    repeats: int = REPEATS,
    seed: int = 0,
) -> list[Classified]:
    """Returns one row per regime, over the patients who have a label and the volumes of every method of the regimes.

    A session that one of these methods lacks is left out of all, because atrophy may show in that session alone.

    Args:
        measurements: volumes of tissues (or structures) of all methods.
        has_atrophy: the class by patient.
        regimes: the first is the reference; by default `usual_regimes`.
        is_relative: see `features`.
        folds: number of folds; each class needs as many patients.
        repeats: cross-validations with other folds.
        seed: of the folds, which are the same for all regimes.

    Raises:
        InputRefused: `METHOD`, `VOLUME`, `TOO_FEW_PATIENTS`.
        UsageError: `MISSING_LIBRARY` without scikit-learn.
    """
    chosen = list(regimes or usual_regimes(measurements))
    methods = {method for regime in chosen for method in (*regime.train, regime.test)}
    for method in sorted(methods):
        require_method(measurements, method)
    table = features(_in_shared_sessions(measurements, methods), is_relative=is_relative)
    patients = [name for name in has_atrophy if all(name in table.get(method, {}) for method in methods)]
    positive = np.array([has_atrophy[name] for name in patients], dtype=bool)
    require_classes(positive, least=max(folds, 2))
    arrays = {method: np.stack([table[method][name] for name in patients]) for method in methods}
    scored = [_scores(arrays, positive, regime, folds=folds, repeats=repeats, seed=seed) for regime in chosen]
    areas = [area(scores, positive) for scores in scored]
    return [
        _row(regime, scores, found, areas[0] if index else None, positive)
        for index, (regime, scores, found) in enumerate(zip(chosen, scored, areas, strict=True))
    ]


def _in_shared_sessions(measurements: Sequence[Measurement], methods: Collection[str]) -> list[Measurement]:
    """Returns the measurements of the sessions in which every one of the methods measured something."""
    measured: dict[tuple[str, str], set[str]] = {}
    for one in measurements:
        measured.setdefault((one.patient, one.session), set()).add(one.method)
    return [one for one in measurements if measured[one.patient, one.session].issuperset(methods)]


def _scores(
    arrays: Mapping[str, Features], positive: NDArray[np.bool_], regime: Regime, *, folds: int, repeats: int, seed: int
) -> Features:
    """Returns the mean held-out log-odds of each patient, (patients,)."""
    linear_model = library("sklearn.linear_model")
    total = np.zeros(positive.size)
    for held_out in _folds(positive, folds=folds, repeats=repeats, seed=seed):
        train = np.concatenate([arrays[method][~held_out] for method in regime.train])
        classes = np.tile(positive[~held_out], len(regime.train))
        mean, spread = train.mean(axis=0), train.std(axis=0)
        spread = np.where(spread > 0, spread, 1.0)  # a constant feature carries nothing
        model: Any = linear_model.LogisticRegression(C=1.0, max_iter=1000)
        model.fit((train - mean) / spread, classes)
        total[held_out] += model.decision_function((arrays[regime.test][held_out] - mean) / spread)
    return total / repeats


def _folds(positive: NDArray[np.bool_], *, folds: int, repeats: int, seed: int) -> Iterator[NDArray[np.bool_]]:
    """Yields the held-out patients of each fold, (patients,); both classes are spread evenly over the folds."""
    random = np.random.default_rng(seed)
    for _ in range(repeats):
        fold = np.zeros(positive.size, dtype=int)
        for members in (np.flatnonzero(positive), np.flatnonzero(~positive)):
            fold[random.permutation(members)] = np.arange(members.size) % folds
        for number in range(folds):
            yield fold == number


def _row(
    regime: Regime, scores: Features, found: Area, reference: Area | None, positive: NDArray[np.bool_]
) -> Classified:
    missing = (float("nan"),) * 4
    compared = difference(found, reference, positive) if reference is not None else None
    return Classified(
        " + ".join(regime.train),
        regime.test,
        positive.size,
        int(positive.sum()),
        found.auc,
        found.low,
        found.high,
        float(((scores > 0) == positive).mean()),
        *((compared.difference, compared.low, compared.high, compared.p) if compared is not None else missing),
    )


def classify_files(
    volumes: Path, classes: Path, out: Path, *, positive: str | None = None, **options: Any
) -> list[Classified]:
    """Reads volumes and classes, and writes `classification.tsv` and `classification.json` into a folder.

    Args:
        volumes: table of measurements, see `read_measurements`.
        classes: table of labels, see `read_classes`.
        out: folder; created when missing.
        positive: label of the positive class.
        **options: keyword arguments of `classify`.

    Raises:
        NoInput, InputRefused, UsageError: as the functions it calls.
    """
    rows = classify(read_measurements(volumes), read_classes(classes, positive=positive), **options)
    write_result(out, "classification", Classified, rows, doc=__doc__)
    return rows
