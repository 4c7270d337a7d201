"""Creates and loads the folder of a reader study.

- `study.json`: the protocol
- `images/<id>.nii`: re-encoded images under random names
- `allocation.json`: each reader's trials in order; ids only
- `practice.json`: practice trials of each design, ids only; missing in a study without practice
- `key.json`: case and version of each image and trial, and the patients of the cases; the server never sends anything
  from it
- `truth.json`: lesions in voxels of the displayed images (design `marks`)
- `leaks.json`: result of the leak test
- `manifest.json`: hashes of images and protocol; written last
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NotRequired, TypedDict

import numpy as np
from scipy import ndimage

from voxlate.errors import InputRefused, NoInput, UsageError, writing
from voxlate.io.atomic import sha256, write_json
from voxlate.io.documents import json_sha256, read_json
from voxlate.io.nifti import nifti_stem, read_volume, write_volume
from voxlate.io.tables import read_rows
from voxlate.preparation.steps.orientation import ToRas
from voxlate.readers.allocation import Item, Version, allocate, practice_items
from voxlate.readers.encoding import encode_pair, encode_source, voxel_type
from voxlate.readers.leaks import Leak, as_records, find_leaks, require_no_leak
from voxlate.readers.study import PAIRED_KINDS, Images, Study, read_study
from voxlate.version import __version__
from voxlate.volume import Volume, require_same_grid

IMAGES, STUDY, ALLOCATION, KEY = "images", "study.json", "allocation.json", "key.json"
TRUTH, LEAKS, MANIFEST, PRACTICE = "truth.json", "leaks.json", "manifest.json", "practice.json"

_UNNAMED = ("", "n/a")
"""Fields without a value, as in a table of cases; `n/a` is how BIDS writes it."""

VERSIONS: tuple[Version, Version] = ("real", "synthetic")


class Lesion(TypedDict):
    """One lesion as in `truth.json`: its voxels as indices (i, j, k) into the displayed image, and their spacing."""

    spacing_mm: list[float]
    voxels: list[list[int]]


class ImageKey(TypedDict):
    """What an image file shows; `source` is the scan beside both versions."""

    case: str
    version: Version | Literal["source"]


class TrialKey(TypedDict):
    """What a trial shows; `shown` lists the versions from left to right."""

    case: str
    shown: list[Version]
    is_repeat: bool


class Key(TypedDict):
    """Content of `key.json`: images by their id, trials by theirs, and patients by case where the study names them."""

    images: dict[str, ImageKey]
    trials: dict[str, TrialKey]
    patients: NotRequired[dict[str, str]]


@dataclass(frozen=True)
class Trial:
    """One trial, without its case and versions.

    Attributes:
        id: random; the only name that the server sends.
        reader: pseudonym; empty for a practice trial.
        position: trials of the reader before this one.
        design: name of the design.
        session: 0 or 1.
        images: ids from left to right.
        source: id of the source beside them, or None.
    """

    id: str
    reader: str
    position: int
    design: str
    session: int
    images: tuple[str, ...]
    source: str | None = None

    @property
    def panels(self) -> tuple[str, ...]:
        """Returns the ids of everything that is shown, from left to right; the source comes first."""
        return self.images if self.source is None else (self.source, *self.images)


@dataclass(frozen=True)
class Package:
    """A study folder, read and checked.

    Attributes:
        folder: where the study is.
        study: the protocol.
        trials: of each reader, in order.
        protocol_hash: SHA-256 of protocol, allocation, practice, images and key.
        key: case and version of each image and trial, and patients; practice trials are not in it, so no analysis can
            join them.
        practice: practice trials of each design, by its name; empty in a study without practice.
    """

    folder: Path
    study: Study
    trials: Mapping[str, tuple[Trial, ...]]
    protocol_hash: str
    key: Key
    practice: Mapping[str, tuple[Trial, ...]]

    def image_path(self, image: str) -> Path:
        """Returns the path of an image."""
        return image_path(self.folder, image)


def image_path(folder: Path, image: str) -> Path:
    """Returns the path of an image in the folder of a study."""
    return folder / IMAGES / f"{image}.nii"


def create_package(study_path: Path, folder: Path, *, watch: Callable[[str], None] = lambda _: None) -> list[Leak]:
    """Creates the folder of a study; on an error no folder is left behind.

    Args:
        study_path: the YAML file; the folders of images are relative to it.
        folder: new or empty.
        watch: is called with the name of each encoded case, for a progress bar.

    Returns:
        The result of the leak test, one entry per feature.

    Raises:
        UsageError: `STUDY`, `WASHOUT`, `REPEATS`; `EXISTS` when the folder is not empty.
        NoInput: `NO_INPUT` when a folder or a version of a case is missing.
        InputRefused: `GRID_MISMATCH`, `LEAK`, `CASES` for a table that does not name the patient of a case; see also
            `read_volume` and `encode_pair`.
        TemporaryFailure, CannotWrite: see `voxlate.errors.writing`.
    """
    study = read_study(study_path)
    if folder.exists() and any(folder.iterdir()):
        raise UsageError("EXISTS", f"{folder.name} is not empty; a frozen study cannot be changed, name a new folder")
    cases = _cases(study, study_path.parent)
    patients = _patients(study, study_path.parent, cases)
    allocation = allocate(study, cases)
    shown = [*cases, *study.practice]
    with _whole_folder(folder) as partial:
        ids = {(case, version): secrets.token_hex(16) for case in shown for version in VERSIONS}
        sources = {case: secrets.token_hex(16) for case in shown} if study.images.source else {}
        truth = {}
        for case in shown:
            truth[case] = _encode_case(
                study.images, study_path.parent, partial, case=case, ids=ids, source=sources.get(case)
            )
            watch(case)
        leaks = find_leaks([(ids[case, "real"], ids[case, "synthetic"]) for case in shown], _loader(partial))
        require_no_leak(leaks)
        write_json(partial / LEAKS, as_records(leaks))
        write_json(partial / TRUTH, {case: truth[case] for case in cases})
        _freeze(study, allocation, ids, sources, patients, partial)
    return leaks


@contextmanager
def _whole_folder(folder: Path) -> Iterator[Path]:
    """Yields a temporary folder beside `folder`; it is renamed to `folder` when the block ends without an error."""
    with writing(folder.name):
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=".partial-", dir=folder.parent))
    try:
        yield partial
        with writing(folder.name):
            partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def load_package(folder: Path, *, is_verified: bool = True) -> Package:
    """Returns a study folder after a check of its hashes.

    Args:
        folder: the study.
        is_verified: whether to hash every image again; otherwise the hashes of the manifest are used.

    Raises:
        NoInput: `NO_INPUT` when the folder holds no study.
        InputRefused: `PROTOCOL_CHANGED` when a file is damaged or differs from the frozen one.
    """
    if not (folder / MANIFEST).is_file():
        raise NoInput("NO_INPUT", f"{folder.name} holds no finished study; run voxlate readers create")
    changed = InputRefused(
        "PROTOCOL_CHANGED", f"{folder.name} was changed after it was frozen; restore its files, or create another study"
    )
    try:
        manifest, allocation, key = (read_json(folder / name) for name in (MANIFEST, ALLOCATION, KEY))
        study = Study.model_validate(read_json(folder / STUDY))
        hashes = manifest["images"]
        if is_verified:
            hashes = {image: sha256(image_path(folder, image)) for image in hashes}
        practice = read_json(folder / PRACTICE) if (folder / PRACTICE).is_file() else {}
        protocol_hash = _protocol_hash(study, allocation, practice, hashes, key)
        is_unchanged = protocol_hash == manifest["protocol_sha256"]
        trials = {reader: _trials(reader, entries) for reader, entries in allocation.items()}
        practised = {design: _trials("", entries) for design, entries in practice.items()}
    except (OSError, ValueError, TypeError, LookupError, AttributeError) as error:  # a damaged file raises any of these
        raise changed from error
    if not is_unchanged:
        raise changed
    return Package(folder, study, trials, protocol_hash, key, practised)


def _trials(reader: str, entries: Sequence[Mapping[str, Any]]) -> tuple[Trial, ...]:
    """Returns trials from their entries in `allocation.json` or `practice.json`."""
    return tuple(
        Trial(entry["id"], reader, at, entry["design"], entry["session"], tuple(entry["images"]), entry.get("source"))
        for at, entry in enumerate(entries)
    )


def check_leaks(package: Package) -> list[Leak]:
    """Repeats the leak test on the images of a study and returns its result.

    Raises:
        InputRefused: `LEAK`.
    """
    by_case: dict[str, dict[str, str]] = {}
    for image, entry in package.key["images"].items():
        by_case.setdefault(entry["case"], {})[entry["version"]] = image
    leaks = find_leaks([(own["real"], own["synthetic"]) for own in by_case.values()], _loader(package.folder))
    require_no_leak(leaks)
    return leaks


def _loader(folder: Path) -> Callable[[str], bytes]:
    return lambda image: image_path(folder, image).read_bytes()


def _cases(study: Study, root: Path) -> list[str]:
    folder = root / study.images.real
    if not folder.is_dir():
        raise NoInput("NO_INPUT", f"images.real: the folder {folder.name} does not exist; correct the study file")
    found = {nifti_stem(path) for path in folder.glob("*.nii*")}
    cases = list(study.cases) or sorted(found - set(study.practice))
    if found and not cases:
        raise UsageError("STUDY", "practice names every case of images.real; leave cases that count")
    if not cases:
        raise NoInput("NO_INPUT", f"images.real: {folder.name} holds no .nii or .nii.gz; correct the study file")
    return cases


def _patients(study: Study, root: Path, cases: Sequence[str]) -> dict[str, str]:
    """Returns the patient of each case; empty for a study that does not name patients."""
    if study.patients is None:
        return {}
    table = root / study.patients
    found: dict[str, str] = {}
    for row in read_rows(table, code="CASES", needed=("case", "patient")):
        found.setdefault(row["case"], row["patient"].strip())
    absent = [case for case in cases if found.get(case, "") in _UNNAMED]
    if absent:
        raise InputRefused(
            "CASES", f"{table.name} names no patient of {', '.join(absent[:3])} ({len(absent)} cases); add them"
        )
    return {case: found[case] for case in cases}


def _volume(root: Path, folder: str, case: str) -> Volume:
    for suffix in (".nii.gz", ".nii"):
        path = root / folder / f"{case}{suffix}"
        if path.is_file():
            return read_volume(path)
    raise NoInput("NO_INPUT", f"{case}: no {case}.nii.gz in {Path(folder).name}; each case needs every version")


def _encode_case(
    images: Images,
    root: Path,
    folder: Path,
    *,
    case: str,
    ids: Mapping[tuple[str, Version], str],
    source: str | None,
) -> list[Lesion]:
    """Writes both versions of a case, and its source under that random name, if any; returns its lesions."""
    real = _volume(root, images.real, case)
    mask = _volume(root, images.mask, case) if images.mask else None
    pair = encode_pair(real, _volume(root, images.synthetic, case), case=case, mask=mask, settings=images)
    # In the order of the random names: a fixed order of versions would show in the dates of the files.
    for version, image in sorted(zip(VERSIONS, pair, strict=True), key=lambda shown: ids[case, shown[0]]):
        write_volume(image_path(folder, ids[case, version]), image, dtype=voxel_type(images.levels))
    if images.source and source:
        encoded = encode_source(_volume(root, images.source, case), real, case=case, settings=images)
        write_volume(image_path(folder, source), encoded, dtype=voxel_type(images.levels))
    if images.lesions is None:
        return []
    lesions = _volume(root, images.lesions, case)
    require_same_grid(lesions, real, names=(f"{case}: the lesions", "the images"))
    return _lesions(ToRas(lesions.grid).apply(lesions))


def _lesions(volume: Volume) -> list[Lesion]:
    """Returns the lesions of a mask, its 26-connected components."""
    labelled, count = ndimage.label(volume.data > 0.5, structure=np.ones((3, 3, 3)))
    bounding_boxes = ndimage.find_objects(labelled)
    return [
        {
            "spacing_mm": list(volume.spacing_mm),
            "voxels": (np.argwhere(labelled[box] == number + 1) + [side.start for side in box]).tolist(),
        }
        for number, box in zip(range(count), bounding_boxes, strict=True)
    ]


def _freeze(
    study: Study,
    allocation: Mapping[str, Sequence[Item]],
    ids: Mapping[tuple[str, Version], str],
    sources: Mapping[str, str],
    patients: Mapping[str, str],
    folder: Path,
) -> None:
    """Writes protocol, allocation, practice, key and manifest of a study; the manifest last.

    The ids of trials are keyed hashes. Without the secret, which is not stored, they reveal neither reader nor
    position.
    """
    secret = secrets.token_bytes(32)
    key: Key = {
        "images": {image: {"case": case, "version": version} for (case, version), image in ids.items()},
        "trials": {},
    }
    key["images"] |= {image: {"case": case, "version": "source"} for case, image in sources.items()}
    if patients:
        key["patients"] = dict(patients)

    def entry(item: Item, name: str) -> dict[str, Any]:
        trial = hmac.new(secret, name.encode(), hashlib.sha256).hexdigest()[:32]
        shown = [ids[item.case, version] for version in item.shown]
        content = {"id": trial, "design": item.design, "session": item.session, "images": shown}
        is_paired = study.design(item.design).kind in PAIRED_KINDS
        return content | ({"source": sources[item.case]} if sources and is_paired else {})

    entries: dict[str, list[dict[str, Any]]] = {}
    for reader, items in allocation.items():
        entries[reader] = [entry(item, f"{reader}\0{at}") for at, item in enumerate(items)]
        for made, item in zip(entries[reader], items, strict=True):
            key["trials"][made["id"]] = {"case": item.case, "shown": list(item.shown), "is_repeat": item.is_repeat}
    practice = {
        design: [entry(item, f"\0practice\0{design}\0{at}") for at, item in enumerate(items)]
        for design, items in practice_items(study).items()
        if items
    }
    hashes = {image: sha256(image_path(folder, image)) for image in sorted([*ids.values(), *sources.values()])}
    write_json(folder / STUDY, study.model_dump(mode="json"))
    write_json(folder / ALLOCATION, entries)
    if practice:
        write_json(folder / PRACTICE, practice)
    write_json(folder / KEY, key)
    (folder / KEY).chmod(0o600)
    content = {
        "voxlate_version": __version__,
        "study_sha256": study.content_hash(),
        "protocol_sha256": _protocol_hash(study, entries, practice, hashes, key),
        "images": hashes,
    }
    write_json(folder / MANIFEST, content)


def _protocol_hash(study: Study, allocation: Any, practice: Any, hashes: Mapping[str, str], key: Any) -> str:
    """Returns the hash of a study; without practice it is the one that it had before there was any."""
    content = {"study": study.content_hash(), "allocation": allocation, "images": dict(hashes), "key": key}
    return json_sha256(content | ({"practice": practice} if practice else {}))
