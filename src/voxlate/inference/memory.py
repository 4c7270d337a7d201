"""Plans memory before a scan is read: from its header and its network.

One process needs, at its peak, some copies of the volume and the activations of the network, which grow with the window
that it sees. If the box of the brain does not fit into the budget, it is cut into the largest windows that do. The
budget depends on the machine or on the user, not on the memory that happens to be free, so that a scan gives the same
bytes whatever else runs.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from voxlate.errors import TemporaryFailure, UsageError
from voxlate.volume import Shape

COPIES = 14
"""32-bit volumes held at the peak, with a margin of a third: `benchmarks/bench_memory.py` measures 10.5."""

SHARE = 0.8
"""Share of the budget that is planned with; the rest is a margin. Chosen by hand; not tuned."""

PROGRAM_BYTES = 700 << 20
"""Memory of Python, torch and the weights before a scan is read. Chosen by hand; not tuned."""

LADDER = (192, 160, 128, 96, 64, 48, 32)
"""Sides in voxels of the windows that are tried, largest first. Chosen by hand; not tuned."""

_PROBE = 32
"""Side in voxels of the window that the activations are counted on: the smallest of `LADDER`."""
_CGROUPS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


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


def budget_bytes(device: torch.device, gib: float | None = None) -> int:
    """Returns the memory that may be used, in bytes.

    Args:
        device: device of the network.
        gib: limit set by the user, in GiB; None for the memory of the machine: of the GPU, or, on a CPU, the memory of
            the machine or of the control group, whichever is less.
    """
    if gib is not None:
        return int(gib * 2**30)
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    meminfo = Path("/proc/meminfo")
    limits = [int(meminfo.read_text().partition("MemTotal:")[2].split()[0]) << 10] if meminfo.is_file() else [1 << 62]
    for name in _CGROUPS:
        text = Path(name).read_text().strip() if Path(name).is_file() else ""
        limits += [int(text)] if text.isdigit() else []
    return min(limits)


def activation_budget(device: torch.device, shape: Shape, gib: float | None = None) -> int:
    """Returns the bytes left for the activations beside a scan of this shape.

    Args:
        device: device of the network; on a GPU the volumes take no memory.
        shape: of the scan, in voxels.
        gib: as in `budget_bytes`.
    """
    volumes = PROGRAM_BYTES + volume_bytes(shape) if device.type == "cpu" else 0
    return int(SHARE * budget_bytes(device, gib)) - volumes


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
            with torch.no_grad(), _Peak() as counted:
                network(torch.zeros(1, channels, _PROBE, _PROBE, _PROBE, device=device))
            _cache[network] = counted.peak / _PROBE**3
        except (UsageError, RuntimeError):  # made for one size only, so that it cannot be cut
            _cache[network] = 0.0
    return _cache[network]


class _Peak(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the bytes of the tensors that are alive, and their peak.

    A convolution also counts copies of its input and output, which its implementation makes.
    """

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Returns False, as nothing here is compiled; otherwise torch loads its compiler, which takes two seconds."""
        return False

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.live = self.peak = 0
        self.seen: set[int] = set()

    def __torch_dispatch__(
        self, function: Callable[..., Any], types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        output = function(*args, **(kwargs or {}))
        outputs = output if isinstance(output, tuple | list) else (output,)
        tensors = [value for value in outputs if _is_tensor(value)]
        for tensor in tensors:
            self._count(tensor)
        extra = _bytes(args[0]) + _bytes(tensors[0]) if "convolution" in str(function) and tensors else 0
        self.peak = max(self.peak, self.live + extra)
        return output

    def _count(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key not in self.seen:
            self.seen.add(key)
            self.live += storage.nbytes()
            weakref.finalize(storage, self._gone, key, storage.nbytes())

    def _gone(self, key: int, size: int) -> None:
        self.seen.discard(key)
        self.live -= size


def _is_tensor(value: object) -> bool:
    return isinstance(value, Tensor)


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()
