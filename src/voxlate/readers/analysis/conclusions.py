"""Sentences about the result of a test against a margin.

A p value above 0.05 is never called equality: equivalence and non-inferiority have tests of their own.
"""

from __future__ import annotations

import math
from typing import Protocol

from voxlate.readers.analysis.discrimination import CHANCE
from voxlate.readers.analysis.results import ChanceComparison, MarginComparison
from voxlate.readers.analysis.statistics.mrmc import ReaderMean
from voxlate.web.labels import MISSING, number, p_value

SIGNIFICANT = 0.05
"""Level of the tests against chance; the level of tests against a margin is `alpha` of the study."""


class HasInterval(Protocol):
    """A result with an interval; its ends are `None` or NaN when it is not defined."""

    @property
    def low(self) -> float | None:
        """Lower end."""

    @property
    def high(self) -> float | None:
        """Upper end."""


def indistinguishable(result: ChanceComparison, quantity: str) -> str:
    """Returns the conclusion on an AUC or a share of correct answers compared with chance (0.5).

    Args:
        result: mean over readers.
        quantity: its name at the start of the sentence.
    """
    mean = result.mean
    if mean.note:
        return _without_inference(mean, quantity, 2)
    value = f"{quantity} {number(mean.mean, 2)} (95 % interval {interval(mean)}; {_of_equivalence(result)})."
    told = []
    if result.p_different < SIGNIFICANT and mean.mean > CHANCE:
        told.append(f"Readers could tell synthetic from real (p {p_value(result.p_different)}).")
    elif result.p_different < SIGNIFICANT:
        told.append(f"Readers took synthetic for real more often than not (p {p_value(result.p_different)}).")
    if result.test.is_shown:
        who = "Yet they" if told else "Readers"
        told.append(f"{who} were shown to be within ± {result.margin:g} of guessing, the margin fixed beforehand.")
    if not told:
        told.append(
            f"Neither a difference from guessing nor equality within ± {result.margin:g} was shown: more readers or "
            "cases are needed. This is no evidence that the images cannot be told apart."
        )
    return " ".join([value, *told])


def _of_equivalence(result: ChanceComparison) -> str:
    """Returns the interval of the test of equivalence, which lies within the margin exactly if equivalence is shown."""
    low, high = (min(max(CHANCE + end, 0.0), 1.0) for end in (result.test.low, result.test.high))
    bounds = f"{CHANCE - result.margin:g} to {CHANCE + result.margin:g}"
    coverage = _percent(1 - 2 * result.alpha)
    return f"of equivalence, {coverage} interval {number(low, 2)} to {number(high, 2)}, margin {bounds}"


def not_inferior(result: MarginComparison, quantity: str) -> str:
    """Returns the conclusion on a difference synthetic − real against its margin.

    Args:
        result: mean over readers of the difference.
        quantity: its name at the start of the sentence.
    """
    mean = result.mean
    if mean.note:
        return _without_inference(mean, f"{quantity}: synthetic − real", 2)
    value = f"{quantity}: synthetic − real {number(mean.mean, 2)} ({_one_sided(result, 2)}). "
    if result.is_shown:
        return value + f"Synthetic images were shown to lose less than the margin of {result.margin:g}{_p(result)}."
    return value + f"It was not shown that synthetic images lose less than the margin of {result.margin:g}{_p(result)}."


def similar_enough(result: MarginComparison, structure: str) -> str:
    """Returns the conclusion on a mean similarity (%) against 100 − margin.

    Args:
        result: mean over readers.
        structure: its name at the start of the sentence.
    """
    mean, bound = result.mean, 100 - result.margin
    if mean.note:
        return _without_inference(mean, f"{structure}: mean of readers' means (%)", 1)
    value = f"{structure}: mean of readers' means {number(mean.mean, 1)} % ({_one_sided(result, 1)}). "
    shown = "Shown to be above" if result.is_shown else "Not shown above"
    return f"{value}{shown} {bound:g} %{_p(result)}."


def _one_sided(result: MarginComparison, decimals: int) -> str:
    """Returns the interval of the one-sided test; it agrees with the test before adjustment."""
    return f"one-sided {_percent(1 - result.alpha)} interval: above {number(result.one_sided_low, decimals)}"


def _p(result: MarginComparison) -> str:
    """Returns the p that the sentence is based on, adjusted where the design has several tests."""
    adjustment = f" after Holm's adjustment for {result.m} tests" if result.m > 1 else ""
    return f" (p {p_value(result.p_adjusted)}{adjustment})"


def _percent(share: float) -> str:
    return f"{100 * share:.4g} %"


def interval(result: HasInterval, decimals: int = 2) -> str:
    """Returns an interval as text; a dash when it is not defined."""
    if result.low is None or not math.isfinite(result.low):
        return MISSING
    return f"{number(result.low, decimals)} to {number(result.high, decimals)}"


def _without_inference(mean: ReaderMean, quantity: str, decimals: int) -> str:
    """Returns the mean, if it is defined, and the reason why it has no interval and no test."""
    value = "" if math.isnan(mean.mean) else f" {number(mean.mean, decimals)}"
    return f"{quantity}{value}: {mean.note}."
