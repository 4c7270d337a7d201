"""What the spread of several answers is worth: how large the error is where the networks disagree.

The standard deviation of a few networks is smaller than their error, which they share in part. On cases whose target is
known three numbers are fitted: error² is expected to be floor² + (factor x spread^power)², in units of the image's
reference level; with a power below 1 the largest spreads promise less than they seem to. The fit is by maximum
likelihood of normal errors (as Laves et al. 2020 for a factor alone), each case counting the same. With it, a spread
becomes the error that is to be expected of a voxel.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize

from voxlate.bundle.bundle import Bundle
from voxlate.bundle.prepared_case import all_sources, prepare_case
from voxlate.cases import Case
from voxlate.errors import InputRefused, NoInput, UsageError
from voxlate.inference.memory import network_room
from voxlate.inference.predict import answers_of
from voxlate.inference.runtime import TORCH
from voxlate.io.documents import read_json
from voxlate.volume import Array

Numbers = NDArray[np.float64]

VOXELS = 20_000
"""Of each case, evenly spread over its mask."""

BINS, SHARES = 10, 20
LEAST = 1e-6


@dataclass(frozen=True)
class Calibration:
    """From the spread of answers to the error that is to be expected.

    Attributes:
        floor, factor, power: of the formula above; the floor in relative units.
        members: hashes of the weights of the bundles whose answers were spread.
        mirror: whether mirrored scans answered too.
        cases: that it was fitted on.
    """

    floor: float
    factor: float
    power: float
    members: tuple[str, ...]
    mirror: bool
    cases: int

    def expected_error(self, spread: Array, level: float = 1.0) -> Array:
        """Returns the standard deviation to be expected of the error; the floor where all answers are one.

        Args:
            spread: standard deviations of answers.
            level: what one relative unit is in the units of `spread`.
        """
        relative = np.hypot(self.floor, self.factor * (np.asarray(spread, dtype=np.float64) / level) ** self.power)
        return np.asarray(level * relative, dtype=np.float32)


@dataclass(frozen=True)
class Reliability:
    """How an expected error and the real one go together.

    Attributes:
        expected, observed: root mean squares in bins of equally many voxels, from certain to uncertain.
        calibration_error: mean of |observed - expected| / expected over the bins (ENCE).
        within_one, within_two: shares of the voxels whose error is within one and two of its expectation.
        correlation: of the ranks of expected and absolute error.
        removed: shares of the voxels that are left out, the most uncertain first.
        left, left_by_error: mean absolute error of the others, and if the worst voxels were left out instead.
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


def sampled(
    bundle: Bundle, cases: Sequence[Case], *, mirror: bool = False, watch: Callable[[str], None] | None = None
) -> Iterator[tuple[Numbers, Numbers]]:
    """Yields errors and spreads of each case, both (n,), in relative units, n at most `VOXELS`.

    Args:
        bundle: several that were joined, or one together with `mirror`.
        cases: pairs that none of them was trained on.
        mirror: spread also over the mirrored scan.
        watch: called with the name of each case that is done.

    Raises:
        UsageError: `ONE_ANSWER`.
        NoInput: there is no case.
        VoxlateError: what preparing raises.
    """
    if not bundle.parts and not mirror:
        raise UsageError("ONE_ANSWER", "a spread needs several bundles, or --mirror")
    if not cases:
        raise NoInput("NO_INPUT", "there is no case to calibrate on")
    recipe = bundle.recipe
    for row in cases:
        with TemporaryDirectory(prefix="voxlate-") as place:
            case = prepare_case(row, Path(place), recipe.preparation, recipe.more_sources)
            room = network_room(torch.device("cpu"), (case.mask.shape[0], case.mask.shape[1], case.mask.shape[2]))
            found = answers_of(bundle, all_sources(case)[None], runtime=TORCH, mirror=mirror, room=room)
            inside = np.flatnonzero(case.mask)
            chosen = inside[np.linspace(0, inside.size - 1, min(VOXELS, inside.size)).astype(np.int64)]
            error = (found.mean - case.target).ravel()[chosen]
            yield np.asarray(error, dtype=np.float64), np.asarray(found.spread.ravel()[chosen], dtype=np.float64)
        if watch is not None:
            watch(row.case)


