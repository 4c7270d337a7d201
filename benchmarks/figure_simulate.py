"""The picture of the documentation: every contrast, every artefact, and how simulated compares with real.

    python benchmarks/figure_simulate.py [--beside-real | --heads]

Writes `docs/images/simulated.png`, under 300 kB, with the curves of real scans when the development data are there.
With --beside-real slices of real scans stand beside the simulated ones in `runs/simulated_beside_real.png`, which
stays out of the project, as all real images do. With --heads it writes `docs/images/heads.png` alone: four subjects of
the embedded head at 1 mm.
"""

from __future__ import annotations

import sys
from io import BytesIO
from pathlib import Path

import matplotlib as mpl
import numpy as np
from bench_simulate import radial_power, radial_slope

from voxlate.io.nifti import read_volume
from voxlate.simulation import Options, simulate_subject
from voxlate.simulation.anatomy.formula_head import head_grid
from voxlate.simulation.physics.artefacts import (
    Pose,
    add_motion,
    add_rician_noise,
    distort_along_echo,
    shading,
    susceptibility_shift,
    truncate_kspace,
)

mpl.use("Agg")
import matplotlib.pyplot as plt

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT.parent / "shared" / "data"
REAL = {
    "real T1w": "pairs/MS_ljubljana_07/t1.nii.gz",
    "real FLAIR": "pairs/MS_ljubljana_07/flair.nii.gz",
    "real T1w, whole head": "native/TCGA-FG-6692_native/t1.nii.gz",
}
LARGEST_BYTES = 300_000
Panel = tuple[str, np.ndarray, float, float]


def panels() -> list[Panel]:
    head = simulate_subject("virtual_contrast", seed=9, scanner="A", size="full", options=Options(lesions="glioma"))
    where = np.argwhere(head.truth.lesion_mask.data > 0).mean(axis=0).astype(int)
    white = head.truth.fractions["wm"].data > 0.95
    shown = []
    for name in ("T1w", "T1ce", "T2w", "FLAIR", "b1000", "ADC"):
        data = head.images[name].data
        top = 3.0 if name == "ADC" else np.median(data[white]) * {"T2w": 3.5, "b1000": 2.2}.get(name, 1.8)
        shown.append((name, data[:, :, where[2]], 0.0, float(top)))
    after = head.images["T1ce"].data
    top = float(np.median(head.images["T1w"].data[white]) * 1.8)
    level = float(np.median(after[white]) * 1.8)
    shown += [("T1ce, sagittal", after[where[0]], 0.0, level), ("T1ce, coronal", after[:, where[1]], 0.0, level)]
    shown += [("T1w, sagittal", head.images["T1w"].data[100], 0.0, top)]
    ct = simulate_subject("ct_to_mr", seed=9, scanner="A", size="full", options=Options(lesions="glioma")).images["CT"]
    shown += [
        ("CT, 100 HU wide", ct.data[:, :, where[2]], -15.0, 85.0),
        ("CT, bone", ct.data[:, :, 72], -500.0, 1300.0),
    ]
    spine = simulate_subject("spine", seed=1, size="full")
    middle = spine.truth.factors["disc_slices"][1]
    bright = float(np.percentile(spine.images["T2w"].data, 99))
    shown += [("spine CT", spine.images["CT"].data[:, :, middle], -150.0, 350.0)]
    shown += [("spine T2w", spine.images["T2w"].data[:, :, middle], 0.0, bright)]
    shown += [("spine T2w, sagittal", spine.images["T2w"].data[80], 0.0, bright)]
    return shown + artefacts(head.images["T1w"].data, where[2], top)


def artefacts(image: np.ndarray, k: int, top: float) -> list[Panel]:
    random = np.random.default_rng(0)
    slab = np.ascontiguousarray(image[:, :, k - 8 : k + 8])
    poses = [Pose.drawn(random, 3.0, 2.0) for _ in range(8)]
    shape, affine = head_grid(1.0)
    index = np.indices((shape[0], shape[1], 1), dtype=np.float32)
    base = [index[axis] + np.float32(affine[axis, 3]) for axis in (0, 1)]
    places = (base[0], base[1], np.full_like(base[0], -30.0))
    shift = np.repeat(susceptibility_shift(places, 9.0), slab.shape[2], axis=2)
    changed = {
        "motion": add_motion(slab, poses, 1.0, random),
        "noise": add_rician_noise(slab, top / 15, random),
        "shading": slab * shading(slab.shape, 1.0, random),
        "Gibbs ringing": truncate_kspace(slab, (0.4, 0.4, 1.0)),
        "EPI shift": distort_along_echo(slab, np.ascontiguousarray(shift), 1.0),
    }
    thick = np.repeat(image[96, :, ::6], 6, axis=1)
    return [*((name, data[:, :, 8], 0.0, top) for name, data in changed.items()), ("thick slices", thick, 0.0, top)]


def real() -> list[Panel]:
    found = []
    for name, path in REAL.items():
        if (DATA / path).exists():
            data = read_volume(DATA / path).data
            flat = data[:, :, int(data.shape[2] * 0.55)]
            found.append((name, flat, 0.0, float(np.percentile(flat[flat > 0.1 * flat.max()], 98) * 1.1)))
    return found


