"""Writes a cohort as a BIDS data set: NIfTI images with new headers, and sidecars.

Names are pseudonyms and dates are shifted. From DICOM headers only numbers and codes are copied, never free text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voxlate.archive import indexed_series
from voxlate.archive.pseudonyms import session_name, subject_name
from voxlate.cohort.series_rows import SeriesRow
from voxlate.errors import InputRefused, NoInput, TemporaryFailure
from voxlate.io import bids
from voxlate.io.atomic import sha256, write_json, write_text
from voxlate.io.documents import read_object
from voxlate.io.nifti import sidecar_path, write_volume
from voxlate.jobs.states import DONE, CaseOutcome, outcome_of_error
from voxlate.volume import Volume

IGNORED = (
    "**/ct",
    "cases*.tsv",
    "split.json",
    "cohort.json",
    "exclusions.tsv",
    "flow.*",
    "cohort_table.tsv",
    "cohort.html",
)
_COLUMNS = {
    "age": {"Description": "age at the first scan; 89 stands for 89 and above", "Units": "years"},
    "sex": {"Description": "as the archive says", "Levels": {"M": "male", "F": "female", "O": "other"}},
}
_README = """A cohort selected by voxlate. Names are pseudonyms made with a secret of the site, and the dates of each
patient were moved by a number of days of its own. Faces were not removed: an image itself may still tell who it is.

