"""The first thing the demo shows: a model of the package translates one simulated head, within a minute."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from voxlate.bundle.pretrained import load_bundle
from voxlate.evaluation.enhancement import AgentDirection, EnhancementMeasure
from voxlate.inference.translate import translate_volume
from voxlate.io.nifti import write_volume
from voxlate.simulation import Options, simulate_subject
from voxlate.volume import Mask, Volume

_SEED, _SUBJECT = 2024, 144
"""A head that no training patient of the demo shares; its glioma enhances."""


def translate_first_head(folder: Path, model: str) -> float:
    """Simulates a head at 1 mm, translates it, and writes both with a picture; returns the residual enhancement in %.

    Args:
        folder: an existing folder; gets `t1ce.nii.gz`, `t1.nii.gz`, `mask.nii.gz`, `synthetic.nii.gz` and `first.png`.
        model: name of a pretrained model.
    """
    made = simulate_subject("t1ce_t1", seed=_SEED, subject=_SUBJECT, size="full", options=Options(lesions="glioma"))
    source, target, mask = made.images["T1ce"], made.images["T1w"], made.truth.brain_mask
    synthetic = translate_volume(load_bundle(model), source, mask).volume
    for name, volume in {"t1ce": source, "t1": target, "synthetic": synthetic}.items():
        write_volume(folder / f"{name}.nii.gz", volume)
    write_volume(folder / "mask.nii.gz", mask, dtype="uint8")
    shown = {"T1 after contrast agent": source, f"synthetic, by {model}": synthetic, "T1 before it (simulated)": target}
    _draw(folder / "first.png", shown, mask.data > 0.5, made.truth.lesion_mask.data > 0)
    return _residual_enhancement(source, synthetic, target, mask.data > 0.5)


def _residual_enhancement(source: Volume, synthetic: Volume, target: Volume, mask: Mask) -> float:
    """Returns what is left of the enhancement, in % of the source's: 100 is untouched, 0 is removed."""
    before, after, made = (volume.data / np.median(volume.data[mask]) for volume in (target, source, synthetic))
    measure = EnhancementMeasure(after, before, mask, spacing_mm=source.spacing_mm, direction=AgentDirection(1))
    return next(score.value for score in measure.scores(made) if score.metric == "residual_enhancement")


def _draw(path: Path, volumes: dict[str, Volume], mask: Mask, lesion: Mask) -> None:
    """Writes the axial slice with most of the lesion, each image in units of its own median in the brain."""
    from matplotlib.figure import Figure

    level = int(lesion.sum(axis=(0, 1)).argmax())
    figure = Figure(figsize=(12, 5), facecolor="black")
    for place, (title, volume) in enumerate(volumes.items(), start=1):
        axes = figure.add_subplot(1, 3, place)
        image = volume.data[:, :, level] / np.median(volume.data[mask])
        axes.imshow(image.T, origin="lower", cmap="gray", vmin=0, vmax=1.8, interpolation="bilinear")
        axes.set_title(title, color="white", fontsize=11)
        axes.set_axis_off()
    figure.subplots_adjust(0, 0, 1, 0.92, 0.02, 0)
    figure.savefig(path, dpi=100, facecolor="black")
