"""Damage of any kind is refused in our words: no byte of a file may bring out another error."""

from __future__ import annotations

import gzip
import warnings
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from voxlate.errors import InputRefused
from voxlate.io.nifti import read_volume
from voxlate.volume import Volume

ROUNDS = 300


def damaged(content: bytes, random: np.random.Generator, *, first: int) -> bytes:
    """Changes one to four bytes among the first ones, and cuts one file in five."""
    changed = bytearray(content)
    for place in random.integers(0, min(first, len(content)), random.integers(1, 5)):
        changed[place] = random.integers(0, 256)
    return bytes(changed[: random.integers(0, len(changed))] if random.random() < 0.2 else changed)


def read_or_refuse(path: Path) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            volume = read_volume(path, max_bytes=1 << 24)
        except InputRefused as refusal:
            return refusal.code
    assert isinstance(volume, Volume)
    assert np.isfinite(volume.data).all()
    return "READ"


@pytest.mark.parametrize("name", ["scan.nii", "scan.nii.gz"])
def test_random_damage_is_refused_or_read_and_never_anything_else(scans, name):
    path = scans.save(name, data=scans.values("float32"))
    content, random = path.read_bytes(), np.random.default_rng(37)
    codes = set()
    for _ in range(ROUNDS):
        path.unlink()  # a new file is quicker than a rewritten one
        path.write_bytes(damaged(content, random, first=len(content)))
        codes.add(read_or_refuse(path))
    assert len(codes) >= 3


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_random_damage_to_the_header_is_refused_or_read_and_never_anything_else(scans, version, pack):
    image_class = {1: nib.Nifti1Image, 2: nib.Nifti2Image}[version]
    path = scans.folder / "scan.nii"
    nib.save(image_class(scans.values("float32"), scans.affine), path)
    content, random = path.read_bytes(), np.random.default_rng(52)
    codes = set()
    for _ in range(ROUNDS):
        path.unlink()
        path.write_bytes(pack(damaged(content, random, first=540)))
        codes.add(read_or_refuse(path))
    assert {"READ", "HEADER", "DIMENSIONS", "AFFINE"} <= codes
