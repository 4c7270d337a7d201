"""Reads label maps of real heads and the table that assigns tissues to labels; refuses maps that cannot be used."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator
from scipy import ndimage

from voxlate.errors import InputRefused, NoInput
from voxlate.io.atomic import sha256
from voxlate.io.nifti import nifti_suffix, read_volume
from voxlate.io.settings import parse_settings, read_settings, validated
from voxlate.preparation.steps.orientation import ToRas
from voxlate.simulation.anatomy.tissues import TISSUES
from voxlate.simulation.rng import generator
from voxlate.volume import Affine, Mask, Volume

AIR, SOFT, BONE, DURA = 0, 1, 2, 3
"""Indices of the groups that have no row in the table."""
FIRST_ROW = 4
"""Index of the group in the table's first row."""

CEREBRUM_MM = (60.0, 250.0)
"""Smallest and largest side of a cerebrum: from the height of a newborn's to well above the length of an adult's."""

_MAX_BYTES = 512 << 20  # of a map in float32: 512 voxels along each axis
_CLOSING_MM = 8.0  # radius of the closing: sulci and fissures up to 16 mm wide are closed
_SMOOTHING_MM = 2.0  # smoothness of the hull; with the level below it sets the thickness of the dura
_DURA_LEVEL = 0.3  # of the smoothed hull: bone within some 1 mm of the hull is dura
_HOLE_ML = 2.0  # unlabelled air of a paranasal sinus inside the hull reached 1.2 ml in 20 maps; a caudate has 3 to 4 ml
_SECOND_HEAD = 0.2  # size of a second component over the first; isolated voxels beside a head are far smaller
_COARSE_MM = 2.0  # fine enough for hull and components, and eight times faster than 1 mm
_MAX_GROUPS = 250  # group indices are stored as uint8, 0 to 255, and the first 4 have no row in the table

_MAX_LISTED = 20  # unknown labels that a message names, so that it stays readable

Label = Annotated[int, Field(ge=1, le=65535)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Group(_Strict):
    """Labels that consist of the same tissues.

    Attributes:
        labels: numbers in the map.
        tissues: tissue to its share; the shares sum to 1.
        varies: half width of a uniform draw per subject, added to the first share and taken from the second.
        inside: whether it lies inside the dura.
        cerebrum: whether it belongs to the hemispheres.
        ventricle: whether it is a ventricle.
    """

    labels: tuple[Label, ...]
    tissues: dict[str, Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]]
    varies: float = Field(0.0, ge=0, le=0.5)
    inside: bool = False
    cerebrum: bool = False
    ventricle: bool = False

    @model_validator(mode="after")
    def _adds_up(self) -> Group:
        unknown = [name for name in self.tissues if name not in TISSUES]
        if unknown:
            raise ValueError(f"unknown tissue {', '.join(unknown)}")
        shares = list(self.tissues.values())
        if not shares or abs(sum(shares) - 1) > 1e-6:
            raise ValueError("the shares of the tissues must sum to 1")
        if (self.cerebrum or self.ventricle) and not self.inside:
            raise ValueError("cerebrum and ventricles lie inside the dura; set `inside: true`")
        if self.varies and (len(shares) < 2 or self.varies > min(shares[0], shares[1], 1 - shares[0])):
            raise ValueError("`varies` needs two tissues, and must keep both of their shares between 0 and 1")
        return self


class LabelTable(_Strict):
    """Assignment of tissues to labels; `anatomy_labels.yaml` describes its form.

    Attributes:
        groups: name to its labels and tissues.
        soft_tissue: labels of fat and muscle together.
        bone_or_dura: labels that are dura near the brain and bone elsewhere.
    """

    groups: dict[str, Group]
    soft_tissue: tuple[Label, ...] = ()
    bone_or_dura: tuple[Label, ...] = ()

    @model_validator(mode="after")
    def _is_unambiguous(self) -> LabelTable:
        every = [label for group in self.groups.values() for label in group.labels]
        every += [*self.soft_tissue, *self.bone_or_dura]
        twice = sorted(label for label, count in Counter(every).items() if count > 1)
        if len(self.groups) > _MAX_GROUPS:
            raise ValueError(f"{len(self.groups)} groups; at most {_MAX_GROUPS} are allowed")
        if twice:
            raise ValueError(f"label {', '.join(map(str, twice))} is in two groups")
        if not any(group.cerebrum for group in self.groups.values()):
            raise ValueError("no group has `cerebrum: true`")
        return self

    def index_of(self) -> dict[int, int]:
        """Returns the index of the group of each label: `SOFT`, `BONE`, or `FIRST_ROW` + the row of the table."""
        index = {label: FIRST_ROW + row for row, group in enumerate(self.groups.values()) for label in group.labels}
        return index | dict.fromkeys(self.soft_tissue, SOFT) | dict.fromkeys(self.bone_or_dura, BONE)

    def rows(self, trait: Literal["inside", "cerebrum", "ventricle"]) -> list[int]:
        """Returns the indices of the groups with a trait."""
        return [FIRST_ROW + row for row, group in enumerate(self.groups.values()) if getattr(group, trait)]


