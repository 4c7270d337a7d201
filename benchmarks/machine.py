"""What every result says of the machine and the code that made it."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voxlate.io.atomic import write_json

if TYPE_CHECKING:
    from voxlate.cases import Case

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
MEASURED = ("src", "recipes", "cohorts", "benchmarks/*.py", "constraints.txt", "pyproject.toml")
"""What a figure depends on. Results and documents that were just written are no change of it."""

DATA_VARIABLE = "VOXLATE_DEVELOPMENT_DATA"


def development_data(part: str) -> Path | None:
    """Returns a folder of the development data, which never come with the project; None where they are not.

    They lie beside the checkout, in `shared/data`, or where the variable `VOXLATE_DEVELOPMENT_DATA` says.
    """
    named = os.environ.get(DATA_VARIABLE)
    folder = (Path(named) if named else ROOT.parent / "shared" / "data") / part
    if folder.is_dir():
        return folder
    print(f"the development data are not there ({part}); this part is not measured")
    return None


ENHANCING_LABELS = (3, 4)
"""Labels of enhancing tumour in the two numberings of BraTS."""


HELD_OUT = (
    ("BraTS-GLI-00000-000", "BraTS2021_01658", "MS_ljubljana_07"),
    ("BraTS-GLI-00001-000", "BraTS2021_00006", "TCGA-FG-6692_sri24"),
    ("BraTS2021_01657", "BraTS2021_01659", "Brats18_2013_2_1"),
)
"""Test pairs of three folds, fixed before the first run; the first is the test set of `recipes/t1ce_to_t1.yaml`."""


def pair_cases(pairs: Path, held_out: Collection[str] | None = None) -> list[Case]:
    """Returns the real pairs of T1ce and T1 as cases with their lesion labels.

    Args:
        pairs: folder `pairs` of the development data.
        held_out: names of the test cases; the others are for training. None makes all of them test cases.
    """
    from voxlate.cases import Case

    cases = []
    for folder in sorted(path for path in pairs.iterdir() if path.is_dir()):
        labels = next(iter(sorted(folder.glob("seg*.nii.gz"))), None)
        split = "test" if held_out is None or folder.name in held_out else "train"
        cases.append(Case(folder.name, folder.name, split, folder / "t1ce.nii.gz", folder / "t1.nii.gz", labels=labels))
    return cases


def case_scores(evaluation: Path, case: str) -> Iterator[tuple[str, str, str, str, float]]:
    """Yields method, protocol, region, metric and value of each score of a case, of the images as they were written.

    Args:
        evaluation: folder of an evaluation.
        case: name of the case.
    """
    content = json.loads((evaluation / "cases" / f"{case}.json").read_text())
    for method, protocol, region, metric, value, _, intensity in content["scores"]:
        if intensity == "as_written":
            yield method, protocol, region, metric, float(value)


def trained_bundle() -> Path:
    """Returns a bundle to measure: that of `recipes/t1ce_to_t1.yaml` if it was trained, else the demo's."""
    from voxlate.demo.__main__ import embedded_recipe
    from voxlate.demo.patients import write_patients
    from voxlate.training.loop import train

    real = ROOT / "runs" / "t1ce_to_t1" / "bundle"
    if (real / "manifest.json").is_file():
        return real
    folder = ROOT / "runs" / "bench-demo"
    if not (folder / "run" / "bundle" / "manifest.json").is_file():
        list(write_patients(folder / "data"))
        train(embedded_recipe(), folder / "run", root=folder / "data", resume=True)
    return folder / "run" / "bundle"


def stamp() -> dict[str, Any]:
    """Returns processor, cores, memory, Python, torch and commit."""
    import torch

    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "processor": names[0] if names else platform.processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(memory, 1),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "commit": _git("rev-parse", "--short", "HEAD"),
        "source_tree": _git("rev-parse", "--short", "HEAD:src"),
        "has_uncommitted_changes": bool(_git("status", "--porcelain", "--", *MEASURED)),
    }


def write_result(name: str, content: dict[str, Any]) -> None:
    """Writes `results/<name>.json`."""
    path = RESULTS / f"{name}.json"
    write_json(path, {"machine": stamp()} | content)
    print(f"{path}\n{json.dumps(content, indent=1)[:2000]}")


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip()
