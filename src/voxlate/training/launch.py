"""Starts the processes of a training, or joins those that torchrun or srun started.

Processes that know nothing of each other would all train into one folder, and one process would train in place of the
eight that were asked for. Another number of processes than that asked for is therefore refused.
"""

from __future__ import annotations

import atexit
import os
import sys
import time
from typing import Literal

from lightning_fabric import Fabric
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.utilities.exceptions import MisconfigurationException

from voxlate.errors import UsageError
from voxlate.io.log import counted
from voxlate.jobs.processes import end_with_parent

_LAUNCHER = "_VOXLATE_LAUNCHER"
"""Environment variable by which the processes that a training starts learn the number of the process to end with."""

_FAREWELL_S = 3.0
"""Longest time in seconds that a process waits for the one that started it to end first. Every five seconds Fabric
looks for a process that failed, and kills the one that started it, which then has no exit status of its own. Python
takes about half a second to end with a refusal that all share."""

_FAULTS = (MisconfigurationException, RuntimeError, ValueError)
"""What Fabric raises for a device or a number of processes; the first for too few GPUs."""


def launch(
    accelerator: str,
    *,
    devices: int,
    nodes: int,
    precision: Literal["32-true", "bf16-mixed", "16-mixed"],
    seeks_unreached: bool,
) -> Fabric:
    """Returns Fabric with its processes started.

    Args:
        accelerator: `cpu`, `cuda`, or `auto`.
        devices: processes on each machine.
        nodes: machines.
        precision: as Lightning Fabric names it.
        seeks_unreached: several processes look for weights without a gradient, which takes time in each step.

    Raises:
        UsageError: `DEVICE` when there is no such accelerator, or fewer devices; when the number of processes that
            torchrun or srun started is not `devices * nodes`; when a Python session without a file should start some.
    """
    asked, started = devices * nodes, started_processes()
    if started not in (1, asked):  # one may start the others
        raise _too_many(started, devices, nodes)
    if started < asked and "TORCHELASTIC_RUN_ID" in os.environ:
        raise _too_few(started, devices, nodes)
    if started < asked:
        _require_program(devices)
    launcher = os.environ.pop(_LAUNCHER, None)
    if launcher is not None:
        end_with_parent(int(launcher))
        atexit.register(_wait_for_end, int(launcher))
    try:
        fabric = Fabric(
            accelerator=accelerator,
            strategy="ddp_find_unused_parameters_true" if seeks_unreached else "auto",
            devices=devices,
            num_nodes=nodes,
            precision=precision,
            # One process needs no partner; Fabric would refuse it in a job of several tasks.
            plugins=[LightningEnvironment()] if asked == 1 else None,
        )
    except _FAULTS as error:
        _require_fitting_tasks(error)
        count = f"{devices} of " if devices > 1 else ""
        raise UsageError(
            "DEVICE", f"{count}the device {accelerator!r} is not available here; choose auto, cpu or cuda"
        ) from error
    _begin(fabric, f"{counted(asked, 'process', 'processes')} on {accelerator!r}")
    if fabric.world_size < asked:
        raise _too_few(fabric.world_size, devices, nodes)
    return fabric


def _begin(fabric: Fabric, processes: str) -> None:
    """Starts the other processes, or waits for them.

    Args:
        fabric: not yet launched.
        processes: how many on what, for a message.

    Raises:
        UsageError: `DEVICE`.
    """
    os.environ[_LAUNCHER] = str(os.getpid())
    try:
        fabric.launch()
    except _FAULTS as error:
        _require_fitting_tasks(error)
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise UsageError(
            "DEVICE",
            f"{processes} could not begin: {reason}; check the device, and that all processes were started and reach "
            "one another",
        ) from error
    finally:
        del os.environ[_LAUNCHER]


def started_processes() -> int:
    """Returns how many processes of this program torchrun, srun or a training started; 1 for this one alone.

    The number of tasks of a SLURM job says nothing by itself: the script of a job runs once, whatever it is.
    """
    world = os.environ.get("WORLD_SIZE", "")
    if world.isdigit() and ("RANK" in os.environ or "LOCAL_RANK" in os.environ):
        return int(world)
    number = os.environ.get("SLURM_PROCID", "0")
    if os.environ.get("SLURM_JOB_NAME") in ("bash", "interactive") and number == "0":
        return 1  # a shell that srun opened; Fabric knows it by these names too
    tasks = os.environ.get("SLURM_STEP_NUM_TASKS", "")  # set by srun alone
    if not tasks and ("SLURM_STEP_ID" in os.environ or number != "0"):
        tasks = os.environ.get("SLURM_NTASKS", "")
    return int(tasks) if tasks.isdigit() else 1


def _starter() -> str:
    """Returns what started the processes of this program."""
    return "torchrun" if "TORCHELASTIC_RUN_ID" in os.environ else "srun" if "SLURM_JOB_ID" in os.environ else "you"


def _too_many(started: int, devices: int, nodes: int) -> UsageError:
    """Returns the refusal of more processes than were asked for, each of which would train alone."""
    machines = os.environ.get("SLURM_STEP_NUM_NODES") or os.environ.get("GROUP_WORLD_SIZE") or "1"
    count = int(machines) if machines.isdigit() and started % max(1, int(machines)) == 0 else 1
    remedy = f"pass --devices {started}"
    if count > 1:
        remedy = f"train from a Python script with device=Machine(devices={started // count}, nodes={count})"
    asked = f"--devices {devices}" if nodes == 1 else f"Machine(devices={devices}, nodes={nodes})"
    return UsageError(
        "DEVICE",
        f"{started} processes were started by {_starter()}, {asked} asks for {devices * nodes}: they would train apart "
        f"into one folder; {remedy}, or start one process",
    )


def _too_few(found: int, devices: int, nodes: int) -> UsageError:
    """Returns the refusal of fewer processes than were asked for."""
    running = f"{counted(found, 'process runs', 'processes run')} where {devices * nodes} were asked for"
    if "TORCHELASTIC_RUN_ID" in os.environ:
        return UsageError("DEVICE", f"{running}; pass --nproc-per-node={devices} to torchrun, or leave torchrun out")
    return UsageError(
        "DEVICE",
        f"{running}; start it with srun --ntasks-per-node={devices}, or unset SLURM_NTASKS on a single machine",
    )


def _require_program(devices: int) -> None:
    """Refuses to start processes where there is no program that they could run.

    Raises:
        UsageError: `DEVICE`.
    """
    if hasattr(sys, "ps1") or sys.flags.interactive or not hasattr(sys.modules["__main__"], "__file__"):
        raise UsageError(
            "DEVICE",
            f"{devices} processes cannot be started from a notebook or an interactive Python; use the command line "
            f"(voxlate train RECIPE OUT --devices {devices}) or a script in a file",
        )


def _require_fitting_tasks(error: Exception) -> None:
    """Refuses tasks of SLURM that Fabric refused, with Fabric's own sentence.

    Raises:
        UsageError: `DEVICE`, if the error is about the tasks.
    """
    if "SLURM" in str(error):
        raise UsageError(
            "DEVICE",
            f"the tasks of the SLURM job do not fit: {error}; start as many tasks on each machine as there are "
            "devices: srun --ntasks-per-node=N",
        ) from error


def _wait_for_end(launcher: int) -> None:
    """Waits until the process that started this one has ended, which ends this one too; see `_FAREWELL_S`."""
    end = time.monotonic() + _FAREWELL_S
    while os.getppid() == launcher and time.monotonic() < end:
        time.sleep(0.05)
