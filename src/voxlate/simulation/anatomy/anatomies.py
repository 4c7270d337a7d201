"""Where heads come from: the head of the package, a folder of label maps, or formulas."""

from __future__ import annotations

import lzma
from dataclasses import dataclass, replace
from functools import lru_cache
from hashlib import sha256
from importlib import resources
from io import BytesIO
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from voxlate.simulation.anatomy.label_map import LabelMap, LabelMaps, label_map_of, read_label_table
from voxlate.volume import Volume

EMBEDDED_FILE = "head.npy.xz"
"""Half of the head of the package, from the midline outwards, with the labels of the left side; `HEAD.md` beside it
states origin and licence."""
EMBEDDED_CORNER_MM = (0.0, -140.0, -116.0)
"""RAS+ mm of the centre of its first voxel; voxels of 1 mm, in the space of the ICBM 2009a template."""
LEFT_OF_RIGHT = {
    41: 2,
    42: 3,
    43: 4,
    44: 5,
    46: 7,
    47: 8,
    49: 10,
    50: 11,
    51: 12,
    52: 13,
    53: 17,
    54: 18,
    58: 26,
    60: 28,
    62: 30,
    163: 136,
    164: 137,
}
"""FreeSurfer's label on the right to that on the left."""


class Anatomies(Protocol):
    """A source of heads."""

    def identity(self) -> dict[str, object] | None:
        """Returns what two runs of one data set must have in common."""

    def of(self, seed: int, subject: int) -> LabelMap | None:
        """Returns the map of a subject, or None for a head made of formulas.

        Args:
            seed: seed of the data set.
            subject: number of the subject, from 0.
        """

    def check(self, seed: int, subjects: int) -> None:
        """Refuses a map that no head can be built from, before anything of a data set is written.

        Args:
            seed: seed of the data set.
            subjects: number of its subjects.

        Raises:
            InputRefused: see `voxlate.simulation.anatomy.label_map.read_label_map`.
        """


@dataclass(frozen=True)
class EmbeddedHead:
    """The head of the package: the ICBM 2009a brain in a mean head, deformed anew for every subject."""

    def identity(self) -> dict[str, object]:
        """Returns the hash of the map."""
        return {"embedded": sha256(_packed()).hexdigest()}

    def of(self, seed: int, subject: int) -> LabelMap:
        """Returns the one map, whatever seed and subject."""
        return embedded_head()

    def check(self, seed: int, subjects: int) -> None:
        """Does nothing: the map of the package is tested."""


@dataclass(frozen=True)
class FormulaHeads:
    """Heads of ellipsoids and folded noise: fast, exact in closed form and no likeness; for tests."""

    def identity(self) -> None:
        """Returns None: there is no map."""

    def of(self, seed: int, subject: int) -> None:
        """Returns None: there is no map."""

    def check(self, seed: int, subjects: int) -> None:
        """Does nothing: there is no map."""


def anatomies_named(name: str, labels: Path | None = None) -> Anatomies:
    """Returns a source of heads by the word of the command line.

    Args:
        name: `embedded`, `formula`, or a folder of label maps.
        labels: YAML table of the tissues of each label in the maps of a folder.

    Raises:
        NoInput: the folder does not exist or holds no map.
        UsageError: `LABEL_TABLE`.
    """
    words: dict[str, Anatomies] = {"embedded": EmbeddedHead(), "formula": FormulaHeads()}
    return words[name] if name in words else LabelMaps.find(Path(name), read_label_table(labels))


@lru_cache(maxsize=1)
def embedded_head() -> LabelMap:
    """Returns the label map of the package, mirrored to a whole head; left and right keep their own labels."""
    packed = _packed()
    right: NDArray[np.uint16] = np.load(BytesIO(lzma.decompress(packed)), allow_pickle=False)
    left = right[:0:-1].copy()
    for right_label, left_label in LEFT_OF_RIGHT.items():
        right[right == left_label] = right_label
    labels = np.concatenate([left, right]).astype(np.float32)
    affine = np.eye(4)
    affine[:3, 3] = EMBEDDED_CORNER_MM
    affine[0, 3] -= left.shape[0]
    name = sha256(packed).hexdigest()[:12]
    return replace(label_map_of(Volume(labels, affine, "labels"), name, read_label_table()), is_embedded=True)


def _packed() -> bytes:
    return resources.files("voxlate.simulation.anatomy").joinpath(EMBEDDED_FILE).read_bytes()
