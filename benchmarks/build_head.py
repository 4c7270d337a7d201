"""Builds the head of the package, `src/voxlate/simulation/anatomy/head.npy.xz`, from the ICBM template and label maps.

    python benchmarks/build_head.py [--write]

Needs nilearn, which holds the template, SimpleITK and picsl-greedy (`pip install "voxlate[prepare]"`), and the label
maps of the development data. Each map is registered to the template, some 13 processor-seconds; the results are kept in
`runs/build_head`. Without --write the file is only compared with that of the package. All thresholds were chosen by
eye.
"""

from __future__ import annotations

import io
import lzma
import sys
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import nilearn
import numpy as np
import SimpleITK
from machine import ROOT, development_data
from picsl_greedy import Greedy3D
from scipy import ndimage

from voxlate.preparation.masks.components import largest_component
from voxlate.preparation.sitk import to_image
from voxlate.simulation.anatomy.anatomies import LEFT_OF_RIGHT
from voxlate.volume import Volume

OUTPUT = ROOT / "src" / "voxlate" / "simulation" / "anatomy" / "head.npy.xz"
KEPT = ROOT / "runs" / "build_head"
LOW, SHAPE = (-100, -140, -130), (201, 251, 241)  # mm of the first voxel, and voxels of 1 mm
HALF = (101, 251, 241)  # from the midline outwards
NO_DATA = 65000
RIGHT = LEFT_OF_RIGHT | {57: 25}
WHITE = {  # how white a label is: white matter 1, grey matter 0.6, fluid and everything outside the brain 0
    **dict.fromkeys((2, 41, 7, 46, 85, 530, 77, 25, 57), 1.0),
    **dict.fromkeys((3, 42, 8, 47, 17, 53, 18, 54), 0.6),
    10: 0.8,
    49: 0.8,
    11: 0.66,
    50: 0.66,
    12: 0.7,
    51: 0.7,
    13: 0.9,
    52: 0.9,
    26: 0.66,
    58: 0.66,
    16: 0.88,
    28: 0.8,
    60: 0.8,
}
INSIDE = (2, 3, 4, 5, 7, 8, 10, 11, 12, 13, 14, 15, 16, 17, 18, 24, 25, 26, 28, 72, 136, 137)
NUCLEI = [10, 11, 12, 13, 17, 18, 26, 28, 16]
VENTRICLES = [4, 5, 14, 15, 72]
SINUS, FAT, MUSCLE = 262, 517, 518


def template(name: str) -> nib.Nifti1Image:
    folder = Path(nilearn.__file__).parent / "datasets" / "data"
    return nib.load(folder / f"mni_icbm152_{name}_tal_nlin_sym_09a_converted.nii.gz")


def grid(low: tuple[int, ...], step: float) -> np.ndarray:
    affine = np.diag([step, step, step, 1.0])
    affine[:3, 3] = low
    return affine


def resampled(data: np.ndarray, affine: np.ndarray, shape: tuple[int, ...], goal: np.ndarray) -> np.ndarray:
    matrix = np.linalg.inv(affine) @ goal
    return ndimage.affine_transform(data, matrix[:3, :3], matrix[:3, 3], output_shape=shape, order=1)


def registered(path: Path) -> np.ndarray:
    """Returns a label map, uint16 of `SHAPE`, deformed to the template; `NO_DATA` beside its field of view."""
    kept = KEPT / path.name.replace(".nii.gz", ".npy")
    if kept.is_file():
        return np.load(kept)
    brain = ndimage.gaussian_filter(sum(template(n).get_fdata() / 255 * w for n, w in (("gm", 0.6), ("wm", 1.0))), 0.8)
    at = grid((-90, -130, -80), 2.0)
    fixed = to_image(Volume(resampled(brain, template("gm").affine, (91, 114, 91), at), at))
    stored = nib.as_closest_canonical(nib.load(path))
    labels = np.rint(np.asarray(stored.dataobj)).astype(np.uint16)
    lookup = np.zeros(65536, np.float32)
    lookup[list(WHITE)] = list(WHITE.values())
    affine = stored.affine.copy()
    affine[:3, 3] += middle(brain > 0.4, template("gm").affine) - middle(np.isin(labels, (2, 41, 3, 42)), affine)
    moving = to_image(Volume(ndimage.gaussian_filter(lookup[labels], 0.8), affine))
    greedy, quiet = Greedy3D(), {"out": io.StringIO(), "err": io.StringIO()}
    rigid = "-d 3 -a -dof 12 -m SSD -n 100x60 -ia-identity -threads 1 -i fixed moving -o affine"
    greedy.execute(rigid, **quiet, fixed=fixed, moving=moving, affine=None)
    bend = "-d 3 -m SSD -n 60x50x20 -s 2.5vox 0.7vox -e 0.5 -threads 1 -it affine -i fixed moving -o warp"
    greedy.execute(bend, **quiet, warp=None)
    warp = np.moveaxis(SimpleITK.GetArrayFromImage(greedy["warp"]), -1, 0).transpose(0, 3, 2, 1)
    warp = warp * np.array([-1, -1, 1.0]).reshape(3, 1, 1, 1)
    result = carried(labels, np.linalg.inv(affine) @ np.asarray(greedy["affine"]), warp, np.linalg.inv(at))
    KEPT.mkdir(parents=True, exist_ok=True)
    np.save(kept, result)
    return result


