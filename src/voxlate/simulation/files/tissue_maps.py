"""Tissue maps of many simulated heads in a folder, from which training draws windows; a stopped run can be continued.

Each head has a folder with its arrays and `tissue_map.json`, written last, which names the tissues and holds the hash
of each array.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import partial
from pathlib import Path
from typing import Any

from voxlate.errors import InputRefused, NoInput, UsageError
from voxlate.io.arrays import mapped_array, write_array
from voxlate.io.atomic import write_json
from voxlate.io.documents import read_object
from voxlate.jobs.processes import require_jobs
from voxlate.jobs.results import are_unchanged, hash_files, resume
from voxlate.jobs.run_folder import RunFolder
from voxlate.simulation.anatomy.anatomies import Anatomies, EmbeddedHead, FormulaHeads
from voxlate.simulation.anatomy.tissues import Tissue
from voxlate.simulation.checks import require_not_negative
from voxlate.simulation.lesions.lesions import Lesion, draw_lesions, require_lesion_set
from voxlate.simulation.patient import PatientOptions, build_patient, draw_patient
from voxlate.simulation.physics.scanners import TRAINING_SCANNERS, scanner_named
from voxlate.simulation.rng import generator
from voxlate.simulation.subject import SIZES_MM, require_size, subject_name
from voxlate.simulation.tissue_map import TissueMap, compact
from voxlate.version import __version__

SETTINGS_FILE = "tissue_maps.json"
"""Settings of a folder of tissue maps."""
MAP_FILE = "tissue_map.json"
"""Tissues of one head, beside its arrays."""
ARRAYS = ("index", "share", "depth", "lesions", "enhancing", "sample")
"""Arrays of `TissueMap`, a file each."""


@dataclass(frozen=True)
class MapPlan:
    """The settings of a folder of tissue maps.

    Attributes:
        subjects: number of heads.
        seed, size: see `voxlate.simulation.subject.simulate_subject`; the same seed gives the same heads as there.
        lesions: key of `LESION_SETS`, or None to draw it for each head.
        anatomies: where heads come from.

    Raises:
        UsageError: `SUBJECTS`, `SEED_NEGATIVE`, `SIZE_UNKNOWN`, `LESION_UNKNOWN`; `ANATOMY_FORMULA` for heads made of
            formulas, which are no likeness.
    """

    subjects: int
    seed: int
    size: str = "full"
    lesions: str | None = None
    anatomies: Anatomies = field(default_factory=EmbeddedHead)

    def __post_init__(self) -> None:
        require_not_negative("SEED_NEGATIVE", seed=self.seed)
        if self.subjects < 1:
            raise UsageError("SUBJECTS", f"{self.subjects} subjects: give 1 or more")
        require_size(self.size)
        if self.lesions is not None:
            require_lesion_set(self.lesions)
        if isinstance(self.anatomies, FormulaHeads):
            raise UsageError(
                "ANATOMY_FORMULA", "heads made of formulas teach a network nothing; use --anatomy embedded or a folder"
            )

    def identity(self) -> dict[str, Any]:
        """Returns the settings that two runs must share to write into one folder; the number of heads may grow."""
        return {
            "seed": self.seed,
            "size": self.size,
            "lesions": self.lesions,
            "anatomies": self.anatomies.identity(),
            "software": f"voxlate {__version__}",
        }


def write_tissue_maps(root: Path, plan: MapPlan, *, jobs: int = 1) -> Iterator[str]:
    """Writes tissue maps and yields the name of each head as it is finished; those of earlier runs come first.

    Args:
        root: a new or empty folder, or that of an earlier run with the same settings.
        plan: the settings.
        jobs: number of processes.

    Raises:
        UsageError: `FOLDER_OCCUPIED`, `SETTINGS_DIFFER`, `JOBS`.
        InputRefused: what `read_label_map` refuses, before anything is written.
        CannotWrite, TemporaryFailure: see `voxlate.errors.writing`.
    """
    require_jobs(jobs)
    folder = RunFolder(root, SETTINGS_FILE)
    if not folder.is_claimed:
        plan.anatomies.check(plan.seed, plan.subjects)
    folder.claim(plan.identity())
    yield from resume(partial(_write, root, plan), range(plan.subjects), partial(_finished, root), jobs=jobs)


def _write(root: Path, plan: MapPlan, number: int) -> str:
    """Builds and writes one head, `tissue_map.json` last; returns its name."""
    head = build_tissue_map(plan, number)
    name = subject_name(number)
    for part in ARRAYS:
        write_array(root / name / f"{part}.npy", getattr(head, part))
    content = {
        "names": head.names,
        "spacing_mm": head.spacing_mm,
        "lesion_tissues": {
            f"{tesla:g}": {tissue: asdict(values) for tissue, values in tissues.items()}
            for tesla, tissues in head.lesion_tissues.items()
        },
        "files": hash_files(root / name, [f"{part}.npy" for part in ARRAYS]),
    }
    write_json(root / name / MAP_FILE, content)
    return name


def build_tissue_map(plan: MapPlan, number: int) -> TissueMap:
    """Returns the tissue map of one head.

    Args:
        plan: settings of the folder.
        number: of the head, from 0.
    """
    anatomy = plan.anatomies.of(plan.seed, number)
    # The scanner sets the tissues' relaxation times and nothing of the anatomy.
    scanner = scanner_named(TRAINING_SCANNERS[0])
    options = PatientOptions("gadobutrol", 0.1, plan.lesions, anatomy)
    patient = draw_patient(plan.seed, number, 0, scanner, options)
    painted, _ = build_patient(patient, plan.seed, number, SIZES_MM[plan.size], anatomy)
    lesions_at: dict[float, list[Lesion]] = {}
    for name in TRAINING_SCANNERS:
        tissues = scanner_named(name).tissues()
        drawn = draw_lesions(generator(plan.seed, number, "lesions"), tissues, plan.lesions)
        lesions_at.setdefault(scanner_named(name).field_tesla, drawn)
    return compact(painted, lesions_at, generator(plan.seed, number, "sample"))


def _finished(root: Path, number: int) -> str | None:
    """Returns the name of a head that an earlier run finished, or None."""
    folder = root / subject_name(number)
    files = read_object(folder / MAP_FILE).get("files")
    return folder.name if isinstance(files, dict) and files and are_unchanged(folder, files) else None


def read_tissue_maps(root: Path) -> list[TissueMap]:
    """Returns the tissue maps of a folder in the order of their names; the arrays are memory-mapped.

    Args:
        root: folder that `write_tissue_maps` wrote.

    Raises:
        NoInput: `NO_TISSUE_MAPS` when the folder is missing or holds no finished map.
        InputRefused: `TISSUE_MAP` when one is damaged.
    """
    places = sorted(path.parent for path in root.glob(f"*/{MAP_FILE}"))
    if not places:
        raise NoInput(
            "NO_TISSUE_MAPS",
            f"{root.name} holds no tissue maps; write them by `voxlate simulate {root.name} --tissue-maps`",
        )
    return [_read(place) for place in places]


def _read(folder: Path) -> TissueMap:
    content = read_object(folder / MAP_FILE)
    try:
        if not are_unchanged(folder, content["files"]):
            raise ValueError("an array is not as it was written")
        arrays = {part: mapped_array(folder / f"{part}.npy") for part in ARRAYS}
        tissues = {float(tesla): _tissues(values) for tesla, values in content["lesion_tissues"].items()}
        return TissueMap(tuple(content["names"]), float(content["spacing_mm"]), **arrays, lesion_tissues=tissues)
    except (KeyError, TypeError, ValueError, AttributeError, OSError) as error:
        raise InputRefused(
            "TISSUE_MAP", f"the tissue map {folder.name} is damaged ({error}); delete its folder and simulate it again"
        ) from error


def _tissues(values: Mapping[str, Mapping[str, Any]]) -> dict[str, Tissue]:
    known = {part.name for part in fields(Tissue)}
    return {name: Tissue(**{key: each for key, each in row.items() if key in known}) for name, row in values.items()}
