"""A small study of phantoms, frozen once; each test gets its own answer log and its own browser."""

from __future__ import annotations

import secrets
import shutil
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage
from starlette.testclient import TestClient

from voxlate.io.nifti import write_volume
from voxlate.readers.package import Package, create_package, load_package
from voxlate.readers.server.app import create_app
from voxlate.volume import Volume
from voxlate.web.server.answer_log import AnswerLog
from voxlate.web.server.auth import issue_link
from voxlate.web.server.sql import SqliteDatabase

ORIGIN = "http://127.0.0.1:8765"
SHAPE = (16, 18, 14)
AFFINE = np.diag([-1.0, -1.0, 1.5, 1.0])

STUDY = """
name: small
title: Small study
seed: 3
data_kind: simulated
images: {real: real, synthetic: synthetic, lesions: lesions, levels: 64}
readers: [{id: anna, group: senior, experience_years: 15}, {id: ben}, {id: cleo}]
designs:
  - {kind: real_or_synthetic, name: turing, repeats: 2}
  - {kind: forced_choice, name: choice}
  - {kind: similarity, name: lee, structures: [disc, muscle], repeats: 2}
  - {kind: quality, name: quality, items: [sharpness]}
  - {kind: marks, name: lesions}
washout: {trials: 4}
"""


def write_case(root: Path, case: str, seed: int) -> None:
    generator = np.random.default_rng(seed)
    real = np.rint(ndimage.gaussian_filter(generator.normal(size=SHAPE), 1.5) * 2000 + 1000)
    lesion = np.zeros(SHAPE)
    lesion[3:6, 3:6, 3:6] = 1
    write_volume(root / "real" / f"{case}.nii.gz", Volume(real, AFFINE, stored_dtype="int16"))
    write_volume(root / "synthetic" / f"{case}.nii.gz", Volume(ndimage.gaussian_filter(real, 0.5) / 700, AFFINE))
    write_volume(root / "lesions" / f"{case}.nii.gz", Volume(lesion, AFFINE))


@pytest.fixture(scope="session")
def sources(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("sources")
    for at in range(8):
        write_case(root, f"case{at}", at)
    (root / "study.yaml").write_text(STUDY)
    return root


@pytest.fixture(scope="session")
def frozen(sources) -> Path:
    create_package(sources / "study.yaml", sources / "frozen")
    return sources / "frozen"


@pytest.fixture
def folder(frozen, tmp_path) -> Path:
    return Path(shutil.copytree(frozen, tmp_path / "study"))


@pytest.fixture
def package(folder) -> Package:
    return load_package(folder)


@pytest.fixture
def store(package):
    opened = AnswerLog(SqliteDatabase(package.folder / "answers.sqlite"), package.protocol_hash)
    yield opened
    opened.close()


class Browser:
    """Sends the requests of the page of a reader, without a browser."""

    def __init__(self, package: Package, store: AnswerLog, reader: str) -> None:
        self.package, self.store, self.reader = package, store, reader
        self.http = TestClient(create_app(package, store, origins=[ORIGIN]), base_url=ORIGIN)
        self.headers = {"origin": ORIGIN}
        self.page = ""

    def enter(self) -> Browser:
        token = issue_link(self.store, set(self.package.trials), self.reader)
        self.headers["x-csrf-token"] = self.post("session", {"token": token}).json()["csrf"]
        return self.open()

    def open(self) -> Browser:
        self.page = self.post("page", {}).json()["page"]
        return self

    def post(self, path: str, content: object, **headers: str):
        return self.http.post(f"/api/{path}", json=content, headers=self.headers | headers)

    def state(self) -> dict:
        return self.http.get("/api/state").json()

    def answer(self, **changes):
        """Sends an answer to the open case; `changes` replace parts of it."""
        return self.post("answers", self.filled(self.state()["trial"], **changes))

    def filled(self, shown: dict, **changes) -> dict:
        given = {
            "submission": secrets.token_hex(8),
            "page": self.page,
            "trial": shown["id"],
            "answer": fill(shown["design"]),
            "comment": "",
            "timing": {"viewed_s": 3.5, "hidden_s": 0.0},
        }
        return given | changes


def fill(design: dict, pick: int = 0) -> dict:
    match design["kind"]:
        case "real_or_synthetic":
            return {"kind": design["kind"], "confidence": 1 + pick % design["levels"]}
        case "forced_choice":
            return {"kind": design["kind"], "side": ("left", "right")[pick % 2]}
        case "similarity":
            return {"kind": design["kind"], "scores": dict.fromkeys(design["structures"], pick * 7 % 101)}
        case "quality":
            return {"kind": design["kind"], "grades": dict.fromkeys(design["items"], 1 + pick % design["levels"])}
    return {"kind": "marks", "marks": [{"voxel": [12, 13, 4], "confidence": 1 + pick % design["levels"]}] * (pick % 2)}


@pytest.fixture
def browser(package, store) -> Browser:
    return Browser(package, store, "anna").enter()
