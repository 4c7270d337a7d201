"""The device that a network runs on, and that of each worker process."""

from __future__ import annotations

import torch

from voxlate.errors import UsageError


def choose_device(name: str) -> torch.device:
    """Returns a device.

    Args:
        name: a device of torch, such as `cpu` or `cuda:0`; `auto` for the first GPU, or the CPU if there is no GPU.

    Raises:
        UsageError: `DEVICE` when the device is not available; there is no fallback to another one.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        if device.type == "meta":
            raise RuntimeError("it has no data")
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise UsageError("DEVICE", f"the device {name!r} is not available: {reason}; choose another") from error
    return device


def device_of_worker(device: torch.device, worker: int) -> torch.device:
    """Returns the device of one of several worker processes: they take the GPUs in turn, unless a GPU is named.

    Args:
        device: what the user chose; a CPU and a GPU with a number, such as `cuda:1`, are returned unchanged.
        worker: number of the process, from 0.
    """
    count = torch.cuda.device_count() if device.type == "cuda" and device.index is None else 0
    return torch.device("cuda", worker % count) if count > 1 else device
