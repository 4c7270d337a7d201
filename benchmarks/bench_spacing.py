"""The pretrained models on scans of other voxel sizes, by slice thickness.

    python benchmarks/bench_spacing.py

The nine real pairs of the development data have voxels of 1 mm. Source and target are averaged over slices of 2 to
7 mm, or interpolated to finer voxels in the plane of thick slices, and each scan is translated three times: resampled
to the voxel size of training and back, which is the default; with its own voxels (`--keep-spacing`); and, as a bound
that a user cannot have, before the averaging. All are compared with the averaged target. The fine-tuned model is
measured the default way by the trainings of `bench_fine_tuning.py`, each on the pairs that it has not seen. A scan that
is translated already is not translated again. Without the development data it says so and ends.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from bench_fine_tuning import bundle_without, summary
from machine import ROOT, development_data, pair_cases, write_result

from voxlate.bundle.bundle import Bundle, read_bundle
from voxlate.bundle.pretrained import find_bundle
from voxlate.cases import Case
from voxlate.evaluation.enhancement import AgentDirection, EnhancementMeasure
from voxlate.evaluation.statistics import sign_flip
from voxlate.inference.batch import translate_many
from voxlate.inference.item import Item
from voxlate.inference.translate import Options
from voxlate.io.nifti import read_volume, write_volume
from voxlate.preparation.steps.resample import resample
from voxlate.volume import Grid, Volume

RUN = ROOT / "runs" / "spacing"
MODEL, TUNED = "t1ce-to-t1-simulated", "t1ce-to-t1"
WAYS = ("resampled", "kept", "before")
FINER = 2
"""Voxels of 0.5 mm from those of 1 mm."""


@dataclass(frozen=True)
class Voxels:
    """How the voxels of a condition are made from those of 1 mm.

    Attributes:
        averaged: number of voxels that become one, along each axis (left-right, back-front, down-up).
        is_finer: interpolate to voxels of half the size along the axes that are not averaged.
    """

    averaged: tuple[int, int, int]
    is_finer: bool = False


CONDITIONS = {
    "1 x 1 x 1": Voxels((1, 1, 1)),
    "2 x 2 x 2": Voxels((2, 2, 2)),
    "1 x 1 x 3": Voxels((1, 1, 3)),
    "1 x 1 x 5": Voxels((1, 1, 5)),
    "1 x 1 x 7": Voxels((1, 1, 7)),
    "5 x 1 x 1": Voxels((5, 1, 1)),
    "0.5 x 0.5 x 5": Voxels((1, 1, 5), is_finer=True),
}
"""Clinical protocols: 3-D at 1 mm, 2-D axial of 3 to 7 mm, 2-D sagittal of 5 mm, fine voxels in the plane of 5 mm."""


def coarse(volume: Volume, voxels: Voxels, *, is_label: bool = False) -> Volume:
    """Returns a scan with other voxels: each the mean of a block; a label map keeps the voxel in the middle of it."""
    parts = voxels.averaged
    shape = tuple(n // part for n, part in zip(volume.data.shape, parts, strict=True))
    kept = volume.data[tuple(slice(0, n * part) for n, part in zip(shape, parts, strict=True))]
    blocks = kept.reshape([size for n, part in zip(shape, parts, strict=True) for size in (n, part)])
    data = blocks[:, parts[0] // 2, :, parts[1] // 2, :, parts[2] // 2] if is_label else blocks.mean((1, 3, 5))
    affine = volume.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ ((np.array(parts) - 1) / 2)
    affine[:3, :3] = affine[:3, :3] * np.array(parts)
    made = Volume(data, affine, volume.shows)
    return _finer(made, parts, is_label=is_label) if voxels.is_finer else made


def _finer(volume: Volume, parts: tuple[int, int, int], *, is_label: bool) -> Volume:
    factors = np.where(np.array(parts) == 1, FINER, 1)
    shape = np.array(volume.data.shape) * factors
    affine = volume.affine.copy()
    affine[:3, :3] = affine[:3, :3] / factors
    affine[:3, 3] -= affine[:3, :3] @ ((factors - 1) / 2)
    grid = Grid((int(shape[0]), int(shape[1]), int(shape[2])), affine)
    return resample(volume, grid, interpolation="nearest" if is_label else "linear")


def case_of(case: Case, voxels: Voxels, folder: Path) -> Case:
    """Returns a pair with other voxels, written below `folder`."""
    paths = {}
    for role, path in (("source", case.source), ("target", case.target), ("labels", case.labels)):
        if path is None:
            continue
        paths[role] = folder / case.case / f"{role}.nii.gz"
        if not paths[role].is_file():
            made = coarse(read_volume(path), voxels, is_label=role == "labels")
            write_volume(paths[role], made, dtype="int16" if role == "labels" else "float32")
    return Case(case.case, case.case, "test", paths["source"], paths["target"], labels=paths.get("labels"))


def measure(bundle: Bundle, name: str, pairs: list[Case], ways: tuple[str, ...]) -> dict[str, Any]:
    """Returns value by way, metric and case of a condition."""
    folder = RUN / bundle.weights_sha256[:8] / name.replace(" ", "")
    cases = [case_of(case, CONDITIONS[name], RUN / "pairs" / folder.name) for case in pairs]
    items = [Item(case.case, case.source) for case in cases]
    found: dict[str, Any] = {}
    for way in ways:
        out = folder / way
        missing = [item for item in items if not (out / f"{item.name}.nii.gz").is_file()]
        if missing and way == "before":
            averaged_predictions(folder.parent, out, cases, CONDITIONS[name])
        elif missing:
            options = Options(gate="flag", keep_spacing=way == "kept")
            translate_many(bundle, missing, out, options=options, overwrite=True)
    for case in cases:
        for way, values in scores_of(case, {way: folder / way / f"{case.case}.nii.gz" for way in ways}).items():
            for metric, value in values.items():
                found.setdefault(way, {}).setdefault(metric, {})[case.case] = value
    return found


def scores_of(case: Case, synthetic: dict[str, Path]) -> dict[str, dict[str, float]]:
    """Returns metric by way, and of the untouched source: residual enhancement, its median share, and MAE.

    The MAE is in the brain, each image in units of its own median, in % of the target's 99.5th percentile.
    """
    source, target = read_volume(case.source), read_volume(case.target)
    mask = (source.data > 0) & (target.data > 0)
    images = {"source": source} | {way: read_volume(path) for way, path in synthetic.items()}
    shown = {way: volume.data / np.median(volume.data[mask]) for way, volume in images.items()}
    truth = target.data / np.median(target.data[mask])
    measure_of = EnhancementMeasure(
        shown["source"], truth, mask, spacing_mm=source.spacing_mm, direction=AgentDirection(1)
    )
    level = float(np.percentile(truth[mask], 99.5))
    found = {}
    for way, image in shown.items():
        found[way] = {f"{score.region}:{score.metric}": score.value for score in measure_of.scores(image)}
        found[way]["mask:mae"] = 100 * float(np.abs(image - truth)[mask].mean()) / level
    return found


def averaged_predictions(made: Path, out: Path, cases: list[Case], voxels: Voxels) -> None:
    """Writes the predictions at 1 mm, which lie below `made`, with the voxels of a condition."""
    for case in cases:
        one = made / "1x1x1" / "resampled" / f"{case.case}.nii.gz"
        write_volume(out / one.name, coarse(read_volume(one), voxels), dtype="float32", synthetic=MODEL)
        content = one.with_name(f"{case.case}.json").read_bytes()
        (out / f"{case.case}.json").write_bytes(content)


def main() -> None:
    folder = development_data("pairs")
    if folder is None:
        return
    pairs = pair_cases(folder)
    bundle, tuned = (read_bundle(find_bundle(name)) for name in (MODEL, TUNED))
    measured = {name: measure(bundle, name, pairs, WAYS) for name in CONDITIONS}
    content: dict[str, Any] = {
        "weights_sha256": {MODEL: bundle.weights_sha256, TUNED: tuned.weights_sha256},
        "conditions": {name: summaries(found) for name, found in measured.items()},
        "resampled_minus_kept": {name: differences(rows) for name, rows in measured.items()},
        "fine_tuned": {
            name: summaries({MODEL: found["resampled"], TUNED: measure_left_out(name, pairs)})
            for name, found in measured.items()
        },
    }
    write_result("spacing", content)


def measure_left_out(name: str, pairs: list[Case]) -> dict[str, dict[str, float]]:
    """Returns value by metric and case of a condition, each pair translated by a training that has not seen it."""
    found: dict[str, dict[str, float]] = {}
    for case in pairs:
        bundle = read_bundle(bundle_without(case.case))
        for metric, values in measure(bundle, name, [case], WAYS[:1])["resampled"].items():
            found.setdefault(metric, {}).update(values)
    return found


def summaries(found: dict[str, dict[str, dict[str, float]]]) -> dict[str, Any]:
    """Returns the summary of each metric by way or model."""
    return {way: {metric: summary(values) for metric, values in rows.items()} for way, rows in found.items()}


def differences(ways: dict[str, dict[str, dict[str, float]]]) -> dict[str, Any]:
    """Returns the mean paired difference of the two ways by metric, with the p of a permutation test."""
    tests = {}
    for key, ours in ways["resampled"].items():
        shared = [case for case, value in ours.items() if np.isfinite([value, ways["kept"][key][case]]).all()]
        first, second = ([ways[way][key][case] for case in shared] for way in ("resampled", "kept"))
        if len(shared) >= 3 and first != second:
            difference = float(np.mean(first) - np.mean(second))
            tests[key] = {"n": len(shared), "difference": difference, "p": sign_flip(first, second).p}
    return tests


if __name__ == "__main__":
    main()
