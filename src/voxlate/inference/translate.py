"""Translates one scan: preprocessing, network, and inverse preprocessing.

Also checks the scan against the training data (voxel size, out-of-distribution score, additional sources), and adds the
uncertainty where there are several predictions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from voxlate.bundle.bundle import Bundle
from voxlate.bundle.calibration import Calibration
from voxlate.bundle.contrast_descriptor import ContrastDescriptor
from voxlate.bundle.out_of_distribution import OutOfDistributionScore, describe
from voxlate.bundle.prepared_case import prepare_more
from voxlate.errors import InputRefused, UsageError
from voxlate.inference.calibration import require_same_members
from voxlate.inference.checks import Gate, check_scan, require_use
from voxlate.inference.like import after_curve, with_contrast
from voxlate.inference.memory import activation_budget, require_memory
from voxlate.inference.predict import Prediction, predict
from voxlate.inference.runtime import TORCH
from voxlate.io.log import tell, warn
from voxlate.preparation import Preparation, fit_preparation
from voxlate.preparation.masks.brain_mask import AUTO, FoundBrain, brain_given, find_brain, locate_brain
from voxlate.preparation.steps.respace import respaced
from voxlate.volume import Array, Mask, Shape, Volume

if TYPE_CHECKING:
    from voxlate.preparation.store import PreparationStore

MOST_RESPACED = 8.0
"""A voxel may be this many times larger or smaller than those of the training scans before the scan is refused.

Slices of clinical protocols are up to 7 mm apart, and the shipped models are trained on 1 mm; measured up to 7 mm in
`benchmarks/bench_spacing.py`.
"""


@dataclass(frozen=True, kw_only=True)
class Synthesis:
    """A synthetic volume with the values that describe how it was made.

    Attributes:
        volume: on the grid of the source, in units like those of the source, zero outside the translated region.
        source_level: intensity of one relative unit on the source: its reference level, the factor of the intensity
            normalisation.
        reference_level: median that the brain of `volume` should have; predicted by the bundle, not measured.
        brain_voxels: number of voxels of that region.
        missing: sources that were missing or blank, and set to zero.
        imputed: for each additional source that was imputed, the hash of the weights of the bundle that made it.
        predictions: number of predictions (ensemble members, flipped scans) that `volume` is the mean of.
        spread: uncertainty: standard deviation of the predictions, or the expected error if there is a calibration; on
            the grid of the source, in its units; None for a single prediction.
        distance: out-of-distribution score, if the bundle has statistics of its training scans and the check is on.
        window: size in voxels of the windows that the network saw; None for the whole box of the brain.
        brain: the brain mask on the grid of the source, and how it was found.
        voxels_mm: voxel size that the network saw, if the scan was resampled to that of the training scans; detail
            finer than this is lost. None if the network saw the voxels of the scan.
        is_like_of_network: whether layers of the network gave the contrast of `Options.like`, and not a curve alone.
    """

    volume: Volume
    source_level: float
    reference_level: float
    brain_voxels: int
    missing: tuple[str, ...] = ()
    imputed: Mapping[str, str] = field(default_factory=dict)
    predictions: int = 1
    spread: Volume | None = None
    distance: OutOfDistributionScore | None = None
    window: Shape | None = None
    brain: FoundBrain | None = None
    voxels_mm: tuple[float, float, float] | None = None
    is_like_of_network: bool = False

    @property
    def flag(self) -> str:
        """Returns `INPUT_UNUSUAL` for a scan that passed the out-of-distribution check but needs review, or ""."""
        return "" if self.distance is None or self.distance.verdict == "known" else "INPUT_UNUSUAL"


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of a translation.

    Attributes:
        device: device of the network.
        keep_spacing: show the network the voxels of the scan, also those of a size that it was not trained on, instead
            of resampling the scan to the voxel size of the training scans, and the prediction back.
        zero_fill: set a missing additional source to zero even if none was missing in training (Chen et al. 2023).
        blank: contrasts that count as missing although they are given, and are set to zero or imputed, as Chen et al.
            tried for each of their sources. The first source still gives grid, brain mask and intensity scale.
        imputers: bundles that predict a missing additional source from the first source, by contrast.
        mirror: test-time augmentation: also predict the scan flipped left to right, and take the mean.
        brain_mask: method that finds the brain if no mask is given; see
            `voxlate.preparation.masks.brain_mask.BRAIN_MASKS`. With `auto` a skull-stripped scan keeps its own mask,
            and the method of the bundle finds the brain of all others (`ct` or `deepbet` if the bundle names none).
        synthetic_tag: write the attribute SyntheticData into DICOM.
        gate: out-of-distribution check: `refuse` the scan, `flag` it in sidecar and log, or `off`.
        runtime: one of `voxlate.inference.runtime.RUNTIMES`.
        memory_gib: memory in GiB that one process may use; None for all of the machine. See `voxlate.inference.memory`.
        sharing: processes that share the GPU; each plans with its part of the memory of the GPU.
        unmarked_dicom: also read DICOM files without preamble and prefix.
        calibration: turns the spread into the expected error; must be of the same ensemble members and `mirror`. A
            bundle may hold its own: `Options(mirror=True, calibration=bundle.calibration)`.
        like: contrast of a reference scan that the result gets; see `voxlate.inference.like`. None for the contrast of
            the source.
        research: the result is for research; a model with `use: research` needs it.
        cache: folder of brain masks, bias fields and registrations; another translation of the same scan takes them
            from there, and the result is the same. None to keep none. See `voxlate.preparation.store`.
    """

    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    keep_spacing: bool = False
    zero_fill: bool = False
    blank: tuple[str, ...] = ()
    imputers: Mapping[str, Bundle] = field(default_factory=dict)
    mirror: bool = False
    brain_mask: str = AUTO
    synthetic_tag: bool = True
    gate: Gate = "refuse"
    runtime: str = TORCH
    memory_gib: float | None = None
    sharing: int = 1
    unmarked_dicom: bool = False
    calibration: Calibration | None = None
    like: ContrastDescriptor | None = None
    research: bool = False
    cache: Path | None = None

    @property
    def store(self) -> PreparationStore | None:
        """Returns the store in `cache`, or None.

        Raises:
            CannotWrite, TemporaryFailure: as `voxlate.preparation.store.open_store`.
        """
        if self.cache is None:
            return None
        from voxlate.preparation.store import open_store  # most translations have no cache

        return open_store(Path(self.cache))


