"""Every shipped recipe and each of its variants: understood, and trained for a few steps on a tiny cohort."""

import hashlib
import json
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from phantoms import head
from safetensors.torch import save_file

from voxlate.bundle.bundle import read_bundle
from voxlate.bundle.networks import discriminator_of, generator_of
from voxlate.bundle.recipe import Recipe, read_recipe, variants_of
from voxlate.cases import Case, write_cases
from voxlate.errors import UsageError
from voxlate.inference.translate import Options, translate_volume
from voxlate.io.nifti import read_volume, write_volume
from voxlate.models import build
from voxlate.models.features.vgg import vgg16
from voxlate.training.loop import train
from voxlate.training.state import new_generator

ROOT = Path(__file__).resolve().parents[2] / "recipes"
PATHS = sorted(ROOT.rglob("*.yaml"))
ALL = [(path, variant) for path in PATHS for variant in ((), *((name,) for name in variants_of(path)))]
PAPERS = [(path, variant) for path, variant in ALL if path.parent != ROOT]
TINY = {
    "att_unet": {"width": 2},
    "casnet": {"width": 2, "depth": 4, "blocks": 2},
    "decnn": {"width": 2},
    "drunet": {"width": 4, "depth": 18},
    "hr_fcn": {"width": 2},
    "hr_fcn_printed": {"width": 2},
    "locality_adaptive_unet": {"width": 2, "depth": 4, "window": 32, "cell": 8},
    "pix2pix_unet": {"width": 2, "depth": 5},
    "res_unet": {"width": 2},
    "resnet_generator": {"width": 4, "blocks": 1},
    "trans_unet": {"width": 8, "depth": 1, "token_grid": 4},
    "translator": {"width": 4, "depth": 2},
    "unet": {"width": 2, "depth": 3},
}
CUBE, SLICE = (32, 32, 32), (64, 64, 1)
KINDS = ("delta_", "lambda_", "inputs_", ("A", "B", "C", "D", "concat", "joined"))
"""Variants of Chen's recipe that differ in little; one of each kind is trained by default, the others are slow."""


def identify(value):
    return f"{value.parent.name}-{value.stem}" if isinstance(value, Path) else "-".join(value) or "itself"


every = pytest.mark.parametrize(("path", "variant"), ALL, ids=identify)


def weighed(path: Path, variant: tuple[str, ...]):
    """Returns the parameters of a test, which is slow for a variant that another one stands for."""
    names = sorted(variants_of(path), reverse=True)
    kinds = [[name for name in names if name.startswith(kind)] for kind in KINDS]
    is_slow = any(variant and variant[0] in kind[1:] for kind in kinds)
    return pytest.param(path, variant, marks=pytest.mark.slow if is_slow else ())


of_papers = pytest.mark.parametrize(("path", "variant"), [weighed(*each) for each in PAPERS], ids=identify)