def trimmed(data: np.ndarray, low: float, high: float) -> np.ndarray:
    """Returns a slice without the dark margin around what it shows."""
    bright = data > low + 0.15 * (high - low)
    kept = [np.flatnonzero(bright.mean(axis=1 - axis) > 0.02) for axis in (0, 1)]
    first, second = (slice(max(index[0] - 4, 0), index[-1] + 5) for index in kept)
    return data[first, second]


def heads() -> None:
    """Draws four subjects: T1w and T1ce through the lesion, T1w from the side, T1ce from the front."""
    chosen = {1: "glioma", 5: "none", 6: "metastases", 3: "meningioma"}
    figure, axes = plt.subplots(len(chosen), 4, figsize=(9.6, 2.5 * len(chosen)), facecolor="black")
    for row, (subject, lesions) in zip(axes, chosen.items(), strict=True):
        made = simulate_subject("t1ce_t1", seed=24, subject=subject, size="full", options=Options(lesions=lesions))
        before, after = (made.images[name].data for name in ("T1w", "T1ce"))
        white = made.truth.fractions["wm"].data > 0.95
        lesion = made.truth.lesion_mask.data > 0
        where = np.argwhere(lesion).mean(axis=0).astype(int) if lesion.any() else np.array([98, 118, 116])
        tops = [float(np.median(data[white]) * 1.8) for data in (before, after)]
        age = round(made.truth.factors["head"]["age_years"])
        cuts = [
            (f"T1w, {age} years, {lesions}", before[:, :, where[2]], tops[0]),
            ("T1ce", after[:, :, where[2]], tops[1]),
            ("T1w", before[97], tops[0]),
            ("T1ce", after[:, where[1]], tops[1]),
        ]
        for axis, (title, data, top) in zip(row, cuts, strict=True):
            axis.imshow(np.rot90(data), cmap="gray", vmin=0, vmax=top, interpolation="bilinear")
            axis.set_title(title, color="white", fontsize=7, pad=2)
            axis.axis("off")
    figure.tight_layout(pad=0.3)
    save(figure, ROOT / "docs/images/heads.png")


def main() -> None:
    if "--heads" in sys.argv:
        heads()
        return
    is_beside_real = "--beside-real" in sys.argv
    shown = panels() + (real() if is_beside_real else [])
    columns = 7
    rows = -(-(len(shown) + 2) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(1.85 * columns, 2.1 * rows), facecolor="black")
    for axis in axes.flat:
        axis.axis("off")
    for axis, (name, data, low, high) in zip(axes.flat, shown, strict=False):
        axis.imshow(np.rot90(trimmed(data, low, high)), cmap="gray", vmin=low, vmax=high, interpolation="bilinear")
        axis.set_title(name, color="white", fontsize=8, pad=2)
    curves(axes.flat[-2], axes.flat[-1])
    title = "Simulated, except where it says real" if is_beside_real else "Simulated"
    figure.suptitle(title, color="white", fontsize=9, y=0.995)
    figure.tight_layout(pad=0.3)
    save(figure, ROOT / ("runs/simulated_beside_real.png" if is_beside_real else "docs/images/simulated.png"))


def curves(left: plt.Axes, right: plt.Axes) -> None:
    """Draws the histogram of the brain and the radial spectrum, simulated beside real."""
    subject = simulate_subject("t1ce_t1", seed=9, size="full", scanner="B", options=Options(lesions="none"))
    image = subject.images["T1w"]
    compared = [("simulated", image.data[subject.truth.brain_mask.data > 0], image)]
    whole, stripped = DATA / "native/Philips_Elition_healthy/t1.nii.gz", DATA / "pairs/MS_ljubljana_07/t1.nii.gz"
    if whole.exists() and stripped.exists():
        brain = read_volume(stripped)
        compared.append(("real", brain.data[brain.data > 0], read_volume(whole)))
    for name, values, spectrum in compared:
        counts, edges = np.histogram(values / np.percentile(values, 95), bins=90, range=(0, 1.4), density=True)
        style = {"lw": 1, "color": "white", "ls": "-" if name == "simulated" else ":"}
        left.plot(edges[1:], counts, label=name, **style)
        frequency, power = radial_power(spectrum)
        right.loglog(frequency, power / power[0], label=f"{name} {radial_slope(spectrum)}", **style)
    for axis, title in ((left, "T1w in the brain"), (right, "spectrum (cycles/mm)")):
        axis.axis("on")
        axis.set_facecolor("black")
        axis.tick_params(colors="white", labelsize=5)
        axis.set_title(title, color="white", fontsize=8, pad=2)
        axis.legend(fontsize=5, labelcolor="white", facecolor="black")


def save(figure: plt.Figure, path: Path) -> None:
    """Writes a grey PNG with as many dots as fit into the size allowed."""
    from PIL import Image

    path.parent.mkdir(exist_ok=True)
    for dpi in (130, 110, 90, 80, 70, 60, 50, 40):
        drawn, packed = BytesIO(), BytesIO()
        figure.savefig(drawn, dpi=dpi, facecolor="black")
        Image.open(drawn).convert("L").quantize(64).save(packed, format="PNG", optimize=True)
        if packed.tell() < LARGEST_BYTES:
            path.write_bytes(packed.getvalue())
            print(f"{path.name}: {packed.tell()} bytes at {dpi} dots per inch")
            return


if __name__ == "__main__":
    main()
