"""Outputs that a change of structure must not change: simulator, bundle, synthesis, ledger, report, derived DICOM.

    python tests/golden/frozen.py            # compare with frozen.json, bytes included
    python tests/golden/frozen.py --write    # after a change of an output that is meant

`frozen.json` holds the SHA-256 of each file, with times and paths taken out of texts, and of images and weights a few
numbers. The hashes hold on one processor with one set of libraries; the numbers hold everywhere within a tolerance.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import nibabel
import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from click.testing import CliRunner
from dicom_series import write_series
from pydicom import dcmread
from safetensors.numpy import load_file

from voxlate.cases import read_cases
from voxlate.cli import voxlate
from voxlate.demo.__main__ import embedded_recipe, run_stages

FROZEN = Path(__file__).with_name("frozen.json")
CHANGING = re.compile(
    r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)?"
    r'|"[a-z_]*(seconds|second|host|pid|mib|git_commit|commit|time|memory_bytes)": ?[^,}\]]*'
    r"|[0-9a-f]{64}|[0-9a-f]{12}…|data:[a-z/+]*;base64,[A-Za-z0-9+/=]*"
)
"""What differs between two runs of the same code, and hashes of files that are hashed themselves."""
TEXTS = {".json", ".tsv", ".md", ".yaml", ".html", ".jsonl", ".svg", ""}


def make(folder: Path) -> None:
    """Writes every output that is frozen below `folder`."""
    for task in ("t1ce_t1", "virtual_contrast", "ct_to_mr", "spine"):
        command("simulate", folder / task, "-n", 1, "--task", task, "--seed", 3, *(["--dicom"] * (task == "t1ce_t1")))
    recipe = embedded_recipe()
    short = recipe.training.model_copy(update={"steps": 3, "window": (32, 32, 32), "validate_every": 3})
    run_stages(folder / "demo", recipe.model_copy(update={"training": short}), ("train", "test", "test"))
    bundle = folder / "demo" / "run" / "bundle"
    manifest = folder / "manifest.tsv"
    rows = [(case.case, case.source, case.mask) for case in read_cases(folder / "demo" / "data" / "cases.tsv")]
    manifest.write_text("\n".join("\t".join(map(str, row)) for row in [("case", "source", "mask"), *rows]) + "\n")
    command("batch", manifest, folder / "batch", "--model", bundle, "--jobs", 0)
    images = folder / "t1ce_t1"
    command("index", images, folder / "index", "-j", 1)
    case = read_cases(folder / "demo" / "data" / "cases.tsv")[-1]
    head = np.asanyarray(nibabel.load(case.source).dataobj) * (np.asanyarray(nibabel.load(case.mask).dataobj) > 0)
    write_series(folder / "series", data=head[::-1, ::-1].astype(np.uint16))  # DICOM runs left and posterior
    options = ("--ood", "off", "--keep-spacing")
    command("translate", folder / "series", folder / "derived", "-m", bundle, *options)


def command(*arguments: object) -> None:
    """Runs a verb and fails unless it succeeds."""
    result = CliRunner().invoke(voxlate, list(map(str, arguments)), standalone_mode=False)
    if result.return_value or result.exception:
        raise RuntimeError(f"{arguments[0]}: {result.output} {result.exception!r}")


def described(folder: Path) -> dict[str, dict[str, Any]]:
    """Returns hash and numbers of every file below `folder`, by its path."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and path.suffix not in {".npy", ".sqlite", ".parquet", ".lock"} and "manifest" not in name:
            # UIDs of a derived series and names of ledger files are drawn anew in every run.
            name = re.sub(r"2\.25\.\d+|[0-9a-f]{32}", "UID", name)
            found[name] = _file(path, folder)
    return found


def _file(path: Path, folder: Path) -> dict[str, Any]:
    if path.name.endswith(".nii.gz"):
        data = np.asanyarray(nibabel.load(path).dataobj)
        return {"sha256": _hash(data.tobytes()), "values": _values(data)}
    if path.suffix == ".safetensors":
        tensors = load_file(path)
        whole = np.concatenate([tensors[name].ravel() for name in sorted(tensors)])
        return {"sha256": _hash(whole.tobytes()), "values": _values(whole)}
    if path.suffix == ".dcm":
        dataset = dcmread(path)
        names = sorted(element.keyword or str(element.tag) for element in dataset)
        return {"sha256": _hash(" ".join(names).encode()), "values": _values(dataset.pixel_array)}
    content = path.read_bytes()
    if path.suffix in TEXTS:
        content = CHANGING.sub("", content.decode().replace(str(folder), "")).encode()
    return {"sha256": _hash(content), "values": [len(content)] if path.suffix in TEXTS else []}


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def _values(data: np.ndarray) -> list[float]:
    flat = np.asarray(data, np.float64).ravel()
    picked = flat[np.linspace(0, flat.size - 1, 5).astype(int)]
    return [float(f"{value:.6g}") for value in (flat.size, flat.mean(), flat.std(), flat.min(), flat.max(), *picked)]


def main() -> int:
    """Compares or writes, and prints what differs."""
    torch.set_num_threads(1)  # the order of sums, and with it the last bit of the weights, depends on the threads
    with TemporaryDirectory() as made:
        make(Path(made))
        found = described(Path(made))
    if "--write" in sys.argv:
        FROZEN.write_text(
            "{\n" + ",\n".join(f"{json.dumps(name)}: {json.dumps(each)}" for name, each in found.items()) + "\n}" + "\n"
        )
        return 0
    known = json.loads(FROZEN.read_text())
    differing = [name for name in sorted({*known, *found}) if known.get(name) != found.get(name)]
    print("\n".join(differing) or f"{len(found)} files are as frozen")
    return int(bool(differing))


if __name__ == "__main__":
    sys.exit(main())
