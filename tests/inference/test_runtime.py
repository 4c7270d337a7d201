"""Each runtime gives the output of the network in torch, or is refused."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from phantoms import head
from tiny import RECIPE, write_cohort

from voxlate.bundle.bundle import read_bundle, write_bundle
from voxlate.bundle.ensemble import join_bundles
from voxlate.bundle.recipe import parse_recipe
from voxlate.errors import ModelInvalid, UsageError
from voxlate.inference.runtime import INT8, OPENVINO, TORCH, choose_runtime, runner_of
from voxlate.inference.runtime import accelerate as accelerating
from voxlate.inference.runtime.openvino import TOLERANCE, OpenVinoNetwork, convert, difference
from voxlate.inference.translate import Options, translate_volume
from voxlate.models import GENERATORS, build
from voxlate.models.slicewise import Slicewise

pytest.importorskip("openvino")
CPU = torch.device("cpu")
SMALL = {
    "att_unet": {"width": 4},
    "bottani_unet": {"width": 4},
    "casnet": {"width": 4, "depth": 3, "blocks": 2},
    "decnn": {"width": 4},
    "drunet": {"width": 4, "depth": 18},
    "hr_fcn": {"width": 2, "resolutions": 2},
    "hr_fcn_printed": {"width": 2},
    "pix2pix_unet": {"width": 4, "depth": 4},
    "res_unet": {"width": 4},
    "resnet_generator": {"width": 4, "blocks": 1},
    "trans_unet": {"width": 2, "depth": 1, "heads": 2, "token_grid": 2},
    "translator": {"width": 8, "depth": 2},
    "unet": {"width": 4, "depth": 2},
}


def network(name: str) -> torch.nn.Module:
    torch.manual_seed(0)
    made = build(name, **SMALL[name])
    for parameter in made.parameters():
        if parameter.dim() > 1 and not parameter.any():
            torch.nn.init.normal_(parameter, std=0.05)  # or it would be the identity
    try:
        with torch.no_grad():
            made.eval()(torch.rand(1, 1, 64, 64, 64))
    except (UsageError, RuntimeError, ValueError):
        made = Slicewise(made)
    return made.eval()


ONE_SIZE = {"locality_adaptive_unet"}
"""Networks that take windows of one size only; they cannot be converted for others."""
SLOW = {"hr_fcn", "hr_fcn_printed", "trans_unet", "res_unet", "att_unet"}


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.slow if name in SLOW else ()) for name in sorted({*GENERATORS} - ONE_SIZE)],
)
def test_openvino_gives_torch_s_answers_at_sizes_it_was_not_traced_at(name):
    original = network(name)
    converted = convert(original, 1)
    for size in ((64, 128, 64), (128, 64, 192)):
        x = torch.rand(1, 1, *size)
        with torch.no_grad():
            expected = original(x)
        assert difference(converted(x), expected) <= TOLERANCE


def test_odd_sizes_are_padded_as_the_network_does():
    original = network("translator")
    x = torch.rand(1, 1, 33, 30, 41)
    with torch.no_grad():
        assert torch.allclose(convert(original, 1)(x), original(x), atol=1e-5)


class DependsOnSize(torch.nn.Module):
    """A network whose trace at one size is wrong at another."""

    def forward(self, x):
        return x * float(x.shape[2])


def test_a_network_whose_trace_depends_on_the_size_is_refused():
    with pytest.raises(ModelInvalid, match=r"RUNTIME OpenVINO's output differs from torch's by .* use --runtime torch"):
        convert(DependsOnSize(), 1)


@pytest.fixture
def cohort(tmp_path, monkeypatch):
    """Returns a bundle that is not the identity, with the cases of its recipe."""
    monkeypatch.setattr(accelerating, "CALIBRATION_SIZE", 32)
    write_cohort(tmp_path, ["train"] * 3 + ["validation"] * 2, shape=(34, 36, 35))
    recipe = parse_recipe(RECIPE.replace("data: {", f"data: {{root: '{tmp_path}', "), name="tiny.yaml")
    torch.manual_seed(0)
    made = build(recipe.model.name, **recipe.model.arguments)
    torch.nn.init.normal_(made.head.weight, std=0.05)
    mapping = {"gain": 1.0, "log_sd": 0.2, "n": 4, "spacing_mm": [0.9, 1.2]}
    folder = tmp_path / "bundle"
    write_bundle(folder, recipe, made.state_dict(), documents={"mapping": mapping}, card="# tiny\n")
    return folder


def test_a_bundle_that_was_accelerated_is_whole_and_answers_as_before(cohort, monkeypatch):
    before = read_bundle(cohort)
    scan = head(9, shape=(34, 36, 35))
    expected = translate_volume(before, scan).volume.data
    monkeypatch.setattr(accelerating, "ATTEMPTS", accelerating.ATTEMPTS[:1])
    told = accelerating.accelerate(cohort)
    bundle = read_bundle(cohort)
    assert bundle.weights_sha256 == before.weights_sha256
    assert set(bundle.runtimes) == {name for name, each in told["runtimes"].items() if each["passed"]}
    found = translate_volume(bundle, scan, options=Options(runtime=OPENVINO)).volume.data
    assert found == pytest.approx(expected, abs=1e-3 * float(expected.max()))
    assert json.loads((cohort / "runtimes.json").read_text()) == told


def test_eight_bits_are_near_and_not_the_same(cohort, monkeypatch):
    monkeypatch.setattr(accelerating, "MAX_PSNR_LOSS_DB", 5.0)
    monkeypatch.setattr(accelerating, "MAX_SSIM_LOSS", 1.0)
    told = accelerating.accelerate(cohort)["runtimes"][INT8]
    assert told["passed"]
    assert told["cases"] == 2
    assert told["judged_by"] == "validation"
    bundle, x = read_bundle(cohort), torch.rand(1, 1, 32, 48, 32)
    exact, small = (runner_of(bundle, name, CPU)(x) for name in (TORCH, INT8))
    apart = float((exact - small).abs().max() / exact.abs().max())
    assert 1e-5 < apart < 0.2


@pytest.mark.parametrize(("count", "passes"), [(8, True), (7, False)])
def test_of_few_judges_the_worst_decides_and_of_many_the_mean(monkeypatch, bundle, count, passes):
    lost = np.array([[0.0, 0.0]] * (count - 1) + [[0.0, 0.01]])  # a mean below the limit, and one case far above it
    answers = iter([np.zeros((count, 2)), *([-lost] * len(accelerating.ATTEMPTS))])
    monkeypatch.setattr(accelerating, "similarities", lambda *_: next(answers))
    monkeypatch.setattr(accelerating, "quantise", lambda network, *_, **__: network)
    network = object()
    found, judged = accelerating._quantised(bundle, network, [], [None] * count, lambda _: None)
    assert judged.passed == passes == (found is network)
    assert judged.ssim_lost == pytest.approx(0.01 / 8 if passes else 0.01)


def test_eight_bits_that_lose_too_much_may_not_be_used(cohort, monkeypatch):
    monkeypatch.setattr(accelerating, "MAX_SSIM_LOSS", -1.0)
    monkeypatch.setattr(accelerating, "ATTEMPTS", ((1e-4, 0), (1e-4, 1)))
    told = accelerating.accelerate(cohort)["runtimes"][INT8]
    assert not told["passed"]
    assert told["kept"] == 1  # the last attempt
    assert not (cohort / "int8.xml").exists()
    with pytest.raises(UsageError, match=r"RUNTIME .* no 8-bit network that passed"):
        runner_of(read_bundle(cohort), INT8, CPU)


def test_a_recipe_without_validation_cases_is_judged_by_training_cases_left_out(cohort, tmp_path, monkeypatch):
    monkeypatch.setattr(accelerating, "ATTEMPTS", accelerating.ATTEMPTS[:1])
    table = (tmp_path / "cases.tsv").read_text()
    (tmp_path / "cases.tsv").write_text(table.replace("validation", "test"))
    told = accelerating.accelerate(cohort)["runtimes"][INT8]
    assert (told["judged_by"], told["calibrated_on"], told["cases"]) == ("training, left out of the calibration", 2, 1)


def test_a_changed_file_of_a_runtime_is_refused(cohort):
    accelerating.accelerate(cohort, int8=False)
    content = bytearray((cohort / "openvino.bin").read_bytes())
    content[-1] ^= 1
    (cohort / "openvino.bin").write_bytes(content)
    with pytest.raises(ModelInvalid, match=r"MODEL_HASH bundle/openvino\.bin"):
        read_bundle(cohort)


@pytest.mark.slow
def test_accelerating_again_leaves_nothing_of_the_first_time_and_a_whole_bundle_if_it_is_interrupted(
    cohort, monkeypatch
):
    monkeypatch.setattr(accelerating, "MAX_PSNR_LOSS_DB", 5.0)
    monkeypatch.setattr(accelerating, "MAX_SSIM_LOSS", 1.0)
    accelerating.accelerate(cohort)
    assert (cohort / "int8.xml").exists()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("voxlate.inference.runtime.accelerate.save_model", full)
        with pytest.raises(OSError, match="No space"):
            accelerating.accelerate(cohort, int8=False)
    assert read_bundle(cohort).runtimes == {}
    accelerating.accelerate(cohort, int8=False)
    assert set(read_bundle(cohort).runtimes) == {OPENVINO}
    assert not (cohort / "int8.xml").exists()


def test_runtimes_of_other_weights_are_refused(cohort):
    from voxlate.bundle.bundle import add_to_bundle

    accelerating.accelerate(cohort, int8=False)
    content = json.loads((cohort / "runtimes.json").read_text()) | {"weights_sha256": "0" * 64}
    (cohort / "runtimes.json").write_text(json.dumps(content))
    add_to_bundle(cohort, ["runtimes.json"])
    with pytest.raises(ModelInvalid, match="MODEL_MANIFEST"):
        read_bundle(cohort)


def test_the_quickest_that_is_allowed_is_chosen_once_and_remembered(cohort, tmp_path, monkeypatch):
    monkeypatch.setenv("VOXLATE_CACHE", str(tmp_path / "cache"))
    seconds = {TORCH: 2.0, OPENVINO: 1.0, INT8: 0.5}
    tried = []
    monkeypatch.setattr(
        "voxlate.inference.runtime.select.trial", lambda bundle, name: tried.append(name) or seconds[name]
    )
    assert choose_runtime(read_bundle(cohort), CPU) == TORCH  # nothing else is in the bundle
    assert tried == []
    accelerating.accelerate(cohort, int8=False)
    bundle = read_bundle(cohort)
    assert choose_runtime(bundle, CPU) == OPENVINO
    assert tried == [TORCH, OPENVINO]
    assert choose_runtime(bundle, CPU) == OPENVINO
    assert len(tried) == 2
    assert choose_runtime(bundle, torch.device("meta")) == TORCH
    for remembered in (tmp_path / "cache").iterdir():
        remembered.write_text("[1]")
    assert choose_runtime(bundle, CPU) == OPENVINO
    assert len(tried) == 4


def test_a_cache_that_cannot_be_written_is_no_reason_to_fail(cohort, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("VOXLATE_CACHE", str(tmp_path / "file"))
    monkeypatch.setattr("voxlate.inference.runtime.select.trial", lambda bundle, name: 1.0 if name == TORCH else 2.0)
    accelerating.accelerate(cohort, int8=False)
    assert choose_runtime(read_bundle(cohort), CPU) == TORCH


def test_a_runtime_that_fails_its_trial_is_never_chosen(cohort, tmp_path, monkeypatch):
    monkeypatch.setenv("VOXLATE_CACHE", str(tmp_path / "cache"))
    accelerating.accelerate(cohort, int8=False)

    def broken(self, x):
        raise RuntimeError("no such instruction")

    monkeypatch.setattr(OpenVinoNetwork, "__call__", broken)
    assert choose_runtime(read_bundle(cohort), CPU) == TORCH


def test_an_ensemble_runs_each_member_its_own_way(cohort, tmp_path):
    bundle = read_bundle(cohort)
    joined = join_bundles([bundle, replace(bundle, network=network("translator"))])
    scan = head(9, shape=(34, 36, 35))
    expected, found = (
        translate_volume(joined, scan, options=Options(runtime=name)).volume.data for name in (TORCH, OPENVINO)
    )
    assert found == pytest.approx(expected, abs=1e-3 * float(expected.max()))
    assert np.abs(expected - translate_volume(bundle, scan).volume.data).max() > 1


def test_a_runtime_that_there_is_not_is_refused(bundle):
    with pytest.raises(UsageError, match="RUNTIME there is no runtime 'magic'"):
        runner_of(bundle, "magic", CPU)
    with pytest.raises(UsageError, match=r"RUNTIME .* no 8-bit network"):
        runner_of(bundle, INT8, CPU)
    with pytest.raises(UsageError, match="RUNTIME openvino runs on the CPU"):
        runner_of(bundle, OPENVINO, torch.device("meta"))


def test_no_telemetry_is_loaded_and_nothing_is_written_into_the_home(tmp_path):
    """OpenVINO comes with a package that sends data without being asked, unless its import is blocked."""
    code = (
        "import sys, torch\n"
        "from voxlate.inference.runtime.openvino import convert\n"
        "convert(torch.nn.Conv3d(1, 1, 3, padding=1), 1)\n"
        "import nncf\n"
        "assert not [name for name in sys.modules if name.startswith('openvino_telemetry.')]\n"
    )
    environment = {**os.environ, "HOME": str(tmp_path)}
    ran = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", [".onnx", ".xml"])
def test_an_exported_network_gives_the_same_answers_and_says_what_it_takes(cohort, tmp_path, suffix):
    import openvino

    from voxlate.inference.runtime.onnx import export_network

    if suffix == ".onnx":
        pytest.importorskip("onnxscript")
    output = tmp_path / "out" / f"network{suffix}"
    export_network(cohort, output)
    core = openvino.Core()
    model = core.compile_model(core.read_model(output), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    x = torch.rand(1, 1, 32, 48, 64)
    with torch.no_grad():
        expected = read_bundle(cohort).network(x).numpy()
    assert model(x.numpy())[0] == pytest.approx(expected, abs=1e-4)
    told = json.loads(output.with_suffix(".json").read_text())
    assert told["input"]["channels"] == ["T1ce"]
    assert "not for diagnosis" in told["notice"]


class FixedSize(torch.nn.Module):
    """Takes one size alone, once it is traced."""

    def forward(self, x):
        return x.reshape([int(n) for n in x.shape]) * 2


@pytest.mark.parametrize(("network", "fault"), [(DependsOnSize, "differs from torch by 0.5"), (FixedSize, "be run")])
def test_a_network_that_keeps_the_size_of_its_trace_is_not_exported_to_onnx(cohort, tmp_path, network, fault):
    from voxlate.inference.runtime.onnx import _write_onnx

    pytest.importorskip("onnxscript")
    with pytest.raises(ModelInvalid, match=rf"RUNTIME the exported network .*{fault}.* on 64 x 32 x 64 voxels"):
        _write_onnx(replace(read_bundle(cohort), network=network()), tmp_path / "network.onnx")
    assert not list(tmp_path.glob("*.onnx"))


def test_a_model_is_exported_by_its_name(cohort, tmp_path, monkeypatch):
    from voxlate.cli.export import export

    (tmp_path / "models").mkdir()
    shutil.copytree(cohort, tmp_path / "models" / "mine")
    monkeypatch.setenv("VOXLATE_MODELS", str(tmp_path / "models"))
    export.main(["mine", str(tmp_path / "network.xml")], standalone_mode=False)
    assert json.loads((tmp_path / "network.json").read_text())["input"]["channels"] == ["T1ce"]


def test_an_export_of_another_kind_is_refused(cohort, tmp_path):
    from voxlate.inference.runtime.onnx import export_network

    with pytest.raises(UsageError, match="OUTPUT_NAME"):
        export_network(cohort, tmp_path / "network.pt")