def translate_volume(
    bundle: Bundle,
    source: Volume,
    mask: Volume | None = None,
    *,
    more: Mapping[str, Volume] | None = None,
    options: Options | None = None,
    name: str = "the scan",
) -> Synthesis:
    """Returns the synthetic counterpart of one scan.

    Args:
        bundle: a trained model.
        source: the scan, (D, H, W), in any orientation.
        mask: its brain mask on the same grid, above 0.5 inside; None to find it by `Options.brain_mask`.
        more: additional sources on the grid of the scan, by contrast. A missing one that no imputer makes is zero, as
            it was in training.
        options: see `Options`; None for the defaults.
        name: of the case, for messages.

    Raises:
        TemporaryFailure: `MEMORY`.
        CannotWrite: `WRITE` for a cache that cannot be written.
        InputRefused: what `check_scan`, `brain_given`, `locate_brain` and `fit_preparation` refuse; `SPACING_UNSEEN`;
            `INPUT_UNKNOWN` when the scan is too far from the training scans; `SOURCE_MISSING` when an additional source
            is missing that was never missing in training; `MODEL_OUTPUT` when the network's output is not finite.
        UsageError: `SOURCE_UNKNOWN` for an additional source that the model does not take; `HELPER` for an imputer of
            another contrast; `CALIBRATION`; `RESEARCH_ONLY`.
    """
    chosen = options or Options()
    if chosen.calibration is not None:
        require_same_members(chosen.calibration, bundle, mirror=chosen.mirror)
    require_use(bundle.recipe, is_research=chosen.research)
    check_scan(source, bundle.recipe, mask, gate=chosen.gate, name=name)
    spacing_range_mm = _spacing_of_training(bundle, source, chosen, name)
    given, imputed = _impute_sources(bundle, source, mask, more or {}, chosen)
    missing = _missing_sources(bundle, given, blank=chosen.blank, zero_fill=chosen.zero_fill)
    store, settings = chosen.store, bundle.recipe.preparation
    brain = _brain(bundle, source, mask, chosen, name, find_brain if store is None else store.find_brain)
    mask_found = source.with_data(brain.mask)
    preparation = fit_preparation(source, mask_found, settings, spacing_range_mm=spacing_range_mm, store=store)
    _tell_spacing(source, preparation, name)
    prepared = preparation.apply(source)
    distance = _distance(bundle, prepared.data, preparation.mask, gate=chosen.gate, name=name)
    first = prepared.data * np.float32(bundle.recipe.source not in chosen.blank)
    sources = [first, *prepare_more(preparation, source, given, bundle.recipe.more_sources)]
    asked = with_contrast(bundle, prepared.data, preparation.mask, chosen.like, chosen.runtime)
    prediction = _predict(asked, np.stack(sources), source.grid.shape, chosen)
    synthetic, spread = prediction.mean, prediction.spread
    if prepared.data.min() >= 0 and bundle.mapping.offset == 0:
        synthetic = np.maximum(synthetic, 0)  # a magnitude image; with an offset, values below zero are valid
    is_by_network = asked is not bundle
    synthetic, spread = after_curve(chosen.like, synthetic, spread, preparation.mask, is_by_network=is_by_network)
    level = preparation.level * bundle.mapping.gain
    volume = preparation.invert(synthetic, source, level=level, offset=bundle.mapping.offset)
    return Synthesis(
        volume=volume.with_data(volume.data, shows=bundle.recipe.target),
        source_level=preparation.level,
        reference_level=level * bundle.mapping.median,
        brain_voxels=int(preparation.stored_mask.sum()),
        missing=missing,
        imputed=imputed,
        predictions=prediction.count,
        spread=None if prediction.count == 1 else preparation.invert(spread, source, level=level),
        distance=distance,
        window=prediction.window,
        brain=brain,
        voxels_mm=preparation.spacing_mm if preparation.is_respaced else None,
        is_like_of_network=is_by_network,
    )


