"""A short, seeded part of the fuzzing: damaged inputs are read or refused, never anything else."""

import numpy as np
import pytest

from .targets import TARGETS, seeds

ROUNDS = {"dicom": 60, "bundle": 120, "answers": 80}
OTHERS = 150
TEXTS = {"recipe", "cohort", "study", "cases", "manifest", "ledger", "sidecar", "study_store"}


def damaged(content: bytes, random: np.random.Generator, *, is_text: bool) -> bytes:
    """Returns the content with a few bytes changed, or cut; text also with words that mean something put in."""
    changed = bytearray(content)
    for place in random.integers(0, max(len(changed), 1), random.integers(1, 5)):
        if changed:
            changed[int(place)] = random.integers(0, 256)
    if is_text and random.random() < 0.5:
        words = (
            b".inf",
            b"-1",
            b"[",
            b"{",
            b"null",
            b"1e999",
            b"\t",
            b"\n",
            b'"',
            b"2020-13-45",
            b"!!binary x",
            b"&a",
            b"*a",
        )
        place = int(random.integers(0, len(changed) + 1))
        changed[place:place] = words[random.integers(len(words))]
    return bytes(changed[: random.integers(0, len(changed) + 1)] if random.random() < 0.2 else changed)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", TARGETS)
def test_damage_is_read_or_refused_and_never_anything_else(name):
    random, sound = np.random.default_rng(20261129), seeds(name)
    codes = {TARGETS[name](content) for content in sound}
    for number in range(ROUNDS.get(name, OTHERS)):
        codes.add(TARGETS[name](damaged(sound[number % len(sound)], random, is_text=name in TEXTS)))
    if name not in ("ledger", "index", "study_store"):  # where all damage ends in one way
        assert len(codes) >= 2