def read_label_table(path: Path | None = None) -> LabelTable:
    """Returns the table in a YAML file, or the table of the package when no file is given.

    Raises:
        NoInput: the file does not exist.
        UsageError: `LABEL_TABLE`, with the position of each error.
    """
    name = "the table of the package" if path is None else path.name
    text = (
        resources.files("voxlate.simulation.anatomy").joinpath("anatomy_labels.yaml").read_text(encoding="utf-8")
        if path is None
        else read_settings(path, code="LABEL_TABLE", what="table of labels")
    )
    content = parse_settings(text, code="LABEL_TABLE", name=name)
    return validated(content, LabelTable, code="LABEL_TABLE", name=name, whole="table")


@dataclass(frozen=True)
class LabelMaps:
    """The label maps that heads are drawn from.

    Attributes:
        paths: paths of the maps, sorted by name.
        hashes: SHA-256 of each.
        table: assignment of tissues to labels.
    """

    paths: tuple[Path, ...]
    hashes: tuple[str, ...]
    table: LabelTable

    @classmethod
    def find(cls, folder: Path, table: LabelTable | None = None) -> LabelMaps:
        """Returns the maps of a folder: every `.nii` and `.nii.gz` file in it.

        Args:
            folder: folder of the maps.
            table: assignment of tissues to labels; the table of the package when not given.

        Raises:
            NoInput: the folder does not exist or holds no map.
        """
        paths = sorted(p for p in folder.glob("*") if nifti_suffix(p) and p.is_file())
        if not paths:
            raise NoInput("NO_INPUT", f"{folder.name}: no label map (.nii, .nii.gz) in this folder")
        return cls(tuple(paths), tuple(sha256(path) for path in paths), table or read_label_table())

    def identity(self) -> dict[str, object]:
        """Returns what two runs of one data set must have in common: the hashes of the maps, and the table."""
        return {"maps": list(self.hashes), "table": self.table.model_dump(mode="json")}

    def file_of(self, seed: int, subject: int) -> tuple[Path, str]:
        """Returns path and SHA-256 of the map of a subject; the maps take turns, in an order drawn from the seed.

        Args:
            seed: seed of the data set.
            subject: number of the subject, from 0.
        """
        order = generator(seed, 0, "anatomies").permutation(len(self.paths))
        chosen = int(order[subject % len(self.paths)])
        return self.paths[chosen], self.hashes[chosen]

    def of(self, seed: int, subject: int) -> LabelMap:
        """Returns the map of a subject, see `file_of`.

        Args:
            seed: seed of the data set.
            subject: number of the subject, from 0.

        Raises:
            InputRefused: see `read_label_map`.
        """
        path, digest = self.file_of(seed, subject)
        return read_label_map(path, digest, self.table)

    def check(self, seed: int, subjects: int) -> None:
        """Reads each map that a data set will use; some 2 s for a map of 1 mm.

        Args:
            seed: seed of the data set.
            subjects: number of its subjects.

        Raises:
            InputRefused: see `read_label_map`.
        """
        for subject in reversed(range(min(subjects, len(self.paths)))):  # that of the first subject is kept in memory
            self.of(seed, subject)


