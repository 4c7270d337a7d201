"""The memory that a process may use, and the bytes of tensors that are alive; training and inference share it."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

PROGRAM_BYTES = 700 << 20
"""Memory of Python, torch and the weights before a scan is read. Chosen by hand; not tuned."""

_CGROUPS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


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


class PeakCounter(TorchDispatchMode):  # type: ignore[no-untyped-call]
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
        tensors = [value for value in outputs if isinstance(value, Tensor)]
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


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()
