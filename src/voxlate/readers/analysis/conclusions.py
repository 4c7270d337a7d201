"""What a design's test allows to say, and what it does not; a p value above 0.05 is never called equality."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from voxlate.web.labels import MISSING, number, p_value

Found = Mapping[str, Any]


def indistinguishable(found: Found, what: str) -> str:
    """Returns the verdict on an AUC or a share correct against chance, 0.5."""
    margin = found["margin"]
    if found["note"]:
        return _without_inference(found, what, 2)
    said = f"{what} {number(found['mean'], 2)} (95 % interval {interval(found)}). "
    if found["test"]["is_shown"]:
        return said + f"Readers were shown to be within ± {margin:g} of guessing, the margin fixed beforehand."
    if found["p_different"] < 0.05 and found["mean"] > 0.5:
        return said + f"Readers could tell synthetic from real (p {p_value(found['p_different'])})."
    if found["p_different"] < 0.05:
        return said + f"Readers took synthetic for real more often than not (p {p_value(found['p_different'])})."
    return said + (
        f"Neither a difference from guessing nor equality within ± {margin:g} was shown: more readers or cases are "
        "needed. This is no evidence that the images cannot be told apart."
    )


def not_inferior(found: Found, what: str) -> str:
    """Returns the verdict on a difference synthetic − real against its margin."""
    if found["note"]:
        return _without_inference(found, f"{what}: synthetic − real", 2)
    said = f"{what}: synthetic − real {number(found['mean'], 2)} (95 % interval {interval(found)}). "
    if found["test"]["is_shown"]:
        return said + f"Synthetic images were shown to lose less than the margin of {found['margin']:g}."
    return said + f"It was not shown that synthetic images lose less than the margin of {found['margin']:g}."


def similar_enough(found: Found, what: str) -> str:
    """Returns the verdict on a mean similarity against 100 − margin."""
    bound = 100 - found["margin"]
    if found["note"]:
        return _without_inference(found, f"{what}: mean similarity (%)", 1)
    said = f"{what}: mean similarity {number(found['mean'], 1)} % (95 % interval {interval(found, 1)}). "
    return said + (f"Shown to be above {bound:g} %." if found["test"]["is_shown"] else f"Not shown above {bound:g} %.")


def interval(found: Found, decimals: int = 2) -> str:
    """Returns an interval in words; a dash where there is none."""
    if found["low"] is None:
        return MISSING
    return f"{number(found['low'], decimals)} to {number(found['high'], decimals)}"


def _without_inference(found: Found, what: str, decimals: int) -> str:
    """Returns the figure, if there is one, and why nothing follows from it."""
    value = "" if found["mean"] is None else f" {number(found['mean'], decimals)}"
    return f"{what}{value}: {found['note']}."
