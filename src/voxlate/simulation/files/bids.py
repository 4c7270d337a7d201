"""One subject's session as BIDS files: raw images with their sidecars, and the truth as a derivative."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from voxlate.io import bids
from voxlate.io.atomic import write_json, write_text
from voxlate.io.nifti import sidecar_path, write_volume, write_volumes
from voxlate.simulation.physics.scan import B_VALUES_S_MM2
from voxlate.simulation.physics.scanners import Scanner, scanner_named
from voxlate.simulation.physics.sequences import Flair, GradientEcho, Mprage, SpinEcho
from voxlate.simulation.subject import Subject

TRUTH = Path("derivatives") / "truth"
IGNORED = ("**/ct", "cases.tsv")
IGNORED_TRUTH = ("manifest.json", "simulation.json", "oracle.json", "*_factors.json", "*_lesions.tsv", "*_dicom.json")
"""What the BIDS of today has no name for, in the raw data and in the truth."""
_PROBSEG = {"csf": "CSF", "gm": "GM", "wm": "WM", "vessel": "VESSEL", "lesion": "LESION", "oedema": "OEDEMA"}
_PROBSEG |= {"bone": "BONE", "soft": "SOFT", "disc": "DISC"}


def session_name(session: int) -> str:
    """Returns `ses-01` for the first session."""
    return f"ses-{session + 1:02d}"


def image_path(subject: str, session: int, shown: str) -> Path:
    """Returns where an image lies below the data set: `T1w`, `T1ce`, `T2w`, `FLAIR`, `CT`, `DWI` or `ADC`."""
    visit = session_name(session)
    root = TRUTH if shown == "ADC" else Path()
    return root / bids.image_path(subject, visit, shown)


def truth_path(subject: str, session: int, ending: str) -> Path:
    """Returns where a file of the truth lies below the data set."""
    visit = session_name(session)
    return TRUTH / subject / visit / "anat" / f"{subject}_{visit}_{ending}"


def write_session(root: Path, subject: Subject, session: int) -> list[Path]:
    """Writes the images and the truth of one session; returns the files, relative to the data set.

    Raises:
        CannotWrite, TemporaryFailure: see `voxlate.errors.writing`.
    """
    scanner = scanner_named(str(subject.truth.factors["scanner"]))
    return [*_write_images(root, subject, session, scanner), *_write_truth(root, subject, session)]


def _write_images(root: Path, subject: Subject, session: int, scanner: Scanner) -> list[Path]:
    written: list[Path] = []
    for shown, volume in subject.images.items():
        if shown.startswith("b"):
            continue
        path = image_path(subject.name, session, shown)
        write_volume(root / path, volume)
        write_json(sidecar_path(root / path), sidecar(shown, scanner, subject))
        written += [path, sidecar_path(path)]
    if "b0" in subject.images:
        written += _write_diffusion(root, subject, session, scanner)
    return written


def _write_diffusion(root: Path, subject: Subject, session: int, scanner: Scanner) -> list[Path]:
    path = image_path(subject.name, session, "DWI")
    write_volumes(root / path, [subject.images[f"b{b}"] for b in B_VALUES_S_MM2])
    stem = path.name.removesuffix(".nii.gz")
    bval, bvec = path.with_name(f"{stem}.bval"), path.with_name(f"{stem}.bvec")
    write_text(root / bval, " ".join(str(b) for b in B_VALUES_S_MM2) + "\n")
    # trace-weighted images have no direction; the first axis stands for all
    directions = [["0" if b == 0 or axis else "1" for b in B_VALUES_S_MM2] for axis in range(3)]
    write_text(root / bvec, "\n".join(" ".join(row) for row in directions) + "\n")
    write_json(sidecar_path(root / path), sidecar("DWI", scanner, subject))
    return [path, bval, bvec, sidecar_path(path)]


def sidecar(shown: str, scanner: Scanner, subject: Subject) -> dict[str, Any]:
    """Returns the BIDS metadata of an image, times in seconds."""
    common: dict[str, Any] = {"Manufacturer": "voxlate", "SimulatedData": True}
    if shown == "CT":
        return {**common, "Modality": "CT", "ManufacturersModelName": "Simulated CT"}
    common |= {
        "Modality": "MR",
        "ManufacturersModelName": f"Simulated scanner {scanner.name}",
        "MagneticFieldStrength": scanner.field_tesla,
        "MRAcquisitionType": "2D" if scanner.slice_mm and shown in ("T1w", "T1ce") else "3D",
    }
    if shown == "ADC":
        return {**common, "Units": "0.001 mm2/s", "Sources": [_dwi_source(subject)]}
    others: dict[str, SpinEcho | Flair] = {"T2w": scanner.t2w, "FLAIR": scanner.flair, "DWI": scanner.diffusion}
    timing = others.get(shown, scanner.t1w)
    return {**common, **_timing(timing), **_contrast(shown, subject)}


def _dwi_source(subject: Subject) -> str:
    return bids.raw_uri(image_path(subject.name, int(subject.truth.factors["session"]), "DWI"))


def _contrast(shown: str, subject: Subject) -> dict[str, Any]:
    if shown != "T1ce":
        return {}
    return bids.contrast_agent_field(float(subject.truth.factors["dose_mmol_kg"]) > 0)


def _timing(timing: Mprage | GradientEcho | SpinEcho | Flair) -> dict[str, Any]:
    fields: dict[str, Any] = {"EchoTime": timing.echo_ms / 1000}
    if isinstance(timing, Mprage):
        inversion = {"InversionTime": timing.inversion_ms / 1000, "FlipAngle": timing.flip_deg}
        return {**fields, "RepetitionTime": timing.repetition_ms / 1000, **inversion, "ScanningSequence": "GR_IR"}
    fields["RepetitionTime"] = timing.repetition_ms / 1000
    if isinstance(timing, Flair):
        return {**fields, "InversionTime": timing.inversion_ms / 1000, "FlipAngle": 90, "ScanningSequence": "SE_IR"}
    if isinstance(timing, GradientEcho):
        return {**fields, "FlipAngle": timing.flip_deg, "ScanningSequence": "GR"}
    return {**fields, "FlipAngle": 90, "ScanningSequence": "SE"}


def _write_truth(root: Path, subject: Subject, session: int) -> list[Path]:
    truth, written = subject.truth, []

    def place(ending: str) -> Path:
        written.append(truth_path(subject.name, session, ending))
        return root / written[-1]

    for group, label in _PROBSEG.items():
        fraction = truth.fractions[group]
        if fraction.data.any():
            # steps of 1/250: below what 8 bits tell, and a file a tenth of the size
            write_volume(place(f"label-{label}_probseg.nii.gz"), fraction.with_data(np.rint(fraction.data * 250) / 250))
    for ending, volume in (
        ("dseg.nii.gz", truth.labels),
        ("desc-brain_mask.nii.gz", truth.brain_mask),
        ("desc-lesion_dseg.nii.gz", truth.lesion_mask),
    ):
        write_volume(place(ending), volume, dtype="uint8")
    write_text(place("lesions.tsv"), bids.table(truth.lesions, ["lesion", "kind", "diameter_mm"]))
    write_json(place("factors.json"), truth.factors)
    return written
