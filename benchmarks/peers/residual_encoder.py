"""The residual-encoder U-Net of nnU-Net with its optimiser and schedule, and L1 in place of Dice.

Without nnU-Net's planning, deep supervision and augmentation, of which flips alone are left: nnU-Net is made for
segmentation, and this is its network.
"""

from __future__ import annotations

from importlib.metadata import version

import numpy as np
import torch
from common import (
    SEED,
    Clock,
    poly,
    read_image,
    read_job,
    read_mask,
    target_units,
    train,
    write_answer,
    write_record,
    z_score,
)
from dynamic_network_architectures.architectures.unet import ResidualEncoderUNet
from volumes import Windows, slide


def main() -> None:
    job = read_job()
    torch.manual_seed(SEED)
    model = ResidualEncoderUNet(
        input_channels=len(job.train[0]["sources"]),
        n_stages=4,
        features_per_stage=[32, 64, 128, 256],
        conv_op=torch.nn.Conv3d,
        kernel_sizes=3,
        strides=[1, 2, 2, 2],
        n_blocks_per_stage=[1, 3, 4, 6],  # the first stages of nnU-Net's preset M
        num_classes=1,
        n_conv_per_stage_decoder=[1, 1, 1],
        conv_bias=True,
        norm_op=torch.nn.InstanceNorm3d,
        norm_op_kwargs={"eps": 1e-5, "affine": True},
        nonlin=torch.nn.LeakyReLU,
        nonlin_kwargs={"inplace": True},
    )
    optimiser = torch.optim.SGD(model.parameters(), lr=1e-2, momentum=0.99, nesterov=True, weight_decay=3e-5)
    windows, loss = Windows(job.train), torch.nn.L1Loss()

    def step():
        source, target = windows.draw()
        return loss(model(source), target)

    clock = Clock(job.seconds)
    steps = train(clock, optimiser, step, poly, clip=12)  # nnU-Net's clip
    used = clock.used
    mean, deviation = target_units(job.train)
    model.eval()
    for case in job.test:
        mask = read_mask(case)
        sources = np.stack([z_score(read_image(path), mask) for path in case["sources"]])
        write_answer(job, case, slide(model, sources) * deviation + mean)
    package = "dynamic-network-architectures"
    write_record(job, used, steps, sum(p.numel() for p in model.parameters()), **{package: version(package)})


if __name__ == "__main__":
    main()
