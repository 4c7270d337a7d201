"""Time and memory of the simulator, and its images beside real ones in numbers.

    python benchmarks/bench_simulate.py [--stream 1000]

Each case runs in a process of its own with one thread, so that its peak memory is its own. Times of the processor
are given beside times of the clock, as another program may use the machine. The comparison with real scans needs the
development data; without them it is left out and says so.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from machine import write_result
from scipy import ndimage

from voxlate.allocator import keep_freed_memory
from voxlate.io.nifti import read_volume
from voxlate.simulation import simulate_subject
from voxlate.simulation.files.dataset import Plan, write_dataset
from voxlate.volume import Volume

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
CASES = {
    "small t1ce_t1": ("t1ce_t1", "small"),
    "small virtual_contrast": ("virtual_contrast", "small"),
    "full t1ce_t1": ("t1ce_t1", "full"),
    "full virtual_contrast": ("virtual_contrast", "full"),
    "full spine": ("spine", "full"),
}
REAL_T1 = ("native/TCGA-FG-6692_native/t1.nii.gz", "native/Philips_Elition_healthy/t1.nii.gz")
FIT_RANGE_MM = (0.03, 0.25)  # cycles per millimetre


def measured(task: str, size: str) -> dict[str, float]:
    keep_freed_memory()  # as the command line does
    clock, processor = time.perf_counter(), time.process_time()
    simulate_subject(task, seed=1, size=size)
    return {
        "clock_s": round(time.perf_counter() - clock, 2),
        "processor_s": round(time.process_time() - processor, 2),
        "peak_gib": peak_gib(),
    }


def streamed(count: int) -> dict[str, Any]:
    """Writes small subjects one after the other and follows the peak of memory."""
    clock, processor, peaks = time.perf_counter(), time.process_time(), []
    with tempfile.TemporaryDirectory() as folder:
        peaks.extend(peak_gib() for _ in write_dataset(Path(folder) / "stream", Plan("t1ce_t1", count, seed=1)))
    return {
        "command": f"bench_simulate.py --only-stream --stream {count}",
        "subjects": count,
        "clock_s_per_subject": round((time.perf_counter() - clock) / count, 2),
        "processor_s_per_subject": round((time.process_time() - processor) / count, 2),
        "peak_gib_after_a_quarter": peaks[max(count // 4, 1) - 1],
        "peak_gib_at_the_end": peaks[-1],
    }


def peak_gib() -> float:
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 3)


def in_a_process(*arguments: str) -> dict[str, Any]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, __file__, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return json.loads(done.stdout)


def radial_slope(volume: Volume) -> float:
    """Returns the slope of log power over log frequency."""
    return round(float(np.polyfit(*(np.log(values) for values in radial_power(volume)), 1)[0]), 2)


def radial_power(volume: Volume) -> tuple[np.ndarray, np.ndarray]:
    """Returns frequencies in cycles per mm and the in-plane power at them, the mean over the middle slices."""
    data = volume.data - volume.data.mean()
    window = np.hanning(data.shape[0])[:, None] * np.hanning(data.shape[1])[None, :]
    middle = data[:, :, data.shape[2] // 3 : 2 * data.shape[2] // 3]
    power = (np.abs(np.fft.fft2(middle * window[:, :, None], axes=(0, 1))) ** 2).mean(axis=2)
    u, v = (np.fft.fftfreq(n, d) for n, d in zip(data.shape[:2], volume.spacing_mm, strict=False))
    radius = np.hypot(u[:, None], v[None, :])
    edges = np.geomspace(*FIT_RANGE_MM, 16)
    bins = np.digitize(radius, edges)
    means = [power[bins == k].mean() for k in range(1, 16)]
    return np.sqrt(edges[1:] * edges[:-1]), np.array(means)


def grey_to_white(volume: Volume, grey: np.ndarray, white: np.ndarray) -> float:
    return round(float(np.median(volume.data[grey]) / np.median(volume.data[white])), 3)


def otsu_grey_to_white(volume: Volume, brain: np.ndarray) -> float:
    """Returns the ratio of the two upper peaks of the brain's histogram, found as centres of three clusters."""
    values = np.sort(volume.data[ndimage.binary_erosion(brain, iterations=3)])
    values = values[int(0.01 * values.size) : int(0.99 * values.size)]
    centres = np.quantile(values, [0.1, 0.4, 0.8])
    for _ in range(50):
        nearest = np.abs(values[:, None] - centres).argmin(axis=1)
        centres = np.array([values[nearest == k].mean() for k in range(3)])
    return round(float(centres[1] / centres[2]), 3)


def compared() -> dict[str, Any]:
    made = {}
    for scanner in "ABCE":
        subject = simulate_subject("t1ce_t1", seed=2, scanner=scanner, size="full" if scanner == "A" else "small")
        image, brain = subject.images["T1w"], subject.truth.brain_mask.data > 0
        made[f"simulated {scanner}"] = {
            "grey_to_white_clusters": otsu_grey_to_white(image, brain),
            "radial_slope": radial_slope(image),
            "spacing_mm": image.spacing_mm[0],
        }
    if not DATA.exists():
        return {**made, "real": "the development data are not here"}
    for name in REAL_T1:
        image = read_volume(DATA / name)
        made[f"real {Path(name).parent.name}"] = {"radial_slope": radial_slope(image), "spacing_mm": image.spacing_mm}
    for folder in sorted((DATA / "pairs").iterdir()):
        image = read_volume(folder / "t1.nii.gz")
        made[f"real {folder.name}"] = {"grey_to_white_clusters": otsu_grey_to_white(image, image.data > 0)}
    return made


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--case")
    parser.add_argument("--stream", type=int, default=1000)
    parser.add_argument("--only-stream", action="store_true")
    chosen = parser.parse_args()
    if chosen.case:
        print(json.dumps(measured(*CASES[chosen.case])))
    elif chosen.only_stream:
        print(json.dumps(streamed(chosen.stream)))
    else:
        load = os.getloadavg()[0]
        speed = {name: in_a_process("--case", name) for name in CASES}
        stream = in_a_process("--only-stream", "--stream", str(chosen.stream))
        content = {"load_at_start": round(load, 1), "one_subject": speed, "stream": stream, "beside_real": compared()}
        write_result("simulate", content)


if __name__ == "__main__":
    main()
