"""Trains the heads that tell a proper T1w, gadolinium and grades of quality from pixels, on simulated visits alone.

    python benchmarks/train_scan_grader.py --data FOLDER --heads 700 --epochs 12
    python benchmarks/train_scan_grader.py --data FOLDER --heads 950 --epochs 6 --go-on
    python benchmarks/train_scan_grader.py --data FOLDER --heads 950 --epochs 2 --go-on

The visits are written to FOLDER first, by two processes, and taken up again where that stopped. Scanners are varied
about A, B, C and E; D and F, which the benchmark tries, are never seen. A part of the images is skull-stripped and
smoothed, as research data are; of the patients from 700 on most are, and fewer are T1w. Writes
`src/voxlate/models/scan_grader.safetensors`, with the temperatures that the judging visits ask for, and prints the hash
that belongs into `scan_grader.py`. The weights that come with voxlate met thick slices of all contrasts in the third
round only, which was added when real 2-D images were taken for T1w.
"""

from __future__ import annotations

import argparse
import time
from functools import partial
from pathlib import Path

import numpy as np
import torch
from scipy import ndimage
from simulated_warehouse import Filed, varied_scanner, visit
from torch import Tensor
from torch.nn import functional as F

from voxlate.bundle.bundle import read_weights, write_weights
from voxlate.io.atomic import replacing, sha256
from voxlate.jobs.processes import parallel_map
from voxlate.models.scan_grader import CONTRASTS, GRADED, HEADS, WEIGHTS, ScanGrader
from voxlate.quality.classifier import NUMBERS, classifier_input
from voxlate.simulation.physics.scanners import Scanner, scanner_named
from voxlate.simulation.rng import generator
from voxlate.volume import Volume

SEED = 71
JUDGES_FROM = 100_000
IMAGES = 5
NOT_T1W = 0.36
STRIPPED = 0.4
THICKENED = 0.3
RESEARCH_FROM, RESEARCH_NOT_T1W, RESEARCH_STRIPPED = 700, 0.6, 0.85
NAMED = 0.2
BATCH = 8


def scanner_of(patient: int) -> Scanner:
    rng = generator(SEED, patient, "scanner of a visit")
    return scanner_named(str(rng.choice(list("ABCE")))) if rng.random() < NAMED else varied_scanner(patient)


def as_research_data(filed: Filed, rng: np.random.Generator, share: float) -> Volume:
    """Returns the image, at times skull-stripped and smoothed."""
    volume, brain = filed.volume, filed.brain
    if brain is None or filed.shows == "CT" or rng.random() > share:
        return volume
    data = volume.data
    if rng.random() < 0.5:
        data = ndimage.gaussian_filter(data, float(rng.uniform(0.2, 0.6)))
    mask = brain.data > 0.5
    if rng.random() < 0.5:
        mask = ndimage.binary_dilation(mask)
    return volume.with_data(np.where(mask, data, 0))


def write_visit(folder: Path, patient: int) -> int:
    path = folder / f"{patient:06d}.npz"
    if path.exists():
        return patient
    is_research = RESEARCH_FROM <= patient < JUDGES_FROM
    share, not_t1w = (RESEARCH_STRIPPED, RESEARCH_NOT_T1W) if is_research else (STRIPPED, NOT_T1W)
    parts: dict[str, list[object]] = {"image": [], "numbers": [], "labels": []}
    for number, filed in enumerate(visit(SEED, patient, scanner=scanner_of(patient), images=IMAGES, not_t1w=not_t1w)):
        shown = classifier_input(as_research_data(filed, generator(SEED, patient, "research", str(number)), share))
        grades = filed.grades
        parts["image"].append(shown.image.astype(np.float16))
        parts["numbers"].append(shown.numbers)
        parts["labels"].append([CONTRASTS.index(filed.shows), filed.is_proper, filed.has_agent,
                                grades.contrast, grades.motion, grades.noise])  # fmt: skip
    with replacing(path) as partial_path:
        np.savez(partial_path, **{name: np.asarray(values) for name, values in parts.items()})
    return patient


