"""Processor seconds of a translation without `--cache`, with an empty and with a filled one.

    python benchmarks/bench_cache.py

The model is an untrained Res-U-Net in the frame `t1_linear` with a bias-field correction, as in Bottani et al.: what
the cache saves does not depend on the weights. The scan is a simulated head of 2 mm with its brain mask. Two minutes.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from machine import ROOT, write_result

from voxlate.bundle.bundle import write_bundle
from voxlate.bundle.recipe import read_recipe
from voxlate.io.atomic import sha256
from voxlate.io.nifti import write_volume
from voxlate.models import build
from voxlate.simulation.subject import simulate_subject

RUNS = ("without", "empty", "filled")


def translation(folder: Path, run: str) -> dict[str, float | str]:
    """Translates the scan by the command line; returns its processor seconds and the hash of the result."""
    scan, mask, out = folder / "scan_T1ce.nii.gz", folder / "mask.nii.gz", folder / f"{run}.nii.gz"
    command = [sys.executable, "-m", "voxlate", "translate", scan, out, "-m", folder / "bundle", "--mask", mask]
    command += [] if run == "without" else ["--cache", folder / "cache"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([str(word) for word in command], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"processor_seconds": round(seconds, 1), "sha256": sha256(out)}


def main() -> None:
    subject = simulate_subject("t1ce_t1", seed=7)
    recipe = read_recipe(
        ROOT / "recipes" / "bottani2024" / "faithful.yaml",
        variants=["res_unet"],
        overrides={"model.arguments.width": 2},
    )
    torch.manual_seed(0)
    network = build(recipe.model.name, **recipe.model.arguments)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_volume(folder / "scan_T1ce.nii.gz", subject.images["T1ce"])
        write_volume(folder / "mask.nii.gz", subject.truth.brain_mask)
        mapping = {"gain": 1.0, "log_sd": 0.1, "n": 4, "spacing_mm": [1.0, 2.0]}
        documents = {"mapping": mapping}
        write_bundle(folder / "bundle", recipe, network.state_dict(), documents=documents, card="# untrained\n")
        found = {run: translation(folder, run) for run in RUNS}
        kept = sum(path.stat().st_size for path in (folder / "cache").rglob("*") if path.is_file())
    write_result(
        "cache",
        {
            "shape": list(subject.images["T1ce"].grid.shape),
            "kept_mib": round(kept / 2**20, 2),
            "same_bytes": len({row["sha256"] for row in found.values()}) == 1,
            "runs": {run: row["processor_seconds"] for run, row in found.items()},
        },
    )


if __name__ == "__main__":
    main()