def middle(mask: np.ndarray, affine: np.ndarray) -> np.ndarray:
    index = np.argwhere(mask)[::50]
    return (affine @ np.append((np.percentile(index, 1, axis=0) + np.percentile(index, 99, axis=0)) / 2, 1))[:3]


def carried(labels: np.ndarray, to_voxel: np.ndarray, warp: np.ndarray, to_warp: np.ndarray) -> np.ndarray:
    result = np.full(SHAPE, NO_DATA, np.uint16)
    for i in range(SHAPE[0]):
        points = np.stack(np.meshgrid([i], *map(np.arange, SHAPE[1:]), indexing="ij")).reshape(3, -1)
        points = points + np.array(LOW, float).reshape(3, 1)
        at = to_warp[:3, :3] @ points + to_warp[:3, 3:]
        points = points + np.stack([ndimage.map_coordinates(axis, at, order=1, mode="nearest") for axis in warp])
        index = np.rint(to_voxel[:3, :3] @ points + to_voxel[:3, 3:]).astype(int)
        is_seen = ((index >= 0) & (index < np.array(labels.shape).reshape(3, 1))).all(axis=0)
        result[i].ravel()[is_seen] = labels[tuple(index[:, is_seen])]
    return result


def means(paths: list[Path]) -> dict[int, np.ndarray]:
    """Returns the smoothed share of each label, float32 of `HALF`, over the maps and their mirror images."""
    counts: dict[int, np.ndarray] = {}
    seen = np.zeros(HALF, np.float32)
    lookup = np.arange(65536, dtype=np.uint16)
    for right, left in RIGHT.items():
        lookup[right] = left
    for path in paths:
        whole = registered(path)
        for side in (whole, whole[::-1]):
            labels = lookup[side[100:]]
            seen += labels != NO_DATA
            for label in np.unique(labels[labels != NO_DATA]):
                counts.setdefault(int(label), np.zeros(HALF, np.uint8))[labels == label] += 1
    seen = np.maximum(seen, 1)
    return {k: ndimage.gaussian_filter(v / seen, 0.7, output=np.float32) for k, v in sorted(counts.items())}


def placed(name: str) -> np.ndarray:
    """Returns a map of the template, 0 to 1, float32 of `HALF`."""
    result = np.zeros(HALF, np.float32)
    data = template(name).get_fdata() / 255
    result[:99, 6:239, 58:] = data[98:, :, :183]
    return result


def mirrored(half: np.ndarray) -> np.ndarray:
    return np.concatenate([half[:0:-1], half])


def to_outside(mask: np.ndarray) -> np.ndarray:
    """Returns the distance in mm of each voxel of a half mask to the nearest voxel outside it."""
    return ndimage.distance_transform_edt(mirrored(mask))[100:]


def distance_to(mask: np.ndarray) -> np.ndarray:
    return to_outside(~mask)


def smooth(mask: np.ndarray, deviation: float) -> np.ndarray:
    return ndimage.gaussian_filter(mirrored(mask).astype(np.float32), deviation)[100:] > 0.5


