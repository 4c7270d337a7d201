"""One 240 x 240 x 155 volume by every runtime, against MONAI's SlidingWindowInferer around the same network in torch.

    python benchmarks/bench_runtime.py [BUNDLE SCAN [ROOT]]

BUNDLE is a trained one; without it that of the first fold of `bench_fine_tuning.py` is taken, with a scan that it has
not seen, else that of `recipes/t1ce_to_t1.yaml` or of the demo with one of its scans. It is copied, and the copy is
accelerated, its cases found below ROOT or where its recipe says. SCAN is skull-stripped. Every engine works in a
process of its own, in turns, so that each sees the same machine. `monai` and `windows` slide the same windows over the
whole volume: `monai` calls the network as it is, `windows` as `voxlate translate` does where memory is short. `box` is
what `voxlate translate` does otherwise: the box of the brain at once. `monai-unet` is MONAI's own U-Net as in
`benchmarks/peers`, with random weights, on which its time does not depend."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from machine import ROOT, development_data, trained_bundle, write_result

WINDOW, OVERLAP = (96, 96, 96), 0.5
ROUNDS = 1
SCAN = "BraTS2021_01658"  # of 240 x 240 x 155 voxels, skull-stripped
ENGINES = (
    "monai torch",
    "monai-unet torch",
    "windows torch",
    "windows openvino",
    "windows int8",
    "box torch",
    "box openvino",
    "box int8",
)


def run_here(engine: str, folder: Path, bundle_path: Path) -> None:
    """Runs one engine on the volume, and prints seconds and the peak of the memory; the answer goes to a file."""
    import torch

    from voxlate.bundle.bundle import read_bundle
    from voxlate.inference.runtime import runner_of
    from voxlate.windows import translate_windows

    way, _, runtime = engine.partition(" ")
    bundle = read_bundle(bundle_path)
    name = "box" if way == "box" else "whole"
    x = torch.from_numpy(np.load(folder / f"{name}.npy"))[None, None]
    if way.startswith("monai"):
        from monai.inferers import SlidingWindowInferer
        from monai.networks.nets import UNet

        inferer = SlidingWindowInferer(roi_size=WINDOW, sw_batch_size=1, overlap=OVERLAP, mode="gaussian")
        unet = UNet(
            spatial_dims=3,
            in_channels=1,
            out_channels=1,
            channels=(32, 64, 128, 256),
            strides=(2,) * 3,
            num_res_units=2,
        )
        network = bundle.network.eval() if way == "monai" else unet.eval()

        def run(x: torch.Tensor) -> torch.Tensor:
            with torch.no_grad():
                return network(x)

        def work() -> torch.Tensor:
            return inferer(x, run)
    else:
        run = runner_of(bundle, runtime, torch.device("cpu"))
        window = None if way == "box" else WINDOW

        def work() -> torch.Tensor:
            return translate_windows(run, x, window=window, overlap=OVERLAP)

    run(x[..., :96, :96, :96])  # what is loaded or compiled once is not part of a volume
    start = time.perf_counter()
    answer = work()
    seconds = time.perf_counter() - start
    np.save(folder / f"{engine.replace(' ', '_')}.npy", answer[0, 0].numpy())
    status = Path("/proc/self/status").read_text(encoding="utf-8")  # getrusage would tell of the parent too
    peak = int(status.partition("VmHWM:")[2].split()[0]) / 2**20
    print(json.dumps({"seconds": seconds, "peak_gib": peak}))


def prepare(scan: Path, folder: Path, bundle_path: Path) -> None:
    """Writes the box of the brain, in relative units, and the volume of the scan's size that it lies in."""
    from voxlate.bundle.bundle import read_bundle
    from voxlate.io.nifti import read_volume
    from voxlate.preparation import fit_preparation

    source = read_volume(scan)
    settings = read_bundle(bundle_path).recipe.preparation
    box = np.array(fit_preparation(source, None, settings).apply(source).data)
    whole = np.zeros(source.data.shape, np.float32)
    whole[tuple(slice(0, n) for n in box.shape)] = box
    np.save(folder / "box.npy", box)
    np.save(folder / "whole.npy", whole)


def quality(bundle_path: Path, root: Path | None) -> dict[str, object]:
    """Returns what 8 bits lose on the test cases, which played no part in choosing them."""
    import torch

    from voxlate.bundle.bundle import read_bundle
    from voxlate.bundle.prepared_case import prepare_case
    from voxlate.inference.runtime import runner_of
    from voxlate.inference.runtime.similarity import similarities

    bundle = read_bundle(bundle_path)
    recipe = bundle.recipe
    rows = [row for row in recipe.cases(root) if row.split == "test"]
    with tempfile.TemporaryDirectory() as place:
        cases = [prepare_case(row, Path(place), recipe.preparation, recipe.more_sources) for row in rows]
        scores = {
            name: similarities(runner_of(bundle, name, torch.device("cpu")), cases, recipe.inference)
            for name in ("torch", *bundle.runtimes)
        }
    lost = {name: (scores["torch"] - each).mean(axis=0).tolist() for name, each in scores.items() if name != "torch"}
    return {
        "cases": len(cases),
        "psnr_db_torch": scores["torch"][:, 0].tolist(),
        "lost": {name: {"psnr_db": each[0], "ssim": each[1]} for name, each in lost.items()},
    }