def shrunk(recipe: Recipe) -> Recipe:
    """Returns the recipe at a size that a test can train: its kinds of layers, losses and stages stay."""
    window = recipe.training.window
    small = SLICE if window[2] == 1 else (32, 32, window[2]) if window[2] < 16 else CUBE
    if recipe.model.name == "res_unet":
        small = (32, 32, 64)
    arguments = recipe.model.arguments | TINY[recipe.model.name]
    change = {
        "model": recipe.model.model_copy(update={"arguments": arguments}),
        "preparation": recipe.preparation.model_copy(
            update={"frame": "native", "brain_mask": "nonzero", "bias": False}
        ),
        "training": recipe.training.model_copy(
            update={"batch": 1, "window": small, "warmup": 0, "validate_every": 100}
        ),
        "inference": recipe.inference.model_copy(update={"window": small if window[2] != 1 else (64, 64, 8)}),
    }
    if recipe.stages:
        change["stages"] = tuple(stage.model_copy(update={"steps": 1}) for stage in recipe.stages)
    else:
        change["training"] = change["training"].model_copy(update={"steps": 2})
    if recipe.adversarial is not None:
        discriminator, patches = recipe.adversarial.discriminator, recipe.adversarial.patches
        arguments = discriminator.arguments | {"width": 2}
        if arguments.get("form") == "seven_layers":
            arguments["form"] = "patchgan_70"
        if patches is not None:
            stride = None if patches.stride is None else (20, 20, 20)
            patches = patches.model_copy(update={"size": (25, 25, 25), "stride": stride})
        small_parts = {"discriminator": discriminator.model_copy(update={"arguments": arguments}), "patches": patches}
        change["adversarial"] = recipe.adversarial.model_copy(update=small_parts)
    return recipe.model_copy(update=change)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    """A training pair with additional sources and lesions, and a CT beside it, under every name the recipes use."""
    folder = tmp_path_factory.mktemp("cohort")
    cases, of_ct = [], []
    for number, split in enumerate(("train", "validation")):
        scan = head(number, shape=(34, 36, 18))
        inside = scan.data > 0
        images = {
            "source": scan.data,
            "target": np.where(inside, 1000 - scan.data, 0),
            "T2w": np.where(inside, 1200 - scan.data, 0),
            "ADC": np.where(inside, 0.5 + scan.data / 1000, 0),
            "ct": np.where(inside, scan.data / 20, -1000),
            "mask": inside,
            "labels": inside & (scan.data > np.percentile(scan.data[inside], 95)),
        }
        files = {name: folder / f"{name}_{number}.nii.gz" for name in images}
        for name, data in images.items():
            write_volume(files[name], scan.with_data(data.astype(np.float32)), dtype="float32")
        more = {name: files[name] for name in ("T2w", "ADC")}
        rest = (files["target"], files["mask"], files["labels"])
        cases.append(Case(f"case{number}", f"p{number}", split, files["source"], *rest, more))
        of_ct.append(Case(f"case{number}", f"p{number}", split, files["ct"], *rest, {"T2w": files["T2w"]}))
    for name in ("mr", "ct"):
        (folder / name).mkdir()
    write_cases(folder / "mr" / "cases.tsv", cases)
    write_cases(folder / "ct" / "cases.tsv", of_ct)
    return folder


@every
def test_a_shipped_recipe_is_understood_and_its_networks_can_be_built(path, variant):
    recipe = read_recipe(path, variants=variant)
    with torch.device("meta"):
        generator_of(recipe)
        if recipe.adversarial is not None:
            discriminator_of(recipe)


@pytest.mark.parametrize("path", PATHS, ids=identify)
def test_the_header_of_a_recipe_gives_its_command_and_where_its_cost_stands(path):
    header = path.read_text().split("name:")[0]
    assert f"voxlate train recipes/{path.relative_to(ROOT).as_posix()}" in header
    assert "benchmarks/results/" in header


def test_the_published_networks_are_those_of_the_faithful_recipes():
    for variant, count in (((), 103_887_981), (("res_unet",), 312_250_369), (("trans_unet",), 32_789_633)):
        recipe = read_recipe(ROOT / "bottani2024" / "faithful.yaml", variants=variant)
        with torch.device("meta"):
            assert sum(x.numel() for x in generator_of(recipe).parameters()) == count


@of_papers
def test_a_shipped_recipe_trains_and_translates(path, variant, cohort, tmp_path, monkeypatch):
    tiny_features = vgg16(("relu1_1", "conv5_3"), width=2)
    monkeypatch.setattr("voxlate.training.objective.offline_vgg16", lambda layers, white: tiny_features)
    recipe = shrunk(read_recipe(path, variants=variant))
    data = cohort / ("ct" if recipe.source == "CT" else "mr")
    bundle = read_bundle(train(recipe, tmp_path / "run", root=data))
    case = recipe.cases(data)[0]
    more = {name: read_volume(file) for name, file in case.more.items() if name in recipe.more_sources}
    found = translate_volume(
        bundle, read_volume(case.source), read_volume(case.mask), more=more, options=Options(keep_spacing=True)
    )
    assert np.isfinite(found.volume.data).all()
    assert found.volume.data.shape == (34, 36, 18)
    assert (tmp_path / "run" / "samples").is_dir()
    assert yaml.safe_load((tmp_path / "run" / "recipe.yaml").read_text())["name"] == recipe.name


def test_every_generator_has_a_recipe():
    used = {read_recipe(path, variants=variant).model.name for path, variant in ALL}
    from voxlate.models import GENERATORS

    assert set(GENERATORS) - {"bottani_unet"} <= used
    assert build("bottani_unet", width=2) is not None


