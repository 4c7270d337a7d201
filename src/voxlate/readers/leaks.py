"""Can anything but the picture tell real from synthetic? Then the study must not open.

Tested is what a browser receives: each file's size and header, how many values occur, the least, the greatest,
the share of the lowest, and the time it takes to read. Size and header must be equal within each case. Of the
others each is a one-feature classifier: its AUC must not differ from 0.5, by the exact sign-flip test over cases
on the ranks, Holm-adjusted over the features.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from voxlate.errors import InputRefused
from voxlate.evaluation.statistics import holm, sign_flip

HEADER_BYTES = 352
LEAST_CASES = 6
"""Below this no sign-flip test can reach p < 0.05: only size and header are tested."""

SHARE_STEP = 0.1
"""Shares of the lowest value are compared in such steps: an emptied background differs by more, a smoother one less."""

SLOWER = 0.1
"""Median load times that differ by less than this share are not held against a study."""

ALPHA = 0.05
_TIMINGS = 5

Load = Callable[[str], bytes]


@dataclass(frozen=True)
class Leak:
    """One feature as a classifier.

    Attributes:
        auc: that a synthetic file has the larger value; 0.5 tells nothing.
        p: that it differs from 0.5, Holm-adjusted; NaN when the feature is one number or cases are too few.
        is_found: whether the study must not open because of it.
    """

    feature: str
    auc: float
    p: float
    is_found: bool


def find_leaks(pairs: Sequence[tuple[str, str]], load: Load, *, seed: int = 0) -> list[Leak]:
    """Returns what each feature tells.

    Args:
        pairs: names of the (real, synthetic) file of each case.
        load: gives the bytes as served; it is timed.
        seed: of the order in which files are timed.
    """
    features = {name: _features(load(name)) for name in _names(pairs)}
    found = [_absolute("size", pairs, features), _absolute("header", pairs, features)]
    tested = {
        key: _columns(pairs, {name: float(feature[key]) for name, feature in features.items()})
        for key in ("values", "minimum", "maximum", "share_lowest")
    }
    tested["load_time"] = _columns(pairs, _timed(pairs, load, seed))
    if _is_slower(*tested["load_time"]):
        # A clock is noisy: a leak by time must show twice, the second time in new measurements.
        tested["load_time"] = _columns(pairs, _timed(pairs, load, seed + 1))
    leaks = _compared(tested)
    if not _is_slower(*tested["load_time"]):
        leaks[-1] = replace(leaks[-1], is_found=False)
    return found + leaks


def require_no_leak(leaks: Sequence[Leak]) -> None:
    """Refuses a study in which a feature tells real from synthetic.

    Raises:
        InputRefused: `LEAK`.
    """
    found = [f"{leak.feature} (AUC {leak.auc:.2f})" for leak in leaks if leak.is_found]
    if found:
        raise InputRefused(
            "LEAK",
            f"without looking at the pictures real and synthetic differ by {', '.join(found)}; the study does not "
            "open. Give images.mask if backgrounds differ, or lower images.levels if value counts do",
        )


def as_records(leaks: Sequence[Leak]) -> list[dict[str, Any]]:
    """Returns the findings for a JSON file; NaN becomes None."""
    return [asdict(leak) | {"p": leak.p if np.isfinite(leak.p) else None} for leak in leaks]


def _names(pairs: Sequence[tuple[str, str]]) -> list[str]:
    return [name for pair in pairs for name in pair]


def _features(content: bytes) -> dict[str, Any]:
    dtype = "<i2" if int.from_bytes(content[70:72], "little") == 4 else "u1"
    usable = (len(content) - HEADER_BYTES) // np.dtype(dtype).itemsize
    voxels: NDArray[np.integer[Any]] = np.frombuffer(content, dtype, count=usable, offset=HEADER_BYTES)
    lowest = voxels.min()
    return {
        "size": len(content),
        "header": content[:HEADER_BYTES],
        "values": np.unique(voxels).size,
        "minimum": lowest,
        "maximum": voxels.max(),
        "share_lowest": round(float((voxels == lowest).mean()) / SHARE_STEP),
    }


def _absolute(key: str, pairs: Sequence[tuple[str, str]], features: Mapping[str, Mapping[str, Any]]) -> Leak:
    real = [features[first][key] for first, _ in pairs]
    synthetic = [features[second][key] for _, second in pairs]
    order = {value: rank for rank, value in enumerate(sorted({*real, *synthetic}))}
    auc = _auc(np.array([order[v] for v in real]), np.array([order[v] for v in synthetic]))
    return Leak(key, auc, float("nan"), real != synthetic)


def _timed(pairs: Sequence[tuple[str, str]], load: Load, seed: int) -> dict[str, float]:
    names = _names(pairs)
    times: dict[str, list[float]] = {name: [] for name in names}
    generator = np.random.default_rng(seed)
    for _ in range(_TIMINGS):
        for at in generator.permutation(len(names)):
            start = time.perf_counter()
            load(names[at])
            times[names[at]].append(time.perf_counter() - start)
    return {name: float(np.median(own)) for name, own in times.items()}


def _is_slower(real: NDArray[np.float64], synthetic: NDArray[np.float64]) -> bool:
    """Tells whether one version takes longer by a tenth: where a file lies on a disk always makes some difference."""
    faster, slower = sorted((float(np.median(real)), float(np.median(synthetic))))
    return slower > (1 + SLOWER) * faster


def _columns(
    pairs: Sequence[tuple[str, str]], values: Mapping[str, float]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    table = np.array([[values[first], values[second]] for first, second in pairs], dtype=np.float64)
    return table[:, 0], table[:, 1]


def _compared(tested: Mapping[str, tuple[NDArray[np.float64], NDArray[np.float64]]]) -> list[Leak]:
    p_values = [_p(real, synthetic) for real, synthetic in tested.values()]
    known = [p for p in p_values if np.isfinite(p)]
    adjusted = iter(holm(known))
    leaks = []
    for (feature, (real, synthetic)), p in zip(tested.items(), p_values, strict=True):
        own = float(next(adjusted)) if np.isfinite(p) else float("nan")
        leaks.append(Leak(feature, _auc(real, synthetic), own, own < ALPHA))
    return leaks


def _p(real: NDArray[np.float64], synthetic: NDArray[np.float64]) -> float:
    if real.size < LEAST_CASES or np.unique([real, synthetic]).size == 1:
        return float("nan")
    ranks = stats.rankdata(np.concatenate([real, synthetic]))
    return sign_flip(ranks[real.size :], ranks[: real.size]).p


def _auc(real: NDArray[Any], synthetic: NDArray[Any]) -> float:
    larger = (synthetic[:, None] > real[None]).mean() + 0.5 * (synthetic[:, None] == real[None]).mean()
    return float(larger)