def make(folder: Path, patients: list[int]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    for count, _ in enumerate(parallel_map(partial(write_visit, folder), patients, jobs=2), start=1):
        if count % 25 == 0:
            print(f"{count} visits after {time.monotonic() - start:.0f} s", flush=True)


class Images:
    """The images of some visits in memory, in 16 bits."""

    def __init__(self, folder: Path, patients: list[int]) -> None:
        parts = [np.load(folder / f"{patient:06d}.npz") for patient in patients]
        self.image = torch.from_numpy(np.concatenate([part["image"] for part in parts]))
        self.numbers = torch.from_numpy(np.concatenate([part["numbers"] for part in parts])).float()
        self.labels = torch.from_numpy(np.concatenate([part["labels"] for part in parts])).long()

    def __len__(self) -> int:
        return len(self.labels)

    def asked(self, name: str, rows: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Returns the answers of a head, and of which images it is asked: the agent of T1w, grades of proper ones."""
        labels = self.labels if rows is None else self.labels[rows]
        every = torch.ones(len(labels), dtype=torch.bool)
        where = {"agent": labels[:, 0] == 0}.get(name, labels[:, 1] == 1 if name in GRADED else every)
        return labels[:, list(HEADS).index(name)], where


def varied_numbers(numbers: Tensor) -> Tensor:
    """Returns numbers as finer voxels, smoothed images and blanked air would have them."""
    numbers = numbers.clone()
    at = {name: NUMBERS.index(name) for name in NUMBERS}
    count = len(numbers)
    numbers[:, at["slices"]] += torch.rand(count) - 0.2
    is_fine = numbers[:, at["slice_spacing_mm"]] < np.log(2.5)
    numbers[:, at["slice_spacing_mm"]] += is_fine * (torch.rand(count) * 0.9 - 0.8)
    numbers[:, at["sharpness"]] *= 0.7 + 0.35 * torch.rand(count)
    numbers[:, at["entropy_focus"]] += torch.randn(count) * 0.05
    blank = torch.rand(count) < 0.3
    for name in ("ghosting", "air_level"):
        numbers[blank, at[name]] = 0
    numbers[blank, at["constant_air"]] = 0.4 + 0.4 * torch.rand(int(blank.sum()))
    return numbers


def thickened(image: Tensor, numbers: Tensor) -> tuple[Tensor, Tensor]:
    """Returns a part of the images in slices of 4 to 8 mm: in an archive those of any contrast may be thick."""
    image, numbers = image.clone(), numbers.clone()
    at = {name: NUMBERS.index(name) for name in NUMBERS}
    is_thin = numbers[:, at["slice_spacing_mm"]] < np.log(2.5)
    for row in torch.nonzero(is_thin & (torch.rand(len(image)) < THICKENED)).flatten():
        factor = int(torch.randint(2, 5, ()))
        thick = F.avg_pool3d(image[row : row + 1], (1, 1, factor), stride=(1, 1, factor))
        image[row] = F.interpolate(thick, size=image.shape[2:], mode="trilinear")[0]
        numbers[row, at["slice_spacing_mm"]] = np.log(2 * factor)
        numbers[row, at["slices"]] -= np.log(factor)
        numbers[row, at["noise_percent"]] -= np.log(factor) / 2
    return image, numbers


def eroded(image: Tensor) -> Tensor:
    """Returns skull-stripped images as a tighter mask would have left them: without sinuses, up to 6 mm less."""
    is_stripped = (image == 0).flatten(1).float().mean(dim=1) > 0.6
    for row in torch.nonzero(is_stripped).flatten():
        steps = int(torch.randint(0, 4, ()))
        if steps:
            outside = F.max_pool3d((image[row] == 0).float(), 2 * steps + 1, stride=1, padding=steps)
            image[row] = image[row] * (1 - outside)
    return image


def varied(image: Tensor) -> Tensor:
    """Returns images mirrored, moved by a few voxels, brighter or darker, unevenly so, and of another gamma."""
    image = eroded(image)
    image = image.flip(2) if torch.rand(()) < 0.5 else image
    image = torch.roll(image, [int(n) for n in torch.randint(-4, 5, (3,))], dims=(2, 3, 4))
    slope = sum(
        torch.linspace(-1, 1, n).view([-1 if axis == k else 1 for axis in range(3)]) * float(torch.randn(()) * 0.12)
        for k, n in enumerate(image.shape[2:])
    )
    scale = torch.exp(torch.randn(len(image), 1, 1, 1, 1) * 0.08 + slope)
    gamma = torch.exp(torch.randn(len(image), 1, 1, 1, 1) * 0.2)
    return (image.clamp(min=0) ** gamma * scale).clamp(max=3)


def loss_of(logits: dict[str, Tensor], images: Images, rows: Tensor) -> Tensor:
    total = torch.zeros(())
    for name, answer in logits.items():
        truth, where = images.asked(name, rows)
        if where.any():
            total = total + F.cross_entropy(answer[where], truth[where], label_smoothing=0.02)
    return total


def train(network: ScanGrader, images: Images, judged: Images, epochs: int) -> None:
    steps = epochs * (len(images) // BATCH)
    optimiser = torch.optim.AdamW(network.parameters(), lr=2e-3, weight_decay=0.02)
    rates = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, total_steps=steps)
    start = time.monotonic()
    for epoch in range(epochs):
        network.train()
        order, losses = torch.randperm(len(images)), []
        for at in range(0, len(images) - BATCH + 1, BATCH):
            rows = order[at : at + BATCH]
            image, numbers = thickened(images.image[rows].float()[:, None], varied_numbers(images.numbers[rows]))
            seen_now = varied(image).to(memory_format=torch.channels_last_3d)
            loss = loss_of(network(seen_now, numbers), images, rows)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimiser.step()
            rates.step()
            losses.append(float(loss.detach()))
        network.eval()
        told = accuracies(answers(network, judged), judged)
        print(f"epoch {epoch}: loss {np.mean(losses):.3f}, {told}, {time.monotonic() - start:.0f} s", flush=True)


@torch.no_grad()
def answers(network: ScanGrader, images: Images) -> dict[str, Tensor]:
    parts = []
    for at in range(0, len(images), BATCH):
        image = images.image[at : at + BATCH].float()[:, None].to(memory_format=torch.channels_last_3d)
        parts.append(network(image, images.numbers[at : at + BATCH]))
    return {name: torch.cat([part[name] for part in parts]) for name in HEADS}


def temperature_of(logits: Tensor, truth: Tensor, where: Tensor) -> float:
    """Returns the temperature of least negative log-likelihood (Guo et al. 2017)."""
    choices = torch.exp(torch.linspace(-1.5, 1.5, 121))
    return float(min(choices, key=lambda t: float(F.cross_entropy(logits[where] / t, truth[where]))))


def accuracies(logits: dict[str, Tensor], images: Images) -> dict[str, float]:
    """Returns the balanced accuracy of each head."""
    told = {}
    for name, answer in logits.items():
        truth, where = images.asked(name)
        guess, truth = answer[where].argmax(dim=1), truth[where]
        told[name] = round(float(np.mean([float((guess[truth == k] == k).float().mean()) for k in truth.unique()])), 3)
    return told


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--heads", type=int, default=700)
    parser.add_argument("--judges", type=int, default=150)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--go-on", action="store_true", help="Begin with the weights that are there.")
    chosen = parser.parse_args()
    training, judging = range(chosen.heads), range(JUDGES_FROM, JUDGES_FROM + chosen.judges)
    order = [patient for pair in zip(training, [*judging, *[None] * chosen.heads], strict=False) for patient in pair]
    make(chosen.data, [patient for patient in order if patient is not None])
    torch.manual_seed(0)
    start = time.monotonic()
    seen_by, judged = (Images(chosen.data, list(patients)) for patients in (training, judging))
    network = ScanGrader().to(memory_format=torch.channels_last_3d)
    network.middle.copy_(seen_by.numbers.mean(dim=0))
    network.spread.copy_(seen_by.numbers.std(dim=0).clamp(min=1e-3))
    if chosen.go_on:
        network.load_state_dict(read_weights(WEIGHTS))
        network.temperature.fill_(1)
    train(network, seen_by, judged, chosen.epochs)
    network.eval()
    logits = answers(network, judged)
    network.temperature.copy_(torch.tensor([temperature_of(logits[name], *judged.asked(name)) for name in HEADS]))
    write_weights(WEIGHTS, {name: tensor.contiguous() for name, tensor in network.state_dict().items()})
    print(f"SHA256 = {sha256(WEIGHTS)}; temperatures {network.temperature.tolist()}")
    print(f"judging visits: {accuracies(answers(network, judged), judged)}; {time.monotonic() - start:.0f} s")


if __name__ == "__main__":
    main()
