"""What ends a training that is no defect of it: a full device, a broken one, folders that differ."""

from types import SimpleNamespace

import pytest
import torch

from voxlate.errors import TemporaryFailure, UsageError
from voxlate.training.distributed import require_same_step
from voxlate.training.failures import told_failures
from voxlate.training.loop import train


def test_a_gpu_that_fills_up_during_training_is_told_with_a_remedy(recipe, cohort, tmp_path):
    def fill(progress, loss):
        if progress.step == 2:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    with pytest.raises(
        TemporaryFailure, match=r"MEMORY the memory is full while tiny .*--resume, or .*training.batch=1"
    ):
        train(recipe, tmp_path / "run", root=cohort, watch=fill)


@pytest.mark.parametrize(
    ("error", "processes", "told"),
    [
        (RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"), 1, "MEMORY"),
        (RuntimeError("CUDA error: an illegal memory access was encountered\nCompile with"), 1, "DEVICE_FAULT"),
        (RuntimeError("[gloo/transport/tcp/pair.cc:547] Connection closed by peer [127.0.0.1]:1"), 2, "KILLED"),
        (torch.distributed.DistBackendError("NCCL communicator was aborted"), 2, "KILLED"),
    ],
)
def test_a_failure_of_device_or_partner_has_a_code_and_a_remedy(recipe, error, processes, told):
    with pytest.raises(TemporaryFailure, match=f"{told} .*; "), told_failures(recipe, processes=processes):
        raise error


@pytest.mark.parametrize("error", [RuntimeError("Connection closed by peer"), RuntimeError("shapes"), ValueError("x")])
def test_a_defect_stays_one(recipe, error):
    with pytest.raises(type(error), match=str(error)), told_failures(recipe, processes=1):
        raise error


def test_processes_that_found_different_checkpoints_are_refused():
    def fabric(*steps):
        return SimpleNamespace(world_size=len(steps), device="cpu", all_gather=lambda step: torch.tensor(steps))

    require_same_step(fabric(4, 4), 4)
    with pytest.raises(UsageError, match="RUN_DIFFERS the processes found checkpoints of steps 0 to 40; name a folder"):
        require_same_step(fabric(40, 0), 40)
