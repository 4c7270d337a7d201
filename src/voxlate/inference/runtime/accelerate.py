"""Converts the network of a bundle to OpenVINO: in 32 bits, and in 8 bits if the image quality is kept.

The 8-bit network is calibrated on training cases and evaluated on validation cases, which are part of neither the
calibration nor the training. If the recipe has none, the last third of the training cases is left out of the
calibration and used instead. The network passes if it loses at most `MAX_PSNR_LOSS_DB` of PSNR and `MAX_SSIM_LOSS` of
SSIM inside the mask, against the real targets, on average over the cases. With fewer than `MIN_CASES_FOR_MEAN` cases a
mean is uncertain, and the worst case decides.

Each attempt clips another share of the brightest and darkest activations, whose range would make the quantisation steps
of all others coarse, or keeps more layers at both ends of the network in 32 bits. If every attempt fails, the bundle
gets no 8-bit network.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import logging
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from voxlate.bundle.bundle import RUNTIMES_FILE, Bundle, add_to_bundle, read_bundle, remove_from_bundle
from voxlate.bundle.prepared_case import PreparedCase, all_sources, prepare_case
from voxlate.errors import MissingLibrary, NoInput
from voxlate.inference.runtime.openvino import OpenVinoNetwork, convert, load_openvino, save_model
from voxlate.inference.runtime.runners import INT8, OPENVINO, TORCH, runner_of
from voxlate.inference.runtime.similarity import similarities
from voxlate.io.atomic import write_json

MAX_PSNR_LOSS_DB, MAX_SSIM_LOSS = 0.1, 0.002
"""Largest loss of the 8-bit network in PSNR (dB) and SSIM. Chosen by hand; not tuned."""
MIN_CASES_FOR_MEAN = 8
"""Number of cases from which their mean decides, not the worst case. Chosen by hand; not tuned."""
ATTEMPTS = ((1e-4, 0), (1e-5, 0), (1e-4, 1), (1e-5, 1), (1e-4, 4))
"""Share of activations that are clipped, and convolutions at either end that stay in 32 bits, in the order in which
they are tried: those that keep fewer layers are faster."""

CALIBRATION_WINDOWS, MAX_VALIDATION_CASES = 12, 12
"""Largest number of cases for the calibration and for the evaluation: limits the time. Chosen by hand."""
CALIBRATION_SIZE = 96
"""Side of the calibration windows in voxels: a multiple of 32, which every network takes."""
_CPU = torch.device("cpu")
_FILES = {OPENVINO: ["openvino.xml", "openvino.bin"], INT8: ["int8.xml", "int8.bin"]}
_LAYERS = ("Convolution", "ConvolutionBackpropData", "GroupConvolution")


@dataclass(frozen=True, kw_only=True)
class Int8Result:
    """What the 8-bit network loses against the same network in 32 bits.

    Attributes:
        psnr_lost_db, ssim_lost: loss of PSNR and SSIM inside the mask: means over cases, or with fewer than
            `MIN_CASES_FOR_MEAN` cases the worst.
        worst_psnr_lost_db: loss of PSNR of the worst case.
        cases: number of cases.
        clipped: share of activations beyond the 8-bit range at either end.
        kept: convolutions at either end that stayed in 32 bits.
        passed: whether the network may be used.
    """

    psnr_lost_db: float
    ssim_lost: float
    worst_psnr_lost_db: float
    cases: int
    clipped: float
    kept: int
    passed: bool


def accelerate(
    folder: Path, *, root: Path | None = None, int8: bool = True, watch: Callable[[str], None] | None = None
) -> dict[str, Any]:
    """Adds OpenVINO networks to a bundle and returns the content of its `runtimes.json`.

    Args:
        folder: folder of the bundle.
        root: folder of the cases of its recipe; None for the recipe's own.
        int8: also try 8 bits.
        watch: called with a line of text before each step.

    Raises:
        NoInput: the recipe names too few cases.
        UsageError: `MISSING_LIBRARY`.
        ModelInvalid: `RUNTIME` when OpenVINO's output differs from torch's.
        VoxlateError: what reading the bundle and its cases raises.
    """
    report = watch or (lambda _: None)
    bundle = read_bundle(folder)
    channels = 1 + len(bundle.recipe.more_sources)
    report("converting to OpenVINO")
    network = convert(bundle.network, channels)
    openvino_result = {"files": _FILES[OPENVINO], "passed": True, "difference": network.difference}
    runtimes: dict[str, Any] = {OPENVINO: openvino_result}
    int8_network: OpenVinoNetwork | None = None
    if int8:
        with tempfile.TemporaryDirectory(prefix="voxlate-") as scratch:
            calibration, validation, kind = _cases(bundle, Path(scratch), root)
            int8_network, result = _quantised(bundle, network, calibration, validation, report)
        files = _FILES[INT8] if result.passed else []
        runtimes[INT8] = {"files": files, **asdict(result), "judged_by": kind, "calibrated_on": len(calibration)}
    remove_from_bundle(folder, [RUNTIMES_FILE, *_FILES[OPENVINO], *_FILES[INT8]])
    save_model(network, folder / "openvino.xml")
    written = [RUNTIMES_FILE, *_FILES[OPENVINO]]
    if int8_network is not None:
        save_model(int8_network, folder / "int8.xml")
        written += _FILES[INT8]
    version = str(load_openvino().__version__)
    content = {"weights_sha256": bundle.weights_sha256, "openvino": version, "runtimes": runtimes}
    write_json(folder / RUNTIMES_FILE, content)
    add_to_bundle(folder, written)
    return content


def _cases(bundle: Bundle, scratch: Path, root: Path | None) -> tuple[list[PreparedCase], list[PreparedCase], str]:
    """Returns the cases for calibration, those for evaluation, and the name of the latter for `runtimes.json`."""
    recipe = bundle.recipe
    rows = recipe.cases(root)
    training = [row for row in rows if row.split == "train"][: CALIBRATION_WINDOWS + MAX_VALIDATION_CASES]
    validation, kind = [row for row in rows if row.split == "validation"][:MAX_VALIDATION_CASES], "validation"
    if not validation:
        third = max(1, len(training) // 3)
        training, validation, kind = training[:-third], training[-third:], "training, left out of the calibration"
    if not training or not validation:
        raise NoInput("NO_INPUT", f"{bundle.name}: its recipe names too few training cases; pass --no-int8, or --data")
    made = [
        [prepare_case(row, scratch, recipe.preparation, recipe.more_sources) for row in some]
        for some in (training[:CALIBRATION_WINDOWS], validation)
    ]
    return made[0], made[1], kind


def _quantised(
    bundle: Bundle,
    network: OpenVinoNetwork,
    calibration: Sequence[PreparedCase],
    validation: Sequence[PreparedCase],
    report: Callable[[str], None],
) -> tuple[OpenVinoNetwork | None, Int8Result]:
    """Returns the first 8-bit network that passes, or None, and the result of the last attempt."""
    reference = similarities(runner_of(bundle, TORCH, _CPU), validation, bundle.recipe.inference)
    windows = list(_windows(calibration))
    for clipped, kept in ATTEMPTS:
        report(f"8 bits, {clipped:.0e} of the activations clipped, {kept} layers at either end kept in 32")
        int8_network = quantise(network, windows, clipped=clipped, kept=kept)
        lost = reference - similarities(int8_network, validation, bundle.recipe.inference)
        means = lost.mean(axis=0) if len(validation) >= MIN_CASES_FOR_MEAN else lost.max(axis=0)
        result = Int8Result(
            psnr_lost_db=float(means[0]),
            ssim_lost=float(means[1]),
            worst_psnr_lost_db=float(lost[:, 0].max()),
            cases=len(validation),
            clipped=clipped,
            kept=kept,
            passed=bool(means[0] <= MAX_PSNR_LOSS_DB and means[1] <= MAX_SSIM_LOSS),
        )
        if result.passed:
            return int8_network, result
    return None, result


def quantise(network: OpenVinoNetwork, windows: Sequence[Tensor], *, clipped: float, kept: int) -> OpenVinoNetwork:
    """Returns a network whose convolutions are computed in 8 bits, with ranges measured on some windows.

    Args:
        network: the network in 32 bits.
        windows: inputs (1, C, D, H, W) to measure the ranges of activations on.
        clipped: share of activations beyond the 8-bit range at either end.
        kept: number of convolutions at either end of the network that stay in 32 bits.

    Raises:
        MissingLibrary: `MISSING_LIBRARY`.
    """
    load_openvino()
    try:
        nncf = importlib.import_module("nncf")
        ranges = importlib.import_module("nncf.quantization.range_estimator")
        advanced = importlib.import_module("nncf.quantization.advanced_parameters")
    except ImportError as error:
        raise MissingLibrary("MISSING_LIBRARY", "8 bits need NNCF: pip install 'voxlate[fast]'") from error
    logging.getLogger("nncf").setLevel(logging.ERROR)  # nncf.set_log_level would change the handlers of all loggers
    end = ranges.StatisticsCollectorParameters(
        statistics_type=ranges.StatisticsType.QUANTILE, quantile_outlier_prob=clipped
    )
    activations = ranges.RangeEstimatorParameters(min=end, max=end)
    names = [node.get_friendly_name() for node in network.model.get_ordered_ops() if node.get_type_name() in _LAYERS]
    ends = {*names[:kept], *names[len(names) - kept :]} if kept else set()
    with contextlib.redirect_stdout(io.StringIO()):  # it prints progress bars
        model = nncf.quantize(
            network.model,
            nncf.Dataset([window.numpy() for window in windows]),
            subset_size=len(windows),
            preset=nncf.QuantizationPreset.MIXED,
            ignored_scope=nncf.IgnoredScope(names=sorted(ends)),
            advanced_parameters=advanced.AdvancedQuantizationParameters(activations_range_estimator_params=activations),
        )
    return OpenVinoNetwork(model, factor=network.factor)


def _windows(cases: Sequence[PreparedCase]) -> Iterator[Tensor]:
    """Yields a window (1, C, D, H, W) from the middle of each case, padded to `CALIBRATION_SIZE`."""
    for case in cases:
        whole = all_sources(case)
        starts = [max(0, (n - CALIBRATION_SIZE) // 2) for n in whole.shape[1:]]
        box = tuple(slice(start, start + CALIBRATION_SIZE) for start in starts)
        window = whole[(slice(None), *box)][None]
        pads = [amount for n in reversed(window.shape[2:]) for amount in (0, CALIBRATION_SIZE - n)]
        yield torch.nn.functional.pad(window, pads).contiguous()
