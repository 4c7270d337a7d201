"""pix2pix (Isola et al., CVPR 2017): U-Net 256 and 70 x 70 PatchGAN in axial slices, L1 x 100, as published.

Without the random jitter and mirroring of the paper. Images are scaled to [-1, 1] up to their 99.5th percentile in the
mask, so that what is brighter, such as much of an enhancing lesion, is clipped in source and target.
"""

from __future__ import annotations

import numpy as np
import torch
from common import SEED, Clock, read_image, read_job, read_mask, write_answer, write_record
from torch import nn

SIZE = 256
"""Pixels of a slice; smaller slices are padded, larger ones cropped around the centre."""
LAMBDA = 100.0
"""Weight of L1, as published."""


class Level(nn.Module):
    """One level of the U-Net: down, what is inside, up, and the skip connection around all three."""

    def __init__(self, channels, inner, inside=None, dropout=False):
        super().__init__()
        down = [nn.LeakyReLU(0.2), nn.Conv2d(channels, inner, 4, 2, 1, bias=False)]
        down += [] if inside is None else [nn.BatchNorm2d(inner)]
        up = [nn.ReLU(), nn.ConvTranspose2d(inner * (1 if inside is None else 2), channels, 4, 2, 1, bias=False)]
        up += [nn.BatchNorm2d(channels)] + ([nn.Dropout(0.5)] if dropout else [])
        self.layers = nn.Sequential(*down, *([] if inside is None else [inside]), *up)

    def forward(self, x):
        return torch.cat([x, self.layers(x)], 1)


class Generator(nn.Module):
    def __init__(self, channels, width=64):
        super().__init__()
        inside = Level(8 * width, 8 * width)
        for _ in range(3):
            inside = Level(8 * width, 8 * width, inside, dropout=True)
        for factor in (4, 2, 1):
            inside = Level(factor * width, 2 * factor * width, inside)
        self.layers = nn.Sequential(
            nn.Conv2d(channels, width, 4, 2, 1), inside, nn.ReLU(), nn.ConvTranspose2d(2 * width, 1, 4, 2, 1), nn.Tanh()
        )

    def forward(self, x):
        return self.layers(x)


def discriminator(channels, width=64):
    """Returns the 70 x 70 PatchGAN."""
    layers = [nn.Conv2d(channels, width, 4, 2, 1), nn.LeakyReLU(0.2)]
    for begin, end, stride in ((1, 2, 2), (2, 4, 2), (4, 8, 1)):
        layers += [nn.Conv2d(begin * width, end * width, 4, stride, 1, bias=False), nn.BatchNorm2d(end * width)]
        layers += [nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers, nn.Conv2d(8 * width, 1, 4, 1, 1))


def initialise(module):
    """Draws the weights from a normal distribution of 0.02, as published."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, 0, 0.02)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1, 0.02)


def scaled(image, mask):
    """Returns an image in [-1, 1]: 0 to its 99.5th percentile in the mask, and -1 outside; and that percentile."""
    low, high = min(float(image[mask].min()), 0.0), float(np.percentile(image[mask], 99.5))
    return np.where(mask, np.clip((image - low) / (high - low), 0, 1) * 2 - 1, -1).astype(np.float32), (low, high)


def framed(image):
    """Returns the slice (i, j) in a frame of SIZE x SIZE, and the position of both."""
    frame = np.full((*image.shape[:-2], SIZE, SIZE), -1, dtype=np.float32)
    inside, outside = [], []
    for n in image.shape[-2:]:
        used = min(n, SIZE)
        inside.append(slice((SIZE - used) // 2, (SIZE - used) // 2 + used))
        outside.append(slice((n - used) // 2, (n - used) // 2 + used))
    frame[(..., *inside)] = image[(..., *outside)]
    return frame, tuple(inside), tuple(outside)


def slices_of(cases):
    """Returns sources and target of every slice with brain, and the targets' range in units of their medians."""
    slices, ranges = [], []
    for case in cases:
        mask = read_mask(case)
        sources = np.stack([scaled(read_image(path), mask)[0] for path in case["sources"]])
        image = read_image(case["target"])
        target, (low, high) = scaled(image, mask)
        median = np.median(image[mask])
        ranges.append((low / median, high / median))
        shown = np.flatnonzero(mask.any(axis=(0, 1)))
        slices += [(framed(sources[..., k])[0], framed(target[None, ..., k])[0]) for k in shown]
    return slices, np.mean(ranges, axis=0)


def main() -> None:
    job = read_job()
    torch.manual_seed(SEED)
    random = np.random.default_rng(SEED)
    slices, (low, high) = slices_of(job.train)
    channels = len(job.train[0]["sources"])
    generator, critic = Generator(channels).apply(initialise), discriminator(channels + 1).apply(initialise)
    both = [torch.optim.Adam(net.parameters(), lr=2e-4, betas=(0.5, 0.999)) for net in (generator, critic)]
    gan, l1 = nn.BCEWithLogitsLoss(), nn.L1Loss()
    clock, steps = Clock(job.seconds), 0
    while clock.share < 1:
        for optimiser in both:  # constant for half of the training, then to zero, as in the released code
            optimiser.param_groups[0]["lr"] = 2e-4 * min(1.0, 2 * (1 - clock.share))
        source, target = (torch.from_numpy(image)[None] for image in slices[random.integers(len(slices))])
        synthetic = generator(source)
        real_logit = critic(torch.cat([source, target], 1))
        false_logit = critic(torch.cat([source, synthetic.detach()], 1))
        both[1].zero_grad(set_to_none=True)
        loss = gan(real_logit, torch.ones_like(real_logit)) + gan(false_logit, torch.zeros_like(false_logit))
        (0.5 * loss).backward()
        both[1].step()
        critic.requires_grad_(False)
        logit = critic(torch.cat([source, synthetic], 1))
        both[0].zero_grad(set_to_none=True)
        (gan(logit, torch.ones_like(logit)) + LAMBDA * l1(synthetic, target)).backward()
        both[0].step()
        critic.requires_grad_(True)
        steps += 1
    used = clock.used
    for case in job.test:  # in training mode: dropout and the statistics of the slice, as published
        mask = read_mask(case)
        sources = np.stack([scaled(read_image(path), mask)[0] for path in case["sources"]])
        answer = np.zeros(mask.shape, dtype=np.float32)
        with torch.no_grad():
            for k in np.flatnonzero(mask.any(axis=(0, 1))):
                frame, inside, outside = framed(sources[..., k])
                answer[(*outside, k)] = generator(torch.from_numpy(frame)[None])[0, 0].numpy()[inside]
        write_answer(job, case, (answer + 1) / 2 * (high - low) + low)
    write_record(job, used, steps, sum(p.numel() for p in generator.parameters()))


if __name__ == "__main__":
    main()
