"""Processes of a training are as many as were asked for."""

import os
import sys

import pytest
import torch

from voxlate.errors import UsageError
from voxlate.training.launch import launch, started_processes

TORCHRUN = {"TORCHELASTIC_RUN_ID": "none", "WORLD_SIZE": "4", "RANK": "1", "LOCAL_RANK": "1"}
SCRIPT = {
    "SLURM_JOB_ID": "12",
    "SLURM_JOB_NAME": "train",
    "SLURM_PROCID": "0",
    "SLURM_LOCALID": "0",
    "SLURM_NODEID": "0",
}
"""What a job's script sees, which SLURM starts once, whatever the number of tasks."""
SRUN = SCRIPT | {"SLURM_STEP_ID": "0", "SLURM_STEP_NUM_NODES": "1"}


@pytest.fixture(autouse=True)
def _clean(monkeypatch):
    """Leaves no variable of a launcher, and no group of processes."""
    for name in [name for name in os.environ if name.startswith(("SLURM_", "TORCHELASTIC_"))]:
        monkeypatch.delenv(name)
    for name in ("WORLD_SIZE", "RANK", "LOCAL_RANK", "NODE_RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.setenv(name, "")  # so that it is restored, whatever Fabric sets
        monkeypatch.delenv(name)
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "lo")
    yield
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def put(monkeypatch, **variables):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


def start(devices=1, nodes=1):
    return launch("cpu", devices=devices, nodes=nodes, precision="32-true", seeks_unreached=False)


@pytest.fixture
def program(monkeypatch):
    """Makes this process a program in a file, as which the processes of a parallel test run do not count."""
    monkeypatch.setattr(sys.modules["__main__"], "__file__", "program.py", raising=False)


@pytest.mark.parametrize(
    ("variables", "processes"),
    [
        ({}, 1),
        ({"WORLD_SIZE": "4"}, 1),  # of another program: no launcher sets it without a rank
        (TORCHRUN, 4),
        (SCRIPT | {"SLURM_NTASKS": "8"}, 1),
        (SRUN | {"SLURM_NTASKS": "8", "SLURM_STEP_NUM_TASKS": "8"}, 8),
        (SRUN | {"SLURM_NTASKS": "8", "SLURM_STEP_NUM_TASKS": "1"}, 1),  # the shell that salloc opens
        (SRUN | {"SLURM_NTASKS": "8"}, 8),
        (SCRIPT | {"SLURM_NTASKS": "8", "SLURM_PROCID": "3"}, 8),
        (SRUN | {"SLURM_STEP_NUM_TASKS": "8", "SLURM_JOB_NAME": "bash"}, 1),
        (SRUN | TORCHRUN | {"SLURM_STEP_NUM_TASKS": "2"}, 4),  # torchrun once on each of two machines
    ],
)
def test_the_processes_of_a_launcher_are_counted_and_the_tasks_of_a_job_are_not(monkeypatch, variables, processes):
    put(monkeypatch, **variables)
    assert started_processes() == processes


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        (TORCHRUN, r"DEVICE 4 processes were started by torchrun, --devices 1 asks for 1: .*; pass --devices 4"),
        (SRUN | {"SLURM_STEP_NUM_TASKS": "4"}, r"4 processes were started by srun, .*; pass --devices 4"),
        (
            SRUN | {"SLURM_STEP_NUM_TASKS": "4", "SLURM_STEP_NUM_NODES": "2"},
            r"4 processes were started by srun, .*device=Machine\(devices=2, nodes=2\)",
        ),
    ],
)
def test_several_processes_that_would_each_train_alone_are_refused(monkeypatch, variables, message):
    put(monkeypatch, **variables)
    with pytest.raises(UsageError, match=message):
        start()


@pytest.mark.parametrize("tasks", [{}, {"SLURM_NTASKS_PER_NODE": "8"}])
def test_one_process_trains_in_the_script_of_a_job_of_several_tasks(monkeypatch, tasks):
    put(monkeypatch, **SCRIPT, SLURM_NTASKS="8", **tasks)
    assert start().world_size == 1


@pytest.mark.usefixtures("program")
def test_one_task_of_slurm_does_not_train_in_place_of_several_processes(monkeypatch):
    put(monkeypatch, **SCRIPT, SLURM_NTASKS="1")
    with pytest.raises(
        UsageError, match=r"DEVICE 1 process runs where 2 were asked for; .*--ntasks-per-node=2, or unset "
    ):
        start(2)


def test_one_process_of_torchrun_does_not_train_in_place_of_several(monkeypatch):
    put(monkeypatch, **TORCHRUN | {"WORLD_SIZE": "1", "RANK": "0", "LOCAL_RANK": "0"})
    with pytest.raises(UsageError, match=r"DEVICE 1 process runs where 2 were asked for; .*--nproc-per-node=2"):
        start(2)


@pytest.mark.parametrize(
    ("tasks", "reason"),
    [
        ({"SLURM_NTASKS": "2"}, "--ntasks=2"),
        ({"SLURM_NTASKS": "2", "SLURM_NTASKS_PER_NODE": "1", "SLURM_NNODES": "2"}, "--ntasks-per-node=1"),
    ],
)
def test_a_wrong_number_of_tasks_is_told_in_the_words_of_fabric(monkeypatch, tasks, reason):
    put(monkeypatch, **SRUN, SLURM_STEP_NUM_TASKS="2", **tasks)
    with pytest.raises(
        UsageError,
        match=rf"DEVICE the tasks of the SLURM job do not fit: You set .*{reason}.*HINT.*; start as many",
    ):
        start(2)


@pytest.mark.usefixtures("program")
def test_a_launch_that_fails_tells_its_reason(monkeypatch):
    def fail(self):
        raise RuntimeError("Timed out after 1801 seconds waiting for clients. 1/2 clients joined.\nat line 3")

    monkeypatch.setattr("lightning_fabric.Fabric.launch", fail)
    with pytest.raises(UsageError, match=r"DEVICE 2 processes on 'cpu' could not begin: Timed out .* joined\.; check"):
        start(2)
    assert "_VOXLATE_LAUNCHER" not in os.environ


def test_an_interactive_python_starts_no_processes(monkeypatch):
    monkeypatch.setattr(sys, "ps1", ">>> ", raising=False)
    assert start().world_size == 1
    with pytest.raises(UsageError, match=r"DEVICE 2 processes cannot be started from a notebook .*--devices 2"):
        start(2)
