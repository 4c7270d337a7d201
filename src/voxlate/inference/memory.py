"""How much memory a scan will take, told from its header and its network before either is at work.

What is counted is what one process holds at its worst: some copies of the volume, and the network's activations, which
grow with the window that it sees. Where the whole box of the brain does not fit into the budget, it is cut into the
largest windows that do. The budget is one of the machine or of the user, never what happens to be free: a scan gives
the same bytes whatever else runs.
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
"""Volumes of 32 bits that are held together at most, with some to spare; `benchmarks/bench_memory.py` measures 10.5."""

SHARE = 0.8
"""Of the budget that is planned with."""

PROGRAM_BYTES = 700 << 20
"""What Python, torch and the weights take before any scan is there."""

LADDER = (192, 160, 128, 96, 64, 48, 32)
"""Sides of the windows that are tried, largest first."""

_PROBE = 32
_CGROUPS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


@dataclass(frozen=True)
class WindowPlan:
    """What was planned for one scan.

    Attributes:
        window: what the network sees at once; None for the whole box.
        network_bytes: of its activations.
        is_cut: whether the window is there for want of memory alone.
    """

    window: Shape | None
    network_bytes: int
    is_cut: bool


def budget_bytes(device: torch.device, gib: float | None = None) -> int:
    """Returns the memory that may be planned with: what the user allows, or else what the machine has.

    On a processor that is its memory, or that of the control group if it is less; on another device, its own.
    """
    if gib is not None:
        return int(gib * 2**30)
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    pages = Path("/proc/meminfo")
    found = [int(pages.read_text().partition("MemTotal:")[2].split()[0]) << 10] if pages.is_file() else [1 << 62]
    for name in _CGROUPS:
        text = Path(name).read_text().strip() if Path(name).is_file() else ""
        found += [int(text)] if text.isdigit() else []
    return min(found)


def activation_budget(device: torch.device, shape: Shape, gib: float | None = None) -> int:
    """Returns the bytes that are left for the activations beside a scan of this shape.

    On another device than the processor the volumes take nothing.
    """
    beside = PROGRAM_BYTES + volume_bytes(shape) if device.type == "cpu" else 0
    return int(SHARE * budget_bytes(device, gib)) - beside


def require_memory(shape: Shape, gib: float | None = None, *, name: str) -> None:
    """Refuses a scan whose volumes alone do not fit into the memory of the processor, before a voxel is read.

    Raises:
        TemporaryFailure: `MEMORY`.
    """
    need, budget = PROGRAM_BYTES + volume_bytes(shape), budget_bytes(torch.device("cpu"), gib)
    if need > budget:
        size = " x ".join(str(n) for n in shape)
        raise TemporaryFailure(
            "MEMORY",
            f"{name}: {size} voxels take {need / 2**30:.1f} GiB, {budget / 2**30:.1f} may be used; allow more (--gib)",
        )


def volume_bytes(shape: Shape) -> int:
    """Returns what the volumes of one scan take, without the network."""
    return 4 * COPIES * int(np.prod(shape, dtype=np.int64))


def plan_windows(
    network: nn.Module,
    channels: int,
    box: Shape,
    *,
    window: Shape | None,
    memory_bytes: int,
) -> WindowPlan:
    """Returns what the network is to see at once so that it fits.

    Args:
        network: in evaluation mode.
        channels: of its input.
        box: what is to be translated.
        window: of the recipe; one that is fixed there is never changed, as the network may take no other.
        memory_bytes: bytes for the activations.

    Raises:
        TemporaryFailure: `MEMORY` when not even the smallest window fits.
    """
    if window is not None:
        return WindowPlan(window, 0, is_cut=False)
    each = bytes_per_voxel(network, channels)
    need = int(each * np.prod(box, dtype=np.int64))
    if need <= memory_bytes:
        return WindowPlan(None, need, is_cut=False)
    for side in LADDER:
        need = int(each * side**3)
        if need <= memory_bytes:
            return WindowPlan((side, side, side), need, is_cut=True)
    raise TemporaryFailure(
        "MEMORY",
        f"a window of {LADDER[-1]}³ voxels takes {need / 2**30:.1f} GiB, {max(0, memory_bytes) / 2**30:.1f} are there",
    )


_known: weakref.WeakKeyDictionary[nn.Module, float] = weakref.WeakKeyDictionary()


def bytes_per_voxel(network: nn.Module, channels: int) -> float:
    """Returns the peak of the activations for one voxel, found once by a small window, or 0 if it takes none."""
    if network not in _known:
        parameter = next(network.parameters(), None)
        device = torch.device("cpu") if parameter is None else parameter.device
        try:
            with torch.no_grad(), _Peak() as counted:
                network(torch.zeros(1, channels, _PROBE, _PROBE, _PROBE, device=device))
            _known[network] = counted.peak / _PROBE**3
        except (UsageError, RuntimeError):  # made for one size alone; nothing could be cut
            _known[network] = 0.0
    return _known[network]


class _Peak(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the bytes of the tensors that are alive; a convolution holds copies of what it takes and gives as well."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Nothing here is ever compiled; to be told so, torch would load its compiler, for two seconds."""
        return False

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.live = self.peak = 0
        self.seen: set[int] = set()

    def __torch_dispatch__(
        self, function: Callable[..., Any], types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        answer = function(*args, **(kwargs or {}))
        tensors = [each for each in (answer if isinstance(answer, tuple | list) else (answer,)) if _is_tensor(each)]
        for tensor in tensors:
            self._count(tensor)
        extra = _bytes(args[0]) + _bytes(tensors[0]) if "convolution" in str(function) and tensors else 0
        self.peak = max(self.peak, self.live + extra)
        return answer

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
