"""What a training step and a volume cost with each network, at a reduced width, on this machine.

    python benchmarks/bench_networks.py

Each network runs in a process of its own, so that its peak of memory is its own: three steps of Adam on an L1 and two
translations, the least time of each. Volumes are 96 x 128 x 96 voxels, or the multiple that a network takes; networks
for slices train on batches of 4 and translate all 96 slices.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from typing import Any

import torch
from machine import write_result

from voxlate.models import DISCRIMINATORS, GENERATORS, build
from voxlate.models.slicewise import Slicewise

CUBE, SLAB, SLICE = (64, 64, 64), (96, 128, 3), (96, 128, 1)
VOLUME = (96, 128, 96)
CASES: dict[str, tuple[str, dict[str, Any], tuple[int, int, int], int]] = {
    "translator": ("translator", {"width": 24}, CUBE, 1),
    "res_unet": ("res_unet", {"width": 16}, CUBE, 1),
    "att_unet": ("att_unet", {"width": 8}, CUBE, 1),
    "trans_unet": ("trans_unet", {"width": 8, "token_grid": 8}, CUBE, 1),
    "bottani_unet": ("bottani_unet", {"width": 16}, CUBE, 1),
    "hr_fcn, 3 sources": ("hr_fcn", {"width": 8, "in_channels": 3}, SLAB, 1),
    "unet": ("unet", {"width": 8}, CUBE, 1),
    "unet, slices": ("unet", {"width": 16, "dimensions": 2}, SLICE, 4),
    "resnet_generator, slices": ("resnet_generator", {"width": 16}, SLICE, 4),
    "resnet_generator, volumes": ("resnet_generator", {"width": 8, "dimensions": 3}, CUBE, 1),
    "drunet-50, slices": ("drunet", {"width": 16}, SLICE, 4),
    "drunet-101, slices": ("drunet", {"width": 16, "depth": 101}, SLICE, 4),
    "patch_discriminator, volume_patch": ("patch_discriminator", {"width": 32}, CUBE, 1),
    "patch_discriminator, patchgan_70, slices": (
        "patch_discriminator",
        {"width": 16, "form": "patchgan_70", "dimensions": 2},
        SLICE,
        4,
    ),
}


def measured(name: str) -> dict[str, Any]:
    model, arguments, window, batch = CASES[name]
    torch.manual_seed(0)
    network = build(model, **arguments)
    is_judge = model in DISCRIMINATORS
    channels = arguments.get("in_channels", 2 if is_judge else 1)
    if window[2] == 1:
        network = Slicewise(network)
    x = torch.rand(batch, channels, *window)
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-4)
    steps, volumes = [], []
    for _ in range(3):
        start = time.perf_counter()
        optimiser.zero_grad(set_to_none=True)
        (network(x) - 0.5).abs().mean().backward()
        optimiser.step()
        steps.append(time.perf_counter() - start)
    training_gib = peak_gib()
    network.eval()
    with torch.no_grad():
        for _ in range(0 if is_judge else 2):
            start = time.perf_counter()
            network(torch.rand(1, channels, *VOLUME))
            volumes.append(time.perf_counter() - start)
    return {
        "arguments": arguments,
        "parameters": sum(weight.numel() for weight in network.parameters()),
        "window": window,
        "batch": batch,
        "seconds_per_step": round(min(steps), 3),
        "training_gib": training_gib,
        "seconds_per_volume": round(min(volumes), 2) if volumes else None,
        "peak_gib": peak_gib(),
    }


def peak_gib() -> float:
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--case")
    chosen = parser.parse_args()
    if chosen.case:
        print(json.dumps(measured(chosen.case)))
        return
    assert {case[0] for case in CASES.values()} == {*GENERATORS, *DISCRIMINATORS}
    load = round(os.getloadavg()[0], 1)
    networks = {}
    for name in CASES:
        command = [sys.executable, __file__, "--case", name]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        networks[name] = json.loads(done.stdout)
        print(name, networks[name], flush=True)
    write_result("networks", {"load_at_start": load, "volume": VOLUME, "networks": networks})


if __name__ == "__main__":
    main()
