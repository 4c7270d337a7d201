"""A small study on disk: textured balls, a source with another contrast, a synthetic image in between."""

import json

import numpy as np
from scipy import ndimage

from voxlate.cases import Case
from voxlate.io.nifti import write_volume
from voxlate.volume import Volume

SHAPE = (46, 44, 45)
AFFINE = np.diag([1.0, 1.1, 1.2, 1.0])


def ball(shape=SHAPE, radius=19.0):
    index = np.indices(shape) - (np.array(shape)[:, None, None, None] - 1) / 2
    return np.linalg.norm(index, axis=0) <= radius


def anatomy(seed):
    """Returns a target in relative units, its mask, and a lesion in it."""
    random = np.random.default_rng(seed)
    texture = ndimage.gaussian_filter(random.normal(size=SHAPE), 2.0)
    mask = ball()
    lesion = np.linalg.norm(np.indices(SHAPE) - np.array([27, 22, 22])[:, None, None, None], axis=0) <= 4
    return np.where(mask, 1 + 2 * texture, 0).astype(np.float32), mask, lesion


def write_case(folder, name, *, seed, patient=None, error=0.03):
    """Writes one case: source gain 300, target gain 500, synthetic gain 500 with some error."""
    target, mask, lesion = anatomy(seed)
    random = np.random.default_rng(seed + 1000)
    noise, other_noise = (np.where(mask, random.normal(0, sd, SHAPE), 0) for sd in (error, 0.1))
    source = np.where(mask, 0.2 + 0.8 * target**2 + 1.2 * lesion, 0) + other_noise
    level = 500 * float(np.median(target[mask]))
    images = {
        "source": 300 * source,
        "target": 500 * target,
        "synthetic": 500 * (target + noise + 0.3 * lesion * mask),
        "labels": 4.0 * lesion,
    }
    for role, data in images.items():
        path = (
            folder
            / ("synthetic" if role == "synthetic" else "")
            / f"{name}{'' if role == 'synthetic' else '_' + role}.nii.gz"
        )
        path.parent.mkdir(exist_ok=True)
        write_volume(path, Volume(data.astype(np.float32), AFFINE, role))
    sidecar = {"Synthetic": {"IsSynthetic": True, "Task": "T1ce to T1", "ReferenceLevel": level}}
    (folder / "synthetic" / f"{name}.json").write_text(json.dumps(sidecar))
    files = {role: folder / f"{name}_{role}.nii.gz" for role in ("source", "target", "labels")}
    return Case(name, patient or name, "test", files["source"], files["target"], None, files["labels"])


def write_bundle(parent):
    """Writes a bundle's folder that holds the knots of a histogram match and loss curves."""
    folder = parent / "bundle"
    folder.mkdir()
    grid = np.linspace(0, 2, 65)
    knots = {
        "source_quantiles": (0.2 + 0.8 * grid**2).tolist(),
        "target_quantiles": grid.tolist(),
        "probabilities": np.linspace(0, 1, 65).tolist(),
        "n_cases": 7,
    }
    (folder / "baselines.json").write_text(json.dumps(knots))
    (folder / "history.json").write_text(json.dumps({"training": [{"step": 1, "loss": 0.5}], "validation": []}))
    return folder
