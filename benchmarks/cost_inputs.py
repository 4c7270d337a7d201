"""Scans of several sizes that show the same simulated head, and the limits of the machine."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

from voxlate.cases import Case, write_cases
from voxlate.io.nifti import write_volume
from voxlate.simulation import simulate_subject
from voxlate.volume import Array, Volume

SHAPE = (240, 240, 155)
"""Grid of the largest scan: that of BraTS, as in `bench_translate.py`."""

FACTORS = (0.4, 0.5, 0.63, 0.8, 1.0)
"""Sides of the scans as shares of `SHAPE`; each has about twice the voxels of the one before."""

LOWEST_SLICE = 28
"""Slice of the simulated head that becomes the lowest of the scan, so that the neck is cut off and the brain is not."""

SYNTHETIC_SHARE = 0.7
"""Share of the target in the images that stand for synthetic ones; chosen by hand. The cost does not depend on it."""


@dataclass(frozen=True)
class Head:
    """A skull-stripped head on the grid `SHAPE`: two contrasts and the labels of its lesions, 0 outside the brain."""

    source: Array
    target: Array
    labels: Array


def simulated_head() -> Head:
    """Returns the head that all scans show."""
    subject = simulate_subject("t1ce_t1", seed=7, size="full")
    brain = subject.truth.brain_mask.data > 0

    def framed(data: Array) -> Array:
        inside = np.where(brain, data, 0)[:, :, LOWEST_SLICE:][:, :, : SHAPE[2]]
        pads = [((n - m) // 2, n - m - (n - m) // 2) for n, m in zip(SHAPE, inside.shape, strict=True)]
        return np.pad(inside, pads).astype(np.float32)

    images = subject.images
    return Head(framed(images["T1ce"].data), framed(images["T1w"].data), framed(subject.truth.lesion_mask.data))


def write_case(head: Head, folder: Path, factor: float) -> Case:
    """Writes the head on a grid whose sides are `factor` times as long, and a synthetic image of it; returns its row.

    The voxels are said to have 1 mm, so that nothing is resampled and the brain fills the same share of each scan.
    """
    name = f"head_{round(1000 * factor):04d}"
    labels = ndimage.zoom(head.labels, factor, order=0)
    inside = ndimage.zoom((head.source > 0).astype(np.float32), factor, order=1) > 0.5
    source, target = (np.where(inside, ndimage.zoom(each, factor, order=1), 0) for each in (head.source, head.target))
    synthetic = SYNTHETIC_SHARE * target + (1 - SYNTHETIC_SHARE) * source
    files = {"source": folder / f"{name}_T1ce.nii.gz", "target": folder / f"{name}_T1w.nii.gz"}
    files |= {"labels": folder / f"{name}_lesions.nii.gz", "synthetic": folder / "synthetic" / f"{name}.nii.gz"}
    written = {"source": source, "target": target, "synthetic": synthetic, "labels": np.where(inside, labels, 0)}
    for role, data in written.items():
        dtype = "uint8" if role == "labels" else "int16"
        write_volume(files[role], Volume(data.astype(np.float32), np.eye(4)), dtype=dtype)
    sidecar = {"Synthetic": {"ReferenceLevel": float(np.median(target[inside])), "Task": "T1ce to T1"}}
    files["synthetic"].with_name(f"{name}.json").write_text(json.dumps(sidecar))
    case = Case(name, name, "test", files["source"], files["target"], labels=files["labels"])
    write_cases(folder / f"{name}.tsv", [case])
    return case


def voxels_of(factor: float) -> int:
    """Returns the voxels of a scan."""
    return int(np.prod([round(factor * n) for n in SHAPE]))


MATRIX = 2048
"""Rows of the matrices of the product: 16 MiB each, larger than the second cache of a core."""

WINDOW, WIDTH, BATCH = 32, 24, 2
"""Convolution of the default translator in training: 24 channels at half the resolution of two windows of 64³."""

MOVED_MIB, FILE_MIB = 256, 512
"""Sizes of the copy in memory and of the file; a step or a translation writes less than a tenth of the file."""

BEST_OF = 7


def machine_limits(folder: Path) -> dict[str, Any]:
    """Returns what one thread of this machine does at its best, and its disk; each figure is the best of some tries."""
    import torch
    from torch.nn import functional as F

    torch.set_num_threads(1)
    a, b = torch.rand(MATRIX, MATRIX), torch.rand(MATRIX, MATRIX)
    x = torch.rand(BATCH, WIDTH, *(WINDOW,) * 3).contiguous(memory_format=torch.channels_last_3d)
    weight = torch.rand(WIDTH, WIDTH, 3, 3, 3).contiguous(memory_format=torch.channels_last_3d)
    source = np.random.default_rng(0).random(MOVED_MIB << 17)  # 8 bytes each
    target = np.empty_like(source)
    with torch.inference_mode():
        product = 2 * MATRIX**3 / best(lambda: a @ b)
        convolution = 2 * 27 * WIDTH**2 * BATCH * WINDOW**3 / best(lambda: F.conv3d(x, weight, padding=1))
    moved = 2 * source.nbytes / best(lambda: np.copyto(target, source))
    written, read = disk(folder / "large", source)
    return {
        "matrix_product_gflop_s": round(product / 1e9, 1),
        "convolution_gflop_s": round(convolution / 1e9, 1),
        "memory_copy_gb_s": round(moved / 1e9, 1),
        "disk_write_mb_s": round(written / 1e6, 1),
        "disk_read_mb_s": round(read / 1e6, 1),
        "file_mib": FILE_MIB,
    }


def best(work: Callable[[], object]) -> float:
    """Returns the fewest processor seconds of some tries."""
    spent = []
    for _ in range(BEST_OF):
        start = time.process_time()
        work()
        spent.append(time.process_time() - start)
    return min(spent)


def disk(path: Path, block: np.ndarray[Any, np.dtype[np.float64]]) -> tuple[float, float]:
    """Returns the bytes per second of the clock of writing a file to the disk, and of reading it from there."""
    start = time.perf_counter()
    with path.open("wb") as file:
        for _ in range(FILE_MIB // MOVED_MIB):
            file.write(memoryview(block).cast("B"))
        os.fsync(file.fileno())
    written = path.stat().st_size / (time.perf_counter() - start)
    with path.open("rb", buffering=0) as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)  # else the memory would be read
        start, size = time.perf_counter(), 0
        while part := file.read(8 << 20):
            size += len(part)
        read = size / (time.perf_counter() - start)
    path.unlink()
    return written, read
