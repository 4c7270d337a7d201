"""The picture of a prepared pair and the page that shows it."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from voxlate.reporting.figures.preparation_picture import CT_WINDOW_HU, GAP_PX, TITLES, sheet, window_of
from voxlate.reporting.preparation_page import write_page
from voxlate.volume import Volume

GREY, STRIP = 100, 26


def test_columns_and_rows_line_up_whatever_the_sizes_of_their_pictures() -> None:
    sizes = [[(40, 30), (21, 30), (21, 60)], [(40, 30), (21, 30), (21, 60)]]
    columns = [[np.full((*size, 3), GREY, dtype=np.uint8) for size in column] for column in sizes]
    picture = sheet(columns, TITLES[:2])
    assert picture.shape == (STRIP + 40 + 21 + 21 + 4 * GAP_PX, 2 * 60 + GAP_PX, 3)
    below = picture[STRIP + GAP_PX :, :, 0]
    np.testing.assert_array_equal(below[:, :60], below[:, 60 + GAP_PX :])
    assert np.flatnonzero(below[5] == GREY).tolist() == [*range(15, 45), *range(79, 109)]  # in the middle of 60


def test_every_column_has_its_name_above_it() -> None:
    columns = [[np.zeros((20, 90, 3), dtype=np.uint8)] for _ in TITLES]
    strip = sheet(columns, TITLES)[:STRIP]
    for at in range(len(TITLES)):
        start = at * (90 + GAP_PX)
        name = strip[:, start : start + 90]
        assert name.max() > 150
        assert name[:, 0].max() == name[:, -1].max() == 0, TITLES[at]  # no letter is cut off


def test_a_ct_is_shown_in_the_window_of_the_brain_and_an_mr_image_in_its_own() -> None:
    data = np.full((5, 5, 5), -1000.0, dtype=np.float32)
    data[1:4, 1:4, 1:4] = 35.0
    inside = data > 0
    assert window_of(Volume(data, np.eye(4)), inside) == CT_WINDOW_HU
    low, high = window_of(Volume(np.where(inside, data, 0).astype(np.float32), np.eye(4)), inside)
    assert (low, high) == (0.0, pytest.approx(35.0))


def _record(case: str, verdict: str, edges: float) -> dict:
    score = {"verdict": verdict, "edge_agreement": edges, "nmi": 1.1}
    registration = {"matrix": [], "moved_mm": 2.5, "score": score}
    return {
        "case": case,
        "state": "done",
        "registration": registration,
        "doubts": [],
        "mask": {"verdict": "good", "volume_cm3": 1400.0},
    }


def test_a_tile_says_what_was_recognised_in_each_scan_and_how_its_brain_was_found(tmp_path: Path) -> None:
    stripped = {"method": "nonzero", "seen": {}, "text": "skull-stripped; the mask is its non-zero region"}
    ct = {"method": "ct", "seen": {}, "text": "CT, not skull-stripped; the brain was found by ct"}
    old = {"method": "deepbet", "seen": None}
    records = [
        _record("mixed", "good", 0.1) | {"brains": {"source": ct, "target": stripped}, "is_aligned": False},
        _record("same", "good", 0.2) | {"brains": {"source": stripped, "target": stripped}, "is_aligned": True},
        _record("old", "good", 0.3) | {"brains": {"source": old, "target": old}},
    ]
    write_page(records, tmp_path)
    tiles = (tmp_path / "index.html").read_text().split("<figure")[1:]
    lines = [re.findall(r'<p class="seen">(.*?)</p>', tile) for tile in tiles]
    assert lines == [
        [
            "Source: CT, not skull-stripped; the brain was found by ct.",
            "Target: skull-stripped; the mask is its non-zero region.",
        ],
        [
            "Source and target: skull-stripped; the mask is its non-zero region.",
            "The scans were aligned already and were not registered.",
        ],
        [],
    ]


def test_the_worst_pair_comes_first_and_a_refused_one_has_its_reason_and_no_picture(tmp_path: Path) -> None:
    refused = {"case": "none", "state": "refused", "code": "EMPTY_MASK", "message": "/data/Smith/m.nii is empty"}
    records = [_record("fair", "good", 0.4), _record("fine", "good", 0.8), _record("odd", "doubtful", 0.9), refused]
    write_page(records, tmp_path)
    page = (tmp_path / "index.html").read_text()
    tiles = page[page.index('class="tiles"') : page.index('id="numbers"')]
    assert re.findall(r"<span>(\w+)</span>", tiles) == ["none", "odd", "fair", "fine"]
    assert tiles.count("<img") == 3
    assert "EMPTY_MASK: m.nii is empty" in tiles
    assert "Smith" not in page
