"""Errors of torch in a training that are no defect of voxlate: a full device, a broken one, a process that ended."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from voxlate.bundle.faults import device_failure, is_device_fault, is_out_of_memory
from voxlate.bundle.recipe import Recipe
from voxlate.errors import TemporaryFailure
from voxlate.training.distributed import is_partner_lost
from voxlate.training.memory import LESS_MEMORY


@contextmanager
def told_failures(recipe: Recipe, *, processes: int) -> Iterator[None]:
    """Context manager in which a failure of the device ends with a code and a remedy.

    Args:
        recipe: what is trained.
        processes: of the training.

    Raises:
        TemporaryFailure: `MEMORY` when the device is full; `DEVICE_FAULT` when it failed; `KILLED` when another process
            of the training ended.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:  # of torch they are all of the second class
        if is_out_of_memory(error):
            raise TemporaryFailure(
                "MEMORY",
                f"the memory is full while {recipe.name} is trained, the last checkpoint is kept; end other programs "
                f"on the device and pass --resume, or {LESS_MEMORY}",
            ) from error
        if is_device_fault(error):
            raise device_failure(error, recipe.name) from error
        if processes > 1 and is_partner_lost(error):
            raise TemporaryFailure(
                "KILLED",
                "another process of the training ended; its message says why; pass --resume to go on "
                "from the last checkpoint",
            ) from error
        raise
