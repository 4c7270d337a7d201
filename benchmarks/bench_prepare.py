"""Accuracy, time and memory of preparation, beside the same jobs done with plain ANTs calls.

    python benchmarks/bench_prepare.py [--ants-python PATH] [--subjects 2] [--moves 2]

The truth is that of simulated 1 mm heads: brain masks, and partners moved by 15 mm and 15 degrees whose way back is
known. Real scans have no truth: there the same pair is registered again after a known move, and both answers are
compared. Without the development data that part says so; without a Python that has antspyx the peer is left out.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from machine import write_result

from voxlate.errors import VoxlateError
from voxlate.io.nifti import read_volume, write_volume
from voxlate.preparation.masks.brain_mask import find_brain
from voxlate.preparation.register_pair import PairSettings, prepare_pair
from voxlate.preparation.registration import greedy
from voxlate.preparation.registration.registration import register
from voxlate.preparation.registration.templates import mni_template, to_template
from voxlate.preparation.registration.transform import Transform
from voxlate.preparation.steps.bias import fit_bias
from voxlate.simulation import simulate_subject
from voxlate.simulation.physics.artefacts import Pose
from voxlate.simulation.subject import Subject
from voxlate.volume import Mask, Volume

NATIVE = Path(__file__).resolve().parents[2] / "shared" / "data" / "native"
PAIRS = NATIVE.parent / "pairs"
T = TypeVar("T")


def timed(work: Callable[[], T]) -> tuple[T, float]:
    start = time.perf_counter()
    return work(), round(time.perf_counter() - start, 2)


def rigid(seed: int, *, degrees: float = 15, shift_mm: float = 15) -> Transform:
    axis, direction = np.random.default_rng(seed).normal(size=(2, 3))
    return Transform.rigid(axis, degrees, direction / np.linalg.norm(direction) * shift_mm)


def placed(subject: Subject, image: str) -> Transform:
    """Returns from millimetres of the truth to those of an image, as the simulator moved the head for it."""
    volume = subject.images[image]
    pose = Pose(**{k: tuple(v) for k, v in subject.truth.factors["acquisitions"][image]["pose"].items()})
    to_rest = pose.matrix(volume.data.shape, volume.spacing_mm[0])
    return Transform(volume.affine @ np.linalg.inv(to_rest) @ np.linalg.inv(volume.affine))


def points(volume: Volume, mask: Mask) -> np.ndarray:
    return volume.grid.to_mm(np.argwhere(mask)[::499])


def error_mm(found: Transform, truth: Transform, where: np.ndarray) -> float:
    return round(float(found.distance_mm(truth, where).mean()), 3)


def dice(first: Mask, second: Mask) -> float:
    return round(float(2 * (first & second).sum() / (first.sum() + second.sum())), 4)


def summary(values: list[float]) -> dict[str, float]:
    return {"mean": round(float(np.mean(values)), 3), "max": round(float(np.max(values)), 3), "n": len(values)}


class Ants:
    """The peer, in an environment of its own."""

    def __init__(self, python: str) -> None:
        self.python = python
        self.folder = Path(tempfile.mkdtemp(prefix="voxlate-ants-"))

    def run(self, job: str, fixed: Volume, moving: Volume) -> dict[str, Any]:
        files = [self.folder / name for name in ("fixed.nii.gz", "moving.nii.gz", "out.json")]
        write_volume(files[0], fixed, dtype="float32")
        write_volume(files[1], moving, dtype="float32")
        command = [self.python, str(Path(__file__).with_name("ants_job.py")), job, *map(str, files)]
        subprocess.run(command, check=True, capture_output=True)
        return json.loads(files[2].read_text())


def simulated(count: int, moves: int, peer: Ants | None) -> dict[str, Any]:
    """Rigid registration and masks with the truth."""
    ours: dict[str, list[float]] = {"error": [], "seconds": []}
    theirs: dict[str, list[float]] = {"error": [], "seconds": []}
    masks: dict[str, list[float]] = {}
    mask_seconds: dict[str, list[float]] = {}
    for number in range(count):
        subject = simulate_subject("virtual_contrast", seed=77, subject=number, size="full")
        truth = subject.truth.brain_mask.data > 0.5
        fixed = subject.images["T1ce"]
        for method, contrast in (("deepbet", "T1w"), ("deepbet", "T1ce"), ("robex", "T1w"), ("robex", "T1ce")):
            try:
                found, seconds = timed(partial(find_brain, subject.images[contrast], method))
            except VoxlateError as error:
                print(method, contrast, error)
                continue
            masks.setdefault(f"{method} {contrast}", []).append(dice(found, truth))
            mask_seconds.setdefault(method, []).append(seconds)
        for move in range(moves):
            contrast = ("T1w", "T2w", "ADC")[move % 3]
            partner = subject.images.get(contrast, subject.images["T1w"])
            inside = truth if partner.data.shape == truth.shape else find_brain(partner, "deepbet")
            way = rigid(100 * number + move)
            turned = way.carry(partner)
            result, seconds = timed(partial(register, fixed, turned, fixed_mask=truth, moving_mask=inside))
            placed = register(fixed, partner, fixed_mask=truth, moving_mask=inside).transform.then(way)
            where = points(fixed, truth)
            ours["error"].append(error_mm(result.transform, placed, where))
            ours["seconds"].append(seconds)
            print(number, contrast, ours["error"][-1], seconds, result.score.verdict, flush=True)
            if peer:
                answer = peer.run("rigid", fixed, turned)
                base = Transform(np.array(peer.run("rigid", fixed, partner)["matrix"])).then(way)
                theirs["error"].append(error_mm(Transform(np.array(answer["matrix"])), base, where))
                theirs["seconds"].append(answer["seconds"])
                print("  ants", theirs["error"][-1], answer["seconds"], flush=True)
    content: dict[str, Any] = {
        "rigid_repeat_error_mm": summary(ours["error"]),
        "rigid_seconds": summary(ours["seconds"]),
        "mask_dice": {name: summary(values) | {"min": min(values)} for name, values in masks.items()},
        "mask_seconds": {name: summary(values) for name, values in mask_seconds.items()},
    }
    if peer:
        content |= {
            "ants_rigid_repeat_error_mm": summary(theirs["error"]),
            "ants_rigid_seconds": summary(theirs["seconds"]),
        }
    return content


def true_error(count: int, peer: Ants | None) -> dict[str, Any]:
    """Error against the truth: the poses that the simulator gave the head, and the move that was added.

    The simulator also bends the head by 0.5 mm between images, which no rigid transform can follow.
    """
    ours, theirs = [], []
    for number in range(count):
        subject = simulate_subject("t1ce_t1", seed=78, subject=number, size="full")
        truth = subject.truth.brain_mask.data > 0.5
        fixed, partner = subject.images["T1ce"], subject.images["T1w"]
        way = placed(subject, "T1ce").inverse.then(placed(subject, "T1w")).then(rigid(900 + number))
        turned = rigid(900 + number).carry(partner)
        found = register(fixed, turned, fixed_mask=truth, moving_mask=truth).transform
        ours.append(error_mm(found, way, points(fixed, truth)))
        if peer:
            answer = Transform(np.array(peer.run("rigid", fixed, turned)["matrix"]))
            theirs.append(error_mm(answer, way, points(fixed, truth)))
        print("truth", number, ours[-1], theirs[-1:], flush=True)
    content = {"rigid_error_mm": summary(ours)}
    return content | ({"ants_rigid_error_mm": summary(theirs)} if peer else {})


def real(peer: Ants | None) -> dict[str, Any]:
    """Affine to the template, N4 and whole pairs on real scans."""
    if not NATIVE.exists():
        return {"missing": "the development data are not here"}
    scan = read_volume(NATIVE / "Philips_Elition_healthy" / "t1.nii.gz")
    brain, mask_s = timed(lambda: find_brain(scan, "deepbet"))
    affine, affine_s = timed(lambda: to_template(scan, brain))
    bias, n4_s = timed(lambda: fit_bias(scan, brain))
    way = rigid(5, degrees=11, shift_mm=10.5)
    again = to_template(way.carry(scan), brain)
    template = mni_template()
    where = points(template.volume, template.mask)
    content: dict[str, Any] = {
        "scan": {"shape": list(scan.data.shape), "spacing_mm": list(scan.spacing_mm)},
        "mask_seconds": mask_s,
        "affine_seconds": affine_s,
        "affine_overlap": round(affine.score.overlap or 0, 4),
        "affine_edge_agreement": round(affine.score.edge_agreement, 4),
        "affine_repeat_mm": error_mm(again.transform, affine.transform.then(way), where),
        "n4_seconds": n4_s,
        "affine_peak_gib": in_a_new_process(),
        "bias_range": [round(float(v), 3) for v in np.percentile(bias.values[brain], [1, 99])],
    }
    if peer:
        stripped = scan.with_data(np.where(brain, scan.data, 0))
        first = peer.run("affine", template.volume, stripped)
        second = peer.run("affine", template.volume, way.carry(stripped))
        found = Transform(np.array(first["matrix"]))
        content |= {
            "ants_affine_seconds": first["seconds"],
            "ants_affine_repeat_mm": error_mm(Transform(np.array(second["matrix"])), found.then(way), where),
            "ants_n4_seconds": peer.run("n4", scan, scan)["seconds"],
            "apart_from_ants_mm": error_mm(affine.transform, found, where),
        }
    stripped_by_hand = read_volume(NATIVE / "TCGA-FG-6692_native" / "brainmask_t1ce.nii.gz")
    enhanced_scan = read_volume(NATIVE / "TCGA-FG-6692_native" / "t1ce.nii.gz")
    content["mask_dice_given"] = dice(find_brain(enhanced_scan, "deepbet"), stripped_by_hand.data > 0.5)
    pairs = {}
    thick = NATIVE / "TCGA-FG-6692_native"
    for name, source, target in (
        ("T1ce and T1, 5.5 mm slices", thick / "t1ce.nii.gz", thick / "t1.nii.gz"),
        (
            "T1 and ADC, 1 mm",
            NATIVE / "Philips_Elition_healthy/t1.nii.gz",
            NATIVE / "Philips_Elition_healthy/adc.nii.gz",
        ),
    ):
        pair, seconds = timed(lambda s=source, t=target: prepare_pair(read_volume(s), read_volume(t), PairSettings()))
        still = Transform.identity()
        pairs[name] = {
            "seconds": seconds,
            "moved_mm": error_mm(pair.transform, still, points(pair.source, pair.mask)),
            "edge_agreement": round(pair.score.edge_agreement, 3),
        }
    return content | {"pairs": pairs}


def affine_memory() -> dict[str, float]:
    """Returns the peak of memory of mask and affine registration, of this process and of Greedy's.

    Meant for a new process; read from /proc, as the peak that `getrusage` tells is inherited from the parent.
    """
    scan = read_volume(NATIVE / "Philips_Elition_healthy" / "t1.nii.gz")
    to_template(scan, find_brain(scan, "deepbet"))
    worker = greedy._worker()._process
    return {"here": high_water_gib("self"), "greedy": high_water_gib(str(worker.pid) if worker else "self")}


def high_water_gib(process: str) -> float:
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return round(int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 2**20, 3)


def in_a_new_process() -> dict[str, float]:
    done = subprocess.run([sys.executable, __file__, "--memory"], check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def agreements() -> dict[str, Any]:
    """Edge agreement of real pairs of one head and, after the best registration, of two heads."""
    if not PAIRS.exists():
        return {"missing": "the development data are not here"}
    names = sorted(path.name for path in PAIRS.iterdir() if path.is_dir())
    same, different = [], []
    for name, other in zip(names, names[1:] + names[:1], strict=True):
        fixed = read_volume(PAIRS / name / "t1ce.nii.gz")
        for contrast in ("t1", "t2", "flair"):
            moving = read_volume(PAIRS / name / f"{contrast}.nii.gz")
            found = register(fixed, moving, fixed_mask=fixed.data != 0, moving_mask=moving.data != 0, working_mm=1.5)
            same.append(round(found.score.edge_agreement, 3))
        stranger = read_volume(PAIRS / other / "t1.nii.gz")
        found = register(fixed, stranger, fixed_mask=fixed.data != 0, moving_mask=stranger.data != 0, working_mm=1.5)
        different.append(round(found.score.edge_agreement, 3))
    return {"one_head": {"min": min(same), "n": len(same)}, "two_heads": {"max": max(different), "n": len(different)}}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--ants-python", help="a Python in which antspyx is installed")
    parser.add_argument("--subjects", type=int, default=2)
    parser.add_argument("--moves", type=int, default=2)
    parser.add_argument("--memory", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.memory:
        print(json.dumps(affine_memory()))
        return
    peer = Ants(options.ants_python) if options.ants_python else None
    content = {
        "simulated": simulated(options.subjects, options.moves, peer) | true_error(options.subjects, peer),
        "real": real(peer),
        "edge_agreement": agreements(),
    }
    write_result("prepare", content)


if __name__ == "__main__":
    sys.exit(main())
