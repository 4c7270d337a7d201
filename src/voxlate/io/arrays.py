"""Arrays as `.npy` files, written whole and read by mapping them into memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxlate.io.atomic import replacing


def write_array(path: Path, array: NDArray[Any]) -> None:
    """Writes an array; an earlier file of that name stays until the new one is whole.

    Args:
        path: of the file, which ends in `.npy`.
        array: of numbers; no Python objects.

    Raises:
        CannotWrite, TemporaryFailure: see `voxlate.errors.writing`.
    """
    with replacing(path) as partial, partial.open("wb") as stream:
        np.save(stream, array, allow_pickle=False)


def mapped_array(path: Path) -> NDArray[Any]:
    """Returns an array whose file is mapped into memory, read-only.

    Args:
        path: of the file.

    Raises:
        OSError, ValueError: the file cannot be read, or is no array of numbers.
    """
    mapped: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    return mapped