def operations(bundle_path: Path, folder: Path) -> dict[str, float]:
    """Returns what the convolutions of the whole volume take, and what this machine does of them at its best.

    The best is measured by OpenVINO on one convolution of 64 to 64 channels, which only arithmetic holds up. What
    is between the least time and the measured one is moved between layers: normalisation, joins, copies.
    """
    import torch

    from voxlate.bundle.bundle import read_bundle
    from voxlate.inference.runtime.accelerate import quantise
    from voxlate.inference.runtime.openvino import convert
    from voxlate.windows import window_starts

    counted = [0]

    def count(layer: torch.nn.Module, given: tuple[torch.Tensor, ...], answer: torch.Tensor) -> None:
        if isinstance(layer, torch.nn.Conv3d | torch.nn.ConvTranspose3d):
            voxels = answer if isinstance(layer, torch.nn.Conv3d) else given[0]
            counted[0] += layer.weight.numel() * voxels.shape[2:].numel()

    network = read_bundle(bundle_path).network
    for layer in network.modules():
        layer.register_forward_hook(count)
    with torch.no_grad():
        network(torch.rand(1, 1, *WINDOW))
    shape = np.load(folder / "whole.npy", mmap_mode="r").shape
    windows = int(np.prod([len(window_starts(n, w, OVERLAP)) for n, w in zip(shape, WINDOW, strict=True)]))
    torch.manual_seed(0)
    layer = torch.nn.Sequential(*(torch.nn.Conv3d(64, 64, 3, padding=1) for _ in range(2))).eval()
    x = torch.rand(1, 64, 48, 48, 48)
    whole = convert(layer, 64)
    rates = {}
    for name, run in (("float32", whole), ("int8", quantise(whole, [x], clipped=1e-4, kept=0))):
        run(x)
        times = []
        for _ in range(7):
            start = time.perf_counter()
            run(x)
            times.append(time.perf_counter() - start)
        rates[name] = 2 * 64 * 64 * 27 * 48**3 / min(times) / 1e9
    total = counted[0] * windows / 1e9
    return {
        "gmac_of_a_window": counted[0] / 1e9,
        "windows": windows,
        "gmac": total,
        "gmac_per_second_float32": rates["float32"],
        "gmac_per_second_int8": rates["int8"],
        "least_seconds_float32": total / rates["float32"],
        "least_seconds_int8": total / rates["int8"],
    }


def differences(folder: Path, engines: list[str]) -> dict[str, float]:
    """Returns the largest difference of each answer from torch's on the same windows, over the range of the answer."""
    found = {}
    for engine in engines:
        way = engine.partition(" ")[0]
        if way == "monai-unet":
            continue
        reference = np.load(folder / f"{'windows' if way == 'monai' else way}_torch.npy")
        answer = np.load(folder / f"{engine.replace(' ', '_')}.npy")
        found[engine] = float(np.abs(answer - reference).max() / np.ptp(reference))
    return found


def arguments() -> tuple[Path, Path, Path | None]:
    """Returns bundle, scan and the folder of the bundle's cases."""
    if len(sys.argv) > 2:
        return Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]) if len(sys.argv) > 3 else None
    from voxlate.cases import read_cases

    tuned, pairs = ROOT / "runs" / "fine_tuning" / "fold-0", development_data("pairs")
    if pairs is not None and (tuned / "fine_tuned" / "bundle" / "manifest.json").is_file():
        return tuned / "fine_tuned" / "bundle", pairs / SCAN / "t1ce.nii.gz", tuned
    bundle = trained_bundle()
    run = bundle.parent
    return bundle, read_cases(run / "cases.tsv")[0].source, run.parent / "data" if run.name == "run" else None


def main() -> None:
    if sys.argv[1:2] == ["--here"]:
        run_here(sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4]))
        return
    from voxlate.inference.runtime.accelerate import accelerate

    given, scan, root = arguments()
    with tempfile.TemporaryDirectory() as name:
        folder, bundle = Path(name), Path(name) / "bundle"
        shutil.copytree(given, bundle)
        told = accelerate(bundle, root=root)
        prepare(scan, folder, bundle)
        engines = [each for each in ENGINES if "int8" not in each or told["runtimes"]["int8"]["passed"]]
        if find_spec("monai") is None:
            print("MONAI is not installed; ours are compared with the same windows in plain torch instead")
            engines = [each for each in engines if not each.startswith("monai")]
        first = engines[0]
        runs: dict[str, list[dict[str, float]]] = {engine: [] for engine in engines}
        for _ in range(ROUNDS):
            for engine in engines:
                command = [sys.executable, __file__, "--here", engine, str(folder), str(bundle)]
                ran = subprocess.run(command, capture_output=True, text=True, check=True)
                runs[engine].append(json.loads(ran.stdout.splitlines()[-1]))
        apart = differences(folder, engines)
        lost = quality(bundle, root)
        counted = operations(bundle, folder)
        shapes = {name: list(np.load(folder / f"{name}.npy", mmap_mode="r").shape) for name in ("whole", "box")}
    rows = []
    for engine, several in runs.items():
        ratios = [base["seconds"] / each["seconds"] for base, each in zip(runs[first], several, strict=True)]
        rows.append(
            {
                "engine": engine,
                "seconds": float(np.median([each["seconds"] for each in several])),
                f"times_as_fast_as_{'monai' if first == 'monai torch' else 'windows_torch'}": float(np.median(ratios)),
                "peak_gib": max(each["peak_gib"] for each in several),
                "largest_difference": apart.get(engine),
            }
        )
        print(rows[-1])
    content = {"window": WINDOW, "overlap": OVERLAP, "rounds": ROUNDS, "shapes": shapes, "rows": rows}
    write_result("runtime", content | {"accelerated": told["runtimes"], "test_cases": lost, "operations": counted})


if __name__ == "__main__":
    main()
