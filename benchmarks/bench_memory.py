"""Planned against measured memory: the volumes of a scan, and the activations of some networks.

    python benchmarks/bench_memory.py

Each measurement is the peak of a process of its own. For volumes a scan whose head fills the grid is read, translated
in windows of 32³ by a network of width 8 and written, at two sizes: what the larger takes more is that of its voxels.
For networks the peak of one window of 96³ is compared with what a window of 32³ foretells.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from bench_batch import RECIPE
from machine import write_result

from voxlate.bundle.bundle import read_bundle, write_bundle
from voxlate.bundle.networks import generator_of
from voxlate.bundle.recipe import parse_recipe, read_recipe
from voxlate.inference.files import translate_file
from voxlate.inference.memory import COPIES, bytes_per_voxel
from voxlate.inference.translate import Options
from voxlate.io.nifti import write_volume
from voxlate.models import build
from voxlate.volume import Volume

ROOT = Path(__file__).resolve().parents[1]
SIDES = (160, 256)
NETWORKS = ("t1ce_to_t1.yaml", "bottani2024/default.yaml", "chen2022/default.yaml")
WINDOW = 96


def memory(word: str) -> int:
    return int(Path("/proc/self/status").read_text(encoding="utf-8").partition(f"{word}:")[2].split()[0]) << 10


def volumes_here(folder: Path, side: int) -> None:
    """Prints the peak of a whole translation."""
    torch.set_num_threads(1)
    bundle, options = read_bundle(folder / "model"), Options(gate="off")
    translate_file(bundle, folder / f"{side}.nii", folder / "out.nii", options=options)
    print(json.dumps(memory("VmHWM")))


def network_here(recipe: str) -> None:
    """Prints what was planned for a window, and what it took."""
    torch.set_num_threads(1)
    chosen = read_recipe(ROOT / "recipes" / recipe)
    network, channels = generator_of(chosen).eval(), 1 + len(chosen.more_sources)
    planned = bytes_per_voxel(network, channels) * WINDOW**3
    x, before = torch.rand(1, channels, *(WINDOW,) * 3), memory("VmRSS")
    with torch.no_grad():
        network(x)
    print(json.dumps([planned, memory("VmHWM") - before]))


def here(*arguments: object) -> str:
    command = [sys.executable, __file__, "--here", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[-1]


def write_inputs(folder: Path) -> None:
    recipe = parse_recipe(RECIPE + "inference: {window: [32, 32, 32]}\n", name="small")
    network = build(recipe.model.name, **recipe.model.arguments)
    mapping = {"gain": 1.0, "log_sd": 0.1, "n": 4, "spacing_mm": [1.0, 2.0]}
    write_bundle(folder / "model", recipe, network.state_dict(), documents={"mapping": mapping}, card="# small\n")
    for side in SIDES:
        data = np.random.default_rng(0).uniform(50, 200, (side,) * 3).astype(np.float32)
        place = np.linspace(-1, 1, side, dtype=np.float32)
        data[place[:, None, None] ** 2 + place[:, None] ** 2 + place**2 > 1] = 0
        write_volume(folder / f"{side}.nii", Volume(data, np.eye(4)))


def main() -> None:
    if sys.argv[1:2] == ["--here"]:
        if sys.argv[2] == "volumes":
            volumes_here(Path(sys.argv[3]), int(sys.argv[4]))
        else:
            network_here(sys.argv[3])
        return
    with tempfile.TemporaryDirectory() as name:
        write_inputs(Path(name))
        small, large = (json.loads(here("volumes", name, side)) for side in SIDES)
    copies = (large - small) / (4 * (SIDES[1] ** 3 - SIDES[0] ** 3))
    networks = []
    for recipe in NETWORKS:
        planned, measured = json.loads(here("network", recipe))
        networks.append({"recipe": recipe, "planned_mib": planned / 2**20, "measured_mib": measured / 2**20})
    peaks = {"sides": SIDES, "peaks_mib": [small / 2**20, large / 2**20]}
    peaks |= {"copies_measured": copies, "copies_planned": COPIES}
    write_result("memory", peaks | {"window": WINDOW, "networks": networks})


if __name__ == "__main__":
    main()
