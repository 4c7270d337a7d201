"""Windows of z-scored volumes and their blending, for peers that bring a network and no pipeline."""

from __future__ import annotations

import itertools

import numpy as np
import torch
from common import BATCH, SEED, WINDOW, read_image, read_mask, z_score


class Windows:
    """Draws windows with random flips, each centred on a voxel of the brain."""

    def __init__(self, cases):
        self.random = np.random.default_rng(SEED)
        self.cases = []
        for case in cases:
            mask = read_mask(case)
            sources = np.stack([z_score(read_image(path), mask) for path in case["sources"]])
            self.cases.append((sources, z_score(read_image(case["target"]), mask)[None], np.argwhere(mask)))

    def draw(self):
        """Returns sources (B, C, D, H, W) and target (B, 1, D, H, W)."""
        drawn = [self._one() for _ in range(BATCH)]
        return tuple(torch.from_numpy(np.stack(images)) for images in zip(*drawn, strict=True))

    def _one(self):
        sources, target, inside = self.cases[self.random.integers(len(self.cases))]
        centre = inside[self.random.integers(len(inside))]
        begin = [int(np.clip(c - WINDOW // 2, 0, n - WINDOW)) for c, n in zip(centre, target.shape[1:], strict=True)]
        window = (slice(None), *(slice(b, b + WINDOW) for b in begin))
        axes = [axis for axis in (1, 2, 3) if self.random.random() < 0.5]
        return tuple(np.ascontiguousarray(np.flip(image[window], axes)) for image in (sources, target))


def slide(model, sources, edge=96):
    """Returns a network's answer, (i, j, k), to sources (C, i, j, k), from windows that overlap by half."""
    shape = sources.shape[1:]
    edges = [min(edge, n - n % 8) for n in shape]
    line = [np.minimum(np.arange(1, e + 1), np.arange(e, 0, -1)) for e in edges]
    weight = line[0][:, None, None] * line[1][None, :, None] * line[2][None, None, :]
    total, weights = np.zeros(shape), np.zeros(shape)
    begins = [sorted({*range(0, n - e, max(e // 2, 1)), n - e}) for n, e in zip(shape, edges, strict=True)]
    with torch.no_grad():
        for begin in itertools.product(*begins):
            window = tuple(slice(b, b + e) for b, e in zip(begin, edges, strict=True))
            answer = model(torch.from_numpy(np.ascontiguousarray(sources[(slice(None), *window)]))[None])
            total[window] += answer[0, 0].numpy() * weight
            weights[window] += weight
    return total / weights