def _predict(bundle: Bundle, sources: Array, scan: Shape, options: Options) -> Prediction:
    """Returns the prediction in relative units, with its spread calibrated.

    Args:
        bundle: a trained model.
        sources: (1 + additional sources, D, H, W), relative units.
        scan: shape of the scan; a scan in thick slices has fewer voxels than the network sees.
        options: of the translation.

    Raises:
        InputRefused: `MODEL_OUTPUT`.
    """
    x = torch.from_numpy(sources)[None].to(options.device)
    largest: Shape = max(scan, sources.shape[1:], key=np.prod)
    memory_bytes = activation_budget(options.device, largest, options.memory_gib, processes=options.sharing)
    prediction = predict(bundle, x, runtime=options.runtime, mirror=options.mirror, memory_bytes=memory_bytes)
    if not np.isfinite(prediction.mean).all():
        raise InputRefused("MODEL_OUTPUT", "the network's output is not finite; check the intensities of the scan")
    if options.calibration is None:
        return prediction
    return replace(prediction, spread=options.calibration.expected_error(prediction.spread))


def _brain(
    bundle: Bundle,
    source: Volume,
    mask: Volume | None,
    options: Options,
    name: str,
    find: Callable[[Volume, str], Mask],
) -> FoundBrain:
    """Returns the brain mask that is given, or that the options and the bundle find, and tells which it is."""
    own = bundle.recipe.preparation.brain_mask
    if mask is not None:
        brain = brain_given(source, mask)
    elif options.brain_mask == AUTO and own == "all":
        brain = locate_brain(source, own, find=find)
    else:
        otherwise = None if own in (AUTO, "nonzero") else own
        brain = locate_brain(source, options.brain_mask, otherwise=otherwise, find=find)
    tell(f"{name}: {brain.text}")
    if brain.report is not None and brain.report.verdict == "bad":
        remedy = "check the mask, or leave it out" if mask is not None else "check that the scan shows a whole brain"
        warn("MASK_UNUSUAL", f"{'; '.join(brain.report.reasons)}; {remedy}")
    return brain


def _distance(bundle: Bundle, image: Array, mask: Mask, *, gate: Gate, name: str) -> OutOfDistributionScore | None:
    """Returns the out-of-distribution score that let the scan pass; for an ensemble, the lowest of its members.

    None with the gate `off`, and for a bundle without statistics of its training scans.
    """
    if gate == "off":
        return None
    parts = bundle.parts or (bundle,)
    statistics = [part.training_statistics for part in parts if part.training_statistics is not None]
    if not statistics:
        return None
    description = describe(image, mask)
    distance = min((each.score(description) for each in statistics), key=lambda distance: distance.score)
    _pass_gate(distance, name, refuse=gate == "refuse")
    return distance