@dataclass(frozen=True, eq=False)
class LabelMap:
    """A label map of a head, its axes in RAS order.

    Attributes:
        name: first 12 digits of the map's SHA-256, because file names may hold names of people.
        groups: (shape), uint8, index of each voxel's group.
        inside: (shape), bool, whether a voxel lies inside the dura.
        affine: (4, 4), from voxel index to RAS+ mm.
        low_mm, high_mm: (3,), corners of the bounding box of the cerebrum in RAS+ mm.
        table: assignment of tissues to labels.
        is_embedded: whether it is the one map of the package, whose subjects must differ by their deformation alone.
    """

    name: str
    groups: NDArray[np.uint8]
    inside: Mask
    affine: Affine
    low_mm: NDArray[np.float64]
    high_mm: NDArray[np.float64]
    table: LabelTable
    is_embedded: bool = False

    @property
    def spacing_mm(self) -> NDArray[np.float64]:
        """Returns the voxel size along each axis, (3,)."""
        return np.asarray(np.linalg.norm(self.affine[:3, :3], axis=0))


def read_label_map(path: Path, digest: str, table: LabelTable) -> LabelMap:
    """Returns a label map that a head can be built from.

    Args:
        path: NIfTI file.
        digest: SHA-256 of the file.
        table: assignment of tissues to labels.

    Raises:
        InputRefused: what `read_volume` raises; `ANATOMY_LABELS` (labels that are not whole numbers or not in the
            table), `ANATOMY_BRAIN` (no cerebrum, or one of an impossible size), `ANATOMY_HEADS` (two heads),
            `ANATOMY_HOLE` (unlabelled voxels in the brain).
    """
    return _read(path, digest, table.model_dump_json())


@lru_cache(maxsize=2)  # some 50 MiB each; the sessions of a subject share a map
def _read(path: Path, digest: str, table_json: str) -> LabelMap:
    table = LabelTable.model_validate_json(table_json)
    return label_map_of(read_volume(path, shows="labels", max_bytes=_MAX_BYTES), digest[:12], table)


def label_map_of(stored: Volume, name: str, table: LabelTable) -> LabelMap:
    """Returns a volume of labels as a map that heads can be built from.

    Args:
        stored: labels on any grid, in any orientation.
        name: name of the map in messages and in the truth.
        table: assignment of tissues to labels.

    Raises:
        InputRefused: as `read_label_map`, without what `read_volume` raises.
    """
    volume = ToRas(stored.grid).apply(stored)
    groups = _groups(volume, table, name)
    spacing = np.asarray(volume.spacing_mm)
    groups = _one_head(groups, spacing, name)
    low, high = _extent(np.isin(groups, table.rows("cerebrum")), volume.affine, name)
    hull = _hull(np.isin(groups, table.rows("inside")), spacing)
    _require_whole(groups, hull > 0.5, spacing, name)
    groups[(groups == BONE) & (hull > _DURA_LEVEL)] = DURA
    return LabelMap(name, groups, hull > 0.5, volume.affine, low, high, table)


def _groups(volume: Volume, table: LabelTable, name: str) -> NDArray[np.uint8]:
    """Returns the index of each voxel's group, uint8 of the volume's shape."""
    labels = np.rint(volume.data)
    if np.abs(labels - volume.data).max() > 1e-3 or labels.min() < 0 or labels.max() > 65535:
        raise InputRefused(
            "ANATOMY_LABELS", f"map {name} holds values that are not whole numbers from 0 to 65535; give a label map"
        )
    index = table.index_of()
    present = np.unique(labels).astype(int).tolist()
    unknown = [label for label in present if label and label not in index]
    if unknown:
        raise InputRefused(
            "ANATOMY_LABELS",
            f"map {name}: label {_listed(unknown)} is not in the table; copy the package's table, add the labels, and "
            "pass it with --labels",
        )
    lookup = np.zeros(65536, np.uint8)
    for label, group in index.items():
        lookup[label] = group
    return np.asarray(lookup[labels.astype(np.uint16)], dtype=np.uint8)


def _listed(labels: Sequence[int]) -> str:
    more = f" and {len(labels) - _MAX_LISTED} more" if len(labels) > _MAX_LISTED else ""
    return ", ".join(map(str, labels[:_MAX_LISTED])) + more


