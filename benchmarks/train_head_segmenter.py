"""Trains the segmenter whose tensors feature losses compare, on simulated heads alone, and measures it on others.

    python benchmarks/train_head_segmenter.py [--heads 40] [--steps 3000]

Writes `src/voxlate/models/head_segmenter.safetensors` and prints the hash that belongs into `head_segmenter.py`; the
Dice on heads that were not seen goes into `results/head_segmenter.json`. Slices are skull-stripped, of five contrasts,
zoomed so that voxels of 1 to 2 mm are covered, and varied in contrast, bias and noise.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch
from machine import write_result
from torch import Tensor
from torch.nn import functional as F

from voxlate.bundle.bundle import write_weights
from voxlate.io.atomic import sha256
from voxlate.models.features.head_segmenter import CLASSES, WEIGHTS, HeadSegmenter
from voxlate.simulation import Options, simulate_subject
from voxlate.simulation.anatomy.anatomies import FormulaHeads
from voxlate.simulation.truth import LABELS

CONTRASTS = {"virtual_contrast": ("T1w", "T1ce", "T2w", "FLAIR"), "ct_to_mr": ("CT",)}
GROUPS = {name: CLASSES.index(name) for name in CLASSES} | {"oedema": CLASSES.index("lesion")}
SIZE = 96
TESTED = 6


def slices_of(seed: int) -> dict[str, tuple[Tensor, Tensor]]:
    """Returns, for each contrast, slices (n, 1, H, W) in relative units and labels (n, H, W) of one head."""
    found = {}
    for task, contrasts in CONTRASTS.items():
        subject = simulate_subject(task, seed=31, subject=seed, size="small", options=Options(anatomies=FormulaHeads()))
        brain = subject.truth.brain_mask.data > 0.5
        labels = np.zeros(brain.shape, dtype=np.int64)
        for name, number in LABELS.items():
            labels[subject.truth.labels.data == number] = GROUPS.get(name, 0)
        labels[~brain] = 0
        busy = np.flatnonzero(brain.sum(axis=(0, 1)) > 300)
        for contrast in contrasts:
            data = subject.images[contrast].data.astype(np.float32)
            data = (np.clip(data, -20, 100) + 20) / 120 if contrast == "CT" else data / np.median(data[brain])
            data = np.where(brain, data, 0)[:, :, busy]
            found[contrast] = (
                torch.from_numpy(data).movedim(2, 0)[:, None],
                torch.from_numpy(labels[:, :, busy]).movedim(2, 0),
            )
    return found


def varied(image: Tensor, labels: Tensor, random: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Returns one slice and its labels, turned, zoomed, cut to `SIZE` squared, changed in contrast, with noise."""
    zoom = float(random.uniform(0.8, 2.0))
    image = F.interpolate(image[None], scale_factor=zoom, mode="bilinear", align_corners=False)[0]
    labels = F.interpolate(labels[None, None].float(), size=image.shape[-2:], mode="nearest")[0, 0].long()
    if random.random() < 0.5:
        image, labels = image.flip(-2), labels.flip(-2)
    pad = [max(0, SIZE - n) for n in image.shape[-2:]]
    image, labels = (F.pad(x, (0, pad[1], 0, pad[0])) for x in (image, labels))
    centre = np.argwhere(labels.numpy() > 0)[int(random.integers(int((labels > 0).sum())))]
    i, j = (int(np.clip(c - SIZE // 2, 0, n - SIZE)) for c, n in zip(centre, labels.shape, strict=True))
    image, labels = image[:, i : i + SIZE, j : j + SIZE], labels[i : i + SIZE, j : j + SIZE]
    inside = image != 0
    image = image.clamp(min=0) ** float(np.exp(random.uniform(-0.5, 0.5))) * float(np.exp(random.normal(0, 0.3)))
    field = torch.linspace(-1, 1, SIZE) * float(random.uniform(-0.3, 0.3))
    noise = torch.from_numpy(random.standard_normal((1, SIZE, SIZE), dtype=np.float32)) * float(random.uniform(0, 0.08))
    return (image * torch.exp(field) + noise) * inside, labels


def dice(network: HeadSegmenter, heads: list[dict[str, tuple[Tensor, Tensor]]]) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    for contrast in heads[0]:
        overlap, total = torch.zeros(len(CLASSES)), torch.zeros(len(CLASSES))
        for head in heads:
            images, labels = head[contrast]
            with torch.no_grad():
                guess = network(images).argmax(dim=1)
            for number in range(len(CLASSES)):
                here, there = (guess == number) & (images[:, 0] != 0), labels == number
                overlap[number] += (here & there).sum()
                total[number] += here.sum() + there.sum()
        found[contrast] = {
            name: round(float(2 * overlap[n] / total[n]), 3) for n, name in enumerate(CLASSES) if n and total[n] > 0
        }
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--heads", type=int, default=40)
    parser.add_argument("--steps", type=int, default=3000)
    chosen = parser.parse_args()
    torch.manual_seed(0)
    start = time.process_time()
    heads = [slices_of(seed) for seed in range(chosen.heads)]
    tested = [slices_of(1000 + seed) for seed in range(TESTED)]
    print(f"{len(heads)} heads simulated in {time.process_time() - start:.0f} s", flush=True)
    network = HeadSegmenter()
    optimiser = torch.optim.AdamW(network.parameters(), lr=2e-3)
    rates = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, chosen.steps)
    weights = torch.tensor([0.3, 1.0, 1.0, 1.0, 2.0, 2.0])
    for step in range(chosen.steps):
        random = np.random.default_rng([0, step])
        pairs = []
        for _ in range(8):
            contrasts = heads[int(random.integers(len(heads)))]
            images, labels = contrasts[sorted(contrasts)[int(random.integers(len(contrasts)))]]
            at = int(random.integers(len(images)))
            pairs.append(varied(images[at], labels[at], random))
        x, y = (torch.stack(parts) for parts in zip(*pairs, strict=True))
        loss = F.cross_entropy(network(x), y, weight=weights)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        rates.step()
        if step % 250 == 0:
            print(step, round(float(loss.detach()), 4), round(time.process_time() - start), flush=True)
    network.eval()
    write_weights(WEIGHTS, {name: tensor.half() for name, tensor in network.state_dict().items()})
    print(f"SHA256 = {sha256(WEIGHTS)}")
    result = {"heads": chosen.heads, "steps": chosen.steps, "tested_heads": TESTED, "dice": dice(network, tested)}
    write_result("head_segmenter", result | {"processor_seconds": round(time.process_time() - start)})


if __name__ == "__main__":
    main()
