"""Windows of simulated heads: their signals, their deformation, their units, and training on them."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from voxlate.bundle.bundle import read_weights
from voxlate.bundle.prepared_case import prepare_case
from voxlate.bundle.recipe import Recipe
from voxlate.errors import UsageError
from voxlate.preparation.steps.intensity import by_range_hu
from voxlate.simulation.files.tissue_maps import MapPlan, write_tissue_maps
from voxlate.simulation.physics.contrast_agent import AGENTS
from voxlate.simulation.physics.render import Chemistry, Substance, tissue_signal
from voxlate.simulation.physics.scanners import scanner_named
from voxlate.simulation.tissue_map import KEPT, WHOLE, TissueMap
from voxlate.training.data.windows import painted_window
from voxlate.training.loop import train
from voxlate.training.simulated import draw, warp
from voxlate.training.simulated.draw import WindowPlan, draw_window
from voxlate.training.simulated.windows import SimulatedWindows

NAMES = ("blood", "csf", "gm", "wm")
SIDE = 48


def brick(spacing_mm=1.0):
    """Returns a map of four quarters of pure tissue, with half a voxel of blood along one edge."""
    index = np.zeros((SIDE, SIDE, SIDE, KEPT), np.uint8)
    share = np.zeros((SIDE, SIDE, SIDE, KEPT), np.uint8)
    share[..., 0] = WHOLE
    half = SIDE // 2
    index[:half, :half, :, 0], index[:half, half:, :, 0] = NAMES.index("csf"), NAMES.index("gm")
    index[half:, :half, :, 0], index[half:, half:, :, 0] = NAMES.index("wm"), NAMES.index("gm")
    index[half, half, :, 1] = NAMES.index("blood")
    share[half, half, :, 0], share[half, half, :, 1] = 128, 127
    depth = np.full((SIDE, SIDE, SIDE), 150, np.uint8)
    enhancing = np.flatnonzero(share[..., 1].reshape(-1) > 0)
    sample = np.arange(0, SIDE**3, 7)
    lesions = np.zeros((SIDE, SIDE, SIDE), np.uint8)
    return TissueMap(NAMES, spacing_mm, index, share, depth, lesions, enhancing, sample, {1.5: {}, 3.0: {}})


@pytest.fixture
def still(monkeypatch):
    """Takes away deformation, noise, shading and textures."""
    monkeypatch.setattr(warp, "SHEAR", 0.0)
    monkeypatch.setattr(warp, "BEND_MM", 0.0)
    drawn = draw.draw_mr_settings
    quiet = {"noise_percent": 0.0, "shading": 0.0, "transmit": 0.0, "weighting": 1.0}
    monkeypatch.setattr(draw, "draw_mr_settings", lambda *args, **kwargs: replace(drawn(*args, **kwargs), **quiet))
    monkeypatch.setattr(draw, "TEXTURE", {"T1": 0.0, "T2": 0.0})
    monkeypatch.setattr(draw, "tissue_slopes", lambda *args, **kwargs: np.zeros(len(NAMES)))


def test_without_deformation_and_noise_a_window_has_the_signals_of_its_tissues(still, monkeypatch):
    scanner = scanner_named("A")
    substances = {name: Substance(tissue, tissue.uptake * 0.6) for name, tissue in scanner.tissues().items()}
    chemistry = Chemistry(substances, AGENTS["gadobutrol"])
    monkeypatch.setattr(draw, "TRAINING_SCANNERS", ("A",))
    monkeypatch.setattr(draw, "_chemistry", lambda *_: chemistry)
    monkeypatch.setattr(draw, "random_centre", lambda *_: np.array([24, 24, 24]))
    drawn = draw_window(brick(), WindowPlan(("T1ce", "T1w", "T2w", "FLAIR"), (16, 16, 16)), np.random.default_rng(0))
    for name, contrast in (("T1ce", "T1w"), ("T1w", "T1w"), ("T2w", "T2w"), ("FLAIR", "FLAIR")):

        def signal(tissue, contrast=contrast, has_agent=name == "T1ce"):
            value = tissue_signal(chemistry, scanner, contrast, tissue, has_agent=has_agent)
            return value / tissue_signal(chemistry, scanner, contrast, "wm")

        image = drawn.images[name]
        # The centre of an even window lies between its two middle voxels, so that borders are mixed by half.
        assert image[3, 3, 3] == pytest.approx(signal("csf"), rel=1e-4)
        assert image[12, 3, 3] == pytest.approx(signal("wm"), rel=1e-4)
        assert image[12, 12, 3] == pytest.approx(signal("gm"), rel=1e-4)
        assert image[3, 7, 3] == pytest.approx((signal("csf") + signal("gm")) / 2, rel=1e-4)
    changed = np.abs(drawn.images["T1ce"] - drawn.images["T1w"]) > 0.05
    assert changed.any()
    assert {(int(i), int(j)) for i, j, _ in np.argwhere(changed)} <= {(i, j) for i in (7, 8) for j in (7, 8)}


def test_the_same_generator_gives_the_same_window_and_another_another():
    plan = WindowPlan(("T1ce", "T1w"), (20, 24, 16), enhancing_share=0.5)
    first, second, third = (draw_window(brick(), plan, np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert first.images["T1ce"].shape == (20, 24, 16)
    for name in plan.images:
        assert np.array_equal(first.images[name], second.images[name])
        assert not np.array_equal(first.images[name], third.images[name])


def test_images_of_one_acquisition_share_their_noise_and_others_do_not():
    both = {}
    for same in (True, False):
        plan = WindowPlan(("T1ce", "T1w"), (16, 16, 16), is_same_acquisition=same)
        drawn = draw_window(brick(), plan, np.random.default_rng(1))
        both[same] = np.abs(drawn.images["T1ce"] - drawn.images["T1w"])
    assert np.median(both[True]) < 0.2 * np.median(both[False])


def test_a_target_of_another_scanner_shows_the_same_patient(still, monkeypatch):
    chosen = []
    monkeypatch.setattr(draw, "TRAINING_SCANNERS", ("A", "E"))
    original = draw._chemistry
    monkeypatch.setattr(draw, "_chemistry", lambda *args: chosen.append(original(*args)) or chosen[-1])
    plan = WindowPlan(("T1ce", "T1w"), (16, 16, 16), other_scanner=1.0)
    same = other = 0
    for seed in range(12):
        chosen.clear()
        drawn = draw_window(brick(), plan, np.random.default_rng(seed), np.array([24, 24, 24]))
        first, second = chosen
        assert (first.agent, first.inflow) == (second.agent, second.inflow)
        apart = np.abs(drawn.images["T1ce"] - drawn.images["T1w"]).max(initial=0, where=drawn.images["T1ce"] < 0.7)
        if first.substances["gm"].tissue == second.substances["gm"].tissue:  # the same field strength
            same += 1
            assert first.substances == second.substances
        else:
            other += 1
            assert apart > 0.05  # grey matter and fluid differ between the two sequences
            assert first.substances["gm"].concentration_mm == second.substances["gm"].concentration_mm
    assert same
    assert other


def test_without_another_scanner_windows_are_those_of_a_seed_as_before():
    plans = WindowPlan(("T1ce", "T1w"), (16, 16, 16)), WindowPlan(("T1ce", "T1w"), (16, 16, 16), other_scanner=0.0)
    first, second = (draw_window(brick(), plan, np.random.default_rng(2)) for plan in plans)
    assert np.array_equal(first.images["T1w"], second.images["T1w"])


def test_an_acquired_sample_has_the_quantiles_of_the_images_with_their_noise(monkeypatch):
    monkeypatch.setattr(draw, "FLUID", "none of the tissues")  # whose share in a mask is random
    head = brick()
    plan = WindowPlan(("T1ce", "T1w"), (SIDE, SIDE, SIDE), is_sample_acquired=True)
    for seed in range(3):
        drawn = draw_window(head, plan, np.random.default_rng(seed), np.array([24, 24, 24]))
        clean = draw_window(head, replace(plan, is_sample_acquired=False), np.random.default_rng(seed))
        for name in plan.images:
            found, expected = (np.quantile(x, (0.1, 0.5, 0.9)) for x in (drawn.sample[name], drawn.images[name]))
            assert found == pytest.approx(expected, rel=0.12)  # shading and deformation are not in the sample
            assert len(np.unique(clean.sample[name])) < 8 < len(np.unique(drawn.sample[name]))


def test_masks_differ_in_how_much_fluid_they_hold():
    head = brick()
    fluid = head.sampled[0][:, 0] == NAMES.index("csf")
    shares = []
    for seed in range(20):
        kept = draw._in_mask(head, np.random.default_rng(seed))
        assert kept[~fluid].all()
        shares.append(kept[fluid].mean())
    assert min(shares) < 0.3
    assert max(shares) > 0.7


def test_the_noise_of_a_window_has_the_standard_deviation_of_its_grade(still, monkeypatch):
    drawn = draw.draw_mr_settings
    monkeypatch.setattr(
        draw, "draw_mr_settings", lambda *args, **kwargs: replace(drawn(*args, **kwargs), noise_percent=4.0)
    )
    head = brick()
    head = replace(head, index=np.full_like(head.index, NAMES.index("wm")))
    window = draw_window(head, WindowPlan(("T1w",), (32, 32, 32)), np.random.default_rng(0)).images["T1w"]
    assert window.std() == pytest.approx(0.04, rel=0.05)
    assert window.mean() == pytest.approx(np.sqrt(1 + 0.04**2), rel=0.01)


def test_ct_windows_are_hounsfield_units_with_the_noise_of_a_scanner(still):
    head = brick()
    head = replace(head, index=np.full_like(head.index, NAMES.index("wm")))
    window = draw_window(head, WindowPlan(("CT", "T1w"), (32, 32, 32)), np.random.default_rng(0)).images["CT"]
    # White matter has 28 HU, 34 without contrast to grey matter; 8 is the largest offset.
    assert 28 - 0.6 - 8 < window.mean() < 34 + 8
    assert 3 < window.std() < 12


def test_the_deformation_never_folds_and_its_box_holds_every_voxel():
    for seed in range(60):
        rng = np.random.default_rng(seed)
        found = warp.random_warp(np.array([24, 24, 24]), (64, 64, 64), 1.0, rng)
        points = found.upsampled(found.nodes)[0].double().numpy()
        gradient = np.stack([np.stack(np.gradient(axis)) for axis in points])
        determinant = np.linalg.det(np.moveaxis(gradient, (0, 1), (-2, -1)))
        assert determinant.min() > 0.3
        for axis, part in zip(points, found.box, strict=True):
            assert part.start <= axis.min()
            assert axis.max() <= part.stop - 1


def test_without_a_random_part_the_deformation_is_the_identity(monkeypatch):
    monkeypatch.setattr(warp, "SHEAR", 0.0)
    monkeypatch.setattr(warp, "BEND_MM", 0.0)
    found = warp.random_warp(np.array([10, 20, 30]), (5, 7, 9), 1.0, np.random.default_rng(0))
    points = found.upsampled(found.nodes)[0].numpy()
    assert points[:, 0, 0, 0] == pytest.approx([8, 17, 26])
    assert points[:, -1, -1, -1] == pytest.approx([12, 23, 34])


def test_a_window_beyond_the_head_is_outside_the_brain():
    head = replace(brick(), depth=np.zeros((SIDE, SIDE, SIDE), np.uint8))
    drawn = draw_window(head, WindowPlan(("T1w",), (96, 96, 96)), np.random.default_rng(0))
    assert not drawn.inside.any()
    assert np.isfinite(drawn.images["T1w"]).all()


def simulated(recipe, **settings):
    """Returns the recipe with windows of two bricks on disk."""
    data = recipe.model_dump(mode="json")
    data["simulated"] = {"heads": "maps", "source": "T1ce", "target": "T1w"} | settings
    data["training"]["window"] = [16, 16, 16]
    return Recipe.model_validate(data)


@pytest.fixture
def maps(cohort, monkeypatch):
    """Writes two bricks into the data folder of the cohort."""
    monkeypatch.setattr("voxlate.simulation.files.tissue_maps.build_tissue_map", lambda plan, number: brick())
    assert list(write_tissue_maps(cohort / "maps", MapPlan(2, 0))) == ["sub-0001", "sub-0002"]
    return cohort / "maps"


def test_a_window_is_in_units_of_the_median_of_the_brain(recipe):
    windows = SimulatedWindows([brick()], simulated(recipe))
    rng = np.random.default_rng(0)
    draws = [windows.draw(rng) for _ in range(60)]
    name, pair, lesions = draws[0]
    assert name == "simulated head 1"
    assert pair.source.shape == pair.target.shape == pair.weight.shape == lesions.shape == (16, 16, 16)
    assert set(np.unique(pair.weight)) <= {0.0, 1.0}
    medians = [float(np.median(pair.target[pair.weight > 0])) for _, pair, _ in draws]
    assert np.median(medians) == pytest.approx(1, abs=0.15)


def test_a_painted_pair_is_the_target_of_its_case_and_the_same_with_enhancement(recipe, cohort, tmp_path):
    painted = simulated(recipe, share=0.0, paint=1.0)
    case = prepare_case(painted.cases(cohort)[0], tmp_path, painted.preparation)
    windows = SimulatedWindows([brick()], painted)
    settings = painted.training.model_copy(update={"changed_share": 1.0})
    for seed in range(5):
        pair = painted_window(case, settings, windows, np.random.default_rng(seed))
        added = pair.source - pair.target
        assert added.min() >= 0
        assert (added[pair.weight == 0] == 0).all()
        assert pair.line == (1.0, 0.0)
    enhanced = [
        painted_window(case, settings, windows, np.random.default_rng(seed)).difference().max() for seed in range(20)
    ]
    assert max(enhanced) > 0.3
    bloodless = np.where(brick().index == NAMES.index("blood"), NAMES.index("wm"), brick().index).astype(np.uint8)
    pair = painted_window(
        case, settings, SimulatedWindows([replace(brick(), index=bloodless)], painted), np.random.default_rng(0)
    )
    assert pair.source == pytest.approx(pair.target, abs=0.05)  # grey and white matter take up hardly any agent


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({}, "100 % of the windows from 1 simulated head"),
        ({"share": 0, "paint": 1}, "100 % of the windows with enhancement of 1 simulated head"),
        ({"share": 0.6, "paint": 0.5}, "60 % of the windows from 1 simulated head, 20 % with their enhancement"),
    ],
)
def test_the_share_of_the_windows_is_told_in_words(recipe, settings, told):
    assert SimulatedWindows([brick()], simulated(recipe, **settings)).told == told


def test_windows_of_ct_are_clipped_to_the_range_of_the_recipe(recipe):
    data = recipe.model_dump(mode="json")
    data |= {"source": "CT", "simulated": {"heads": "maps", "source": "CT", "target": "T1w"}}
    data["preparation"] |= {"range_hu": [0, 80], "target_reference": "median_in_mask"}
    _, pair, _ = SimulatedWindows([brick()], Recipe.model_validate(data)).draw(np.random.default_rng(0))
    grey = by_range_hu(0, 80).apply(np.float32(40))
    assert pair.source.min() >= 0
    assert pair.source.max() <= 1
    assert pair.source.max() == pytest.approx(float(grey), abs=0.5)


def test_training_on_simulated_windows_resumes_and_gives_the_same_weights(recipe, cohort, maps, tmp_path):
    with_windows = simulated(recipe, share=0.7)

    def stop(progress, loss):
        if progress.step == 5:
            raise InterruptedError

    train(with_windows, tmp_path / "whole", root=cohort)
    with pytest.raises(InterruptedError):
        train(with_windows, tmp_path / "cut", root=cohort, watch=stop)
    train(with_windows, tmp_path / "cut", root=cohort, resume=True)
    first, second = (read_weights(tmp_path / run / "bundle" / "weights.safetensors") for run in ("whole", "cut"))
    assert all(torch.equal(first[name], second[name]) for name in first)
    card = (tmp_path / "whole" / "bundle" / "card.md").read_text()
    assert "70 % of the windows from 2 simulated heads" in card


def test_maps_of_other_voxels_than_the_cases_are_refused(recipe, cohort, tmp_path, monkeypatch):
    monkeypatch.setattr("voxlate.simulation.files.tissue_maps.build_tissue_map", lambda plan, number: brick(2.0))
    list(write_tissue_maps(cohort / "maps", MapPlan(1, 0)))
    with pytest.raises(UsageError, match=r"SIMULATED_SPACING .* 2 mm, the training cases of 1 x 1 x 1 mm"):
        train(simulated(recipe), tmp_path / "run", root=cohort)


@pytest.mark.parametrize(
    ("message", "changes"),
    [
        ("simulated.more", {"more_sources": ["T1rho"]}),
        ("the brain alone", {"preparation": {"bias": True}}),
        ("range of a whole image", {"preparation": {"reference": "min_max"}}),
        ("go together", {"preparation": {"range_hu": [0, 80]}}),
        ("quality_mix", {"simulated": {"heads": "m", "source": "T1ce", "target": "T1w", "quality_mix": {"good": 0}}}),
        ("the heads are not used", {"simulated": {"heads": "m", "source": "T1ce", "target": "T1w", "share": 0}}),
        ("a `share` below 1", {"simulated": {"heads": "m", "source": "T1ce", "target": "T1w", "paint": 1}}),
        ("adds enhancement", {"simulated": {"heads": "m", "source": "T1w", "target": "T1ce", "paint": 1, "share": 0}}),
    ],
)
def test_recipes_whose_windows_cannot_be_drawn_are_refused(recipe, message, changes):
    data = recipe.model_dump(mode="json") | {"simulated": {"heads": "maps", "source": "T1ce", "target": "T1w"}}
    for name, value in changes.items():
        data[name] = data[name] | value if isinstance(value, dict) else value
    with pytest.raises(ValueError, match=message):
        Recipe.model_validate(data)


def test_a_contrast_that_no_window_has_is_refused():
    with pytest.raises(UsageError, match="CONTRAST_UNKNOWN"):
        WindowPlan(("T1w", "PET"), (16, 16, 16))
