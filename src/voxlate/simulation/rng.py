"""Random generators by name: a draw for one purpose depends neither on the order of other draws nor on parallelism.

The names are hashed into the seed, so that changing one changes every data set.
"""

from __future__ import annotations

import zlib

import numpy as np

from voxlate.simulation.checks import require_not_negative


def seed_sequence(seed: int, subject: int, *purpose: str) -> np.random.SeedSequence:
    """Returns the seeds for one purpose of one subject.

    Args:
        seed: seed of the data set.
        subject: number of the subject, from 0.
        purpose: words that name the purpose.

    Raises:
        UsageError: `SEED_NEGATIVE`.
    """
    require_not_negative("SEED_NEGATIVE", seed=seed, subject=subject)
    return np.random.SeedSequence([seed, subject, *(zlib.crc32(word.encode()) for word in purpose)])


def generator(seed: int, subject: int, *purpose: str) -> np.random.Generator:
    """Returns the generator for one purpose of one subject.

    Args:
        seed: seed of the data set.
        subject: number of the subject, from 0.
        purpose: words that name the purpose, such as `"noise", "T1w"`.

    Raises:
        UsageError: `SEED_NEGATIVE`.

    Example:
        >>> float(generator(7, 0, "noise", "T1w").random()) == float(generator(7, 0, "noise", "T1w").random())
        True
    """
    return np.random.default_rng(seed_sequence(seed, subject, *purpose))
