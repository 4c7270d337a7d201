"""Plans memory before a scan is read: from its header and its network.

One process needs, at its peak, some copies of the volume and the activations of the network, which grow with the window
that it sees. If the box of the brain does not fit into the budget, it is cut into the largest windows that do. The
budget depends on the machine or on the user, not on the memory that happens to be free, so that a scan gives the same
bytes whatever else runs. Processes that share a GPU plan with a part of its memory each.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from voxlate.bundle.memory import PROGRAM_BYTES, PeakCounter, budget_bytes
from voxlate.errors import TemporaryFailure, UsageError
from voxlate.volume import Shape

COPIES = 14
"""32-bit volumes held at the peak, with a margin of a third: `benchmarks/bench_memory.py` measures 10.5."""

SHARE = 0.8
"""Share of the budget that is planned with; the rest is a margin. Chosen by hand; not tuned."""

LADDER = (192, 160, 128, 96, 64, 48, 32)
"""Sides in voxels of the windows that are tried, largest first. Chosen by hand; not tuned."""

_PROBE = 32
"""Side in voxels of the window that the activations are counted on: the smallest of `LADDER`."""


@dataclass(frozen=True)
class WindowPlan:
    """What the network sees at once.

    Attributes:
        window: size of the window in voxels; None for the whole box.
        network_bytes: bytes of the activations.
        is_cut: whether the window was chosen because the whole box does not fit.
    """

    window: Shape | None
    network_bytes: int
    is_cut: bool


def activation_budget(device: torch.device, shape: Shape, gib: float | None = None, *, processes: int = 1) -> int:
    """Returns the bytes left for the activations beside a scan of this shape.

    Args:
        device: device of the network; on a GPU the volumes take no memory.
        shape: of the scan, in voxels.
        gib: as in `budget_bytes`.
        processes: that share a GPU; each plans with its part of the memory of the device, unless `gib` is given.
    """
    if device.type == "cpu":
        return int(SHARE * budget_bytes(device, gib)) - PROGRAM_BYTES - volume_bytes(shape)
    return int(SHARE * budget_bytes(device, gib)) // (1 if gib is not None else processes)


def require_memory(shape: Shape, gib: float | None = None, *, name: str) -> None:
    """Refuses a scan whose volumes alone do not fit into the memory of the CPU, before its voxels are read.

    Args:
        shape: of the scan, in voxels.
        gib: as in `budget_bytes`.
        name: name of the scan, for the message.

    Raises:
        TemporaryFailure: `MEMORY`.
    """
    need, budget = PROGRAM_BYTES + volume_bytes(shape), budget_bytes(torch.device("cpu"), gib)
    if need > budget:
        size = " x ".join(str(n) for n in shape)
        raise TemporaryFailure(
            "MEMORY",
            f"{name}: {size} voxels take {need / 2**30:.1f} GiB, {budget / 2**30:.1f} may be used; "
            "allow more (--memory-gib)",
        )


def volume_bytes(shape: Shape) -> int:
    """Returns the memory of the volumes of one scan at the peak, without the network, in bytes."""
    return 4 * COPIES * int(np.prod(shape, dtype=np.int64))


def plan_windows(
    network: nn.Module,
    channels: int,
    box: Shape,
    *,
    window: Shape | None,
    memory_bytes: int,
) -> WindowPlan:
    """Returns the window that the network sees at once, so that its activations fit into the memory.

    Args:
        network: in evaluation mode.
        channels: channels of its input.
        box: size in voxels of what is translated.
        window: window of the recipe; it is never changed, as the network may accept no other size. None to choose one.
        memory_bytes: memory for the activations.

    Raises:
        TemporaryFailure: `MEMORY` when not even the smallest window fits.
    """
    if window is not None:
        return WindowPlan(window, 0, is_cut=False)
    per_voxel = bytes_per_voxel(network, channels)
    need = int(per_voxel * np.prod(box, dtype=np.int64))
    if need <= memory_bytes:
        return WindowPlan(None, need, is_cut=False)
    for side in LADDER:
        need = int(per_voxel * side**3)
        if need <= memory_bytes:
            return WindowPlan((side, side, side), need, is_cut=True)
    raise TemporaryFailure(
        "MEMORY",
        f"a window of {LADDER[-1]}³ voxels takes {need / 2**30:.1f} GiB, "
        f"{max(0, memory_bytes) / 2**30:.1f} may be used; allow more (--memory-gib)",
    )


_cache: weakref.WeakKeyDictionary[nn.Module, float] = weakref.WeakKeyDictionary()
"""Bytes per voxel of each network that is alive, so that it is counted once in a process."""


def bytes_per_voxel(network: nn.Module, channels: int) -> float:
    """Returns the peak of the activations per voxel, counted once on a small window.

    0 for a network that does not accept the small window: it was made for one size, and cannot be cut.

    Args:
        network: in evaluation mode.
        channels: channels of its input.
    """
    if network not in _cache:
        parameter = next(network.parameters(), None)
        device = torch.device("cpu") if parameter is None else parameter.device
        try:
            with torch.no_grad(), PeakCounter() as counted:
                network(torch.zeros(1, channels, _PROBE, _PROBE, _PROBE, device=device))
            _cache[network] = counted.peak / _PROBE**3
        except (UsageError, RuntimeError):  # made for one size only, so that it cannot be cut
            _cache[network] = 0.0
    return _cache[network]
