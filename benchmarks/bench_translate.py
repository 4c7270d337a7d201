"""Seconds and memory of translating one 240 x 240 x 155 volume, each engine in a process of its own.

    python benchmarks/bench_translate.py [BUNDLE]

Without a bundle an untrained network of the default size is used: the time is the same.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from machine import write_result

SHAPE = (240, 240, 155)
HEAD_MM = (70, 88, 72)  # semi-axes of a brain, with a cap of skull-stripping error
REPEATS = 3


def make_inputs(folder: Path, bundle: str | None) -> Path:
    """Writes a scan the size of a BraTS volume with a brain in it, and an untrained bundle if none is given."""
    import torch

    from voxlate.bundle.bundle import write_bundle
    from voxlate.bundle.recipe import parse_recipe
    from voxlate.io.nifti import write_volume
    from voxlate.models import build
    from voxlate.volume import Volume

    random = np.random.default_rng(0)
    place = (np.indices(SHAPE) - (np.array(SHAPE)[:, None, None, None] - 1) / 2) / np.array(HEAD_MM)[
        :, None, None, None
    ]
    data = np.where((place**2).sum(axis=0) < 1, random.integers(200, 900, SHAPE), 0)
    write_volume(folder / "scan.nii.gz", Volume(data, np.diag([-1.0, -1.0, 1.0, 1.0]), "T1ce", "int16"))
    if bundle is not None:
        return Path(bundle)
    text = "{name: untrained, source: T1ce, target: T1nce, data: {cases: x}, model: {arguments: {width: 24}}}"
    recipe = parse_recipe(text, name="untrained")
    torch.manual_seed(0)
    network = build(recipe.model.name, **recipe.model.arguments)
    mapping = {"gain": 1.0, "log_sd": 0.0, "n": 0, "spacing_mm": [1.0, 1.0]}
    write_bundle(folder / "bundle", recipe, network.state_dict(), documents={"mapping": mapping}, card="# untrained\n")
    return folder / "bundle"


def translate_here(folder: Path, bundle: Path) -> None:
    """Translates once in this process and prints seconds and the peak of its memory."""
    from voxlate.bundle.bundle import read_bundle
    from voxlate.inference.files import translate_file

    start = time.perf_counter()
    synthesis = translate_file(read_bundle(bundle), folder / "scan.nii.gz", folder / "out.nii.gz", overwrite=True)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(json.dumps({"seconds": seconds, "peak_gib": peak, "brain_voxels": synthesis.brain_voxels}))


def main() -> None:
    if len(sys.argv) == 4 and sys.argv[1] == "--here":
        translate_here(Path(sys.argv[2]), Path(sys.argv[3]))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bundle = make_inputs(folder, sys.argv[1] if len(sys.argv) > 1 else None)
        runs = []
        for _ in range(REPEATS):
            command = [sys.executable, __file__, "--here", str(folder), str(bundle)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            runs.append(json.loads(done.stdout))
    seconds = sorted(run["seconds"] for run in runs)
    content = {
        "shape": SHAPE,
        "brain_voxels": runs[0]["brain_voxels"],
        "repeats": REPEATS,
        "seconds_median": round(seconds[REPEATS // 2], 2),
        "seconds_all": [round(value, 2) for value in seconds],
        "peak_gib": round(max(run["peak_gib"] for run in runs), 2),
        "includes": "reading the bundle and the scan, preparation, network, way back, writing volume and sidecar",
    }
    write_result("translate", content)


if __name__ == "__main__":
    main()
