"""Slices of the re-grading page: the right voxels at the right side, within the scan, without identifiers."""

import io
import json
import re
import threading
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

import voxlate.quality.review
import voxlate.web
from voxlate.errors import NoInput
from voxlate.io.nifti import write_volume
from voxlate.preparation.content import content_hash
from voxlate.quality.items import Item
from voxlate.quality.review.keys import SHORTCUTS
from voxlate.quality.review.regrade_server import create_regrade_app
from voxlate.quality.review.regrading import RegradingSession, open_log
from voxlate.quality.review.slices import WINDOWS, SliceStore, slices_of
from voxlate.volume import Volume
from voxlate.web.server.auth import Authenticator, issue_link
from voxlate.web.server.http_errors import HttpRefusal
from voxlate.web.server.serve import Address

ORIGIN = "http://127.0.0.1:8766"
PAGE = Path(voxlate.quality.review.__file__).parent / "page"
LPS = np.diag([-1.0, -1.0, 2.0, 1.0])


def head(affine=LPS, shape=(40, 44, 20)):
    """Returns a bright ellipsoid with a brighter voxel to the right, in front and above of its middle, in noisy air."""
    axes = np.meshgrid(*[np.linspace(-1, 1, n) for n in shape], indexing="ij")
    inside = sum((axis / 0.8) ** 2 for axis in axes) < 1
    data = np.where(inside, 100.0, np.random.default_rng(0).uniform(0, 10, shape))
    mark = np.linalg.solve(np.diag([1.0, 1.0, 2.0]), [6.0, 8.0, 8.0]) * np.sign(np.diag(affine)[:3])
    data[tuple(np.rint((np.array(shape) - 1) / 2 + mark).astype(int))] = 190.0
    return Volume(data, affine)


@pytest.mark.parametrize("signs", [(1, 1, 1), (-1, -1, 1), (1, -1, -1)])
def test_the_marker_at_the_right_front_top_is_drawn_there_in_any_storage_order(signs):
    slices = slices_of(head(np.diag([*np.array(signs) * [1.0, 1.0, 2.0], 1.0])))
    marker = replace(slices, values=np.where(slices.values == slices.values.max(), 65535, 0).astype(np.uint16))
    found = {}
    for plane, size in slices.planes.items():
        pictures = [marker.picture(plane, number, "tissue") for number in range(1, size["count"] + 1)]
        (at,) = [at for at, picture in enumerate(pictures) if picture.any()]
        (row, column), (rows, columns) = np.argwhere(pictures[at])[0], pictures[at].shape
        found[plane] = at / len(pictures), row / rows, column / columns
    sagittal, coronal, axial = found["sagittal"], found["coronal"], found["axial"]
    assert min(sagittal[0], coronal[0], axial[0]) > 0.5  # slices are counted from the left, from behind, from below
    assert max(axial[1:]) < 0.5  # in front: at the top; the patient's right: on the left
    assert max(coronal[1:]) < 0.5
    assert sagittal[1] < 0.5 < sagittal[2]  # in front: on the right


def test_the_background_window_is_eight_times_as_bright():
    slices = slices_of(head())
    tissue, background = (slices.picture("axial", 10, window).astype(float) for window in ("tissue", "background"))
    dark = (background > 20) & (background < 250)
    assert dark.sum() > 50
    assert np.abs(background[dark] - 8 * tissue[dark]).max() <= 0.5 + 8 * 0.5 + 1e-9
    assert np.all(background[tissue > 64] == 255)


def test_a_slice_has_one_pixel_for_each_voxel_and_its_size_in_mm():
    slices = slices_of(head())
    assert {plane: slices.picture(plane, 1, "tissue").shape for plane in slices.planes} == {
        "axial": (44, 40), "coronal": (20, 40), "sagittal": (20, 44),
    }  # fmt: skip
    assert slices.planes["coronal"] | {"middle": 0} == {"count": 44, "width_mm": 40, "height_mm": 40, "middle": 0}
    assert all(1 <= tile["number"] <= slices.planes[tile["plane"]]["count"] for tile in slices.tiles)
    assert [tile["window"] for tile in slices.tiles].count("background") == 1


@pytest.fixture
def served(tmp_path):
    volume, item = head(), Item("sub-SECRET_T1w.nii.gz", "p", "e")
    write_volume(tmp_path / "scans" / item.name, volume)
    grades = tmp_path / "grades"
    (grades / "items").mkdir(parents=True)
    row = {f"{name}_probability": 0.5 for name in ("good", "medium", "low", "proper", "agent")}
    grading = {"item": item.to_json(), "state": "OK", "row": row, "content": content_hash(volume)}
    (grades / "items" / f"{item.file_name}.json").write_text(json.dumps(grading))
    (grades / "grades.tsv").write_text(f"item\n{item.name}\n")
    (grades / "source.json").write_text(json.dumps({"source": "../scans"}))
    return grades, item.file_name