def _pass_gate(distance: OutOfDistributionScore, name: str, *, refuse: bool) -> None:
    text = distance.reason
    if distance.verdict == "unknown" and refuse:
        raise InputRefused(
            "INPUT_UNKNOWN",
            f"{name}: {text}; check contrast, organ, orientation and mask, or pass --ood flag to translate it",
        )
    if distance.verdict != "known":
        warn("INPUT_UNUSUAL", f"{text}; check contrast, orientation and mask, and look at the synthetic scan")


def _impute_sources(
    bundle: Bundle, source: Volume, mask: Volume | None, more: Mapping[str, Volume], options: Options
) -> tuple[dict[str, Volume], dict[str, str]]:
    """Returns the additional sources that are not blank, with imputed ones, and the imputers' weight hashes."""
    _require_sources(bundle, more, bundle.recipe.more_sources)
    _require_sources(bundle, options.blank, (bundle.recipe.source, *bundle.recipe.more_sources))
    given = {name: volume for name, volume in more.items() if name not in options.blank}
    imputed = {}
    for name, imputer in options.imputers.items():
        expected = (bundle.recipe.source, name)
        if name not in bundle.recipe.more_sources or (imputer.recipe.source, imputer.recipe.target) != expected:
            raise UsageError(
                "HELPER",
                f"{imputer.name} does not predict {name} from {bundle.recipe.source}, as {bundle.name} needs; "
                "choose another bundle to impute with",
            )
        if name not in given:
            alone = Options(
                device=options.device,
                keep_spacing=options.keep_spacing,
                brain_mask=options.brain_mask,
                gate=options.gate,
                memory_gib=options.memory_gib,
                sharing=options.sharing,
                research=options.research,
                cache=options.cache,
            )
            given[name] = translate_volume(imputer, source, mask, options=alone, name=f"{name} of the case").volume
            imputed[name] = imputer.weights_sha256
    return given, imputed


def _require_sources(bundle: Bundle, names: Iterable[str], allowed: Iterable[str]) -> None:
    unknown = sorted(set(names) - set(allowed))
    if unknown:
        raise UsageError(
            "SOURCE_UNKNOWN", f"{bundle.name} takes {bundle.recipe.from_what}, not {unknown[0]}; leave it out"
        )


def _missing_sources(
    bundle: Bundle, given: Mapping[str, Volume], *, blank: tuple[str, ...], zero_fill: bool
) -> tuple[str, ...]:
    """Returns the contrasts that the network sees as zeros."""
    expected = (bundle.recipe.source, *bundle.recipe.more_sources)
    absent = tuple(name for name in expected[1:] if name not in given)
    missing = tuple(name for name in absent if name not in blank)
    if missing and not zero_fill and not bundle.recipe.augmentation.drop_source:
        raise InputRefused(
            "SOURCE_MISSING",
            f"{missing[0]} is missing, and {bundle.name} was never trained without it; give it, or --zero-fill",
        )
    first = expected[:1] if expected[0] in blank else ()
    return first + absent


def _spacing_of_training(bundle: Bundle, source: Volume, options: Options, name: str) -> tuple[float, float] | None:
    """Returns the range of voxel sizes to resample to; None for voxels, or a frame, that stay as they are.

    Raises:
        InputRefused: `SPACING_UNSEEN` for voxels that no resampling makes into those of training.
        TemporaryFailure: `MEMORY`.
    """
    if options.keep_spacing or bundle.recipe.preparation.frame == "t1_linear":
        return None
    low, high = bundle.spacing_mm
    sizes = [mm for n, mm in zip(source.grid.shape, source.spacing_mm, strict=True) if n > 1]
    if sizes and (min(sizes) < low / MOST_RESPACED or max(sizes) > high * MOST_RESPACED):
        raise InputRefused(
            "SPACING_UNSEEN",
            f"{name}: voxels of {_size(source.spacing_mm)} mm, the model was trained on {low:.3g} to {high:.3g} mm; "
            "give another scan of the patient, or pass --keep-spacing to translate these voxels as they are",
        )
    require_memory(respaced(source.grid, low, high).shape, options.memory_gib, name=name)
    return low, high


def _tell_spacing(source: Volume, preparation: Preparation, name: str) -> None:
    if preparation.is_respaced:
        sizes = _size(source.spacing_mm), _size(preparation.spacing_mm)
        tell(f"{name}: voxels of {sizes[0]} mm are resampled to {sizes[1]} mm for the network, and the prediction back")


def _size(spacing_mm: tuple[float, float, float]) -> str:
    return " x ".join(f"{mm:.3g}" for mm in spacing_mm)
