"""Writes one session of a simulated subject as BIDS: raw images with sidecars, and the ground truth as a derivative."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from voxlate.io import bids
from voxlate.io.atomic import write_json, write_text
from voxlate.io.nifti import sidecar_path, write_volume, write_volumes
from voxlate.simulation.physics.scan import B_VALUES_S_MM2, slices_of
from voxlate.simulation.physics.scanners import Scanner, scanner_named
from voxlate.simulation.physics.sequences import Flair, GradientEcho, Mprage, SpinEcho
from voxlate.simulation.subject import Subject

TRUTH = Path("derivatives") / "truth"
IGNORED = ("**/ct", "cases.tsv")
"""Files of the raw data set that BIDS does not define."""

IGNORED_TRUTH = ("manifest.json", "simulation.json", "oracle.json", "*_factors.json", "*_lesions.tsv", "*_dicom.json")
"""Files of the ground truth that BIDS does not define."""
_PROBSEG = {"csf": "CSF", "gm": "GM", "wm": "WM", "vessel": "VESSEL", "lesion": "LESION", "oedema": "OEDEMA"}
_PROBSEG |= {"bone": "BONE", "soft": "SOFT", "disc": "DISC"}


def session_name(session: int) -> str:
    """Returns `ses-01` for the first session."""
    return f"ses-{session + 1:02d}"


def image_path(subject: str, session: int, shown: str) -> Path:
    """Returns the path of an image below the data set.

    Args:
        subject: with its prefix, `sub-0001`.
        session: number from 0.
        shown: `T1w`, `T1ce`, `T2w`, `FLAIR`, `CT`, `DWI` or `ADC`; the ADC map is part of the ground truth.
    """
    visit = session_name(session)
    root = TRUTH if shown == "ADC" else Path()
    return root / bids.image_path(subject, visit, shown)


def truth_path(subject: str, session: int, ending: str) -> Path:
    """Returns the path of a ground-truth file below the data set; `ending` is the last part of its name."""
    visit = session_name(session)
    return TRUTH / subject / visit / "anat" / f"{subject}_{visit}_{ending}"


def write_session(root: Path, subject: Subject, session: int) -> list[Path]:
    """Writes the images and the ground truth of one session; returns the paths below the data set.

    Args:
        root: folder of the data set.
        subject: the simulated subject.
        session: number from 0.

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
    # BIDS requires a direction, and trace-weighted images have none: write the first axis.
    directions = [["0" if b == 0 or axis else "1" for b in B_VALUES_S_MM2] for axis in range(3)]
    write_text(root / bvec, "\n".join(" ".join(row) for row in directions) + "\n")
    write_json(sidecar_path(root / path), sidecar("DWI", scanner, subject))
    return [path, bval, bvec, sidecar_path(path)]


def sidecar(shown: str, scanner: Scanner, subject: Subject) -> dict[str, Any]:
    """Returns the BIDS sidecar of an image, times in seconds.

    Args:
        shown: contrast, as for `image_path`.
        scanner: the simulated scanner.
        subject: the simulated subject.
    """
    common: dict[str, Any] = {"Manufacturer": "voxlate", "SimulatedData": True}
    if shown == "CT":
        return {**common, "Modality": "CT", "ManufacturersModelName": "Simulated CT"}
    slice_mm, gap_mm = slices_of(scanner, shown, improper_of(subject, shown))
    common |= {
        "Modality": "MR",
        "ManufacturersModelName": f"Simulated scanner {scanner.name}",
        "MagneticFieldStrength": scanner.field_tesla,
        "MRAcquisitionType": "2D" if slice_mm else "3D",
    }
    if slice_mm:
        common |= {"SliceThickness": slice_mm, "SpacingBetweenSlices": slice_mm + gap_mm}
    if shown == "ADC":
        return {**common, "Units": "0.001 mm2/s", "Sources": [_dwi_source(subject)]}
    others: dict[str, SpinEcho | Flair] = {"T2w": scanner.t2w, "FLAIR": scanner.flair, "DWI": scanner.diffusion}
    timing = others.get(shown, scanner.t1w)
    return {**common, **_timing(timing), **_contrast(shown, subject)}


def improper_of(subject: Subject, shown: str) -> str:
    """Returns why an image is not a proper T1w, see `quality.Grades`; empty for all other images."""
    grades = subject.truth.factors["acquisitions"].get(shown, {}).get("grades", {})
    return str(grades.get("improper", ""))


def _dwi_source(subject: Subject) -> str:
    return bids.raw_uri(image_path(subject.name, int(subject.truth.factors["session"]), "DWI"))


def _contrast(shown: str, subject: Subject) -> dict[str, Any]:
    if shown != "T1ce":
        return {}
    return bids.contrast_agent_field(float(subject.truth.factors["dose_mmol_kg"]) > 0)


def _timing(timing: Mprage | GradientEcho | SpinEcho | Flair) -> dict[str, Any]:
    fields: dict[str, Any] = {"EchoTime": timing.echo_ms / 1000, "RepetitionTime": timing.repetition_ms / 1000}
    if isinstance(timing, Mprage):
        inversion = {"InversionTime": timing.inversion_ms / 1000, "FlipAngle": timing.flip_deg}
        return {**fields, **inversion, "ScanningSequence": "GR_IR"}
    if isinstance(timing, Flair):
        return {**fields, "InversionTime": timing.inversion_ms / 1000, "FlipAngle": 90, "ScanningSequence": "SE_IR"}
    if isinstance(timing, GradientEcho):
        return {**fields, "FlipAngle": timing.flip_deg, "ScanningSequence": "GR"}
    return {**fields, "FlipAngle": 90, "ScanningSequence": "SE"}


def _write_truth(root: Path, subject: Subject, session: int) -> list[Path]:
    truth, written = subject.truth, []

    def path_of(ending: str) -> Path:
        written.append(truth_path(subject.name, session, ending))
        return root / written[-1]

    for group, label in _PROBSEG.items():
        fraction = truth.fractions[group]
        if fraction.data.any():
            # Rounded to steps of 1/250, about 8 bits: the file is a tenth of the size.
            write_volume(
                path_of(f"label-{label}_probseg.nii.gz"), fraction.with_data(np.rint(fraction.data * 250) / 250)
            )
    for ending, volume in (
        ("dseg.nii.gz", truth.labels),
        ("desc-brain_mask.nii.gz", truth.brain_mask),
        ("desc-lesion_dseg.nii.gz", truth.lesion_mask),
    ):
        write_volume(path_of(ending), volume, dtype="uint8")
    write_text(path_of("lesions.tsv"), bids.table(truth.lesions, ["lesion", "kind", "diameter_mm"]))
    write_json(path_of("factors.json"), truth.factors)
    return written
