"""Calibrates uncertainty: maps the spread of several predictions to the error to be expected of a voxel.

The standard deviation of a few networks is smaller than their error, because they share a part of it. On cases with a
known target the three numbers of `voxlate.bundle.calibration` are fitted. A power below 1 lowers the largest errors
that the spread alone would predict. The fit maximises the likelihood of normally distributed errors, as Laves et al.
2020 do for a factor alone; each case has the same weight.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize

from voxlate.bundle.bundle import Bundle, add_to_bundle, remove_from_bundle
from voxlate.bundle.calibration import CALIBRATION_FILE, Calibration, calibration_from_json
from voxlate.bundle.prepared_case import all_sources, prepare_case
from voxlate.cases import Case
from voxlate.errors import InputRefused, NoInput, UsageError
from voxlate.inference.memory import activation_budget
from voxlate.inference.predict import predict
from voxlate.inference.runtime import TORCH
from voxlate.io.atomic import write_json
from voxlate.io.documents import read_json

Numbers = NDArray[np.float64]

VOXELS = 20_000
"""Number of voxels sampled per case, evenly spread over its mask. Chosen by hand; not tuned."""

BINS, SHARES = 10, 20
"""Number of bins of the reliability curve, and of shares of voxels left out. Chosen by hand; not tuned."""

MIN_ERROR = 1e-6
"""Smallest error in relative units that a logarithm or a division takes. Chosen by hand, far below the 0.1 measured."""


@dataclass(frozen=True)
class Reliability:
    """How well the expected error predicts the observed one.

    Attributes:
        expected, observed: root mean squares in bins with the same number of voxels, from low to high expected error.
        calibration_error: mean over the bins of |observed − expected| / expected: expected normalised calibration error
            (ENCE).
        within_one, within_two: shares of the voxels whose error is below one and two times its expectation.
        correlation: rank correlation of expected and absolute error.
        removed: shares of the voxels that are left out, those with the largest expected error first.
        left, left_by_error: mean absolute error of the remaining voxels, and the same if the voxels with the largest
            actual error were left out first (the best possible order).
    """

    expected: list[float]
    observed: list[float]
    calibration_error: float
    within_one: float
    within_two: float
    correlation: float
    removed: list[float]
    left: list[float]
    left_by_error: list[float]


def require_several_predictions(bundle: Bundle, *, mirror: bool) -> None:
    """Refuses a model whose single prediction has no spread.

    Args:
        bundle: an ensemble, or a single bundle.
        mirror: predict flipped scans as well.

    Raises:
        UsageError: `ONE_ANSWER`.
    """
    if not bundle.parts and not mirror:
        raise UsageError(
            "ONE_ANSWER",
            "--uncertainty and calibration need several predictions: pass several models (-m), or --tta-flip",
        )


def sample_errors(
    bundle: Bundle, cases: Sequence[Case], *, mirror: bool = False, watch: Callable[[str], None] | None = None
) -> Iterator[tuple[Numbers, Numbers]]:
    """Yields errors and spreads of each case, both (n,), in relative units, n at most `VOXELS`.

    Args:
        bundle: an ensemble, or a single bundle together with `mirror`.
        cases: pairs that no member was trained on.
        mirror: predict flipped scans as well.
        watch: called with the name of each finished case.

    Raises:
        UsageError: `ONE_ANSWER` when there is a single prediction, which has no spread.
        NoInput: there is no case.
        VoxlateError: what preprocessing raises.
    """
    require_several_predictions(bundle, mirror=mirror)
    if not cases:
        raise NoInput("NO_INPUT", "there are no cases to calibrate on; check the table and its splits")
    recipe = bundle.recipe
    for row in cases:
        with TemporaryDirectory(prefix="voxlate-") as place:
            case = prepare_case(row, Path(place), recipe.preparation, recipe.more_sources)
            memory_bytes = activation_budget(
                torch.device("cpu"), (case.mask.shape[0], case.mask.shape[1], case.mask.shape[2])
            )
            prediction = predict(
                bundle, all_sources(case)[None], runtime=TORCH, mirror=mirror, memory_bytes=memory_bytes
            )
            inside = np.flatnonzero(case.mask)
            chosen = inside[np.linspace(0, inside.size - 1, min(VOXELS, inside.size)).astype(np.int64)]
            error = (prediction.mean - case.target).ravel()[chosen]
            yield np.asarray(error, dtype=np.float64), np.asarray(prediction.spread.ravel()[chosen], dtype=np.float64)
        if watch is not None:
            watch(row.case)


def fit_calibration(
    samples: Sequence[tuple[Numbers, Numbers]], *, members: tuple[str, ...] = (), mirror: bool = False
) -> Calibration:
    """Returns floor, factor and power with the largest likelihood.

    Args:
        samples: errors and spreads of each case, as `sample_errors` yields them.
        members: hashes of the weights of the ensemble members.
        mirror: whether flipped scans were predicted as well.
    """
    errors, spreads = (np.concatenate(parts) for parts in zip(*samples, strict=True))
    weights = np.concatenate([np.full(len(error), 1 / len(error)) for error, _ in samples])
    size = float(np.sqrt(np.average(errors**2, weights=weights))) or MIN_ERROR
    ratio = size / max(float(np.sqrt(np.average(spreads**2, weights=weights))), MIN_ERROR)

    def negative_log_likelihood(logs: Numbers) -> float:
        variance = np.exp(2 * logs[0]) + np.exp(2 * logs[1]) * spreads ** (2 * np.exp(logs[2])) + MIN_ERROR**2
        return float(np.average(np.log(variance) + errors**2 / variance, weights=weights))

    starts = [np.log([share * size + MIN_ERROR, (1 - share) * ratio + MIN_ERROR, 1.0]) for share in (0.1, 0.5, 0.9)]
    best = min(
        (minimize(negative_log_likelihood, start, method="Nelder-Mead") for start in starts), key=lambda fit: fit.fun
    )
    floor, factor, power = np.exp(best.x)
    return Calibration(float(floor), float(factor), float(power), members, mirror, len(samples))


def reliability(errors: Numbers, expected: Numbers) -> Reliability:
    """Returns how well expected errors predict the observed ones.

    Args:
        errors: (n,), synthetic minus target.
        expected: (n,), expected standard deviation of the error, in the same unit.
    """
    order = np.argsort(expected, kind="stable")
    size, predicted = np.abs(errors[order]), np.maximum(expected[order], MIN_ERROR)
    edges = np.linspace(0, len(order), BINS + 1).astype(int)
    parts = [slice(low, high) for low, high in pairwise(edges)]
    observed = np.array([np.sqrt(np.mean(size[part] ** 2)) for part in parts])
    expected_rms = np.array([np.sqrt(np.mean(predicted[part] ** 2)) for part in parts])
    removed = np.arange(SHARES) / SHARES
    kept = [len(order) - int(share * len(order)) for share in removed]
    by_error = np.sort(size)
    ranks = np.argsort(np.argsort(size))
    return Reliability(
        expected_rms.tolist(),
        observed.tolist(),
        float(np.mean(np.abs(observed - expected_rms) / expected_rms)),
        float(np.mean(size <= predicted)),
        float(np.mean(size <= 2 * predicted)),
        float(np.corrcoef(np.arange(len(order)), ranks)[0, 1]),
        removed.tolist(),
        [float(size[:n].mean()) for n in kept],
        [float(by_error[:n].mean()) for n in kept],
    )


def read_calibration(path: Path) -> Calibration:
    """Reads the file that `voxlate calibrate` writes.

    Args:
        path: a JSON file.

    Raises:
        NoInput: the file does not exist.
        InputRefused: `CALIBRATION` when its content is not a calibration.
    """
    if not path.is_file():
        raise NoInput("NO_INPUT", f"{path.name}: this calibration does not exist")
    try:
        return calibration_from_json(read_json(path))
    except ValueError as error:
        raise InputRefused("CALIBRATION", f"{path.name}: {error}; make one with `voxlate calibrate`") from error


def keep_calibration(folder: Path, content: dict[str, Any]) -> None:
    """Writes a calibration into the bundle that it belongs to; an interruption leaves a bundle that is valid.

    Args:
        folder: of the bundle.
        content: of the file that `voxlate calibrate` writes.
    """
    remove_from_bundle(folder, [CALIBRATION_FILE])
    write_json(folder / CALIBRATION_FILE, content)
    add_to_bundle(folder, [CALIBRATION_FILE])


def require_same_members(calibration: Calibration, bundle: Bundle, *, mirror: bool) -> None:
    """Refuses a calibration that was fitted on other predictions.

    Args:
        calibration: the calibration.
        bundle: the model of the predictions.
        mirror: whether flipped scans are predicted as well.

    Raises:
        UsageError: `CALIBRATION`.
    """
    if calibration.members != member_hashes(bundle) or calibration.mirror != mirror:
        raise UsageError(
            "CALIBRATION", "the calibration was fitted on other bundles, or with another --tta-flip; fit it again"
        )


def member_hashes(bundle: Bundle) -> tuple[str, ...]:
    """Returns the hash of the weights of a bundle, or those of the members of an ensemble."""
    return bundle.members or (bundle.weights_sha256,)