def fit_calibration(
    samples: Sequence[tuple[Numbers, Numbers]], *, members: tuple[str, ...] = (), mirror: bool = False
) -> Calibration:
    """Returns floor, factor and power of the greatest likelihood.

    Args:
        samples: errors and spreads of each case, as `sampled` yields them.
        members: hashes of the weights of those that answered.
        mirror: whether mirrored scans did too.
    """
    errors, spreads = (np.concatenate(parts) for parts in zip(*samples, strict=True))
    weights = np.concatenate([np.full(len(error), 1 / len(error)) for error, _ in samples])
    size = float(np.sqrt(np.average(errors**2, weights=weights))) or LEAST
    ratio = size / max(float(np.sqrt(np.average(spreads**2, weights=weights))), LEAST)

    def unlikeliness(logs: Numbers) -> float:
        variance = np.exp(2 * logs[0]) + np.exp(2 * logs[1]) * spreads ** (2 * np.exp(logs[2])) + LEAST**2
        return float(np.average(np.log(variance) + errors**2 / variance, weights=weights))

    starts = [np.log([share * size + LEAST, (1 - share) * ratio + LEAST, 1.0]) for share in (0.1, 0.5, 0.9)]
    best = min((minimize(unlikeliness, start, method="Nelder-Mead") for start in starts), key=lambda found: found.fun)
    floor, factor, power = np.exp(best.x)
    return Calibration(float(floor), float(factor), float(power), members, mirror, len(samples))


def reliability(errors: Numbers, expected: Numbers) -> Reliability:
    """Returns how errors go with what was expected of them, both (n,)."""
    order = np.argsort(expected, kind="stable")
    size, wanted = np.abs(errors[order]), np.maximum(expected[order], LEAST)
    edges = np.linspace(0, len(order), BINS + 1).astype(int)
    parts = [slice(low, high) for low, high in pairwise(edges)]
    observed = np.array([np.sqrt(np.mean(size[part] ** 2)) for part in parts])
    told = np.array([np.sqrt(np.mean(wanted[part] ** 2)) for part in parts])
    removed = np.arange(SHARES) / SHARES
    kept = [len(order) - int(share * len(order)) for share in removed]
    by_error = np.sort(size)
    ranks = np.argsort(np.argsort(size))
    return Reliability(
        told.tolist(),
        observed.tolist(),
        float(np.mean(np.abs(observed - told) / told)),
        float(np.mean(size <= wanted)),
        float(np.mean(size <= 2 * wanted)),
        float(np.corrcoef(np.arange(len(order)), ranks)[0, 1]),
        removed.tolist(),
        [float(size[:n].mean()) for n in kept],
        [float(by_error[:n].mean()) for n in kept],
    )


def read_calibration(path: Path) -> Calibration:
    """Returns what `voxlate calibrate` wrote.

    Raises:
        NoInput, InputRefused: `CALIBRATION` when it is not of that form.
    """
    if not path.is_file():
        raise NoInput("NO_INPUT", f"{path.name}: there is no such calibration")
    try:
        content = read_json(path)["calibration"]
        found = Calibration(**content | {"members": tuple(content["members"])})
        sound = all(np.isfinite(value) and value >= 0 for value in (found.floor, found.factor, found.power))
    except (ValueError, KeyError, TypeError) as error:
        raise InputRefused("CALIBRATION", f"{path.name} is not what `voxlate calibrate` writes") from error
    if not sound:
        raise InputRefused("CALIBRATION", f"{path.name}: floor, factor and power must be finite and not negative")
    return found


def require_same_answers(calibration: Calibration, bundle: Bundle, *, mirror: bool) -> None:
    """Refuses a calibration of other answers.

    Raises:
        UsageError: `CALIBRATION`.
    """
    if calibration.members != hashes_of(bundle) or calibration.mirror != mirror:
        raise UsageError("CALIBRATION", "the calibration is of other bundles, or of another --mirror; make it anew")


def hashes_of(bundle: Bundle) -> tuple[str, ...]:
    """Returns the hashes of the weights of a bundle, or of those that were joined."""
    return bundle.members or (bundle.weights_sha256,)
