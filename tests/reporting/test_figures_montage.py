"""Montages show the same slice of every image, differences that are true, and say what is missing."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from voxlate.errors import InputRefused, NoInput, UsageError
from voxlate.evaluation.tissues import TISSUES, segment_by_mixture, tissue_probabilities
from voxlate.io.nifti import write_volume
from voxlate.reporting.figures.drawing import save
from voxlate.reporting.figures.montage import _title, draw_montage
from voxlate.reporting.figures.montage_cuts import Loaded, cut_row
from voxlate.reporting.figures.montage_layout import Layout
from voxlate.reporting.figures.montage_rows import Column, Row, with_reference_levels
from voxlate.reporting.figures.preparation_steps import draw_masks, draw_steps
from voxlate.reporting.figures.probability_maps import draw_probability_maps
from voxlate.volume import Volume

SHAPE = (21, 25, 17)
AFFINE = np.diag([2.0, 2.0, 3.0, 1.0])
COLUMNS = [Column("CT", "source"), Column("T1w", "target"), Column("U-Net"), Column("cGAN")]
PLANES = ("axial", "coronal", "sagittal")


def head(seed: int = 0) -> tuple[Volume, Volume]:
    """Returns an image that is 0 outside of a ball, and the mask of the ball."""
    x, y, z = np.meshgrid(*[np.linspace(-1, 1, n) for n in SHAPE], indexing="ij")
    inside = x**2 + y**2 + z**2 < 0.8
    values = np.random.default_rng(seed).uniform(50, 150, SHAPE) * inside
    return Volume(values.astype(np.float32), AFFINE), Volume(inside.astype(np.float32), AFFINE)


@pytest.fixture
def row() -> Row:
    target, mask = head()
    labels = np.zeros(SHAPE, dtype=np.float32)
    labels[5:9, 6:10, 4] = 2
    images = {"CT": head(1)[0], "T1w": target, "U-Net": target, "cGAN": target.with_data(target.data + 10)}
    return Row("sub-01", images, mask=mask, labels=target.with_data(labels))


def parts(row: Row) -> dict[str, Volume]:
    """Returns all volumes of a row by name."""
    volumes = {**row.images, "mask": row.mask, "labels": row.labels}
    return {name: volume for name, volume in volumes.items() if isinstance(volume, Volume)}


def test_the_slice_with_most_labels_is_shown_at_its_place_for_every_image(row: Row) -> None:
    (line,), _ = cut_row(row, COLUMNS, ("axial",))
    assert line.at_mm == pytest.approx(3.0 * 4)
    np.testing.assert_array_equal(line.images["T1w"], line.images["U-Net"])
    assert line.contour is not None
    assert int((line.contour > 0.5).sum()) == 16


def test_a_stated_position_is_shown_and_one_outside_is_refused(row: Row) -> None:
    moved = Row(row.case, row.images, mask=row.mask, at_mm={"axial": 9.1})
    (line,), _ = cut_row(moved, COLUMNS, ("axial",))
    assert line.at_mm == pytest.approx(9.0)
    with pytest.raises(InputRefused, match="from 0 to 48 mm"):
        cut_row(Row(row.case, row.images, mask=row.mask, at_mm={"axial": 60}), COLUMNS, ("axial",))


def test_the_difference_of_an_equal_image_is_0_and_that_of_a_brighter_one_its_offset(row: Row) -> None:
    lines, large = cut_row(row, COLUMNS, PLANES)
    for line in lines:
        assert not line.differences["U-Net"].any()
        assert line.differences["cGAN"].max() == pytest.approx(10)
    assert large == pytest.approx(10)


def test_differences_that_are_not_shown_are_not_computed(row: Row, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Loaded, "difference", lambda *_: pytest.fail("computed"))
    drawing = draw_montage([row], COLUMNS, data_kind="real", unit="HU", layout=Layout(difference="none"))
    assert "Differences" not in drawing.caption


def test_an_image_on_another_grid_is_resampled_to_the_target(row: Row) -> None:
    target = row.images["T1w"]
    assert isinstance(target, Volume)
    stored = Volume(
        target.data[::-1, :, 1:],
        target.affine @ np.array([[-1, 0, 0, SHAPE[0] - 1], [0, 1, 0, 0], [0, 0, 1, 1], [0, 0, 0, 1.0]]),
    )
    lines, large = cut_row(Row("a", {**row.images, "cGAN": stored}, mask=row.mask), COLUMNS, ("sagittal",))
    np.testing.assert_allclose(lines[0].images["cGAN"], lines[0].images["T1w"], atol=1e-3)
    assert large == pytest.approx(0, abs=1e-3)


def test_the_zoom_shows_the_pixels_inside_its_box(row: Row) -> None:
    cubes = {name: Volume(image.data, np.diag([2.0, 2.0, 2.0, 1.0])) for name, image in parts(row).items()}
    row = Row("a", cubes, mask=cubes["mask"], labels=cubes["labels"])
    for plane in PLANES:
        (line,), _ = cut_row(row, COLUMNS, (plane,), zoom_mm=12.0)
        assert line.zoom_box is not None
        picture, near = line.images["T1w"], line.zoomed["T1w"]
        assert isinstance(picture, np.ndarray)
        rows, columns = picture.shape
        left, top, width, height = line.zoom_box
        y, x = round(top * rows), round(left * columns)
        inside = picture[y : y + round(height * rows), x : x + round(width * columns)]
        assert inside.shape == near.shape
        np.testing.assert_array_equal(inside, near)
        assert line.contour is not None
        middle = line.contour[y : y + near.shape[0], x : x + near.shape[1]]
        assert middle.sum() == pytest.approx(line.contour.sum())


def test_relative_units_make_images_of_another_scale_equal(row: Row, tmp_path: Path) -> None:
    target = row.images["T1w"]
    assert isinstance(target, Volume)
    write_volume(tmp_path / "made.nii.gz", target.with_data(target.data * 7))
    level = float(np.median(target.data[target.data > 0]))
    (tmp_path / "made.json").write_text(json.dumps({"Synthetic": {"ReferenceLevel": 7 * level}}))
    relative = with_reference_levels(
        Row("a", {"T1w": target, "U-Net": tmp_path / "made.nii.gz", "cGAN": target.with_data(target.data * 0.8)}),
        COLUMNS,
    )
    (line,), _ = cut_row(relative, COLUMNS, ("axial",))
    assert np.abs(line.differences["U-Net"]).max() < 1e-3
    assert line.differences["cGAN"].mean() < -0.05  # without a sidecar it is compared at the level of the target
    (tmp_path / "made.json").write_text("{}")
    with pytest.raises(InputRefused, match="SIDECAR"):
        with_reference_levels(Row("a", {"T1w": target, "U-Net": tmp_path / "made.nii.gz"}), COLUMNS)


def test_a_source_below_0_does_not_stop_relative_units_and_sets_stand_before_cases(row: Row) -> None:
    target = row.images["T1w"]
    assert isinstance(target, Volume)
    air = target.with_data(target.data - 1000)
    relative = with_reference_levels(Row("a", {**row.images, "CT": air}, mask=row.mask, set="Test_low"), COLUMNS)
    assert "CT" not in relative.levels
    drawing = draw_montage([relative], COLUMNS, data_kind="real", unit="relative units")
    assert any(text.get_text().startswith("Test_low\na\naxial") for text in drawing.figure.texts)


def test_a_missing_or_unreadable_synthetic_image_leaves_a_reason_and_a_real_one_is_refused(
    row: Row, tmp_path: Path
) -> None:
    (tmp_path / "broken.nii.gz").write_bytes(b"no image")
    images = {"CT": row.images["CT"], "T1w": row.images["T1w"], "U-Net": tmp_path / "broken.nii.gz"}
    (line,), _ = cut_row(Row("a", images, mask=row.mask, reasons={"cGAN": "diverged"}), COLUMNS, ("axial",))
    assert str(line.images["U-Net"]).startswith("not readable (")
    assert line.images["cGAN"] == "diverged"
    with pytest.raises(InputRefused):
        cut_row(Row("a", {**images, "CT": tmp_path / "broken.nii.gz"}), COLUMNS, ("axial",))
    with pytest.raises(NoInput, match="sub-02 has none"):
        cut_row(Row("sub-02", {}), COLUMNS, ("axial",))


def test_columns_and_planes_that_cannot_be_drawn_are_refused(row: Row) -> None:
    with pytest.raises(InputRefused, match="COLUMNS"):
        draw_montage([row], [Column("T1w", "target"), Column("T1w")], data_kind="real", unit="HU")
    with pytest.raises(UsageError, match="did you mean axial"):
        Layout(planes=("axiall",))
    with pytest.raises(NoInput):
        draw_montage([], COLUMNS, data_kind="real", unit="HU")


def test_a_montage_marks_synthetic_columns_and_states_n_kind_and_unit(row: Row, tmp_path: Path) -> None:
    layout = Layout(difference="absolute", has_zoom=True, zoom_mm=12, has_outline=True)
    drawing = draw_montage([row, row], COLUMNS[1:], data_kind="simulated", unit="relative units", layout=layout)
    texts = [text.get_text() for text in drawing.figure.texts]
    assert texts.count("synthetic") == 2
    assert "n = 2 cases. Simulated data. Unit: relative units." in drawing.caption
    png, svg, text = save(drawing, tmp_path / "figure.1")
    assert (png.name, svg.name, text.read_text()) == ("figure.1.png", "figure.1.svg", drawing.caption + "\n")
    first = png.read_bytes()
    assert save(drawing, tmp_path / "figure.1")[0].read_bytes() == first


def test_blocks_put_cases_side_by_side(row: Row) -> None:
    one = draw_montage([row] * 6, COLUMNS, data_kind="real", unit="HU")
    three = draw_montage([row] * 6, COLUMNS, data_kind="real", unit="HU", layout=Layout(blocks=3))
    assert three.figure.get_figheight() < one.figure.get_figheight() / 2
    assert sum(text.get_text() == "real target" for text in three.figure.texts) == 3


def test_single_slices_such_as_those_of_spines_are_shown_as_they_are() -> None:
    values = np.random.default_rng(0).uniform(-500, 500, (20, 24, 1)).astype(np.float32)
    flat = Volume(values, np.diag([0.5, 0.5, 4.0, 1.0]))
    row = Row("disc-1", {"CT": flat, "T1w": flat, "U-Net": flat.with_data(values + 3)})
    (line,), large = cut_row(row, COLUMNS[:3], ("axial",))
    np.testing.assert_array_equal(line.images["CT"], values[::-1, ::-1, 0].T)
    assert (large, line.at_mm) == (pytest.approx(3.0, abs=1e-3), 0.0)
    drawing = draw_montage([row], COLUMNS[:3], data_kind="real", unit="HU", layout=Layout(difference="signed"))
    assert "n = 1 case" in drawing.caption


def test_the_masked_image_has_its_lowest_value_outside_of_the_mask(row: Row) -> None:
    target = row.images["T1w"]
    assert isinstance(target, Volume)
    assert isinstance(row.mask, Volume)
    drawing = draw_masks({"a": {"T1w": target}}, {"a": row.mask}, data_kind="real", unit="arbitrary units")
    assert "n = 1 case. Real data. Unit: arbitrary units." in drawing.caption
    window = {"T1w": (60.0, 120.0)}
    narrow = draw_masks({"a": {"T1w": target}}, {"a": row.mask}, data_kind="real", unit="HU", windows=window)
    assert "Windows: T1w 60 to 120." in narrow.caption
    shown = narrow.figure.axes[0].images[0].get_array()
    (line,), _ = cut_row(Row("a", {"T1w": target}, mask=row.mask), COLUMNS[1:2], ("axial",))
    assert shown is not None
    np.testing.assert_array_equal(np.asarray(shown) == 255, line.images["T1w"] > 120 - 30 / 255)
    with pytest.raises(NoInput, match="b has no mask"):
        draw_masks({"b": {"T1w": target}}, {}, data_kind="real", unit="")
    steps = draw_steps({"a": {"raw": target, "cropped": target}}, masks={"a": row.mask}, data_kind="real", unit="")
    assert "Green: outline of the mask." in steps.caption


def test_tissue_and_bright_probabilities_sum_to_1_and_their_largest_is_the_segmentation() -> None:
    random = np.random.default_rng(0)
    truth = np.arange(24)[:, None, None] // 8 * np.ones((24, 20, 18), dtype=int)
    image = (np.array([30.0, 70.0, 110.0])[truth] + random.normal(0, 3, truth.shape)).astype(np.float32)
    mask = np.ones(truth.shape, dtype=bool)
    mask[:, :2] = False
    maps = tissue_probabilities(image, mask, spacing_mm=(1.0, 1.0, 1.0))
    labels = segment_by_mixture(image, mask, spacing_mm=(1.0, 1.0, 1.0))
    assert list(maps) == list(TISSUES)
    assert not any(own[~mask].any() for own in maps.values())
    bright = 1 - sum(maps.values())
    assert bright[mask].min() > -1e-5
    largest = np.argmax(np.stack([*maps.values(), bright]), axis=0) + 1
    np.testing.assert_array_equal(largest[mask], labels[mask])
    volume, brain = Volume(image, np.eye(4)), Volume(mask.astype(np.float32), np.eye(4))
    rows = [Row("a", {"T1w": volume, "U-Net": volume.with_data(0 * image)}, mask=brain)]
    drawing = draw_probability_maps(rows, COLUMNS[1:3], tissue="GM", data_kind="simulated")
    assert "Probability of GM" in drawing.caption
    assert any("no segmentation" in text.get_text() for axes in drawing.figure.axes for text in axes.texts)
    with pytest.raises(UsageError, match="did you mean GM"):
        draw_probability_maps(rows, COLUMNS[1:3], tissue="GMM", data_kind="simulated")


def test_a_long_word_in_a_column_title_is_broken_at_its_hyphen():
    assert _title(Column("Trans-U-Net"), 0.65).split("\n") == ["Trans-U-", "Net"]
