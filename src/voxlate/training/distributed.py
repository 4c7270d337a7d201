"""Decisions that all processes of a run must make alike, and what they do when one of them has ended."""

from __future__ import annotations

import torch
from lightning_fabric import Fabric
from torch import distributed

from voxlate.errors import UsageError


def mean_over_processes(fabric: Fabric, losses: dict[str, float]) -> dict[str, float]:
    """Returns the mean of each loss over all processes."""
    if fabric.world_size == 1:
        return losses
    values = torch.tensor(list(losses.values()), device=fabric.device)
    mean = fabric.all_reduce(values, reduce_op="mean")
    return dict(zip(losses, torch.as_tensor(mean).tolist(), strict=True))


def any_process(fabric: Fabric, *flags: bool) -> tuple[bool, ...]:
    """Returns for each flag whether it is set in any process."""
    if fabric.world_size == 1:
        return flags
    values = torch.tensor([float(flag) for flag in flags], device=fabric.device)
    sums = torch.as_tensor(fabric.all_reduce(values, reduce_op="sum"))
    return tuple(bool(value > 0) for value in sums)


def require_same_step(fabric: Fabric, step: int) -> None:
    """Refuses processes that would go on from different steps, as they see different folders.

    Args:
        fabric: already launched.
        step: optimiser steps done, by the checkpoint that this process found.

    Raises:
        UsageError: `RUN_DIFFERS`.
    """
    if fabric.world_size == 1:
        return
    steps = torch.as_tensor(fabric.all_gather(torch.tensor(step, device=fabric.device))).tolist()
    if min(steps) != max(steps):
        raise UsageError(
            "RUN_DIFFERS",
            f"the processes found checkpoints of steps {min(steps)} to {max(steps)}; name a folder of the run that all "
            "machines share",
        )


def is_partner_lost(error: BaseException) -> bool:
    """Returns whether an error says that another process of the run ended."""
    texts = ("gloo", "Connection closed by peer", "Connection reset by peer", "NCCL")
    return isinstance(error, distributed.DistError) or any(text in str(error) for text in texts)
