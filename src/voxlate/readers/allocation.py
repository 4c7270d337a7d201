"""Allocates trials to readers: which case and version, in which order, balanced and determined by the seed.

Each design is read in passes; a pass holds each case once. Designs with one image per trial have two passes: one
version of each case in the first, the other version in the second. The allocation guarantees:

- in every pass half of a reader's cases are real (within one case);
- of two neighbouring readers, one first reads the version of a case that the other reads second;
- two trials with the same case are at least `washout.trials` trials apart, over all designs.

Repeats form a last pass over some of the cases.
"""

from __future__ import annotations

import hashlib
import hmac
from collections import Counter
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

from voxlate.errors import UsageError
from voxlate.readers.study import PAIRED_KINDS, Design, Study

Version = Literal["real", "synthetic"]
OTHER: dict[Version, Version] = {"real": "synthetic", "synthetic": "real"}


class Item(NamedTuple):
    """One trial.

    Attributes:
        design: name of the design.
        case: its name.
        shown: versions from left to right; one for designs with one image per trial.
        session: 0 or 1.
        is_repeat: whether the reader has read the same image before.
    """

    design: str
    case: str
    shown: tuple[Version, ...]
    session: int
    is_repeat: bool


class _Pass(NamedTuple):
    """Trials with distinct cases, of which `taken` are drawn."""

    items: list[Item]
    taken: int
    session: int


def allocate(study: Study, cases: Sequence[str]) -> dict[str, list[Item]]:
    """Returns each reader's trials in order, by the reader's id.

    Args:
        study: the protocol.
        cases: names of all cases.

    Raises:
        UsageError: `WASHOUT` when there are fewer cases than `washout.trials`, `REPEATS` when a design repeats more
            trials than there are cases.
    """
    _require_possible(study, cases)
    return {reader.id: _for_reader(study, cases, number) for number, reader in enumerate(study.readers)}


def practice_items(study: Study) -> dict[str, list[Item]]:
    """Returns the practice trials of each design, by its name; they are the same for all readers.

    Versions alternate from case to case; the seed decides with which one they start.
    """
    return {design.name: _practice_of(study, design) for design in study.designs}


def _practice_of(study: Study, design: Design) -> list[Item]:
    start = int(_generator(study.seed, "practice", design.name).integers(2))
    order: tuple[Version, Version] = ("real", "synthetic") if start == 0 else ("synthetic", "real")
    count = 2 if design.kind in PAIRED_KINDS else 1
    return [
        Item(design.name, case, (order[at % 2], order[1 - at % 2])[:count], 0, is_repeat=False)
        for at, case in enumerate(study.practice)
    ]


def _require_possible(study: Study, cases: Sequence[str]) -> None:
    if study.washout.trials > len(cases):
        raise UsageError(
            "WASHOUT",
            f"{study.washout.trials} trials between versions of a case need as many cases; there are {len(cases)}. "
            "Add cases or lower washout.trials",
        )
    for design in study.designs:
        if design.repeats > len(cases):
            raise UsageError(
                "REPEATS", f"design {design.name}: {design.repeats} repeats of {len(cases)} cases; lower repeats"
            )


def _for_reader(study: Study, cases: Sequence[str], number: int) -> list[Item]:
    generator = _generator(study.seed, "order", study.readers[number].id)
    blocks = [_passes(study, design, cases, number) for design in _block_order(study, number)]
    last_seen: dict[str, int] = {}
    order: list[Item] = []
    for session in range(study.washout.sessions):
        for block in blocks:
            for reading in block:
                if reading.session == session:
                    _draw_pass(reading, order, last_seen, gap=study.washout.trials, generator=generator)
    return order


def _block_order(study: Study, number: int) -> list[Design]:
    designs = list(study.designs)
    turn = number % len(designs) if study.block_order == "rotate" else 0
    return designs[turn:] + designs[:turn]


def _passes(study: Study, design: Design, cases: Sequence[str], number: int) -> list[_Pass]:
    last = study.washout.sessions - 1
    first = _first_versions(study, design, cases, number)
    if design.kind in PAIRED_KINDS:
        items = [Item(design.name, case, (v, OTHER[v]), 0, is_repeat=False) for case, v in first.items()]
        passes = [_Pass(items, len(items), 0)]
    else:
        items = [Item(design.name, case, (v,), 0, is_repeat=False) for case, v in first.items()]
        second = [item._replace(shown=(OTHER[item.shown[0]],), session=last) for item in items]
        passes = [_Pass(items, len(items), 0), _Pass(second, len(second), last)]
    repeated = [item._replace(session=last, is_repeat=True) for item in items]
    return [*passes, _Pass(repeated, design.repeats, last)]


def _first_versions(study: Study, design: Design, cases: Sequence[str], number: int) -> dict[str, Version]:
    """Returns which version of each case comes first (or stands on the left).

    It is the real version for half of the cases; readers 0 and 1, 2 and 3, ... have opposite versions.
    """
    pair = number // 2
    shuffled = _generator(study.seed, "versions", design.name, str(pair)).permutation(len(cases))
    starts: tuple[Version, Version] = ("real", "synthetic") if number % 2 == 0 else ("synthetic", "real")
    return {cases[at]: starts[position % 2] for position, at in enumerate(shuffled)}


def _draw_pass(
    reading: _Pass, order: list[Item], last_seen: dict[str, int], *, gap: int, generator: np.random.Generator
) -> None:
    """Appends the trials of a pass to `order` in a random order that keeps the distance `gap`.

    A case is always free, because at most gap − 1 of the n ≥ gap cases occur in the last gap − 1 trials. Repeats
    alternate between real and synthetic images where both are free.

    Args:
        reading: the pass.
        order: trials so far; is extended.
        last_seen: position of the last trial of each case; is updated.
        gap: least difference of the positions of two trials with the same case.
        generator: draws the order.
    """
    waiting = list(reading.items)
    shown: Counter[Version] = Counter()
    for _ in range(reading.taken):
        free = [item for item in waiting if len(order) - last_seen.get(item.case, -gap) >= gap]
        if reading.taken < len(reading.items):
            least = min(shown[item.shown[0]] for item in free)
            free = [item for item in free if shown[item.shown[0]] == least]
        item = free[int(generator.integers(len(free)))]
        shown[item.shown[0]] += 1
        waiting.remove(item)
        last_seen[item.case] = len(order)
        order.append(item)


def _generator(seed: int, *words: str) -> np.random.Generator:
    digest = hmac.new(str(seed).encode(), "\0".join(words).encode(), hashlib.sha256).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "big"))
