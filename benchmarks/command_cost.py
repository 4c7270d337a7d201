"""Runs a command in a process of its own and measures it: seconds of the clock, seconds of processors, memory.

Processor seconds are those of the command and of all processes that it waited for (`wait4`). The peak resident memory
of a process is the kernel's own (`VmHWM`), read until it ends; getrusage would count the program that started it too.
The memory of several workers is the largest sum of their proportional shares (`Pss`), in which pages that two processes
share count once.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

SAMPLE_S = 0.02
"""Time between two readings of the memory. Growth in the last interval of a process is missed; chosen by hand."""

SCAN_EVERY = 10
"""Readings between two searches for new workers, and between two sums of their shares; chosen by hand."""

ONE_THREAD = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}


@dataclass(frozen=True)
class CommandCost:
    """What a command cost.

    Attributes:
        clock_s: from its start to its end, other jobs of the machine included.
        processor_s: of all its processes and threads.
        system_s: the part of `processor_s` that was spent in the kernel, such as on page faults.
        peak_mib: largest peak resident memory among its processes.
        together_mib: largest memory of all its processes at a time.
        output: what it wrote to the standard output.
    """

    clock_s: float
    processor_s: float
    system_s: float
    peak_mib: float
    together_mib: float
    output: str

    def row(self) -> dict[str, float]:
        """Returns the figures as a result keeps them."""
        return {
            "clock_s": round(self.clock_s, 3),
            "processor_s": round(self.processor_s, 3),
            "system_s": round(self.system_s, 3),
            "peak_mib": round(self.peak_mib, 1),
            "together_mib": round(self.together_mib, 1),
        }


def command_cost(
    command: Sequence[object], *, may_be: Iterable[int] = (0,), environment: Mapping[str, str] | None = None
) -> CommandCost:
    """Runs a command with one thread for each process.

    Args:
        command: program and arguments.
        may_be: exit statuses that are not an error.
        environment: variables beside those of this process.

    Raises:
        RuntimeError: another exit status, with the end of what the command wrote.
    """
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as complaints:
        start = time.perf_counter()
        process = subprocess.Popen(
            [str(word) for word in command],
            stdout=out,
            stderr=complaints,
            env={**os.environ, **ONE_THREAD, **(environment or {})},
            start_new_session=True,
        )
        peaks, together, round_number = {process.pid: 0.0}, 0.0, 0
        while True:
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            if pid:
                break
            if round_number % SCAN_EVERY == 0:
                for worker in session_of(process.pid):
                    peaks.setdefault(worker, 0.0)
                together = max(together, sum(memory_mib(each, "smaps_rollup", "Pss") for each in peaks))
            peaks = {each: max(peak, memory_mib(each, "status", "VmHWM")) for each, peak in peaks.items()}
            round_number += 1
            time.sleep(SAMPLE_S)
        clock_s = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        complaints.seek(0)
        output = out.read()
        if process.returncode not in may_be:
            raise RuntimeError(
                f"exit status {process.returncode}: {command}\n{output[-500:]}{complaints.read()[-2000:]}"
            )
    peak = max(peaks.values())
    return CommandCost(clock_s, usage.ru_utime + usage.ru_stime, usage.ru_stime, peak, max(together, peak), output)


def memory_mib(process: int, file: str, field: str) -> float:
    """Returns a field in kB of a file of a process under `/proc`, in MiB; 0 for a process that has ended."""
    with suppress(OSError, IndexError, ValueError):
        text = Path(f"/proc/{process}/{file}").read_text(encoding="utf-8")
        return int(text.partition(f"\n{field}:")[2].split()[0]) / 1024
    return 0.0


def session_of(leader: int) -> list[int]:
    """Returns the processes of the session that a process leads."""
    members = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError, IndexError, ValueError):
                fields = (entry / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()
                if int(fields[3]) == leader:
                    members.append(int(entry.name))
    return members
