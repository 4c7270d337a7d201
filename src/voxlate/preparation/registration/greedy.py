"""Runs Greedy in a separate process, because its compiled code can crash and must not end the whole run.

The process starts with the first call and stays. It reads one line of JSON per registration, with the arrays in files,
and answers with one line. If it crashes or does not answer in time, the call fails and the next call starts a new one.
"""

from __future__ import annotations

import atexit
import json
import select
import subprocess
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO

import numpy as np

from voxlate.preparation.libraries import library
from voxlate.preparation.registration.transform import Transform
from voxlate.volume import Mask, Volume

TIME_LIMIT_S = 300.0  # a registration takes seconds (docs/how-to/preparation.md), so a longer one hangs; chosen by hand


@dataclass(frozen=True)
class Problem:
    """A registration problem: two scans on cubic voxels, the mask of the metric on `fixed`, and degrees of freedom."""

    fixed: Volume
    reach: Mask
    moving: Volume
    degrees: int


class GreedyFailed(Exception):
    """Greedy returned no transform: it crashed, took too long or reported an error."""


class _Worker:
    """The process of Greedy and its pipes."""

    def __init__(self) -> None:
        library("picsl_greedy")
        self._process: subprocess.Popen[bytes] | None = None

    def ask(self, question: dict[str, str]) -> dict[str, object]:
        """Sends one request and returns the answer.

        Raises:
            GreedyFailed: the process crashed, or did not answer within `TIME_LIMIT_S`.
        """
        questions, answers = self._pipes()
        try:
            questions.write(json.dumps(question).encode() + b"\n")
            questions.flush()
            ready, _, _ = select.select([answers], [], [], TIME_LIMIT_S)
            line = answers.readline() if ready else b""
        except OSError:
            line = b""
        if not line:
            self.stop()
            raise GreedyFailed("the registration program crashed or took more than five minutes")
        answer: dict[str, object] = json.loads(line)
        return answer

    def stop(self) -> None:
        """Ends the process."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for stream in (self._process.stdin, self._process.stdout):
                if stream is not None:
                    with suppress(OSError):  # flushing to a dead process fails
                        stream.close()
            self._process = None

    def _pipes(self) -> tuple[IO[bytes], IO[bytes]]:
        """Returns the pipes to and from the process; starts it if it does not run."""
        if self._process is None or self._process.poll() is not None:
            self.stop()
            command = [sys.executable, "-m", "voxlate.preparation.registration.greedy_worker"]
            self._process = subprocess.Popen(  # noqa: S603  # our own module, no shell
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
        if self._process.stdin is None or self._process.stdout is None:
            raise GreedyFailed("the registration program has no pipes")
        return self._process.stdin, self._process.stdout


@lru_cache(maxsize=1)
def _worker() -> _Worker:
    worker = _Worker()
    atexit.register(worker.stop)
    return worker


def run_greedy(problem: Problem, start: Transform, schedule: str) -> Transform:
    """Returns the transform that Greedy finds; the metric is normalised mutual information.

    One thread and a fixed seed make the result repeatable; without them, two runs on one pair differed by 0.04 mm.

    Args:
        problem: the scans.
        start: initial transform; it is applied to the header of the moving scan.
        schedule: iterations per level, coarse to fine, joined by `x`.

    Raises:
        GreedyFailed: Greedy returned no transform.
        MissingLibrary: `MISSING_LIBRARY`.
    """
    started = start.inverse.carry(problem.moving)
    options = f"-V 0 -seed 1 -threads 1 -a -dof {problem.degrees} -m NMI -ia-identity -n {schedule}"
    parts = {
        "fixed": (problem.fixed.data, problem.fixed.affine),
        "moving": (started.data, started.affine),
        "reach": (problem.reach.astype(np.float32), problem.fixed.affine),
    }
    with tempfile.TemporaryDirectory(prefix="voxlate-") as name:
        for role, (data, affine) in parts.items():
            np.save(Path(name) / f"{role}.npy", data, allow_pickle=False)
            np.save(Path(name) / f"{role}_affine.npy", affine, allow_pickle=False)
        answer = _worker().ask({"folder": name, "options": options})
    if "matrix" not in answer:
        raise GreedyFailed(str(answer.get("error", "no transform")))
    matrix = np.array(answer["matrix"], dtype=np.float64)
    if not np.isfinite(matrix).all() or abs(np.linalg.det(matrix[:3, :3])) < 1e-3:
        raise GreedyFailed("the transform is singular")
    return Transform(matrix).then(start)
