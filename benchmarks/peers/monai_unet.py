"""MONAI's U-Net as its users write it: residual units, z-scores, random patches and flips, L1, a sliding window."""

from __future__ import annotations

import monai
import torch
from common import BATCH, SEED, WINDOW, Clock, cosine, read_job, target_units, train, write_answer, write_record
from monai.data import CacheDataset, list_data_collate
from monai.inferers import sliding_window_inference
from monai.networks.nets import UNet
from monai.transforms import (
    Compose,
    EnsureChannelFirstd,
    LoadImaged,
    MaskIntensityd,
    NormalizeIntensityd,
    RandCropByPosNegLabeld,
    RandFlipd,
    SpatialPadd,
)


def main() -> None:
    job = read_job()
    monai.utils.set_determinism(SEED)
    names = [f"source_{index}" for index in range(len(job.train[0]["sources"]))]

    def row(case, target=True):
        found = dict(zip(names, case["sources"], strict=True)) | {"mask": case["mask"]}
        return found | ({"target": case["target"]} if target else {})

    def loading(keys):
        return [
            LoadImaged([*keys, "mask"]),
            EnsureChannelFirstd([*keys, "mask"]),
            *([MaskIntensityd(keys, mask_key="mask")] if job.has_skull else []),
            NormalizeIntensityd(keys, nonzero=True, channel_wise=True),
        ]

    keys = [*names, "target"]
    everything = [*keys, "mask"]
    crop = RandCropByPosNegLabeld(everything, "mask", [WINDOW] * 3, pos=1, neg=0, num_samples=BATCH)
    flips = [RandFlipd(everything, prob=0.5, spatial_axis=axis) for axis in range(3)]
    dataset = CacheDataset(
        [row(case) for case in job.train],
        Compose([*loading(keys), SpatialPadd(everything, [WINDOW] * 3), crop, *flips]),
        progress=False,
    )
    model = UNet(
        spatial_dims=3,
        in_channels=len(names),
        out_channels=1,
        channels=(32, 64, 128, 256),
        strides=(2, 2, 2),
        num_res_units=2,
    )
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
    loss = torch.nn.L1Loss()
    order = torch.Generator().manual_seed(SEED)

    def step():
        batch = list_data_collate([dataset[int(torch.randint(len(dataset), (1,), generator=order))]])
        source = torch.cat([batch[name] for name in names], dim=1).as_tensor()
        return loss(model(source), batch["target"].as_tensor())

    clock = Clock(job.seconds)
    steps = train(clock, optimiser, step, cosine)
    used = clock.used
    mean, deviation = target_units(job.train, is_of_mask=job.has_skull)  # those of NormalizeIntensityd
    model.eval()
    prepare = Compose(loading(names))
    with torch.no_grad():
        for case in job.test:
            prepared = prepare(row(case, target=False))
            source = torch.cat([prepared[name] for name in names])[None].as_tensor()
            answer = sliding_window_inference(source, [96] * 3, 1, model, overlap=0.5, mode="gaussian")
            write_answer(job, case, answer[0, 0].numpy() * deviation + mean)
    write_record(job, used, steps, sum(p.numel() for p in model.parameters()), monai=monai.__version__)


if __name__ == "__main__":
    main()