def test_a_drunet_leaves_its_filters_and_feature_maps_in_the_bundle(cohort, tmp_path, monkeypatch):
    recipe = shrunk(read_recipe(ROOT / "li2022" / "faithful.yaml", variants=["mse"]))
    bundle = train(recipe, tmp_path / "run", root=cohort / "ct")
    found = json.loads((bundle / "pictures.json").read_text())
    assert np.array(found["filters"]).shape == (4, 7, 7)
    assert np.array(found["maps"]).shape == (32, 1, 2)
    assert np.array(found["penultimate"]).shape == (4, 32, 64)
    assert np.array(found["output"]).shape == (1, 32, 64)
    weight = read_bundle(bundle).network.network.encoder.conv1.weight.mean(dim=1)
    assert np.allclose(found["filters"], weight.detach().numpy(), atol=1e-4)
    other = read_recipe(ROOT / "li2022" / "default.yaml", variants=["translator"])
    assert not (train(shrunk(other), tmp_path / "other", root=cohort / "ct") / "pictures.json").exists()


COMBINED = [
    ("li2022/faithful.yaml", ("t2", "bce", "depth_34"), "li2022-faithful-t2-bce-depth_34"),
    ("li2022/faithful.yaml", ("unet", "bce", "t2"), "li2022-faithful-unet-bce-t2"),
    ("bottani2024/default.yaml", ("cgan_att_unet", "perceptual"), "bottani2024-default-cgan_att_unet-perceptual"),
    ("chen2022/faithful.yaml", ("printed", "D", "inputs_t1"), "chen2022-faithful-printed-D-inputs_t1"),
    ("chen2022/faithful.yaml", ("joined", "D", "lambda_1_10", "delta_003"), None),
    ("chen2022/helper.yaml", ("adc", "hr_fcn"), "chen2022-helper-adc-hr_fcn"),
    ("lee2020/faithful.yaml", ("sibling",), "lee2020-faithful-sibling"),
]


@pytest.mark.parametrize(("path", "variants", "name"), COMBINED)
def test_the_parts_of_a_paper_s_tables_are_combined(path, variants, name):
    recipe = read_recipe(ROOT / path, variants=variants)
    assert recipe.name == (name or recipe.name)
    with torch.device("meta"):
        assert generator_of(recipe) is not None


@pytest.mark.parametrize("pair", [*combinations(("depth_34", "depth_50", "unet"), 2), ("mse", "bce")])
def test_two_networks_or_two_losses_at_once_are_refused(pair):
    with pytest.raises(UsageError, match="VARIANT_CONFLICT"):
        read_recipe(ROOT / "li2022" / "faithful.yaml", variants=pair)


@pytest.mark.parametrize("name", ["A", "B", "C", "D"])
@pytest.mark.parametrize("base", [(), ("joined",), ("printed",)])
def test_an_ablation_of_chen_changes_one_thing_of_its_base(name, base):
    whole, reduced = (read_recipe(ROOT / "chen2022" / "faithful.yaml", variants=v) for v in (base, (*base, name)))
    arguments, changed = whole.model.arguments, reduced.model.arguments
    assert {key for key in changed if changed[key] != arguments.get(key)} == {"stems" if name == "A" else "ablation"}
    same = {"name": "", "model": whole.model}
    assert reduced.model_copy(update=same) == whole.model_copy(update=same)


def test_an_encoder_of_the_user_takes_the_place_that_the_recipe_of_li_names(tmp_path):
    given = build("drunet", width=2, depth=18, imagenet_input=True).encoder
    save_file(given.state_dict(), tmp_path / "resnet18.safetensors")
    sha256 = hashlib.sha256((tmp_path / "resnet18.safetensors").read_bytes()).hexdigest()
    small = {"model.arguments.width": 2, "model.arguments.depth": 18}
    place = {"model.encoder": "resnet18.safetensors", "model.encoder_sha256": sha256}
    path = ROOT / "li2022" / "faithful.yaml"
    with_weights, without = (read_recipe(path, variants=["mse"], overrides=small | more) for more in (place, {}))
    loaded = new_generator(with_weights, tmp_path).network.encoder.state_dict()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in given.state_dict().items())
    fresh = new_generator(without, tmp_path).network.encoder
    assert not torch.equal(fresh.conv1.weight, given.conv1.weight)