def _one_head(groups: NDArray[np.uint8], spacing: NDArray[np.float64], name: str) -> NDArray[np.uint8]:
    """Returns the groups without isolated voxels beside the head, and refuses a map of two heads."""
    step = _steps(spacing)
    parts, count = ndimage.label(groups[step] > 0)
    sizes = np.bincount(parts.ravel(), minlength=count + 1)[1:]
    if count == 0:
        raise InputRefused("ANATOMY_BRAIN", f"map {name} holds no label; give the label map of a head")
    order = np.argsort(sizes)[::-1]
    if count > 1 and sizes[order[1]] > _SECOND_HEAD * sizes[order[0]]:
        raise InputRefused("ANATOMY_HEADS", f"map {name} holds two heads; give one map per head")
    head = _finer(ndimage.binary_dilation(parts == order[0] + 1, iterations=2), step, groups.shape)
    return np.where(head, groups, np.uint8(AIR))


def _extent(cerebrum: Mask, affine: Affine, name: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Returns the corners, (3,) each, of the bounding box of the cerebrum in RAS+ mm."""
    index = np.argwhere(cerebrum)[:: 1 + int(cerebrum.sum()) // 100_000].astype(np.float64)
    if index.size == 0:
        raise InputRefused(
            "ANATOMY_BRAIN", f"map {name} has no cerebrum; check that it shows a head and uses the table's labels"
        )
    points = index @ affine[:3, :3].T + affine[:3, 3]
    # Percentiles, so that single stray voxels do not change the box.
    low, high = np.percentile(points, 0.2, axis=0), np.percentile(points, 99.8, axis=0)
    sides = high - low
    if sides.min() < CEREBRUM_MM[0] or sides.max() > CEREBRUM_MM[1]:
        size = " x ".join(f"{side:.0f}" for side in sides)
        raise InputRefused(
            "ANATOMY_BRAIN",
            f"map {name}: the cerebrum measures {size} mm; each side must be {CEREBRUM_MM[0]:g} to "
            f"{CEREBRUM_MM[1]:g} mm; check the voxel size of the map",
        )
    return low, high


def _hull(brain: Mask, spacing: NDArray[np.float64]) -> NDArray[np.float32]:
    """Returns the hull of the brain, closed over its sulci and smoothed: float32, 1 inside, 0.5 on its surface."""
    step = _steps(spacing)
    coarse = np.pad(brain[step], int(np.ceil(_CLOSING_MM / _COARSE_MM)) + 1)
    sampling = [s * a.step for s, a in zip(spacing, step, strict=True)]
    wide = ndimage.distance_transform_edt(~coarse, sampling=sampling) <= _CLOSING_MM
    closed = ndimage.distance_transform_edt(wide, sampling=sampling) > _CLOSING_MM
    closed = ndimage.binary_fill_holes(closed | coarse)
    margin = (coarse.shape[0] - brain[step].shape[0]) // 2
    closed = closed[margin:-margin, margin:-margin, margin:-margin]
    fine = _finer(closed, step, brain.shape).astype(np.float32)
    return np.asarray(ndimage.gaussian_filter(fine, _SMOOTHING_MM / spacing), dtype=np.float32)


def _require_whole(groups: NDArray[np.uint8], inside: Mask, spacing: NDArray[np.float64], name: str) -> None:
    """Refuses a map with a hole in the brain; `spacing`, (3,), is the voxel size in mm."""
    parts, count = ndimage.label((groups == AIR) & inside)
    if count == 0:
        return
    largest_ml = float(np.bincount(parts.ravel())[1:].max() * np.prod(spacing) / 1000)
    if largest_ml > _HOLE_ML:
        raise InputRefused(
            "ANATOMY_HOLE",
            f"map {name}: {largest_ml:.1f} ml inside the brain have no label; label the fluid and the head too",
        )


def _steps(spacing: NDArray[np.float64]) -> tuple[slice, slice, slice]:
    """Returns slices that take voxels some `_COARSE_MM` apart; `spacing`, (3,), is the voxel size in mm."""
    i, j, k = (slice(None, None, max(round(_COARSE_MM / s), 1)) for s in spacing)
    return i, j, k


def _finer(coarse: Mask, step: tuple[slice, slice, slice], shape: Sequence[int]) -> Mask:
    """Returns a coarse mask at full resolution: each voxel takes the value of the nearest coarse voxel."""
    nearest = [
        np.minimum((np.arange(n) + each.step // 2) // each.step, m - 1)
        for n, m, each in zip(shape, coarse.shape, step, strict=True)
    ]
    return np.asarray(coarse[np.ix_(*nearest)], dtype=np.bool_)
