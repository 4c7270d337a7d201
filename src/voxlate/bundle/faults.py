"""What torch raises when a device is full or broken; training and inference share it."""

from __future__ import annotations

import torch

from voxlate.errors import TemporaryFailure

_FULL = ("out of memory", "ALLOC_FAILED", "allocate", "bad_alloc")
"""In the errors of a full device: of CUDA, of cuDNN and cuBLAS, of torch on a CPU, of the C++ library."""

_ACCELERATOR_ERROR: type[RuntimeError] | tuple[()] = getattr(torch, "AcceleratorError", ())  # since torch 2.8


def is_out_of_memory(error: BaseException) -> bool:
    """Returns whether an error says that the memory of the device, or of the machine, is full."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or any(text in str(error) for text in _FULL)


def is_device_fault(error: BaseException) -> bool:
    """Returns whether an error says that the GPU failed; the process can compute nothing more on it.

    A GPU that is only full is none of these, see `is_out_of_memory`.
    """
    is_of_cuda = isinstance(error, _ACCELERATOR_ERROR) or "CUDA error" in str(error)
    return is_of_cuda and not is_out_of_memory(error)


def device_failure(error: BaseException, during: str) -> TemporaryFailure:
    """Returns the failure that ends a run whose GPU failed, with the reason that CUDA gives.

    Args:
        error: for which `is_device_fault` is true.
        during: the case or the training that it came with.
    """
    reason = str(error).partition("\n")[0] or type(error).__name__  # the rest is advice for developers of CUDA programs
    return TemporaryFailure(
        "DEVICE_FAULT",
        f"{during}: the GPU failed: {reason}; run it again, on another GPU if it fails again, or with --device cpu",
    )