@dataclass
class Parts:
    """What the head is made of, all arrays of `HALF`: means of the maps, template, cavity of the skull, coordinates."""

    share: dict[int, np.ndarray]
    grey: np.ndarray
    white: np.ndarray
    t1: np.ndarray

    def __post_init__(self) -> None:
        self.brain = self.grey + self.white
        self.x, self.y, self.z = np.ogrid[0:101, -140:111, -130:111]
        inner = sum(self.share[k] for k in INSIDE if k in self.share)
        mask = smooth(inner + self.share[514] * (inner > 0.02) > 0.5, 1.0) | (self.brain > 0.5)
        # Closed over falx, tentorium and sinuses, then drawn in: the mean of all subarachnoid spaces is too wide.
        closed = ndimage.distance_transform_edt(ndimage.distance_transform_edt(~mirrored(mask)) <= 5)[100:] > 5
        mask = smooth(closed | mask, 1.2)
        self.cavity = smooth((to_outside(mask) > 1.8) | (distance_to(self.brain > 0.4) <= 1.5), 1.0)
        body = ndimage.binary_fill_holes(mirrored(smooth(self.share[0] < 0.5, 1.0) | self.cavity))
        self.body = largest_component(body)[100:]


def outer(parts: Parts) -> np.ndarray:
    """Returns the labels outside the cavity: bone with diploe, mucosa, eyes, orbits, cord, arteries, soft tissue."""
    share, cavity, z = parts.share, parts.cavity, parts.z
    shell = (distance_to(cavity) <= 2.2) & (z > -30)
    bone = smooth((share[515] + share[516] > np.where(z < -58, 0.3, 0.45)) | shell, 0.6) & ~cavity & parts.body
    labels = np.where(parts.body, 507, 0).astype(np.uint16)
    some = (507, 509, 506, 508, 512, 502, 530, 0)
    for label, weight in ((509, 1.0), (506, 1.0), (508, 1.0), (512, 1.0), (502, 1.3), (530, 1.5)):
        others = np.maximum.reduce([share[other] for other in some if other != label])
        labels[parts.body & (share[label] * weight > others)] = label
    labels[parts.body & (share[0] > 0.5) & ~cavity] = 0
    labels[bone] = 515
    labels[bone & (to_outside(bone) > 1.6)] = 516
    eye = labels == 506
    front = parts.y < np.nonzero(mirrored(eye))[1].mean() - 140 + 3
    labels[(distance_to(eye) < 6) & (labels == 507) & front] = 508
    return labels


def add_brain(labels: np.ndarray, parts: Parts) -> None:
    """Fills the cavity: fluid, ventricles, cortex and white matter of the template, nuclei of the mean."""
    share, cavity, grey, white = parts.share, parts.cavity, parts.grey, parts.white
    ventricle = sum(share[k] for k in VENTRICLES)
    labels[cavity] = 24
    wet = cavity & (parts.brain < 0.5) & (ventricle > share[24])
    labels[wet] = np.array(VENTRICLES)[np.stack([share[k] for k in VENTRICLES]).argmax(axis=0)][wet]
    labels[wet & (share[136] > 0.3) & (share[136] > 0.45 * ventricle)] = 136
    cerebrum, cerebellum = share[2] + share[3] + share[25], share[7] + share[8]
    dry = cavity & (parts.brain > 0.5)
    upper, lower = dry & (cerebrum >= cerebellum), dry & (cerebellum > cerebrum)
    labels[upper] = np.where(white >= grey, 2, 3)[upper]
    sulci = (parts.t1 < 0.52) & (share[4] + share[5] < 0.2)  # of the template's T1: cortex 0.65, fluid 0.27
    labels[upper & sulci & (grey > white) & (cerebrum > 0.5)] = 24
    labels[lower] = np.where(white >= grey, 7, 8)[lower]
    labels[lower & (parts.t1 < 0.5)] = 24
    nuclei = np.stack([share[k] for k in NUCLEI])
    rest = np.maximum.reduce([share[2], share[3], share[7], share[8], share[24], ventricle])
    chosen = cavity & (parts.brain > 0.3) & (nuclei.max(axis=0) > rest * 0.9) & (nuclei.max(axis=0) > 0.3)
    labels[chosen] = np.array(NUCLEI)[nuclei.argmax(axis=0)][chosen]
    # Partial volume makes a rim of grey matter around the ventricles and inside white matter; it is white matter.
    near = distance_to(np.isin(labels, (4, 5, 14))) < 3.2
    labels[(labels == 3) & near & (share[2] > share[3])] = 2
    deep = share[2] + share[25]
    labels[(labels == 3) & (deep > 3 * share[3]) & (deep > 0.55)] = 2


