"""Convolutions of one sample: PyTorch's own way and that of `voxlate.models.parts.single_sample`.

    python benchmarks/bench_single_sample.py

One thread, in processor seconds, the least of several rounds: a training step (forward and backward) on one window of
64 x 64 x 64 voxels, beside the share of one window of two; and the shipped `t1ce-to-t1` on a box of 150 x 180 x 150
voxels, a brain of 1 mm. Three minutes.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch
from machine import write_result
from torch import nn

from voxlate.bundle.pretrained import load_bundle
from voxlate.models.att_unet import AttUNet
from voxlate.models.gain_offset_unet import GainOffsetUNet
from voxlate.models.parts.single_sample import SingleSampleConvolutions
from voxlate.models.res_unet import ResUNet

NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "voxlate's default, width 16": lambda: GainOffsetUNet(width=16),
    "Res-U-Net, width 8": lambda: ResUNet(width=8),
    "Att-U-Net, width 8": lambda: AttUNet(width=8),
}
"""Widths of the shipped models, and of the papers' networks in `--scale small`."""

WINDOW, BRAIN = (64, 64, 64), (150, 180, 150)
ROUNDS = 5
WAYS: dict[str, Callable[[], AbstractContextManager[object]]] = {"own": nullcontext, "onednn": SingleSampleConvolutions}


def least_seconds(work: Callable[[], object]) -> float:
    """Returns the least processor time of some rounds; the first, which sets up, is not counted."""
    seconds = []
    for _ in range(ROUNDS + 1):
        begin = time.process_time()
        work()
        seconds.append(time.process_time() - begin)
    return min(seconds[1:])


def step_seconds(new: Callable[[], nn.Module], count: int) -> float:
    """Returns the time of a training step for each of some windows."""
    torch.manual_seed(0)
    network, x = new().train(), torch.randn(count, 1, *WINDOW)
    return least_seconds(lambda: network(x).square().mean().backward()) / count


def main() -> None:
    torch.set_num_threads(1)
    steps = {}
    for name, new in NETWORKS.items():
        steps[name] = {"two": step_seconds(new, 2)}
        for way, context in WAYS.items():
            with context():
                steps[name][way] = step_seconds(new, 1)
    network, scan = load_bundle("t1ce-to-t1").network.eval(), torch.randn(1, 1, *BRAIN)
    inference = {}
    for way, context in WAYS.items():
        with torch.no_grad(), context():
            inference[way] = least_seconds(lambda: network(scan))
    write_result("single_sample", {"steps": steps, "inference": inference})


if __name__ == "__main__":
    main()
