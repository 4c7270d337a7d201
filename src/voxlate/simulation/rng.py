"""Random streams by name: the draw for one purpose never depends on the order of the others, nor on parallelism."""

from __future__ import annotations

import zlib

import numpy as np

from voxlate.simulation.checks import require_not_negative


def seed_sequence(seed: int, subject: int, *purpose: str) -> np.random.SeedSequence:
    """Returns the seeds for one purpose of one subject.

    Raises:
        UsageError: `SEED_NEGATIVE`.
    """
    require_not_negative("SEED_NEGATIVE", seed=seed, subject=subject)
    return np.random.SeedSequence([seed, subject, *(zlib.crc32(word.encode()) for word in purpose)])


def generator(seed: int, subject: int, *purpose: str) -> np.random.Generator:
    """Returns the generator for one purpose of one subject, such as `"noise", "T1w"`."""
    return np.random.default_rng(seed_sequence(seed, subject, *purpose))