def add_membranes(labels: np.ndarray, parts: Parts) -> None:
    """Adds falx, tentorium, the fluid around the cord, turbinates with air between them, and the venous sinuses."""
    x, y, z = parts.x, parts.y, parts.z
    low = np.where(y > -45, 8 + (y + 45) * (-28 / 105.0), 8 + (y + 45) * (13 / 40.0))  # from the nose to the torcula
    deep = (x < 1) & np.isin(labels, (2, 10, 28, 16, 4, 14))
    falx = (x < 1) & (labels == 24) & (z > low + 3) & (distance_to(deep) > 11) & (y < 62)
    below, above = distance_to(np.isin(labels, (7, 8))), distance_to(np.isin(labels, (2, 3, 17)))
    tentorium = (labels == 24) & (below < 3.2) & (above < 3.2) & (np.abs(below - above) < 1.1)
    labels[falx | tentorium] = 515
    labels[(distance_to(labels == 512) <= 3) & np.isin(labels, (507, 24, 0))] = 24
    mucosa = labels == 509
    labels[mucosa & (to_outside(mucosa) > 2) & (x % 8 >= 2) & (x % 8 <= 4) & (z % 17 > 3)] = 0
    inner = ndimage.binary_dilation(mirrored(parts.cavity), iterations=3)[100:]
    is_brain = np.isin(labels, (2, 3)) & (parts.brain > 0.7)
    labels[(parts.share[514] > 0.55) & inner & np.isin(labels, (24, 515, 516, 507, 2, 3)) & ~is_brain] = SINUS


def add_soft_tissue(labels: np.ndarray, parts: Parts) -> None:
    """Divides soft tissue into skin, fat under it and over the vault, and muscles with planes of fat between them."""
    x, y, z = parts.x, parts.y, parts.z
    depth = to_outside(parts.body)
    labels[(depth <= 2.2) & np.isin(labels, (507, 509, 508, 515, 516))] = 511
    random = np.random.default_rng(5)
    waves = [
        share * ndimage.gaussian_filter(random.standard_normal(HALF), width) * width**1.5
        for share, width in ((1.0, 5.0), (0.6, 3.0))
    ]
    wave = sum(waves)
    wave = wave / wave.std()
    over_bone = distance_to(np.isin(labels, (515, 516)) | parts.cavity)
    soft = labels == 507
    temporal = (x > 45) & (y > -35) & (y < 48) & (z > -60) & (z < 38)
    labels[soft] = MUSCLE
    fat = (np.abs(wave) < 0.13) | (depth <= 2.2 + np.where(z > -25, 3.2, 5.0))
    fat |= ((z > -18) & ~temporal & (over_bone < 14)) | ((y > 60) & (np.abs(wave) < 0.6))
    labels[soft & fat] = FAT


def drop_speckles(labels: np.ndarray) -> None:
    """Gives components of fewer than 10 voxels the label of their nearest neighbour, in place."""
    for label in (2, 3, 24, 8, 7, 515, 516, SINUS, 509, FAT, MUSCLE, 0):
        mask = mirrored(labels == label)
        found, count = ndimage.label(mask)
        if count < 2:
            continue
        small = ((np.bincount(found.ravel()) < 10)[found] & mask)[100:]
        if small.any():
            index = ndimage.distance_transform_edt(small, return_distances=False, return_indices=True)
            labels[small] = labels[tuple(axis[small] for axis in index)]


def main() -> None:
    paths = sorted(development_data("anatomies").glob("*.nii.gz"))
    parts = Parts(means(paths), placed("gm"), placed("wm"), placed("t1"))
    labels = outer(parts)
    add_brain(labels, parts)
    add_membranes(labels, parts)
    add_soft_tissue(labels, parts)
    drop_speckles(labels)
    labels = np.ascontiguousarray(labels[:100, :, 14:])
    before = np.load(io.BytesIO(lzma.decompress(OUTPUT.read_bytes())))
    print(f"{(labels != before).mean():.4%} of the voxels differ from the file of the package")
    if "--write" in sys.argv:
        content = io.BytesIO()
        np.save(content, labels)
        OUTPUT.write_bytes(lzma.compress(content.getvalue(), preset=9 | lzma.PRESET_EXTREME))
        print(f"{OUTPUT.name}: {OUTPUT.stat().st_size} bytes")


if __name__ == "__main__":
    main()
