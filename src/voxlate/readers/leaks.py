"""Tests whether a file property, apart from the image content, separates real from synthetic images.

The features are those of the files that a browser receives: size, header, number of distinct values, minimum, maximum,
share of the lowest value, and time to load. Size and header must be equal within each case. Each other feature serves
as a classifier: its AUC must not differ from 0.5 by the exact sign-flip test over cases on the ranks, with p
Holm-adjusted over the features. A study with a leak is refused.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from voxlate.errors import InputRefused
from voxlate.evaluation.statistics import holm, sign_flip
from voxlate.io.documents import finite_values

HEADER_BYTES = 352
"""Offset of the voxels in a NIfTI-1 file without extensions: 348 bytes of header and 4 of extension flag."""

LEAST_CASES = 6
"""With fewer cases only size and header are tested: the smallest two-sided p of a sign-flip test over 5 cases is
2 / 2⁵ = 0.06, above `ALPHA`."""

SHARE_STEP = 0.1
"""The share of the lowest value is rounded to this step. An emptied background changes the share by more, a smoother
background by less. Chosen by hand; not tuned."""

SLOWER = 0.1
"""Median load times that differ by a smaller fraction are no leak, because the position of a file on a disk always
makes some difference. Chosen by hand; not tuned."""

ALPHA = 0.05
"""Level of the tests, the conventional one."""

_TIMINGS = 5
"""Times that each file is loaded; the median is used. Chosen by hand; not tuned."""

HEADER_DATATYPE = slice(70, 72)
"""Bytes of the NIfTI-1 field `datatype`; 4 is int16, and 2 (uint8) the only other type of a study."""

Load = Callable[[str], bytes]


@dataclass(frozen=True)
class Leak:
    """Result of the leak test for one feature.

    Attributes:
        feature: its name.
        auc: probability that a synthetic file has a larger value than a real one; 0.5 separates nothing.
        p: of a difference of the AUC from 0.5, Holm-adjusted; NaN when all values are equal, for fewer than
            `LEAST_CASES` cases, and for size and header.
        is_found: whether the feature is a leak.
    """

    feature: str
    auc: float
    p: float
    is_found: bool


def find_leaks(pairs: Sequence[tuple[str, str]], load: Load, *, seed: int = 0) -> list[Leak]:
    """Returns the result of the leak test, one entry per feature.

    Args:
        pairs: names of the (real, synthetic) file of each case.
        load: returns the bytes of a file as served; it is timed.
        seed: of the order in which files are timed.
    """
    files = {name: _describe(load(name)) for name in _names(pairs)}
    must_be_equal = [
        _compare_exactly("size", [(files[real].size, files[synthetic].size) for real, synthetic in pairs]),
        _compare_exactly("header", [(files[real].header, files[synthetic].header) for real, synthetic in pairs]),
    ]
    tested = {
        feature: _columns(pairs, {name: file.values[feature] for name, file in files.items()})
        for feature in ("values", "minimum", "maximum", "share_lowest")
    }
    tested["load_time"] = _columns(pairs, _timed(pairs, load, seed))
    if _is_slower(*tested["load_time"]):
        # Load times are noisy: a leak by time counts only if a second measurement shows it too.
        tested["load_time"] = _columns(pairs, _timed(pairs, load, seed + 1))
    leaks = _test(tested)
    if not _is_slower(*tested["load_time"]):
        leaks[-1] = replace(leaks[-1], is_found=False)
    return must_be_equal + leaks


def require_no_leak(leaks: Sequence[Leak]) -> None:
    """Refuses a study with a leak.

    Raises:
        InputRefused: `LEAK`.
    """
    features = [f"{leak.feature} (AUC {leak.auc:.2f})" for leak in leaks if leak.is_found]
    if features:
        raise InputRefused(
            "LEAK",
            f"real and synthetic files differ in {', '.join(features)}, so a reader could tell them apart without "
            "seeing the images; set images.mask if the backgrounds differ, or lower images.levels if the numbers of "
            "values differ",
        )


def as_records(leaks: Sequence[Leak]) -> list[dict[str, Any]]:
    """Returns the results for a JSON file; NaN becomes `None`."""
    return [finite_values(asdict(leak)) for leak in leaks]


def _names(pairs: Sequence[tuple[str, str]]) -> list[str]:
    return [name for pair in pairs for name in pair]


class _File(NamedTuple):
    """Features of one file; `values` holds those that are tested by their AUC."""

    size: int
    header: bytes
    values: Mapping[str, float]


def _describe(content: bytes) -> _File:
    dtype = "<i2" if int.from_bytes(content[HEADER_DATATYPE], "little") == 4 else "u1"
    usable = (len(content) - HEADER_BYTES) // np.dtype(dtype).itemsize
    voxels: NDArray[np.integer[Any]] = np.frombuffer(content, dtype, count=usable, offset=HEADER_BYTES)
    lowest = voxels.min()
    values = {
        "values": float(np.unique(voxels).size),
        "minimum": float(lowest),
        "maximum": float(voxels.max()),
        "share_lowest": float(round(float((voxels == lowest).mean()) / SHARE_STEP)),
    }
    return _File(len(content), content[:HEADER_BYTES], values)


def _compare_exactly(feature: str, pairs: Sequence[tuple[int, int]] | Sequence[tuple[bytes, bytes]]) -> Leak:
    """Returns a leak if the values of a feature differ within any case; `pairs` are (real, synthetic) values."""
    rank = {value: at for at, value in enumerate(sorted({value for pair in pairs for value in pair}))}
    ranks = np.array([[rank[value] for value in pair] for pair in pairs])
    return Leak(
        feature, _auc(ranks[:, 0], ranks[:, 1]), float("nan"), any(real != synthetic for real, synthetic in pairs)
    )


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
    """Returns whether the median load times of both versions differ by more than `SLOWER`."""
    faster, slower = sorted((float(np.median(real)), float(np.median(synthetic))))
    return slower > (1 + SLOWER) * faster


def _columns(
    pairs: Sequence[tuple[str, str]], values: Mapping[str, float]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Returns the (cases,) values of real and of synthetic files."""
    table = np.array([[values[first], values[second]] for first, second in pairs], dtype=np.float64)
    return table[:, 0], table[:, 1]


def _test(tested: Mapping[str, tuple[NDArray[np.float64], NDArray[np.float64]]]) -> list[Leak]:
    p_values = [_p(real, synthetic) for real, synthetic in tested.values()]
    adjusted = iter(holm([p for p in p_values if np.isfinite(p)]))
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
