"""Tissue segmentation by external programs, if they are installed: FSL's FAST, SynthSeg, SPM.

None of them is distributed with voxlate. Each is called without a shell, in a temporary folder, on the image inside the
mask; its result is resampled to the grid of the image and converted to the labels that all methods share. None has a
class for vessels, so results of FAST on contrast-enhanced scans need care.

| name | command | labels |
|---|---|---|
| `fsl` | `fast -n 3 -t 1` | its hard segmentation |
| `synthseg` | `mri_synthseg` of FreeSurfer | its structures, merged |
| `spm` | `$VOXLATE_SPM batch JOB.m` | largest probability of GM, WM, CSF and the rest |

`VOXLATE_SPM` holds the command of SPM standalone with its runtime: `/opt/spm/run_spm.sh /opt/mcr`.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from voxlate.errors import InputRefused, UsageError, VoxlateError
from voxlate.evaluation.tissues.classes import TISSUES, Labels
from voxlate.io.nifti import read_volume, write_volume
from voxlate.preparation.steps.resample import resample
from voxlate.volume import Affine, Array, Mask, Volume

SECONDS = 3600
"""Time-out of a program. Chosen by hand; the programs usually need minutes."""

SPM_VARIABLE = "VOXLATE_SPM"

_SYNTHSEG = {
    "CSF": (4, 5, 14, 15, 24, 43, 44),
    "GM": (3, 8, 10, 11, 12, 13, 17, 18, 26, 28, 42, 47, 49, 50, 51, 52, 53, 54, 58, 60),
    "WM": (2, 7, 16, 41, 46),
}
"""Labels of FreeSurfer's table; cerebellum, brain stem and deep grey matter are assigned to tissues as in SPM."""


@dataclass(frozen=True)
class External:
    """An external program that segments a file.

    Attributes:
        name: of the program, for messages.
        command: function of (image, folder) that returns the command to run in the folder.
        read: function of the folder that returns the labels as a volume.
        affine: (4, 4), from voxels to RAS+ millimetres, of the images that will be segmented.
    """

    name: str
    command: Callable[[Path, Path], list[str]]
    read: Callable[[Path], Volume]
    affine: Affine

    def segment(self, image: Array, mask: Mask, *, spacing_mm: tuple[float, float, float]) -> Labels:
        """Returns labels (i, j, k): 1 CSF, 2 GM, 3 WM, 0 elsewhere.

        Args:
            image: (i, j, k).
            mask: (i, j, k).
            spacing_mm: not used; the affine holds it.

        Raises:
            InputRefused: `SEGMENTER` when the program fails, takes longer than an hour or writes no segmentation.
        """
        del spacing_mm
        volume = Volume(np.where(mask, image, 0).astype(np.float32), self.affine)
        with tempfile.TemporaryDirectory(prefix="voxlate-") as name:
            folder = Path(name)
            path = folder / "image.nii"
            write_volume(path, volume, dtype="float32")
            self._run(self.command(path, folder), folder)
            try:
                labels = resample(self.read(folder), volume.grid, interpolation="nearest").data
            except VoxlateError as error:
                raise InputRefused("SEGMENTER", f"{self.name} wrote no segmentation that can be read") from error
        return np.where(mask, labels, 0).astype(np.int8)

    def _run(self, command: list[str], folder: Path) -> None:
        environment = {**os.environ, "FSLOUTPUTTYPE": "NIFTI_GZ"}
        try:
            done = subprocess.run(  # noqa: S603 - a program that the user asked for by name, without a shell
                command, cwd=folder, env=environment, capture_output=True, timeout=SECONDS, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise InputRefused("SEGMENTER", f"{self.name} could not be run: {type(error).__name__}") from error
        if done.returncode:
            raise InputRefused("SEGMENTER", f"{self.name} ended with status {done.returncode}")


def fsl(affine: Affine) -> External:
    """Returns FAST, whose classes are numbered by brightness: 1 CSF, 2 GM, 3 WM."""
    program = _require("fast", "FSL")
    return External(
        "fsl",
        lambda image, folder: [program, "-n", "3", "-t", "1", "-o", str(folder / "fast"), str(image)],
        lambda folder: read_volume(folder / "fast_seg.nii.gz"),
        affine,
    )


def synthseg(affine: Affine) -> External:
    """Returns SynthSeg, whose structures are merged into tissues."""
    program = _require("mri_synthseg", "FreeSurfer")

    def read(folder: Path) -> Volume:
        structures = read_volume(folder / "synthseg.nii.gz")
        labels = np.zeros(structures.data.shape, dtype=np.float32)
        for tissue, numbers in _SYNTHSEG.items():
            labels[np.isin(structures.data, numbers)] = TISSUES[tissue]
        return structures.with_data(labels)

    return External(
        "synthseg",
        lambda image, folder: [program, "--i", str(image), "--o", str(folder / "synthseg.nii.gz"), "--cpu"],
        read,
        affine,
    )


def spm(affine: Affine) -> External:
    """Returns SPM's unified segmentation; a voxel gets the most probable of GM, WM, CSF and the rest (0).

    Raises:
        UsageError: `MISSING_TOOL` when `VOXLATE_SPM` is not set.
    """
    text = os.environ.get(SPM_VARIABLE, "")
    if not text:
        raise UsageError("MISSING_TOOL", f"segmenter spm needs {SPM_VARIABLE}; set it to the command of SPM standalone")
    program = shlex.split(text)

    def command(image: Path, folder: Path) -> list[str]:
        job = folder / "job.m"
        job.write_text(_SPM_JOB.replace("IMAGE", str(image)), encoding="utf-8")
        return [*program, "batch", str(job)]

    def read(folder: Path) -> Volume:
        gm, wm, csf = (read_volume(folder / f"c{number}image.nii") for number in (1, 2, 3))
        rest = 1 - gm.data - wm.data - csf.data
        greatest = np.stack([rest, csf.data, gm.data, wm.data]).argmax(axis=0)
        return gm.with_data(greatest.astype(np.float32))

    return External("spm", command, read, affine)


EXTERNAL: dict[str, Callable[[Affine], External]] = {"fsl": fsl, "spm": spm, "synthseg": synthseg}
"""Programs by name, each a function of the affine of the images.

The functions raise `UsageError` `MISSING_TOOL` when the program is not installed.
"""

_SPM_JOB = """spm('defaults', 'fmri');
spm_jobman('initcfg');
job{1}.spm.spatial.preproc.channel.vols = {'IMAGE,1'};
job{1}.spm.spatial.preproc.channel.write = [0 0];
tpm = fullfile(spm('dir'), 'tpm', 'TPM.nii');
for k = 1:6
  job{1}.spm.spatial.preproc.tissue(k).tpm = {sprintf('%s,%d', tpm, k)};
  job{1}.spm.spatial.preproc.tissue(k).native = [k <= 3, 0];
  job{1}.spm.spatial.preproc.tissue(k).warped = [0 0];
end
spm_jobman('run', job);
"""


def _require(program: str, of: str) -> str:
    path = shutil.which(program)
    if path is None:
        raise UsageError("MISSING_TOOL", f"{program} of {of} is not on the path; install it or omit this segmenter")
    return path
