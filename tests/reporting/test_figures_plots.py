"""Plots across systems show the numbers that they are given, state n, kind of data and unit, and are legible."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from voxlate.errors import InputRefused, NoInput
from voxlate.evaluation.downstream.classification import Classified
from voxlate.evaluation.downstream.longitudinal import ChangeAgreement
from voxlate.evaluation.downstream.structures import StructureDifference
from voxlate.evaluation.schema.results import History, Loss, NetworkPictures
from voxlate.evaluation.statistics import mean_interval
from voxlate.reporting.figures.bars import draw_bars_by_case, draw_bars_by_system, draw_sweep, summarise
from voxlate.reporting.figures.box_by_system import VOLUME_DIFFERENCE, draw_boxes
from voxlate.reporting.figures.drawing import PAGE_IN, Drawing, colours_of, save
from voxlate.reporting.figures.feature_maps import draw_feature_maps, read_pictures, sheets_of
from voxlate.reporting.figures.forest import draw_areas, draw_change_biases, draw_structure_differences
from voxlate.reporting.figures.line_profile import Segment, draw_line_profile, sample, widest_row
from voxlate.reporting.figures.montage import draw_montage
from voxlate.reporting.figures.montage_layout import Layout
from voxlate.reporting.figures.montage_rows import Column, Row
from voxlate.reporting.figures.slices import PLANES
from voxlate.reporting.figures.training_curves import draw_training_curves, read_history
from voxlate.volume import Volume

RANDOM = np.random.default_rng(0)
PATIENTS = [f"sub-{k:02d}" for k in range(8)]
DELTAS = (0.001, 0.01, 0.03, 0.05, 0.1, 0.15, 0.2, 0.3)


def values(mean: float = 10.0, names: list[str] = PATIENTS) -> dict[str, float]:
    return {name: float(RANDOM.normal(mean, mean / 5)) for name in names}


def history(start: float, count: int = 50) -> History:
    return History(training=[Loss(step=k, loss=start / (k + 1)) for k in range(count)])


def cases() -> Drawing:
    systems = {name: values(names=[f"spine-{k:02d}" for k in range(15)]) for name in ("Pix2Pix", "U-Net")}
    return draw_bars_by_case(systems, metric="MAE", unit="grey levels", data_kind="simulated", noun="image")


def systems() -> Drawing:
    names = [f"λ1, λ3 = {a}, {b}" for a, b in ((1, 1), (1, 10), (1, 30), (0.1, 10), (0.01, 10))]
    metrics = {metric: {name: values() for name in names} for metric in ("PSNR", "SSIM", "PSNR in lesions")}
    return draw_bars_by_system(metrics, units={"PSNR": "dB"}, data_kind="simulated")


def sweep() -> Drawing:
    metrics = {metric: {delta: values() for delta in DELTAS} for metric in ("PSNR", "SSIM")}
    return draw_sweep(metrics, parameter="δ", units={"PSNR": "dB"}, data_kind="simulated", good_range=(0.03, 0.15))


def boxes() -> Drawing:
    sets = {name: {system: values() for system in ("source", "U-Net", "cGAN")} for name in ("Test_good", "Test_low")}
    metrics = dict.fromkeys(("GM", "WM", "CSF"), sets)
    units = dict.fromkeys(metrics, "cm³")
    return draw_boxes(metrics, units=units, data_kind="simulated", note=VOLUME_DIFFERENCE, has_zero=True)


def curves() -> Drawing:
    runs = {f"DRUNet-{depth} {loss}": history(depth) for depth in (34, 50, 101) for loss in ("MSE", "BCE", "CX")}
    return draw_training_curves(runs, is_normalised=True, data_kind="simulated")


def ball() -> tuple[Volume, Volume]:
    x, y, z = np.meshgrid(*[np.linspace(-1, 1, n) for n in (21, 25, 17)], indexing="ij")
    inside = (x**2 + y**2 + z**2 < 0.8).astype(np.float32)
    image = inside * (100 + 40 * x + 5 * y).astype(np.float32)
    return Volume(image, np.diag([2.0, 2.0, 3.0, 1.0])), Volume(inside, np.diag([2.0, 2.0, 3.0, 1.0]))


def profile() -> Drawing:
    image, mask = ball()
    made = image.with_data(image.data * 0.9)
    contrasts = {
        "CT": {"CT": image.with_data(image.data * 10 - 1000)},
        "T1w": {"real": image, "synthetic, DRUNet": made, "synthetic, U-Net": made},
        "T2w": {"real": image, "synthetic, DRUNet": made},
    }
    return draw_line_profile(contrasts, mask=mask, units={"CT": "HU"}, data_kind="simulated")


def maps() -> Drawing:
    sheets = {"First filters": RANDOM.random((64, 7, 7)), "Deepest feature maps": RANDOM.random((81, 4, 4))}
    return draw_feature_maps(sheets, case="sub-01", data_kind="simulated")


def montage() -> Drawing:
    image, mask = ball()
    columns = [Column("CT", "source"), Column("T1w", "target"), *[Column(f"DRUNet-{k} contextual") for k in (34, 50)]]
    images = {column.name: image for column in columns[:-1]}
    rows = [Row(f"sub-{k:04d}_ses-01", images, mask=mask) for k in range(2)]
    layout = Layout(planes=("sagittal", "axial"), difference="signed", has_zoom=True)
    return draw_montage(rows, columns, data_kind="simulated", unit="relative units", layout=layout)


def blocks() -> Drawing:
    image, mask = ball()
    columns = [Column("CT", "source"), Column("T2w", "target"), Column("Pix2Pix")]
    rows = [Row(f"spine-{k:02d}", {c.name: image for c in columns}, mask=mask) for k in range(5)]
    return draw_montage(rows, columns, data_kind="simulated", unit="HU", layout=Layout(blocks=3))


def many() -> Drawing:
    image, mask = ball()
    systems = ("Res-U-Net", "Att-U-Net", "Trans-U-Net", "cGAN Res-U-Net", "cGAN Att-U-Net", "cGAN Trans-U-Net")
    columns = [Column("source", "source"), Column("T1nce", "target"), *map(Column, systems)]
    rows = [Row("sub-01", {c.name: image for c in columns}, mask=mask, set=name) for name in ("Test_good", "Test_low")]
    return draw_montage(rows, columns, data_kind="simulated", unit="HU", layout=Layout(planes=("sagittal", "axial")))


def areas() -> Drawing:
    nan = float("nan")
    rows = [
        Classified(train, test, 40, 20, auc, auc - 0.1, auc + 0.05, 0.8, nan, nan, nan, nan)
        for test, auc in (("target", 0.9), ("cGAN Att-U-Net", 0.85), ("target_again", 0.8), ("blurred_target", 0.7))
        for train in ("target", "cGAN Att-U-Net", "target + cGAN Att-U-Net")
    ]
    return draw_areas(rows, data_kind="simulated")


ALL = (areas, many, cases, systems, sweep, boxes, curves, profile, maps, montage, blocks)


def drawn_texts(figure: Figure) -> list[Text]:
    """Returns the texts of a figure that has been drawn; ticks beyond the ends of an axis are never drawn."""
    hidden: set[Text] = set()
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            ticks = [*axis.get_major_ticks(), *axis.get_minor_ticks()]
            unseen = [tick for tick in ticks if not (axes.axison and low <= tick.get_loc() <= high)]
            hidden |= {label for tick in unseen for label in (tick.label1, tick.label2)}
    found = [text for text in figure.findobj(Text) if isinstance(text, Text) and text not in hidden]
    return [text for text in found if text.get_text().strip() and text.get_visible()]


@pytest.mark.parametrize("draw", ALL)
def test_every_figure_is_legible_and_states_n_and_the_kind_of_data(draw: Callable[[], Drawing], tmp_path: Path) -> None:
    drawing = draw()
    figure = drawing.figure
    assert "n = " in drawing.caption
    assert "Simulated data" in drawing.caption
    assert drawing.alt
    assert figure.get_figwidth() == pytest.approx(PAGE_IN)
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw(renderer)
    boxes = {}
    for text in drawn_texts(figure):
        assert text.get_fontsize() >= 8, text.get_text()
        box = text.get_window_extent(renderer)
        assert figure.bbox.x0 - 1 <= box.x0 < box.x1 <= figure.bbox.x1 + 1, f"{text.get_text()!r} leaves the page"
        assert figure.bbox.y0 - 1 <= box.y0 < box.y1 <= figure.bbox.y1 + 1, f"{text.get_text()!r} leaves the page"
        if text.get_rotation() % 90 == 0:
            boxes[text] = box.padded(-1)
    for one, other in combinations(boxes, 2):
        assert not boxes[one].overlaps(boxes[other]), f"{one.get_text()!r} covers {other.get_text()!r}"
    _, svg, _ = save(drawing, tmp_path / "figure")
    assert svg.read_text().startswith("<?xml")


def test_a_bar_has_the_height_of_its_value_and_a_case_without_a_value_has_none() -> None:
    drawing = draw_bars_by_case(
        {"A": {"one": 3.0, "two": 5.0}, "B": {"two": 4.0}}, metric="MAE", unit="%", data_kind="real"
    )
    heights = sorted(float(bar.get_height()) for bar in drawing.figure.axes[0].patches)
    assert heights == [3.0, 4.0, 5.0]
    assert "A 4.00; B 4.00 %" in drawing.caption


def test_means_and_intervals_are_those_of_the_statistics() -> None:
    sample_of = values()
    found, interval = summarise(sample_of, "MAE"), mean_interval(list(sample_of.values()))
    assert (found.mean, found.low, found.high) == (np.mean(list(sample_of.values())), interval.low, interval.high)
    assert np.isnan(summarise({"a": 1.0, "b": 2.0}, "MAE").low)
    drawing = draw_sweep({"PSNR": {0.1: sample_of, 0.2: sample_of}}, parameter="δ", units={}, data_kind="real")
    (curve,) = [line for line in drawing.figure.axes[0].lines if line.get_marker() == "o"]
    assert curve.get_ydata().tolist() == [found.mean, found.mean]
    assert drawing.figure.axes[0].get_xscale() == "log"


def test_a_forest_shows_percent_of_the_real_mean_and_leaves_out_what_was_not_measured() -> None:
    rows = [
        StructureDifference("cGAN", "Thalamus", "cm3", 9, real=8.0, difference=-0.4, low=-0.8, high=0.0, percent=-5.0),
        StructureDifference("cGAN", "Caudate", "cm3", 1, note="too few"),
        StructureDifference("cGAN", "Optic-Chiasm", "cm3", 20, real=0.0, difference=0.1, low=0.0, high=0.2),
    ]
    drawing = draw_structure_differences(rows, data_kind="real")
    axes = drawing.figure.axes[0]
    assert "n = 9" in drawing.caption  # of the rows that are drawn
    drawn = [np.ravel(line.get_xdata()).tolist() for line in axes.lines]
    assert [-5.0] in drawn
    assert [-10.0, 0.0] in drawn
    assert [text.get_text() for text in axes.get_yticklabels()] == ["Thalamus, cGAN"]
    changes = [ChangeAgreement("cGAN", "GM", unit, 9, real_change=-5, bias=1.0) for unit in ("cm3", "%")]
    assert "Unit: cm³." in draw_change_biases(changes[:1], data_kind="real").caption
    with pytest.raises(InputRefused, match="UNITS"):
        draw_change_biases(changes, data_kind="real")
    with pytest.raises(NoInput):
        draw_areas([], data_kind="real")


def test_values_that_cannot_be_drawn_are_refused() -> None:
    with pytest.raises(InputRefused, match="first two"):
        draw_bars_by_case({"A": {"one": 1.0, "two": float("nan")}}, metric="MAE", unit="", data_kind="real")
    with pytest.raises(InputRefused, match="at least two"):
        draw_sweep({"PSNR": {0.1: values()}}, parameter="δ", units={}, data_kind="real")
    for draw in (draw_bars_by_system, draw_boxes):
        with pytest.raises(NoInput):
            draw({}, units={}, data_kind="real")
    with pytest.raises(NoInput):
        draw_boxes({"GM": {"Test": {"A": {}}}}, units={}, data_kind="real")


def test_systems_have_colours_of_their_own_and_known_methods_keep_theirs() -> None:
    found = colours_of(["source", *"abcdefgh", "synthetic"])
    assert len(set(found.values())) == 10
    assert found["source"] == colours_of(["source"])["source"]


def test_a_line_links_each_patient_within_a_set() -> None:
    sets = {"good": {"A": {"p": 1.0, "q": 2.0}, "B": {"p": 3.0, "q": 5.0}}, "low": {"A": {"r": 7.0}, "B": {"r": 8.0}}}
    axes = draw_boxes({"GM": sets}, units={}, data_kind="real").figure.axes[0]
    linked = {
        tuple(line.get_ydata().tolist()): line.get_xdata().tolist() for line in axes.lines if line.get_zorder() == 1
    }
    assert linked == {(1.0, 3.0): [0, 1], (2.0, 5.0): [0, 1], (7.0, 8.0): [3, 4]}


def test_a_normalised_curve_starts_at_1_and_keeps_its_ratios(tmp_path: Path) -> None:
    (tmp_path / "history.json").write_text(history(40.0).model_dump_json())
    drawing = draw_training_curves({"file": tmp_path, "twice": history(80.0)}, is_normalised=True)
    one, two = (line.get_ydata() for line in drawing.figure.axes[0].lines)
    np.testing.assert_allclose(one, two)
    np.testing.assert_allclose(one[:3], [1, 1 / 2, 1 / 3])


def test_names_with_dollar_signs_are_drawn_as_they_are_and_a_logarithmic_axis_has_plain_numbers() -> None:
    names = ("US$ 5, $x_{$", r"$\foo$")
    drawing = draw_training_curves(dict.fromkeys(names, history(40.0)), is_logarithmic=True)
    svg = drawing.html("curves")
    assert all(name in svg for name in names)
    assert "mathdefault" not in svg
    assert all(f">{tick}<" in svg for tick in ("1", "10"))
    bars = draw_bars_by_system({"MAE": {name: values() for name in names}}, units={}, data_kind="simulated")
    assert all(name in bars.html("bars") for name in names)


def test_a_history_that_cannot_be_drawn_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NoInput, match="name the folder of a run"):
        read_history(tmp_path)
    for text, told in (("{", "cannot be read"), ('{"training": 3}', "training")):
        (tmp_path / "history.json").write_text(text)
        with pytest.raises(InputRefused, match=told):
            read_history(tmp_path)
    with pytest.raises(InputRefused, match="diverged"):
        draw_training_curves({"a": History(training=[Loss(step=1, loss=None)])})
    with pytest.raises(InputRefused, match="starts at loss 0"):
        draw_training_curves({"a": History(training=[Loss(step=1, loss=0.0)])}, is_normalised=True)


def test_the_profile_of_a_linear_image_is_a_straight_line() -> None:
    affine = np.diag([-2.0, 2.0, 3.0, 1.0])
    affine[:3, 3] = (30, -20, -10)
    grid = Volume(np.zeros((21, 25, 17), dtype=np.float32), affine)
    index = np.stack(np.meshgrid(*map(np.arange, grid.data.shape), indexing="ij"), axis=-1)
    volume = grid.with_data(grid.grid.to_mm(index) @ (1.0, 2.0, -0.5))
    segment = Segment((10.0, -10.0, 0.0), (-4.0, 20.0, 15.0))
    np.testing.assert_allclose(sample(volume, segment, 9), segment.points_mm(9) @ (1.0, 2.0, -0.5), atol=1e-4)
    assert np.isnan(sample(volume, Segment((10.0, -10.0, 0.0), (1000.0, 0.0, 0.0)), 3)[1:]).all()


def test_the_chosen_line_is_the_widest_row_of_the_fullest_slice_from_left_to_right_of_the_picture() -> None:
    mask = np.zeros((20, 10, 6), dtype=bool)
    mask[5:11, 4:7, 2:5] = True
    mask[3:13, 5, 3] = True  # the widest row, in the fullest slice
    like = Volume(mask.astype(np.float32), np.diag([2.0, 3.0, 4.0, 1.0]))
    line = widest_row(mask, like, PLANES[0])
    assert line.start_mm == pytest.approx((2 * (12 + 0.9), 15.0, 12.0))
    assert line.end_mm == pytest.approx((2 * (3 - 0.9), 15.0, 12.0))
    with pytest.raises(InputRefused, match="EMPTY_MASK"):
        widest_row(mask & False, like, PLANES[0])


def test_a_profile_keeps_a_synthetic_image_that_is_too_dark_too_dark() -> None:
    drawing = profile()
    t1w = next(axes for axes in drawing.figure.axes if axes.get_ylabel().startswith("T1w"))
    real, made = (line.get_ydata() for line in t1w.lines[:2])
    np.testing.assert_allclose(made, 0.9 * real, atol=1e-6)
    image, mask = ball()
    far = Segment((500.0, 0.0, 500.0), (600.0, 0.0, 500.0))
    with pytest.raises(InputRefused, match="LINE"):
        draw_line_profile({"T1w": {"real": image}}, mask=mask, segment=far, data_kind="real")


def test_maps_of_a_network_are_turned_as_slices_are(tmp_path: Path) -> None:
    tile = np.zeros((1, 4, 5))
    tile[0, 3, 4] = 1  # rightmost and foremost: at the top left of the picture
    pictures = NetworkPictures(case="a", filters=tile.tolist(), maps=tile.tolist(), channels=1, output=tile.tolist())
    (tmp_path / "pictures.json").write_text(pictures.model_dump_json())
    found = sheets_of(read_pictures(tmp_path))
    assert list(found) == ["First filters", "Deepest feature maps", "Output"]
    assert np.argwhere(found["Output"][0] == 1).tolist() == [[0, 0]]
    assert found["Output"].shape == (1, 5, 4)
    (tmp_path / "pictures.json").write_text(json.dumps({"case": "a"}))
    with pytest.raises(InputRefused, match=r"PICTURES pictures.json of .*: filters: Field required"):
        read_pictures(tmp_path)
    with pytest.raises(NoInput, match=r"pictures.json of none does not exist; only networks with a filter"):
        read_pictures(tmp_path / "none")
    with pytest.raises(InputRefused, match="DIMENSIONS"):
        draw_feature_maps({"maps": np.zeros((3, 3))}, case="a", data_kind="real")
