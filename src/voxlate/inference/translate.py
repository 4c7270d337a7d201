"""One case: the scan goes through the preparation, the network and the way back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch

from voxlate.bundle.bundle import Bundle
from voxlate.bundle.out_of_distribution import OutOfDistributionScore, describe
from voxlate.bundle.prepared_case import prepare_more
from voxlate.errors import InputRefused, UsageError
from voxlate.inference.calibration import Calibration, require_same_answers
from voxlate.inference.memory import network_room
from voxlate.inference.predict import answers_of
from voxlate.inference.runtime import TORCH
from voxlate.io.nifti.source import warn
from voxlate.preparation import fit_preparation
from voxlate.preparation.masks.brain_mask import require_method
from voxlate.volume import Array, Mask, Shape, Volume

SPACING_TOLERANCE = 1.25
"""A voxel may be this much smaller or larger than those of the training before the scan is refused."""


@dataclass(frozen=True)
class Synthesis:
    """A synthetic volume and the numbers that tell how it came to its units.

    Attributes:
        volume: on the grid of the source, in units like those of the source, zero outside what the network saw.
        source_level: what one relative unit is on the source.
        reference_level: the median that the brain of `volume` should have; predicted by the bundle, not measured.
        brain_voxels: voxels that were translated.
        missing: additional sources that the network did without.
        imputed: hashes of the helpers that made an additional source, by contrast.
        answers: of members of an ensemble, and of mirrored scans, that `volume` is the mean of.
        spread: their standard deviation, or the error to be expected where there is a calibration, on the grid of the
            source, in its units; None for a single answer.
        distance: how far the scan is from those that the model was trained on, where the bundle knows.
        window: what the network saw at once; None for the whole box of the brain.
    """

    volume: Volume
    source_level: float
    reference_level: float
    brain_voxels: int
    missing: tuple[str, ...] = ()
    imputed: Mapping[str, str] = field(default_factory=dict)
    answers: int = 1
    spread: Volume | None = None
    distance: OutOfDistributionScore | None = None
    window: Shape | None = None

    @property
    def flag(self) -> str:
        """Returns `INPUT_UNUSUAL` where the gate let a scan through that is to be looked at, or nothing."""
        return "" if self.distance is None or self.distance.verdict == "known" else "INPUT_UNUSUAL"


def choose_device(name: str) -> torch.device:
    """Returns the device called `name`, or for `auto` the first graphics processor, or else the processor.

    Raises:
        UsageError: `DEVICE` when it is not there; another is never taken in its place.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        if device.type == "meta":
            raise RuntimeError("it holds no numbers")
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise UsageError("DEVICE", f"{name!r} cannot be used here: {reason}") from error
    return device


@dataclass(frozen=True)
class Options:
    """How to translate.

    Attributes:
        device: where the network runs.
        any_spacing: translate also what has voxels of a size that the model has never seen.
        zero_fill: do without a missing additional source even if none was missing in training (Chen et al. 2023).
        helpers: bundles that make a missing additional source out of the first one, by contrast.
        mirror: also translate the scan mirrored left and right, and take the mean.
        brain_mask: how the brain is found where no mask is given, in place of the bundle's way; see
            `voxlate.preparation.masks.brain_mask.BRAIN_MASKS`.
        synthetic_tag: write SyntheticData into DICOM.
        gate: what happens to a scan that is far from those of the training: `refuse`, or `flag` in sidecar and log, or
            `off`.
        runtime: what runs the network; see `voxlate.inference.runtime.RUNTIMES`.
        memory_gib: what one process may take; None for all that the machine has. See `voxlate.inference.memory`.
        unmarked_dicom: read DICOM files that lack their mark, too.
        calibration: turns the spread into the error that is to be expected; of just these answers.
    """

    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    any_spacing: bool = False
    zero_fill: bool = False
    helpers: Mapping[str, Bundle] = field(default_factory=dict)
    mirror: bool = False
    brain_mask: str | None = None
    synthetic_tag: bool = True
    gate: Literal["refuse", "flag", "off"] = "refuse"
    runtime: str = TORCH
    memory_gib: float | None = None
    unmarked_dicom: bool = False
    calibration: Calibration | None = None


