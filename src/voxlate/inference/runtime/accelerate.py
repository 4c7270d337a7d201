"""Puts quicker forms of its network into a bundle: OpenVINO in 32 bits, and in 8 bits if that keeps the quality.

A form in 8 bits is calibrated on training cases and judged on validation cases, which neither the calibration nor the
weights have seen; where a recipe has none, on the last third of the training cases, which the calibration has not. It
passes when it loses no more than `MOST_DB` of in-mask PSNR and `MOST_SSIM` of SSIM against the real targets, on
average; of fewer than `MANY_JUDGES` cases, whose mean says little, on the worst. Each attempt leaves out another share
of the brightest and darkest activations, which would make the steps of all others coarse, or keeps more layers at both
ends of the network in 32 bits. When all fail, there is none.
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
from voxlate.errors import NoInput, UsageError
from voxlate.inference.runtime.openvino import OpenVinoNetwork, convert, load_openvino, save_model
from voxlate.inference.runtime.runners import INT8, OPENVINO, TORCH, runner_of
from voxlate.inference.runtime.similarity import similarities
from voxlate.io.atomic import write_json

MOST_DB, MOST_SSIM = 0.1, 0.002
MANY_JUDGES = 8
ATTEMPTS = ((1e-4, 0), (1e-5, 0), (1e-4, 1), (1e-5, 1), (1e-4, 4))
"""Share of activations that are clipped, and convolutions at either end that stay in 32 bits."""

CALIBRATION_WINDOWS, MOST_JUDGES = 12, 12
CALIBRATION_SIZE = 96
_CPU = torch.device("cpu")
_FILES = {OPENVINO: ["openvino.xml", "openvino.bin"], INT8: ["int8.xml", "int8.bin"]}
_LAYERS = ("Convolution", "ConvolutionBackpropData", "GroupConvolution")


@dataclass(frozen=True)
class Judged:
    """What a network in 8 bits loses on validation cases.

    Attributes:
        psnr_lost_db, ssim_lost: what is lost against the same network in 32 bits, in the brain; means over cases, or
            of fewer than `MANY_JUDGES` the worst.
        worst_psnr_lost_db: of the worst case.
        cases: how many there were.
        clipped: share of activations beyond the range of 8 bits at either end.
        kept: convolutions at either end that stayed in 32 bits.
        passed: whether it may be used.
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
    """Adds what else may run the network to a bundle, and returns what was measured, which is there as `runtimes.json`.

    Args:
        folder: of the bundle.
        root: where the cases of its recipe are, in place of the recipe's own folder.
        int8: try 8 bits as well.
        watch: called with a line before each step.

    Raises:
        NoInput: the recipe names too few cases.
        UsageError: `MISSING_LIBRARY`; `ENSEMBLE`.
        ModelInvalid: `RUNTIME` when OpenVINO does not give torch's answers.
        VoxlateError: what reading the bundle and its cases raises.
    """
    tell = watch or (lambda _: None)
    bundle = read_bundle(folder)
    channels = 1 + len(bundle.recipe.more_sources)
    tell("converting to OpenVINO")
    network = convert(bundle.network, channels)
    found: dict[str, Any] = {OPENVINO: {"files": _FILES[OPENVINO], "passed": True, "difference": network.difference}}
    small: OpenVinoNetwork | None = None
    if int8:
        with tempfile.TemporaryDirectory(prefix="voxlate-") as place:
            calibration, judges, kind = _cases(bundle, Path(place), root)
            small, judged = _quantised(bundle, network, calibration, judges, tell)
        files = _FILES[INT8] if judged.passed else []
        found[INT8] = {"files": files, **asdict(judged), "judged_by": kind, "calibrated_on": len(calibration)}
    remove_from_bundle(folder, [RUNTIMES_FILE, *_FILES[OPENVINO], *_FILES[INT8]])
    save_model(network, folder / "openvino.xml")
    written = [RUNTIMES_FILE, *_FILES[OPENVINO]]
    if small is not None:
        save_model(small, folder / "int8.xml")
        written += _FILES[INT8]
    version = str(load_openvino().__version__)
    content = {"weights_sha256": bundle.weights_sha256, "openvino": version, "runtimes": found}
    write_json(folder / RUNTIMES_FILE, content)
    add_to_bundle(folder, written)
    return content


