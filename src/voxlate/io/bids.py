"""The Brain Imaging Data Structure (BIDS): file names, sidecars, and the files that describe a data set.

The simulator, the cohort export and `voxlate bids` all use these names.
Specification: https://bids-specification.readthedocs.io (version `BIDS_VERSION`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from voxlate.errors import InputRefused
from voxlate.io.atomic import write_json, write_text
from voxlate.io.documents import InvalidDocument, parse_json, read_bounded, read_object
from voxlate.io.nifti import sidecar_path
from voxlate.version import __version__

BIDS_VERSION = "1.10.0"
SIMULATED_BY = "voxlate simulate"
"""Name in `GeneratedBy` of a data set of simulated scans."""

DESCRIPTION_FILE = "dataset_description.json"
IMAGES: Mapping[str, tuple[str, str]] = {
    "T1w": ("anat", "T1w"),
    "T1ce": ("anat", "ce-gadolinium_T1w"),
    "T2w": ("anat", "T2w"),
    "FLAIR": ("anat", "FLAIR"),
    "PDw": ("anat", "PDw"),
    "T2*w": ("anat", "T2starw"),
    "angiography": ("anat", "angio"),
    "CT": ("ct", "ct"),
    "DWI": ("dwi", "dwi"),
    "ADC": ("dwi", "ADC"),
}
"""Folder and name ending of an image, by its contrast. BIDS 1.10 has none for CT; `ct` is an addition of voxlate."""

CONTRAST_ALIASES: Mapping[str, str] = {"T1": "T1w", "T1nce": "T1w", "T2": "T2w", "PD": "PDw"}
"""Other names that recipes use for a contrast in `IMAGES`."""

_SIDECAR_FIELDS = {
    "manufacturer": "Manufacturer",
    "model": "ManufacturersModelName",
    "field_tesla": "MagneticFieldStrength",
    "flip_deg": "FlipAngle",
    "acquisition": "MRAcquisitionType",
    "modality": "Modality",
}
_SIDECAR_TIMES = {"repetition_ms": "RepetitionTime", "echo_ms": "EchoTime", "inversion_ms": "InversionTime"}
_AGENT_FIELD, _GADOLINIUM, _NO_AGENT = "ContrastBolusIngredient", "GADOLINIUM", "NONE"
_NAME = re.compile(r"^sub-[A-Za-z0-9]+(_[a-z]+-[A-Za-z0-9]+)*_[A-Za-z0-9]+\.nii(\.gz)?$")
_CE_ENTITY = re.compile(r"_ce-[A-Za-z0-9]+_")


def image_path(subject: str, session: str, contrast: str, run: int = 0) -> Path:
    """Returns the path of an image below its data set.

    Args:
        subject: with its prefix, `sub-0001`.
        session: with its prefix, `ses-01`.
        contrast: a key of `IMAGES`.
        run: number of the image among those of its contrast and session; 0 leaves the entity `run` out.

    Example:
        >>> image_path("sub-01", "ses-02", "T1ce").as_posix()
        'sub-01/ses-02/anat/sub-01_ses-02_ce-gadolinium_T1w.nii.gz'
        >>> image_path("sub-01", "ses-02", "T1ce", run=2).name
        'sub-01_ses-02_ce-gadolinium_run-2_T1w.nii.gz'
    """
    folder, ending = IMAGES[contrast]
    *entities, suffix = ending.split("_")
    name = "_".join([subject, session, *entities, *([f"run-{run}"] if run else []), suffix])
    return Path(subject) / session / folder / f"{name}.nii.gz"


def suffix_of(contrast: str) -> str | None:
    """Returns the BIDS suffix of a contrast (`T1w` for `T1nce`), or None for one that BIDS does not name.

    None for `DWI` too: a diffusion-weighted image is a series of volumes, and this is the suffix of one volume.
    """
    name = CONTRAST_ALIASES.get(contrast, contrast)
    return None if name == "DWI" or name not in IMAGES else IMAGES[name][1].rpartition("_")[2]


def contrast_of(path: Path) -> str | None:
    """Returns the contrast, a key of `IMAGES`, that the name of a scan states by its suffix; None for other names.

    A sidecar that names a gadolinium agent makes a `T1w` a `T1ce`.

    Example:
        >>> contrast_of(Path("sub-01_ce-gadolinium_T1w.nii.gz")), contrast_of(Path("scan.nii.gz"))
        ('T1ce', None)
    """
    suffix = path.name.partition(".")[0].rpartition("_")[2]
    if suffix == "T1w":
        return "T1ce" if is_contrast_enhanced(path) else "T1w"
    return next((contrast for contrast, (_, ending) in IMAGES.items() if ending == suffix), None)


def raw_uri(path: Path | str) -> str:
    """Returns the BIDS URI of a file of the raw data set that a derivative links as `raw`."""
    return f"bids:raw:{path.as_posix() if isinstance(path, Path) else path}"


def require_valid_scan(path: Path) -> None:
    """Refuses a scan whose file name or JSON sidecar is not valid BIDS; a missing sidecar is valid.

    Raises:
        InputRefused: `BIDS`; for broken JSON the message gives line and column.
    """
    entities = [part.split("-")[0] for part in path.name.split("_")[:-1]]
    if not _NAME.fullmatch(path.name) or len(set(entities)) < len(entities):
        raise InputRefused("BIDS", f"{path.name} is not a BIDS name: an entity is repeated or invalid; rename the file")
    sidecar = sidecar_path(path)
    try:
        content = parse_json(read_bounded(sidecar).decode("utf-8"))  # not utf-8-sig: BIDS forbids a byte order mark
    except FileNotFoundError:
        return
    except UnicodeDecodeError as error:
        raise InputRefused("BIDS", f"{sidecar.name}: not UTF-8 at byte {error.start}; save it as UTF-8") from error
    except (InvalidDocument, OSError) as error:
        raise InputRefused("BIDS", f"{sidecar.name}: {error}") from error
    if not isinstance(content, dict):
        raise InputRefused("BIDS", f"{sidecar.name}: the JSON must be an object")


def is_contrast_enhanced(path: Path) -> bool:
    """Returns whether the file name (entity `ce`) or the sidecar of a scan names a gadolinium contrast agent."""
    if _CE_ENTITY.search(path.name):
        return True
    return str(read_object(sidecar_path(path)).get(_AGENT_FIELD)).upper() == _GADOLINIUM


def contrast_agent_field(is_given: bool) -> dict[str, str]:
    """Returns the sidecar field that says whether a gadolinium contrast agent was given."""
    return {_AGENT_FIELD: _GADOLINIUM if is_given else _NO_AGENT}


def acquisition_fields(series: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the sidecar fields of a series from its row in the archive index; times go from milliseconds to seconds.

    Fields that are missing, empty or zero are left out.
    """
    fields = {field: series[name] for name, field in _SIDECAR_FIELDS.items() if series.get(name)}
    return fields | {field: series[name] / 1000 for name, field in _SIDECAR_TIMES.items() if series.get(name)}


