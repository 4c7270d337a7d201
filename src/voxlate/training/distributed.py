"""Decisions that all processes of a run must make alike."""

from __future__ import annotations

import torch
from lightning_fabric import Fabric


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
