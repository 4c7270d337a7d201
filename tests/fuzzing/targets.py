"""What a stranger's bytes may do: be read, or be refused with a code of ours. Anything else is a crash to be mended.

Each target takes bytes. `python tests/fuzzing/run.py NAME` feeds them by a coverage-guided fuzzer (`make fuzz`);
`test_targets.py` feeds damaged seeds from a fixed stream.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from voxlate.errors import VoxlateError

FOLDER = Path(tempfile.mkdtemp(prefix="voxlate-fuzz-"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

STUDY = """
name: s
title: t
seed: 1
images: {real: a, synthetic: b}
readers: [{id: r}]
designs: [{kind: forced_choice, name: c}]
"""

INTERNAL = VoxlateError.exit_status
"""Status 70: a defect of ours, which no input may bring out."""


def refused_or_done(work: Callable[[], object]) -> str:
    """Returns `done` or the code of the refusal; an error that is none of ours, or status 70, goes through."""
    try:
        work()
    except VoxlateError as error:
        if error.exit_status == INTERNAL:
            raise
        code = error.code if error.message.isprintable() else "a message of several lines"
    else:
        code = "done"
    assert code != "a message of several lines"
    return code


def nifti(content: bytes) -> str:
    from voxlate.io.nifti import read_volume, write_volume

    path = FOLDER / "x.nii.gz"
    path.write_bytes(content)

    def work() -> None:
        volume = read_volume(path, max_bytes=1 << 24)
        assert np.isfinite(volume.data).all()
        write_volume(FOLDER / "again.nii", volume, dtype="float32")
        assert np.array_equal(read_volume(FOLDER / "again.nii").data, volume.data)

    return refused_or_done(work)


def dicom(content: bytes) -> str:
    """One slice of a series is replaced; what can be read is written as a derived series and read again."""
    from dicom_series import write_series

    from voxlate.io.dicom.derived import Derivation, derived_series
    from voxlate.io.scans import read_scan

    folder = FOLDER / "dicom"
    if not folder.exists():
        write_series(folder)
    first = sorted(folder.iterdir())[0]
    first.unlink()
    first.write_bytes(content)

    def work() -> None:
        scan = read_scan(folder)
        derivation = Derivation("T1ce", "T1nce", "small", "a" * 64, "b" * 64, "0.1.0", keeps_acquisition=True)
        slices = derived_series(scan.volume, scan.dicom, derivation, taken_numbers=scan.numbers)
        for dataset in slices[:2]:
            dataset.save_as(FOLDER / "out.dcm", enforce_file_format=True)

    return refused_or_done(work)


def index(content: bytes) -> str:
    from voxlate.archive.indexing.headers import Chunk, read_chunk

    (FOLDER / "bite.dcm").write_bytes(content)
    return refused_or_done(lambda: read_chunk(str(FOLDER), Chunk("", ("bite.dcm",))))


def recipe(content: bytes) -> str:
    from voxlate.bundle.recipe import read_recipe

    (FOLDER / "r.yaml").write_bytes(content)
    return refused_or_done(lambda: read_recipe(FOLDER / "r.yaml"))


def cohort(content: bytes) -> str:
    from voxlate.cohort.rules import read_rules

    (FOLDER / "c.yaml").write_bytes(content)
    return refused_or_done(lambda: read_rules(FOLDER / "c.yaml"))


def study(content: bytes) -> str:
    from voxlate.readers.study import read_study

    (FOLDER / "s.yaml").write_bytes(content)
    return refused_or_done(lambda: read_study(FOLDER / "s.yaml"))


def cases(content: bytes) -> str:
    from voxlate.cases import read_cases

    (FOLDER / "cases.tsv").write_bytes(content)
    return refused_or_done(lambda: read_cases(FOLDER / "cases.tsv"))


def manifest(content: bytes) -> str:
    from voxlate.inference.manifest import read_manifest

    (FOLDER / "m.tsv").write_bytes(content)
    return refused_or_done(lambda: list(read_manifest(FOLDER / "m.tsv").items()))


def ledger(content: bytes) -> str:
    from voxlate.jobs.ledger import read_ledger

    folder = FOLDER / "ledger" / ".runs"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "x.jsonl").write_bytes(content)
    return refused_or_done(lambda: read_ledger(folder.parent))


def sidecar(content: bytes) -> str:
    from phantoms import head

    from voxlate.io.bids import is_contrast_enhanced, require_valid_scan
    from voxlate.io.nifti import write_volume
    from voxlate.io.scans import read_scan

    path = FOLDER / "sub-1_T1w.nii.gz"
    if not path.exists():
        write_volume(path, head(0, shape=(14, 15, 13)))
    (FOLDER / "sub-1_T1w.json").write_bytes(content)
    refused_or_done(lambda: (require_valid_scan(path), is_contrast_enhanced(path)))
    return refused_or_done(lambda: read_scan(path))


def tiny_bundle() -> Path:
    """Returns a bundle with all its documents, made once."""
    import torch
    from tiny import RECIPE

    from voxlate.bundle.bundle import write_bundle
    from voxlate.bundle.recipe import parse_recipe
    from voxlate.models import build

    folder = FOLDER / "bundle"
    if not folder.exists():
        plan = parse_recipe(RECIPE, name="tiny.yaml")
        torch.manual_seed(0)
        weights = build(plan.model.name, **plan.model.arguments).state_dict()
        mapping = {"gain": 2.0, "log_sd": 0.1, "n": 3, "spacing_mm": [1.0, 1.2]}
        write_bundle(folder, plan, weights, documents={"mapping": mapping}, card="# card\n")
    return folder


def bundle(content: bytes) -> str:
    """The first byte chooses the document that the rest replaces; the manifest is made to agree, as a forger would."""
    from voxlate.bundle.bundle import MANIFEST, read_bundle
    from voxlate.io.atomic import sha256

    sound, folder = tiny_bundle(), FOLDER / "forged"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(sound, folder)
    names = ("mapping.json", "known.json", "runtimes.json", "recipe.yaml", "weights.safetensors", MANIFEST)
    name = names[content[0] % len(names)] if content else MANIFEST
    (folder / name).write_bytes(content[1:])
    if name != MANIFEST:
        hashes = {path.name: sha256(path) for path in folder.iterdir() if path.name != MANIFEST}
        (folder / MANIFEST).write_text(json.dumps({"format": 1, "voxlate": "x", "files": hashes}))
    return refused_or_done(lambda: read_bundle(folder))


def study_store(content: bytes) -> str:
    from voxlate.readers.package import load_package

    folder = FOLDER / "study"
    folder.mkdir(exist_ok=True)
    names = ("manifest.json", "study.json", "allocation.json", "key.json")
    chosen = names[content[0] % len(names)] if content else names[0]
    for name in names:
        (folder / name).write_bytes(content[1:] if name == chosen else b"{}")
    return refused_or_done(lambda: load_package(folder))


def answers(content: bytes) -> str:
    from voxlate.web.server.answer_log import AnswerLog
    from voxlate.web.server.sql import open_database

    folder = FOLDER / "answers"
    folder.mkdir(exist_ok=True)
    for path in folder.iterdir():
        path.unlink()
    (folder / "answers.sqlite").write_bytes(content)
    return refused_or_done(lambda: AnswerLog(open_database(folder, None), "0" * 64).answers())


def seed_answers() -> bytes:
    from voxlate.web.server.answer_log import AnswerLog
    from voxlate.web.server.sql import SqliteDatabase

    path = FOLDER / "seed.sqlite"
    path.unlink(missing_ok=True)
    AnswerLog(SqliteDatabase(path), "0" * 64).close()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path.read_bytes()


def seeds(name: str) -> list[bytes]:
    """Returns sound inputs of a target, to be damaged."""
    from dicom_series import write_series
    from phantoms import head
    from tiny import RECIPE

    from voxlate.io.nifti import write_volume

    root = Path(__file__).resolve().parents[2]
    if name == "nifti":
        write_volume(FOLDER / "seed.nii.gz", head(0, shape=(9, 10, 8)))
        write_volume(FOLDER / "seed.nii", head(0, shape=(9, 10, 8)))
        return [(FOLDER / "seed.nii").read_bytes(), (FOLDER / "seed.nii.gz").read_bytes()]
    if name in ("dicom", "index"):
        return [write_series(FOLDER / "seed")[0].read_bytes()]
    if name == "bundle":
        files = ("mapping.json", "recipe.yaml", "weights.safetensors", "manifest.json")
        places = {"mapping.json": 0, "recipe.yaml": 3, "weights.safetensors": 4, "manifest.json": 5}
        return [bytes([places[file]]) + (tiny_bundle() / file).read_bytes() for file in files]
    texts = {
        "recipe": [RECIPE],
        "cohort": [(root / "cohorts" / "bottani2024.yaml").read_text()],
        "study": [STUDY],
        "cases": ["case\tpatient\tsplit\tsource\ttarget\na\tp\ttrain\tx.nii\ty.nii\n"],
        "manifest": ["case\tsource\tmask\na\tx.nii\t\nb\ty.nii\tm.nii\n"],
        "ledger": ['{"case": "a", "event": "done", "files": {"a.txt": "0"}}\n{"case": "b", "event": "refused"}\n'],
        "sidecar": ['{"Synthetic": {"IsSynthetic": false}, "ContrastBolusIngredient": "GADOLINIUM"}'],
        "study_store": ['\x00{"protocol_sha256": "0", "files": {}}', '\x01{"name": "s"}'],
    }  # fmt: skip
    return [seed_answers()] if name == "answers" else [text.encode() for text in texts[name]]


TARGETS: dict[str, Callable[[bytes], str]] = {
    target.__name__: target
    for target in (
        nifti, dicom, index, recipe, cohort, study, cases, manifest, ledger, sidecar, bundle, study_store, answers,
    )
}  # fmt: skip
