import pytest
import torch

from voxlate.bundle.faults import device_failure, is_device_fault, is_out_of_memory

ACCELERATOR = getattr(torch, "AcceleratorError", RuntimeError)


@pytest.mark.parametrize(
    ("error", "is_full", "is_broken"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."), True, False),
        (ACCELERATOR("CUDA error: out of memory"), True, False),
        (RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"), True, False),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), True, False),
        (MemoryError(), True, False),
        (ACCELERATOR("CUDA error: an illegal memory access was encountered"), False, True),
        (RuntimeError("CUDA error: uncorrectable ECC error encountered"), False, True),
        (RuntimeError("shapes do not match"), False, False),
    ],
)
def test_a_full_device_a_broken_one_and_a_defect_are_told_apart(error, is_full, is_broken):
    assert (is_out_of_memory(error), is_device_fault(error)) == (is_full, is_broken)


def test_the_memory_of_a_cpu_that_is_full_is_known_from_what_torch_raises():
    with pytest.raises(RuntimeError) as raised:
        torch.empty(1 << 55)
    assert is_out_of_memory(raised.value)


def test_the_failure_of_a_gpu_keeps_the_reason_of_cuda_and_leaves_its_advice_out():
    failure = device_failure(RuntimeError("CUDA error: unspecified launch failure\nCompile with ..."), "case7")
    assert failure.message.startswith("case7: the GPU failed: CUDA error: unspecified launch failure; run it again")
    assert failure.exit_status == 75
