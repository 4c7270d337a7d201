"""What becomes of a batch whose run, workers or disk die: the tree must be that of a run that was left alone.

    python benchmarks/bench_faults.py [--cases 300]

One folder is brought to its end through 180 SIGKILLs of a run at random moments of its work, 20 of the command line
with two workers, 20 of single workers, two runners at once, and truncated and planted files before every tenth resume;
another through a disk (tmpfs in a mount namespace of its own) that is full, then read-only, then large enough.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from bench_batch import write_model, write_scans
from machine import write_result

from voxlate.bundle.bundle import read_bundle
from voxlate.errors import VoxlateError
from voxlate.inference.batch import Translation, read_models
from voxlate.inference.files import translate_file
from voxlate.inference.manifest import read_manifest
from voxlate.inference.translate import Options
from voxlate.inference.verify import differences, status_of
from voxlate.jobs.batch import run_batch
from voxlate.jobs.executors import in_this_process

KILLS, COMMAND_KILLS, WORKER_KILLS = 180, 20, 20
DISK = r"""
set -e
mount -t tmpfs -o size=2m none "$1"
set +e
run() {
    "$2" -c 'from voxlate.cli import main; main()' batch "$3" "$1/out" -m "$4" \
        --runtime torch --no-progress --jobs 1 >/dev/null 2>&1
}
run "$@"; echo "full $?"
mount -o remount,ro "$1"
run "$@"; echo "read-only $?"
mount -o remount,rw,size=512m "$1"
run "$@"; echo "large $?"
cp -r "$1/out" "$5"
"""


def tree(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in out.iterdir() if not path.name.startswith(".")}


def forked(work: Callable[[], None]) -> int:
    """Returns the number of a process that does the work and ends with 0, or with the status of its error."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            work()
            status = 0
        except VoxlateError as error:
            status = error.exit_status
        finally:
            os._exit(status)
    return child


def killed_after(child: int, seconds: float) -> bool:
    """Kills a process after a while, and tells whether it was still at work."""
    time.sleep(seconds)
    ended, _ = os.waitpid(child, os.WNOHANG)
    if ended:
        return False
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return True


def spoil(out: Path, rng: np.random.Generator) -> int:
    """Truncates a finished file, and plants one of a case that is not; returns how many files."""
    done = sorted(out.glob("*.nii.gz"))
    if not done:
        return 0
    path = done[int(rng.integers(len(done)))]
    path.write_bytes(path.read_bytes()[:100])
    (out / "case0.json").write_text("{}")
    return 2


def command(manifest: Path, out: Path, model: Path, *more: str) -> subprocess.Popen[bytes]:
    call = [sys.executable, "-c", "from voxlate.cli import main; main()", "batch", str(manifest), str(out)]
    call += ["-m", str(model), "--runtime", "torch", "--no-progress", *more]
    return subprocess.Popen(call, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)


def children(pid: int) -> list[int]:
    found = subprocess.run(["ps", "-o", "pid=,args=", "--ppid", str(pid)], capture_output=True, text=True, check=False)
    rows = [line.split(None, 1) for line in found.stdout.splitlines()]
    return [int(number) for number, text in rows if "spawn_main" in text]


def kill_runs(manifest: Path, model: Path, out: Path, settings: dict[str, Any]) -> dict[str, int]:
    work = Translation((model,), read_bundle(model).weights_sha256, Options())
    table, rng = read_manifest(manifest), np.random.default_rng(0)
    translate_file(read_models(work.models), next(table.items()).source, out.parent / "first" / "first.nii.gz")
    # what is loaded at the first case is loaded now, so that the forked runs are killed at work and not before it
    run = partial(run_batch, table, out, settings, partial(in_this_process, work))
    counts = {"kills_of_runs": 0, "files_spoiled": 0, "second_runners_refused": 0}
    while counts["kills_of_runs"] < KILLS:
        if counts["kills_of_runs"] % 10 == 9:
            counts["files_spoiled"] += spoil(out, rng)
        child = forked(run)
        if counts["kills_of_runs"] % 30 == 20:
            time.sleep(0.1)
            _, status = os.waitpid(forked(run), 0)
            counts["second_runners_refused"] += os.waitstatus_to_exitcode(status) == 75
        if not killed_after(child, float(rng.uniform(0, 0.5))):
            for path in sorted(out.glob("*.nii.gz"))[::3]:  # it came to its end: give it something to do
                path.unlink()
        else:
            counts["kills_of_runs"] += 1
    assert counts["files_spoiled"] > 0, "no run had ended a case before it was killed"
    return counts


def kill_commands(manifest: Path, model: Path, out: Path) -> dict[str, int]:
    rng, counts = np.random.default_rng(1), {"kills_of_commands": 0, "kills_of_workers": 0}
    for _ in range(COMMAND_KILLS):
        for path in sorted(out.glob("*.nii.gz"))[::4]:
            path.unlink()
        process = command(manifest, out, model, "--jobs", "2")
        time.sleep(float(rng.uniform(2.5, 7)))
        counts["kills_of_commands"] += process.poll() is None
        process.kill()
        process.wait()
    while counts["kills_of_workers"] < WORKER_KILLS:
        for path in sorted(out.glob("*.nii.gz"))[::2]:
            path.unlink()
        process = command(manifest, out, model, "--jobs", "2", "--retry")
        while process.poll() is None and counts["kills_of_workers"] < WORKER_KILLS:
            time.sleep(float(rng.uniform(0.3, 2.5)))
            for worker in children(process.pid)[:1]:
                os.kill(worker, signal.SIGKILL)
                counts["kills_of_workers"] += 1
        process.wait()
    return counts


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--cases", type=int, default=300)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        manifest, model = write_scans(folder / "scans", chosen.cases), write_model(folder / "model")
        assert command(manifest, folder / "whole", model).wait() == 0

        kept = json.loads((folder / "whole" / "batch.json").read_text())
        claimed = ("voxlate", "manifest_sha256", "cases", "shards")
        settings = {key: value for key, value in kept.items() if key not in claimed}
        out = folder / "killed"
        counts = kill_runs(manifest, model, out, settings) | kill_commands(manifest, model, out)
        status = command(manifest, out, model, "--jobs", "2", "--retry").wait()
        disk = folder / "disk"
        disk.mkdir()
        call = ["unshare", "--map-root-user", "--mount", "sh", "-c", DISK, "sh", str(disk), sys.executable]
        ran = subprocess.run(
            [*call, str(manifest), str(model), str(folder / "kept")], capture_output=True, text=True, check=False
        )
        whole = tree(folder / "whole")
        result = counts | {
            "cases": chosen.cases,
            "last_exit_status": status,
            "same_bytes_after_kills": tree(out) == whole,
            "differences_after_kills": len(list(differences(out))),
            "counts_add_up": status_of(out).done == chosen.cases,
            "disk_exit_statuses": dict(line.rsplit(" ", 1) for line in ran.stdout.splitlines()),
            "same_bytes_after_full_disk": (folder / "kept").is_dir() and tree(folder / "kept") == whole,
        }
    write_result("faults", result)


if __name__ == "__main__":
    main()
