"""Greedy in a process of its own: compiled code can crash, and that must not end a run.

The process is started at the first call and kept; it takes a line of JSON per problem, with the arrays in files beside
it, and answers with a line. When it dies or does not answer in time, the call says so and the next one starts another.
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

TIME_LIMIT_S = 300.0


@dataclass(frozen=True)
class Problem:
    """What is registered: two scans on cubic voxels, where to look on the fixed one, and the degrees of freedom."""

    fixed: Volume
    reach: Mask
    moving: Volume
    degrees: int


class GreedyFailed(Exception):
    """Greedy gave no transform: it crashed, took too long or said no."""


class _Worker:
    """The process, and how to talk to it."""

    def __init__(self) -> None:
        library("picsl_greedy")
        self._process: subprocess.Popen[bytes] | None = None

    def ask(self, question: dict[str, str]) -> dict[str, object]:
        """Returns the answer to one question.

        Raises:
            GreedyFailed: the process died, or did not answer within five minutes.
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
                    with suppress(OSError):  # what a dead process did not read cannot be flushed
                        stream.close()
            self._process = None

    def _pipes(self) -> tuple[IO[bytes], IO[bytes]]:
        """Returns where questions go and answers come from; starts the process when there is none."""
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
    """Returns the transform that Greedy finds from `start`, which is put into the header of the moving scan.

    Args:
        problem: what is registered; the metric is mutual information.
        start: where the search begins.
        schedule: iterations per level, coarse to fine, joined by `x`.

    Raises:
        GreedyFailed: there is no transform.
        UsageError: `MISSING_LIBRARY`.

    One thread and a seed make the result the same at each call; without, one pair was seen 0.04 mm apart.
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
        raise GreedyFailed("the transform that was found is singular")
    return Transform(matrix).then(start)
