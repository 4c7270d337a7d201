"""Chooses the target of each case by the recipe's `target`, and refuses one that shows another contrast.

One table may hold several targets: the first in the column `target`, further ones in columns such as `more:T2w`, so
that networks for T1 and for T2 are trained from the same cases.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

from voxlate.cases import ABSENT, MORE, Case
from voxlate.errors import InputRefused, NoInput
from voxlate.io.bids import CONTRAST_ALIASES, IMAGES, contrast_of

log = logging.getLogger("voxlate")

TARGET = "target"
"""The column of the target in a table of cases."""


def with_target(cases: Sequence[Case], contrast: str, column: str | None, *, sources: Sequence[str]) -> list[Case]:
    """Returns the cases with their target taken from one column; cases without an image there are left out.

    Args:
        cases: of all splits.
        contrast: of the target, such as `T2w`.
        column: `target`, or `more:` and a contrast. None chooses `more:` with the contrast of the target, or another
            name of it (`T2` for `T2w`), if any case has it, and otherwise `target`.
        sources: contrasts of the additional sources, which are no targets.

    Raises:
        NoInput: `NO_TARGET` when no case has an image in the column.
        InputRefused: `TARGET_CONTRAST`.
    """
    if column is None:
        names = dict.fromkeys((contrast, CONTRAST_ALIASES.get(contrast, contrast)))
        further = [name for name in names if name not in sources and any(name in case.more for case in cases)]
        column = MORE + further[0] if further else TARGET
    if column != TARGET:
        cases = _moved(cases, column)
    for case in cases:
        _require_contrast(case, contrast)
    return list(cases)


def _moved(cases: Sequence[Case], column: str) -> list[Case]:
    """Returns the cases that have a further image, with it as the target, and those that never had a target."""
    name = column.removeprefix(MORE)
    found = []
    for case in cases:
        rest = {contrast: path for contrast, path in case.more.items() if contrast != name}
        target = case.more.get(name, ABSENT)
        if target != ABSENT or case.target == ABSENT:
            found.append(replace(case, target=target, more=rest))
    if not any(case.target != ABSENT for case in found):
        raise NoInput("NO_TARGET", f"no case has an image in the column {column}; correct data.target_column")
    if len(found) < len(cases):
        log.info(
            "%d of %d cases have no image in the column %s and are left out",
            len(cases) - len(found),
            len(cases),
            column,
        )
    return found


def _require_contrast(case: Case, contrast: str) -> None:
    """Refuses a target whose BIDS name states another contrast than the recipe."""
    expected = CONTRAST_ALIASES.get(contrast, contrast)
    actual = None if case.target == ABSENT else contrast_of(case.target)
    if expected in IMAGES and actual is not None and actual != expected:
        raise InputRefused(
            "TARGET_CONTRAST",
            f"{case.case}: the recipe translates to {contrast}, but {case.target.name} is named as {actual}; name the "
            f"column that holds {contrast} in data.target_column, or give its file a {MORE}{expected} column",
        )