def translate_volume(
    bundle: Bundle,
    source: Volume,
    mask: Volume | None = None,
    *,
    more: Mapping[str, Volume] | None = None,
    options: Options | None = None,
) -> Synthesis:
    """Returns the synthetic counterpart of one scan.

    Args:
        bundle: a trained model.
        source: the scan, in any orientation.
        mask: its brain mask, above 0.5 inside; None for a skull-stripped scan.
        more: additional sources on the grid of the scan, by contrast. What is missing and has no helper is zero to the
            network, as it was in training.
        options: see `Options`.

    Raises:
        TemporaryFailure: `MEMORY`.
        InputRefused: what `fit_preparation` refuses; `SPACING_UNSEEN`; `INPUT_UNKNOWN` when the scan is far from those
            of the training; `SOURCE_MISSING` when an additional source is missing that was never missing in training;
            `MODEL_OUTPUT` when the network's answer is not finite.
        UsageError: `SOURCE_UNKNOWN` for an additional source that the model does not take; `HELPER`.
    """
    chosen = options or Options()
    if chosen.calibration is not None:
        require_same_answers(chosen.calibration, bundle, mirror=chosen.mirror)
    if not chosen.any_spacing:
        _require_known_spacing(source, bundle)
    given, imputed = _with_helpers(bundle, source, mask, dict(more or {}), chosen)
    missing = _missing_sources(bundle, given, zero_fill=chosen.zero_fill)
    settings = bundle.recipe.preparation
    if chosen.brain_mask is not None:
        require_method(chosen.brain_mask)
        settings = settings.model_copy(update={"brain_mask": chosen.brain_mask})
    preparation = fit_preparation(source, mask, settings)
    prepared = preparation.apply(source)
    distance = None if chosen.gate == "off" else _distance(bundle, prepared.data, preparation.mask)
    if distance is not None:
        _pass_gate(distance, refuse=chosen.gate == "refuse")
    sources = [np.array(prepared.data), *prepare_more(preparation, source, given, bundle.recipe.more_sources)]
    x = torch.from_numpy(np.stack(sources))[None].to(chosen.device)
    room = network_room(chosen.device, source.grid.shape, chosen.memory_gib)
    found = answers_of(bundle, x, runtime=chosen.runtime, mirror=chosen.mirror, room=room)
    answer, count = found.mean, found.count
    spread = found.spread if chosen.calibration is None else chosen.calibration.expected_error(found.spread)
    if not np.isfinite(answer).all():
        raise InputRefused("MODEL_OUTPUT", "the network's answer is not finite; look at the intensities of the scan")
    if prepared.data.min() >= 0 and bundle.mapping.offset == 0:
        answer = np.maximum(answer, 0)  # with an offset, what is below the zero of the scale is no mistake
    level = preparation.level * bundle.mapping.gain
    volume = preparation.invert(answer, source, level=level, offset=bundle.mapping.offset)
    return Synthesis(
        volume.with_data(volume.data, shows=bundle.recipe.target),
        preparation.level,
        level * bundle.mapping.median,
        int(preparation.mask.sum()),
        missing,
        imputed,
        count,
        None if count == 1 else preparation.invert(spread, source, level=level),
        distance,
        found.window,
    )


def _distance(bundle: Bundle, image: Array, mask: Mask) -> OutOfDistributionScore | None:
    """Returns the distance to the training scans; of several bundles, to those of the one that knows it best."""
    parts = bundle.parts or (bundle,)
    statistics = [part.training_statistics for part in parts if part.training_statistics is not None]
    if not statistics:
        return None
    description = describe(image, mask)
    return min((each.score(description) for each in statistics), key=lambda distance: distance.score)


def _pass_gate(distance: OutOfDistributionScore, *, refuse: bool) -> None:
    text = distance.reason
    if distance.verdict == "unknown" and refuse:
        raise InputRefused("INPUT_UNKNOWN", f"{text}; is it the contrast and the organ of the model? else --gate flag")
    if distance.verdict != "known":
        warn("INPUT_UNUSUAL", text)


def _with_helpers(
    bundle: Bundle, source: Volume, mask: Volume | None, given: dict[str, Volume], options: Options
) -> tuple[dict[str, Volume], dict[str, str]]:
    """Returns the additional sources with those that helpers make, and the hashes of those helpers."""
    imputed = {}
    for name, helper in options.helpers.items():
        expected = (bundle.recipe.source, name)
        if name not in bundle.recipe.more_sources or (helper.recipe.source, helper.recipe.target) != expected:
            raise UsageError(
                "HELPER", f"{helper.name} does not make {name} out of {bundle.recipe.source} for {bundle.name}"
            )
        if name not in given:
            alone = Options(options.device, any_spacing=options.any_spacing, gate=options.gate)
            given[name] = translate_volume(helper, source, mask, options=alone).volume
            imputed[name] = helper.weights_sha256
    return given, imputed


def _missing_sources(bundle: Bundle, given: Mapping[str, Volume], *, zero_fill: bool) -> tuple[str, ...]:
    wanted = bundle.recipe.more_sources
    unknown = sorted(set(given) - set(wanted))
    if unknown:
        raise UsageError("SOURCE_UNKNOWN", f"{bundle.name} takes {bundle.recipe.from_what}, not {unknown[0]}")
    missing = tuple(name for name in wanted if name not in given)
    if missing and not zero_fill and not bundle.recipe.augmentation.drop_source:
        raise InputRefused(
            "SOURCE_MISSING", f"{missing[0]} is missing, and {bundle.name} never did without; give it, or --zero-fill"
        )
    return missing


def _require_known_spacing(source: Volume, bundle: Bundle) -> None:
    low, high = bundle.spacing_mm
    least, most = min(source.spacing_mm), max(source.spacing_mm)
    if low / SPACING_TOLERANCE <= least and most <= high * SPACING_TOLERANCE:
        return
    size = " x ".join(f"{mm:.3g}" for mm in source.spacing_mm)
    raise InputRefused(
        "SPACING_UNSEEN",
        f"voxels of {size} mm, the model knows {low:.3g} to {high:.3g} mm; resample the scan, or pass --any-spacing",
    )
