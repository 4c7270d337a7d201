"""SSIM and MS-SSIM of several libraries on one pair of volumes: values and seconds.

    python benchmarks/bench_metrics.py [--small]

scikit-image is a test dependency; MONAI, torchmetrics and pytorch-msssim take part when they are installed.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from machine import write_result
from scipy import ndimage
from skimage.metrics import structural_similarity

from voxlate.evaluation.metrics import IMAGE_METRICS
from voxlate.evaluation.similarity import ssim, ssim_map

SHAPE = (160, 192, 160)
REPEATS = 3


def make_pair(shape: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns a textured brain, a noisy copy of it, and its mask: an ellipsoid that fills a third of the box."""
    random = np.random.default_rng(0)
    mask = sum(((np.arange(n) - n / 2) / (0.43 * n)).reshape([-1 if a == b else 1 for b in range(3)]) ** 2
               for a, n in enumerate(shape)) < 1  # fmt: skip
    texture = ndimage.gaussian_filter(random.random(shape, dtype=np.float32), 1)
    target = np.where(mask, 0.3 + texture, 0).astype(np.float32)
    image = np.where(mask, target + random.normal(0, 0.04, shape), 0).astype(np.float32)
    return image, target, mask


def skimage_map(image: np.ndarray, target: np.ndarray) -> np.ndarray:
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "full": True}
    return structural_similarity(target, image, data_range=1.0, **options)[1]


def torch_libraries() -> dict[str, Callable[[np.ndarray, np.ndarray], float]]:
    """Returns the whole-image SSIM of each optional library that is installed."""
    import torch

    def as_tensor(array: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(array)[None, None]

    found: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {}
    try:
        from pytorch_msssim import ssim as msssim_ssim

        found["pytorch-msssim"] = lambda x, y: float(msssim_ssim(as_tensor(x), as_tensor(y), data_range=1.0))
    except ImportError:
        pass
    try:
        from monai.metrics import SSIMMetric

        metric = SSIMMetric(3, data_range=1.0)
        found["MONAI"] = lambda x, y: float(metric(as_tensor(x), as_tensor(y)))
    except ImportError:
        pass
    try:
        from torchmetrics.functional.image import structural_similarity_index_measure

        found["torchmetrics"] = lambda x, y: float(
            structural_similarity_index_measure(as_tensor(x), as_tensor(y), data_range=1.0)
        )
    except ImportError:
        pass
    return found


def timed(call: Callable[[], Any]) -> tuple[Any, float]:
    """Returns what a call gives and the least of three times in seconds."""
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        value = call()
        times.append(time.perf_counter() - start)
    return value, min(times)


def main() -> None:
    shape = (80, 96, 80) if "--small" in sys.argv else SHAPE
    image, target, mask = make_pair(shape)
    theirs, seconds = timed(lambda: skimage_map(image, target))
    exact = skimage_map(image.astype(np.float64), target.astype(np.float64))
    inner = np.s_[5:-5, 5:-5, 5:-5]
    rows: dict[str, dict[str, float]] = {
        "scikit-image, whole": {"ssim": float(theirs[inner].mean(dtype=float)), "seconds": seconds},
        "scikit-image, mean in mask": {"ssim": float(theirs[mask].mean(dtype=float)), "seconds": seconds},
    }
    for name, options in (("voxlate, whole", {}), ("voxlate, mask", {"mask": mask})):
        value, took = timed(lambda options=options: ssim(image, target, data_range=1.0, **options))
        rows[name] = {"ssim": value, "seconds": took}
    for name, call in torch_libraries().items():
        value, took = timed(lambda call=call: call(image, target))
        rows[f"{name}, whole"] = {"ssim": value, "seconds": took}
    reference = {"whole": float(exact[inner].mean()), "mask": float(exact[mask].mean())}
    for name, row in rows.items():
        row["difference"] = row["ssim"] - reference["mask" if "mask" in name else "whole"]
    metrics = {name: timed(lambda m=m: m.compute(image, target, mask, 1.0))[1] for name, m in IMAGE_METRICS.items()}
    ours = ssim_map(image, target, data_range=1.0)
    maps = {name: float(np.abs(m - exact)[mask].max()) for name, m in (("scikit-image", theirs), ("voxlate", ours))}
    content = {
        "shape": list(shape),
        "mask_share": float(mask.mean()),
        "ssim": rows,
        "largest_error_in_the_mask_of_the_single_precision_map": maps,
        "speed_up_in_mask": seconds / rows["voxlate, mask"]["seconds"],
        "seconds_of_each_metric_in_the_mask": metrics,
    }
    write_result("metrics", content)


if __name__ == "__main__":
    main()