cases.tsv lists the pairs, or the scans of a cohort without targets. cohort_table.tsv and cohort.html describe them,
exclusions.tsv says why every other series is not among them, flow.svg shows the selection in numbers.
"""


@dataclass(frozen=True)
class CohortImage:
    """One image of the data set.

    Attributes:
        scan: row of the series in the archive index.
        shows: its contrast, a key of `io.bids.IMAGES`.
        run: see `Pair.run`.
    """

    scan: SeriesRow
    shows: str
    run: int = 0

    @property
    def path(self) -> Path:
        """Returns its path below the data set."""
        subject, session = subject_name(self.scan["patient"]), session_name(self.scan["study"])
        return bids.image_path(subject, session, self.shows, self.run)


def export(index: Path, root: Path, image: CohortImage) -> CaseOutcome:
    """Writes one image, and its sidecar last.

    An existing image of the same DICOM files is kept; its sidecar is updated.

    Args:
        index: folder of the archive index.
        root: folder of the data set.
        image: what to write.

    Returns:
        The outcome of the series: done, refused or failed.
    """
    series, path = str(image.scan["series"]), root / image.path
    if not _is_current(path, image.scan):
        try:
            volume = _voxels(index, series, image.shows)
        except (InputRefused, NoInput, TemporaryFailure) as error:
            return outcome_of_error(series, error)
        sidecar_path(path).unlink(missing_ok=True)  # it describes the image that is replaced
        write_volume(path, volume)
    content = sidecar(image, sha256(path))
    if _sidecar_at(path) != content:
        write_json(sidecar_path(path), content)
    return CaseOutcome(series, DONE)


def sidecar(image: CohortImage, digest: str) -> dict[str, Any]:
    """Returns the BIDS sidecar of an image: known values only, times in seconds.

    Args:
        image: the image.
        digest: SHA-256 of the image file.
    """
    scan = image.scan
    fields = bids.acquisition_fields(scan)
    if scan["modality"] == "MR" and scan["agent"] in ("yes", "no"):
        fields |= bids.contrast_agent_field(scan["agent"] == "yes")
    quality: dict[str, object] = {"Tier": scan["tier"], "GradedBy": scan["graded_by"], "AgentBy": scan["agent_by"]}
    quality |= {"PassProbability": scan["pass_probability"]}
    graded = {name: value for name, value in quality.items() if value is not None}
    origin = {"Series": scan["series"], "Files": scan["stamp"], "Content": scan["content"] or "", "Sha256": digest}
    return fields | {"Voxlate": {**origin, "Quality": graded}}


def write_dataset_files(root: Path, name: str, images: Sequence[CohortImage]) -> None:
    """Writes the files that describe the whole data set: description, participants, dates of the scans.

    Args:
        root: folder of the data set.
        name: name of the cohort.
        images: all images of the cohort.
    """
    bids.write_description(
        root,
        Name=name,
        BIDSVersion=bids.BIDS_VERSION,
        DatasetType="raw",
        GeneratedBy=bids.generated_by("voxlate cohort"),
    )
    write_text(root / "README", _README)
    bids.write_ignored(root, IGNORED)
    people: dict[str, SeriesRow] = {}
    for each in sorted(images, key=lambda one: one.scan["day"] or ""):
        people.setdefault(subject_name(each.scan["patient"]), each.scan)
    rows = [
        {"participant_id": name, "age": _age(scan["age_years"]), "sex": scan["sex"]}
        for name, scan in sorted(people.items())
    ]
    bids.write_participants(root, rows, _COLUMNS)
    sessions: dict[Path, list[tuple[str, str]]] = {}
    for each in images:
        session = each.path.parents[1]
        day = f"{each.scan['day']}T00:00:00" if each.scan["day"] else "n/a"
        sessions.setdefault(session, []).append((each.path.relative_to(session).as_posix(), day))
    for session, files in sessions.items():
        rows = [{"filename": file, "acq_time": day} for file, day in sorted(files)]
        path = root / session / f"{session.parts[0]}_{session.parts[1]}_scans.tsv"
        write_text(path, bids.table(rows, ["filename", "acq_time"]))


def remove_unselected(root: Path, images: Sequence[CohortImage]) -> None:
    """Removes images and sidecars that an earlier selection wrote and this one does not hold; other files stay."""
    kept = {root / each.path for each in images}
    for path in root.glob("sub-*/ses-*/*/sub-*.nii.gz"):
        if path not in kept and _is_ours(path):
            path.unlink()
            sidecar_path(path).unlink()
    for path in root.glob("sub-*/ses-*/*/.partial-*"):  # temporary files of a killed run
        path.unlink()
    for folder in sorted(root.glob("sub-*/**/"), reverse=True):
        if not any(folder.glob("**/*.nii.gz")):
            for path in folder.glob("*_scans.tsv"):
                path.unlink()
            if not any(folder.iterdir()):
                folder.rmdir()


def require_distinct(images: Sequence[CohortImage]) -> None:
    """Refuses two series with one file name, or two patients with one pseudonym.

    Raises:
        InputRefused: `NAMES_COLLIDE`.
    """
    owners: dict[str, str] = {}
    files: dict[Path, str] = {}
    for each in images:
        patient = owners.setdefault(subject_name(each.scan["patient"]), each.scan["patient"])
        series = files.setdefault(each.path, each.scan["series"])
        if patient != each.scan["patient"] or series != each.scan["series"]:
            raise InputRefused("NAMES_COLLIDE", f"two scans would get the name {each.path.name}; use another site key")


def _voxels(index: Path, series: str, shows: str) -> Volume:
    from voxlate.io.dicom import read_series

    with indexed_series(index, series) as files:
        return read_series(files, shows=shows).volume


def _is_current(path: Path, scan: SeriesRow) -> bool:
    """Returns whether the image exists, is complete and comes from the same DICOM files."""
    written = _sidecar_at(path).get("Voxlate", {})
    current = {"Series": scan["series"], "Files": scan["stamp"], "Content": scan["content"] or ""}
    return (
        {name: written.get(name) for name in current} == current
        and path.is_file()
        and sha256(path) == written.get("Sha256")
    )


def _is_ours(path: Path) -> bool:
    return "Voxlate" in _sidecar_at(path)


def _sidecar_at(path: Path) -> dict[str, Any]:
    """Returns the sidecar of an image; empty if it is missing or unreadable."""
    return read_object(sidecar_path(path))


def _age(years: float | None) -> str | None:
    """Returns an age as text without a trailing `.0`, or None."""
    return None if years is None else f"{years:g}"