def _cases(bundle: Bundle, place: Path, root: Path | None) -> tuple[list[PreparedCase], list[PreparedCase], str]:
    """Returns the cases to calibrate on, those to judge by, and what the latter are."""
    recipe = bundle.recipe
    rows = recipe.data.resolve(root)
    training = [row for row in rows if row.split == "train"][: CALIBRATION_WINDOWS + MOST_JUDGES]
    judges, kind = [row for row in rows if row.split == "validation"][:MOST_JUDGES], "validation"
    if not judges:
        third = max(1, len(training) // 3)
        training, judges, kind = training[:-third], training[-third:], "training, left out of the calibration"
    if not training or not judges:
        raise NoInput("NO_INPUT", f"{bundle.name}: its recipe names too few training cases; pass --no-int8, or --root")
    made = [
        [prepare_case(row, place, recipe.preparation, recipe.more_sources) for row in some]
        for some in (training[:CALIBRATION_WINDOWS], judges)
    ]
    return made[0], made[1], kind


def _quantised(
    bundle: Bundle,
    network: OpenVinoNetwork,
    calibration: Sequence[PreparedCase],
    judges: Sequence[PreparedCase],
    tell: Callable[[str], None],
) -> tuple[OpenVinoNetwork | None, Judged]:
    """Returns the network in 8 bits that passes with the fewest layers kept, or none, and how the last was judged."""
    reference = similarities(runner_of(bundle, TORCH, _CPU), judges, bundle.recipe.inference)
    windows = list(_windows(calibration))
    judged = Judged(float("inf"), float("inf"), float("inf"), len(judges), 0.0, 0, passed=False)
    for clipped, kept in ATTEMPTS:
        tell(f"8 bits, {clipped:.0e} of the activations clipped, {kept} layers at either end kept in 32")
        small = quantise(network, windows, clipped=clipped, kept=kept)
        lost = reference - similarities(small, judges, bundle.recipe.inference)
        means = lost.mean(axis=0) if len(judges) >= MANY_JUDGES else lost.max(axis=0)
        passed = bool(means[0] <= MOST_DB and means[1] <= MOST_SSIM)
        worst = float(lost[:, 0].max())
        judged = Judged(float(means[0]), float(means[1]), worst, len(judges), clipped, kept, passed)
        if passed:
            return small, judged
    return None, judged


def quantise(network: OpenVinoNetwork, windows: Sequence[Tensor], *, clipped: float, kept: int) -> OpenVinoNetwork:
    """Returns a network whose convolutions work on 8 bits, with the ranges that they have on some windows.

    Raises:
        UsageError: `MISSING_LIBRARY`.
    """
    load_openvino()
    try:
        nncf = importlib.import_module("nncf")
        ranges = importlib.import_module("nncf.quantization.range_estimator")
        advanced = importlib.import_module("nncf.quantization.advanced_parameters")
    except ImportError as error:
        raise UsageError("MISSING_LIBRARY", "8 bits need NNCF: pip install 'voxlate[fast]'") from error
    logging.getLogger("nncf").setLevel(logging.ERROR)  # its own function changes the handlers of everybody
    end = ranges.StatisticsCollectorParameters(
        statistics_type=ranges.StatisticsType.QUANTILE, quantile_outlier_prob=clipped
    )
    activations = ranges.RangeEstimatorParameters(min=end, max=end)
    names = [node.get_friendly_name() for node in network.model.get_ordered_ops() if node.get_type_name() in _LAYERS]
    ends = {*names[:kept], *names[len(names) - kept :]} if kept else set()
    with contextlib.redirect_stdout(io.StringIO()):  # it draws bars of its own
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
    """Yields windows in the middle of cases, of sizes that every network takes."""
    for case in cases:
        whole = all_sources(case)
        starts = [max(0, (n - CALIBRATION_SIZE) // 2) for n in whole.shape[1:]]
        box = tuple(slice(start, start + CALIBRATION_SIZE) for start in starts)
        window = whole[(slice(None), *box)][None]
        pads = [amount for n in reversed(window.shape[2:]) for amount in (0, CALIBRATION_SIZE - n)]
        yield torch.nn.functional.pad(window, pads).contiguous()