def client_of(grades, source=None):
    log = open_log(grades)
    session = RegradingSession(grades, log, source)
    app = create_regrade_app(session, Authenticator(log), origins=Address(port=8766).origins())
    client = TestClient(app, base_url=ORIGIN, headers={"origin": ORIGIN})
    client.post("/api/session", json={"token": issue_link(log, {"ann"}, "ann")})
    return client


def test_slices_come_by_plane_and_number_without_any_name(served):
    grades, key = served
    client = client_of(grades)
    told = client.get(f"/api/items/{key}/slices")
    sent = client.get(f"/api/items/{key}/slices/axial/10/tissue")
    assert sent.headers["cache-control"] == "no-store"
    picture = np.asarray(Image.open(io.BytesIO(sent.content)))
    assert np.array_equal(picture, slices_of(head()).picture("axial", 10, "tissue"))
    chunks = set(re.findall(rb"IHDR|PLTE|IDAT|IEND|[a-z]{2}Xt|iTXt|eXIf|tIME", sent.content))
    assert chunks == {b"IHDR", b"IDAT", b"IEND"}
    assert "SECRET" not in told.text
    assert set(told.json()) == {"planes", "tiles"}


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("axial/0/tissue", "SLICE"), ("axial/21/tissue", "SLICE"), ("axial/-1/tissue", "SLICE"),
        ("axial/99999999999999999999/tissue", "SLICE"), ("oblique/1/tissue", "SLICE"), ("axial/1/bright", "SLICE"),
        ("axial/1.5/tissue", "ANSWER"), ("axial/x/tissue", "ANSWER"), ("..%2F..%2Fsource.json/1/tissue", "ADDRESS"),
    ],
)  # fmt: skip
def test_a_slice_outside_of_the_scan_is_refused_with_a_code(served, path, code):
    grades, key = served
    sent = client_of(grades).get(f"/api/items/{key}/slices/{path}")
    assert sent.json()["code"] == code
    assert sent.status_code in (404, 422)
    assert client_of(grades).get(f"/api/items/0{key[1:]}x/slices/axial/1/tissue").json()["code"] == "ITEM"


def test_slices_need_a_session(served):
    grades, key = served
    stranger = TestClient(client_of(grades).app, base_url=ORIGIN, headers={"origin": ORIGIN})
    for path in ("slices", "slices/axial/1/tissue"):
        assert stranger.get(f"/api/items/{key}/{path}").status_code == 401


def test_a_folder_that_does_not_say_where_its_scans_are_needs_the_option(served):
    grades, key = served
    (grades / "source.json").unlink()
    assert client_of(grades).get(f"/api/items/{key}/slices").json()["code"] == "NO_SOURCE"
    assert client_of(grades, grades.parent / "scans").get(f"/api/items/{key}/slices").status_code == 200


def test_a_scan_that_is_gone_or_changed_is_not_shown_as_the_graded_one(served):
    grades, key = served
    path = grades.parent / "scans" / "sub-SECRET_T1w.nii.gz"
    changed = np.asarray(nibabel.load(path).dataobj).copy()
    changed[0, 0, 0] = 500
    write_volume(path, Volume(changed, LPS))
    sent = client_of(grades).get(f"/api/items/{key}/slices")
    assert (sent.status_code, sent.json()["code"]) == (404, "SCAN_CHANGED")
    path.unlink()
    gone = client_of(grades).get(f"/api/items/{key}/slices")
    assert gone.status_code == 404
    assert "SECRET" not in gone.text


def test_a_scan_is_read_once_for_all_of_its_tiles_and_few_are_kept():
    read = []

    def volume_of(key):
        read.append(key)
        if key == "gone":
            raise NoInput("NO_INPUT", "gone")
        return head(), content_hash(head())

    store = SliceStore(volume_of)
    threads = [threading.Thread(target=store.picture, args=("a", "axial", n, "tissue")) for n in range(1, 7)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert read == ["a"]
    for key in "bcda":
        store.slices(key)
    assert read == ["a", "b", "c", "d", "a"]
    with pytest.raises(HttpRefusal, match="NO_INPUT"):
        store.slices("gone")


def test_each_key_of_the_page_has_one_meaning_and_a_function():
    keys = [key for shortcut in SHORTCUTS for key in shortcut.keys]
    assert len(set(keys)) == len(keys)
    text = (PAGE / "regrade.js").read_text()
    actions = {shortcut.action for shortcut in SHORTCUTS}
    functions = text.split("listen(() => shortcuts, {")[1].split("}, () =>")[0]
    assert set(re.findall(r"(\w+)(?=: \(|,)", functions)) >= actions
    meanings = text.split("const MEANINGS = {")[1].split("};")[0]
    assert set(re.findall(r"(\w+): \"", meanings)) == actions
    digits = set(re.findall(r'"([0-9])"\]', text.split("const MEANINGS")[0]))
    assert digits == set(next(shortcut for shortcut in SHORTCUTS if shortcut.action == "choose").keys)
    assert not any("keydown" in file.read_text() for file in PAGE.iterdir())


def test_the_page_names_the_windows_that_the_server_has():
    text = (PAGE / "tiles.js").read_text()
    assert set(re.findall(r'"(tissue|background)"', text)) == set(WINDOWS)
