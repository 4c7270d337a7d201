"""Tissues by programs that others keep, when they are installed: FSL's FAST, SynthSeg, SPM.

Nothing of them comes with voxlate. Each is called without a shell, in a folder of its own that is removed, on the image
inside the mask; what it answers is read back onto the grid of the image and brought to the labels that all methods
share. None has a class for vessels, so on contrast-enhanced scans read FAST with care.

| name | what is called | labels |
|---|---|---|
| `fsl` | `fast -n 3 -t 1` | of its hard segmentation |
| `synthseg` | `mri_synthseg` of FreeSurfer | its structures, put together |
| `spm` | `$VOXLATE_SPM batch JOB.m` | greatest of GM, WM, CSF and the rest |

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
SPM_VARIABLE = "VOXLATE_SPM"

_SYNTHSEG = {
    "CSF": (4, 5, 14, 15, 24, 43, 44),
    "GM": (3, 8, 10, 11, 12, 13, 17, 18, 26, 28, 42, 47, 49, 50, 51, 52, 53, 54, 58, 60),
    "WM": (2, 7, 16, 41, 46),
}
"""Structures of FreeSurfer's table; cerebellum, brain stem and deep grey matter are shared out as SPM would."""


@dataclass(frozen=True)
class External:
    """A program that segments a file.

    Attributes:
        name: for messages.
        command: of the image and the folder; what to run in that folder.
        read: of the folder; the labels as a volume.
        affine: of the images that will be given.
    """

    name: str
    command: Callable[[Path, Path], list[str]]
    read: Callable[[Path], Volume]
    affine: Affine

    def segment(self, image: Array, mask: Mask, *, spacing_mm: tuple[float, float, float]) -> Labels:
        """Returns 1 CSF, 2 GM, 3 WM, 0 elsewhere.

        Raises:
            InputRefused: `SEGMENTER` when the program fails, takes longer than an hour or leaves no answer.
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
                raise InputRefused("SEGMENTER", f"{self.name} left no segmentation") from error
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
    """Returns FAST; its classes are numbered by their brightness."""
    program = _require("fast", "FSL")
    return External(
        "fsl",
        lambda image, folder: [program, "-n", "3", "-t", "1", "-o", str(folder / "fast"), str(image)],
        lambda folder: read_volume(folder / "fast_seg.nii.gz"),
        affine,
    )


def synthseg(affine: Affine) -> External:
    """Returns SynthSeg."""
    program = _require("mri_synthseg", "FreeSurfer")

    def read(folder: Path) -> Volume:
        found = read_volume(folder / "synthseg.nii.gz")
        labels = np.zeros(found.data.shape, dtype=np.float32)
        for tissue, structures in _SYNTHSEG.items():
            labels[np.isin(found.data, structures)] = TISSUES[tissue]
        return found.with_data(labels)

    return External(
        "synthseg",
        lambda image, folder: [program, "--i", str(image), "--o", str(folder / "synthseg.nii.gz"), "--cpu"],
        read,
        affine,
    )


def spm(affine: Affine) -> External:
    """Returns SPM's unified segmentation; a voxel goes to the greatest of GM, WM, CSF and what they leave."""
    text = os.environ.get(SPM_VARIABLE, "")
    if not text:
        raise UsageError("MISSING_TOOL", f"set {SPM_VARIABLE} to the command of SPM standalone, to segment by spm")
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
"""Programs by name; each needs the affine of the images it will be given.

Raises `UsageError` `MISSING_TOOL` when the program is not there.
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
    found = shutil.which(program)
    if found is None:
        raise UsageError("MISSING_TOOL", f"{program} of {of} is not on the path; install it or leave its method out")
    return found
