"""Whatever happens to the bytes of a file, a series is read whole or refused in words of ours."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from dicom_series import enhanced, voxels, write_series

from voxlate.errors import InputRefused, NoInput
from voxlate.io.dicom import dicom_files, find_series, read_series

ROUNDS = 150


def read_or_refuse(folder: Path) -> set[str]:
    codes = set()
    try:
        with dicom_files(folder) as files:
            for series in find_series(files):
                codes.add("READ")
                assert np.isfinite(read_series(series).volume.data).all()
    except (InputRefused, NoInput) as refusal:
        codes.add(refusal.code)
    return codes


def one_file(folder: Path) -> list[Path]:
    enhanced(voxels()).save_as(folder / "one.dcm", enforce_file_format=True)
    return [folder / "one.dcm"]


@pytest.mark.filterwarnings("ignore:Expected:UserWarning")
@pytest.mark.parametrize("write", [write_series, one_file])
def test_random_damage_is_refused_or_read_and_never_anything_else(tmp_path, write):
    paths, random = write(tmp_path), np.random.default_rng(11)
    contents = {path: path.read_bytes() for path in paths}
    codes: set[str] = set()
    for _ in range(ROUNDS):
        path = paths[random.integers(len(paths))]
        changed = bytearray(contents[path])
        for place in random.integers(128, len(changed) - 200, random.integers(1, 5)):
            changed[place] = random.integers(0, 256)
        path.unlink()
        path.write_bytes(changed[: random.integers(1, len(changed))] if random.random() < 0.2 else changed)
        codes |= read_or_refuse(tmp_path)
        path.write_bytes(contents[path])
    assert len(codes) >= 4
