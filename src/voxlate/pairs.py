"""Pairs of scans in memory, and how they become a table of cases that every stage reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from voxlate.cases import Case, check_cases, more_file_name, write_cases
from voxlate.errors import naming
from voxlate.io.nifti import write_volume
from voxlate.volume import Volume, require_same_grid

Image = Volume | ArrayLike
"""A volume, or an array (i, j, k), which is taken for voxels of 1 mm whose axes run right, anterior and superior."""


@dataclass(frozen=True)
class Pair:
    """A scan and the real image of the other contrast, in memory.

    All images lie on one grid. Where there is no mask, zero is taken for the background around a skull-stripped brain.

    Attributes:
        case: pseudonym, unique among the pairs and safe as a file name.
        source: the scan to translate.
        target: the real image of the other contrast.
        mask: above 0.5 where the brain is, or where intensities count; None for skull-stripped scans.
        labels: lesion labels, whole numbers, 0 outside; or None.
        more: additional sources by contrast.
        split: `train`, `validation` or `test`.
        patient: the unit of splits and statistics; by default the case.

    Example:
        >>> import numpy as np
        >>> image = np.ones((8, 9, 7))
        >>> pair = Pair("case01", source=image, target=2 * image, split="test")
        >>> pair.case, pair.split
        ('case01', 'test')
    """

    case: str
    source: Image
    target: Image
    mask: Image | None = None
    labels: Image | None = None
    more: Mapping[str, Image] = field(default_factory=dict)
    split: str = "train"
    patient: str = ""


def write_pairs(folder: str | Path, pairs: Sequence[Pair]) -> list[Case]:
    """Writes pairs as NIfTI files and a table `cases.tsv`, which training, preparation and evaluation read.

    Args:
        folder: gets a folder for each case and the table; existing files of the same names are replaced.
        pairs: with different names.

    Returns:
        The rows of the table.

    Raises:
        NoInput: no pair.
        InputRefused: `GRID_MISMATCH`, `DIMENSIONS`, `CASE_NAME`, `CASE_DUPLICATE`, `SPLIT`, `PATIENT_IN_TWO_SPLITS`.
        VoxlateError: `NON_FINITE`.

    Example:
        >>> import numpy as np, tempfile
        >>> image = np.arange(504.0).reshape(8, 9, 7)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     rows = write_pairs(folder, [Pair("case01", image, 2 * image)])
        ...     sorted(path.name for path in (Path(folder) / "case01").iterdir())
        ['source.nii.gz', 'target.nii.gz']
    """
    folder = Path(folder)
    rows = check_cases([_row(folder / pair.case, pair) for pair in pairs])
    for row, pair in zip(rows, pairs, strict=True):
        with naming(pair.case):
            _write(row, pair)
    write_cases(folder / "cases.tsv", rows)
    return rows


def _row(place: Path, pair: Pair) -> Case:
    """Returns the row of a pair; making it checks the name of the case and the split."""
    return Case(
        pair.case,
        pair.patient or pair.case,
        pair.split,
        place / "source.nii.gz",
        place / "target.nii.gz",
        None if pair.mask is None else place / "mask.nii.gz",
        None if pair.labels is None else place / "labels.nii.gz",
        {contrast: place / more_file_name(contrast) for contrast in pair.more},
    )


def _write(row: Case, pair: Pair) -> None:
    """Writes the images of a pair; float32 keeps the values of an image as they are."""
    source = _volume(pair.source)
    images = [("target", pair.target, row.target, "float32"), ("mask", pair.mask, row.mask, "uint8")]
    images += [("labels", pair.labels, row.labels, "int16")]
    images += [(contrast, image, row.more[contrast], "float32") for contrast, image in pair.more.items()]
    write_volume(row.source, source, dtype="float32")
    for name, image, path, dtype in images:
        if image is None or path is None:
            continue
        volume = _volume(image)
        require_same_grid(source, volume, names=("source", name))
        write_volume(path, volume.with_data(volume.data > 0.5) if name == "mask" else volume, dtype=dtype)


def _volume(image: Image) -> Volume:
    return image if isinstance(image, Volume) else Volume(np.asarray(image, dtype=np.float32), np.eye(4))
