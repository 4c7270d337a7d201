"""A cohort as a BIDS data set: voxels in NIfTI with a header made anew, what is known of each in its sidecar.

Names are pseudonyms and dates are moved; of the DICOM headers nothing is copied but numbers and codes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voxlate.archive import indexed_series
from voxlate.archive.pseudonyms import session_name, subject_name
from voxlate.cohort.series_rows import SeriesRow
from voxlate.errors import InputRefused, NoInput, TemporaryFailure
from voxlate.io import bids
from voxlate.io.atomic import sha256, write_json, write_text
from voxlate.io.documents import read_json
from voxlate.io.nifti import sidecar_path, write_volume
from voxlate.volume import Volume

IGNORED = ("**/ct", "cases*.tsv", "split.json", "cohort.json", "exclusions.tsv", "flow.*")
_COLUMNS = {
    "age": {"Description": "age at the first scan; 89 stands for 89 and above", "Units": "years"},
    "sex": {"Description": "as the archive says", "Levels": {"M": "male", "F": "female", "O": "other"}},
}
_README = """A cohort selected by voxlate. Names are pseudonyms made with a secret of the site, and the dates of each
patient were moved by a number of days of its own. Faces were not removed: an image itself may still tell who it is.

cases.tsv lists the pairs, exclusions.tsv why every other series is not among them, flow.svg the selection in numbers.
"""


@dataclass(frozen=True)
class Wanted:
    """One file of the data set: which series, and as what."""

    scan: SeriesRow
    shows: str

    @property
    def path(self) -> Path:
        """Returns where it lies in the data set."""
        subject, session = subject_name(self.scan["patient"]), session_name(self.scan["study"])
        return bids.image_path(subject, session, self.shows)


def export(index: Path, root: Path, wanted: Wanted) -> tuple[str, str]:
    """Writes one scan with its sidecar, the sidecar last; returns the series and what is wrong with it, or nothing.

    An image that is there already, of the same files, stays as it is; its sidecar is always what is known now.
    """
    series, path = str(wanted.scan["series"]), root / wanted.path
    if not _is_there(path, wanted.scan):
        try:
            volume = _voxels(index, series, wanted.shows)
        except (InputRefused, NoInput, TemporaryFailure) as error:
            return series, f"{error.state}:{error.code}"
        sidecar_path(path).unlink(missing_ok=True)  # it is of the image that was there
        write_volume(path, volume)
    told = sidecar(wanted, sha256(path))
    if _sidecar_at(path) != told:
        write_json(sidecar_path(path), told)
    return series, ""


def sidecar(wanted: Wanted, digest: str) -> dict[str, Any]:
    """Returns the BIDS metadata of a scan, times in seconds; only what is known."""
    scan = wanted.scan
    fields = bids.acquisition_fields(scan)
    if scan["modality"] == "MR" and scan["agent"] in ("yes", "no"):
        fields |= bids.contrast_agent_field(scan["agent"] == "yes")
    quality: dict[str, object] = {"Tier": scan["tier"], "GradedBy": scan["graded_by"], "AgentBy": scan["agent_by"]}
    quality |= {"PassProbability": scan["pass_probability"]}
    known = {name: value for name, value in quality.items() if value is not None}
    stamp = {"Series": scan["series"], "Files": scan["stamp"], "Content": scan["content"] or "", "Sha256": digest}
    return fields | {"Voxlate": {**stamp, "Quality": known}}


def write_frame(root: Path, name: str, scans: Sequence[Wanted]) -> None:
    """Writes what belongs to the data set as a whole: description, participants, dates of the scans."""
    bids.write_description(
        root,
        Name=name,
        BIDSVersion=bids.BIDS_VERSION,
        DatasetType="raw",
        GeneratedBy=bids.generated_by("voxlate cohort"),
    )
    write_text(root / "README", _README)
    bids.write_ignored(root, IGNORED)
    people: dict[str, Mapping[str, Any]] = {}
    for each in sorted(scans, key=lambda one: one.scan["day"] or ""):
        people.setdefault(subject_name(each.scan["patient"]), each.scan)
    rows = [
        {"participant_id": name, "age": _age(scan.get("age_years")), "sex": scan.get("sex") or None}
        for name, scan in sorted(people.items())
    ]
    bids.write_participants(root, rows, _COLUMNS)
    sessions: dict[Path, list[tuple[str, str]]] = {}
    for each in scans:
        session = each.path.parents[1]
        day = f"{each.scan['day']}T00:00:00" if each.scan["day"] else "n/a"
        sessions.setdefault(session, []).append((each.path.relative_to(session).as_posix(), day))
    for session, files in sessions.items():
        rows = [{"filename": file, "acq_time": day} for file, day in sorted(files)]
        path = root / session / f"{session.parts[0]}_{session.parts[1]}_scans.tsv"
        write_text(path, bids.table(rows, ["filename", "acq_time"]))


def prune(root: Path, wanted: Sequence[Wanted]) -> None:
    """Removes images of ours, each with its sidecar, that an earlier selection wrote and this one does not want."""
    kept = {root / each.path for each in wanted}
    for path in root.glob("sub-*/ses-*/*/sub-*.nii.gz"):
        if path not in kept and _is_ours(path):
            path.unlink()
            sidecar_path(path).unlink()
    for path in root.glob("sub-*/ses-*/*/.partial-*"):  # what a kill left
        path.unlink()
    for folder in sorted(root.glob("sub-*/**/"), reverse=True):
        if not any(folder.glob("**/*.nii.gz")):
            for path in folder.glob("*_scans.tsv"):
                path.unlink()
            if not any(folder.iterdir()):
                folder.rmdir()


def require_distinct(wanted: Sequence[Wanted]) -> None:
    """Refuses two series that would be one file, or two patients that would share a name.

    Raises:
        InputRefused: `NAMES_COLLIDE`.
    """
    owners: dict[str, str] = {}
    files: dict[Path, str] = {}
    for each in wanted:
        patient = owners.setdefault(subject_name(each.scan["patient"]), each.scan["patient"])
        series = files.setdefault(each.path, each.scan["series"])
        if patient != each.scan["patient"] or series != each.scan["series"]:
            raise InputRefused(
                "NAMES_COLLIDE", f"two scans would be called {each.path.name}; use another key of the site"
            )


def _voxels(index: Path, series: str, shows: str) -> Volume:
    from voxlate.io.dicom import read_series

    with indexed_series(index, series) as found:
        return read_series(found, shows=shows).volume


def _is_there(path: Path, scan: SeriesRow) -> bool:
    """Tells whether the image is the one of these files, whole."""
    told = _sidecar_at(path).get("Voxlate", {})
    now = {"Series": scan["series"], "Files": scan["stamp"], "Content": scan["content"] or ""}
    return {name: told.get(name) for name in now} == now and path.is_file() and sha256(path) == told.get("Sha256")


def _is_ours(path: Path) -> bool:
    return "Voxlate" in _sidecar_at(path)


def _sidecar_at(path: Path) -> dict[str, Any]:
    """Returns the sidecar of an image, or nothing when there is none that can be read."""
    try:
        told = read_json(sidecar_path(path))
    except (OSError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}


def _age(years: Any) -> str | None:
    """Returns an age as text without a trailing `.0`, or None."""
    return None if years is None or years == "" else f"{years:g}" if isinstance(years, float) else str(years)
