"""Counts of patients, lesions or answers: the interval of a proportion and the test of paired yes/no answers."""

from __future__ import annotations

from scipy import stats

from voxlate.errors import UsageError


def clopper_pearson(successes: int, trials: int, *, confidence: float = 0.95) -> tuple[float, float]:
    """Returns the exact interval of a proportion (Clopper and Pearson 1934).

    It covers the true proportion at least as often as stated, usually more often.

    Args:
        successes: count, 0 to `trials`.
        trials: count, at least 1.
        confidence: coverage of the interval.

    Raises:
        UsageError: `COUNTS` when the counts are not those of a proportion.
    """
    if not 0 <= successes <= trials or trials < 1:
        raise UsageError("COUNTS", f"{successes} of {trials} is not a proportion")
    interval = stats.binomtest(successes, trials).proportion_ci(confidence, method="exact")
    return float(interval.low), float(interval.high)


def mcnemar(only_first: int, only_second: int, *, is_mid_p: bool = True) -> float:
    """Returns the two-sided p of McNemar's exact (binomial) test of paired yes/no answers.

    Args:
        only_first: pairs in which only the first answer is yes.
        only_second: pairs in which only the second answer is yes.
        is_mid_p: the observed count enters with half of its probability, which is less conservative (Fagerland 2013).

    Raises:
        UsageError: `COUNTS` when a count is negative.
    """
    if min(only_first, only_second) < 0:
        raise UsageError("COUNTS", f"discordant counts {only_first} and {only_second} cannot be negative")
    discordant, least = only_first + only_second, min(only_first, only_second)
    if discordant == 0:
        return 1.0
    p = min(1.0, 2 * float(stats.binom.cdf(least, discordant, 0.5)))
    if not is_mid_p:
        return p
    observed = float(stats.binom.pmf(least, discordant, 0.5))
    # With equal counts the observed outcome is the middle one, which both tails would count twice.
    return 1.0 - 0.5 * observed if only_first == only_second else p - observed