def generated_by(name: str, description: str = "") -> list[dict[str, str]]:
    """Returns the value of `GeneratedBy`: the program, its version and, if given, what it did."""
    entry = {"Name": name, "Version": __version__}
    return [entry | ({"Description": description} if description else {})]


def is_simulated(root: Path) -> bool:
    """Returns whether `voxlate simulate` made the data set in a folder, as its `dataset_description.json` says."""
    try:
        return any(entry["Name"] == SIMULATED_BY for entry in read_object(root / DESCRIPTION_FILE)["GeneratedBy"])
    except (LookupError, TypeError):  # no data set of BIDS, or another writer's fields
        return False


def write_description(root: Path, **fields: Any) -> None:
    """Writes `dataset_description.json`.

    Args:
        root: folder of the data set.
        **fields: by their BIDS names, in the order in which they are written.
    """
    write_json(root / DESCRIPTION_FILE, fields)


def write_ignored(root: Path, patterns: Sequence[str]) -> None:
    """Writes `.bidsignore`, which names the files that BIDS does not define."""
    write_text(root / ".bidsignore", "\n".join(patterns) + "\n")


def write_participants(root: Path, participants: Sequence[Mapping[str, Any]], columns: Mapping[str, Any]) -> None:
    """Writes `participants.tsv` and `participants.json`.

    Args:
        root: folder of the data set.
        participants: one row per person, with `participant_id`.
        columns: description of each other column.
    """
    write_text(root / "participants.tsv", table(participants, ["participant_id"]))
    write_json(root / "participants.json", columns)


def table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> str:
    r"""Returns rows as tab-separated text: the given columns first, then the others; `n/a` where a value is missing.

    Example:
        >>> table([{"participant_id": "sub-01", "age": 63}, {"participant_id": "sub-02"}], ["participant_id"])
        'participant_id\tage\nsub-01\t63\nsub-02\tn/a\n'
    """
    names = list(dict.fromkeys([*columns, *(name for row in rows for name in row)]))
    lines = [names, *([_cell(row.get(name)) for name in names] for row in rows)]
    return "\n".join("\t".join(line) for line in lines) + "\n"


def _cell(value: Any) -> str:
    if value is None:
        return "n/a"
    return str(value).lower() if isinstance(value, bool) else str(value)
