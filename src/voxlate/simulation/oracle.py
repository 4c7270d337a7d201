"""The error that the best model possible would still make, computed from what the simulator knows it hides.

The oracle sees the source without noise and knows anatomy, tissues, dose, delay and scanner. It does not know what the
physics does not show: how leaky a barrier is beyond what T2 and ADC tell, what a lesion looked like before the agent
if several pasts give the same image, how relaxation varies inside a tissue when only attenuation was seen. Its answer
is the mean over what remains possible; its expected squared error is the variance of that, voxel by voxel, plus what
the acquisition of the target adds and nobody can know: its noise, the shading of its coil, where the head lay (pose)
and how the image is bent. The error of the transmit field is left out, so that the sum stays a lower bound. A model
that scores better than the oracle has seen the answer.

All errors are mean squares in units of (signal / reference signal)², the reference being white matter,
or muscle in a spine. `rmse_percent` is the root of the total in the unit of the tables of `voxlate evaluate`, per cent
of the 99.5th percentile of the target.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, cast

import numpy as np

from voxlate.simulation.anatomy.spine import DiscFactors
from voxlate.simulation.anatomy.tissues import Floats, Relaxation, Tissue
from voxlate.simulation.factors import OracleError, RegionError, Visibility
from voxlate.simulation.lesions.disc_grades import grade_posterior, t2_prior
from voxlate.simulation.lesions.enhancement import uptake_prior
from voxlate.simulation.lesions.lesions import LESION_KINDS, NON_ENHANCING_UPTAKE, Lesion, draw_lesion
from voxlate.simulation.physics.acquisition import POSE_SHIFT_MM, POSE_TURN_DEG, MrSettings
from voxlate.simulation.physics.artefacts import shading
from voxlate.simulation.physics.contrast_agent import enhanced
from voxlate.simulation.physics.ct import CtSettings
from voxlate.simulation.physics.render import TEXTURE, Body, mixed, reference_signal, tissue_signal, tissue_slope
from voxlate.simulation.physics.scanners import Scanner, contrast_signal, scanner_named, t1w_signal
from voxlate.simulation.rng import generator
from voxlate.volume import Array, Mask

_PRIOR_DRAWS = 300  # lesions of each kind that stand for the prior
_NEIGHBOURS = 60

_SHADED: Mask = np.square((np.indices((24, 24, 24)) - 11.5) / (0.36 * 24)).sum(axis=0) <= 1
"""A brain on a coarse grid: it takes the middle 72 % of the field of view along each axis."""


@dataclass(frozen=True)
class Posterior:
    """What the oracle answers for one tissue, how uncertain it is, and what was true, over the reference signal."""

    mean: float
    variance: float
    actual: float


def virtual_contrast_posterior(body: Body, scanner: Scanner, lesion: Lesion, plasma_mm: float) -> Posterior:
    """Returns what T1, T2, FLAIR and ADC tell of a lesion's signal after the agent.

    The score is known from T2 and ADC; the hidden part is integrated by Gauss-Hermite quadrature; with the
    probability of its kind the lesion does not enhance.
    """
    uptakes, weights = uptake_prior(lesion.median_uptake, lesion.leakiness.score, lesion.leakiness.correlation)
    probability = LESION_KINDS[lesion.kind].enhancing if lesion.solid.name not in ("haemorrhage", "lipoma") else 0.0
    silent = min(lesion.solid.uptake, NON_ENHANCING_UPTAKE)
    every = np.append(uptakes, silent) * plasma_mm
    chance = np.append(weights * probability, 1 - probability)
    reference = reference_signal(body, scanner, "T1w")
    signals = (
        t1w_signal(enhanced(lesion.solid.relaxation, every, body.agent, scanner.field_tesla), scanner.t1w) / reference
    )
    mean = float(chance @ signals)
    actual = tissue_signal(body, scanner, "T1w", f"{lesion.name}-solid", has_agent=True) / reference
    return Posterior(mean, float(chance @ (signals - mean) ** 2), actual)


def contrast_removal_posterior(body: Body, scanner: Scanner, lesion: Lesion, plasma_mm: float) -> Posterior:
    """Returns what T1ce tells of a lesion's signal before the agent, its kind known.

    The prior is a sample of lesions of that kind; the posterior is that of the nearest ones in T1ce.
    """
    reference = reference_signal(body, scanner, "T1w")
    sample = _prior_lesions(scanner.name, lesion.kind)
    before = t1w_signal(_relaxation(sample), scanner.t1w) / reference
    uptakes = np.array([tissue.uptake for tissue in sample]) * plasma_mm
    after = t1w_signal(enhanced(_relaxation(sample), uptakes, body.agent, scanner.field_tesla), scanner.t1w) / reference
    seen = tissue_signal(body, scanner, "T1w", f"{lesion.name}-solid", has_agent=True) / reference
    nearest = np.argsort(np.abs(after - seen), kind="stable")[:_NEIGHBOURS]
    actual = tissue_signal(body, scanner, "T1w", f"{lesion.name}-solid") / reference
    return Posterior(float(before[nearest].mean()), float(before[nearest].var()), actual)


def disc_posterior(body: Body, scanner: Scanner, disc: DiscFactors, name: str) -> Posterior:
    """Returns what CT tells of the T2w signal of a nucleus: the grades it leaves possible, and their T2."""
    reference = reference_signal(body, scanner, "T2w")
    nucleus = body.substances[name].tissue
    times, weights = t2_prior(grade_posterior(disc))
    relaxation = Relaxation(nucleus.t1_ms, times, nucleus.t2_star_ms, nucleus.proton_density)
    signals = contrast_signal("T2w", relaxation, scanner) / reference
    mean = float(np.sum(weights * signals))
    actual = tissue_signal(body, scanner, "T2w", name) / reference
    return Posterior(mean, float(np.sum(weights * (signals - mean) ** 2)), actual)


def texture_variance(body: Body, scanner: Scanner, contrast: str) -> Array:
    """Returns the variance of a magnetic image about what attenuation tells: that of the textures, which CT lacks."""
    reference = reference_signal(body, scanner, contrast)
    total = np.zeros(body.tissue_map.free.shape, dtype=np.float32)
    for time in TEXTURE:
        slopes = {name: tissue_slope(body, scanner, contrast, name, time) for name in body.substances}
        total += mixed(body.tissue_map, slopes.__getitem__) ** 2
    return total / np.float32(reference**2)


def visibility(
    lesion: Lesion, body: Body, scanner: Scanner, settings: Mapping[str, MrSettings | CtSettings]
) -> Visibility:
    """Returns the contrast to noise of a lesion's solid part against white matter in each magnetic image."""
    ratios: dict[str, float] = {}
    for name, acquired in settings.items():
        if isinstance(acquired, MrSettings):
            contrast = {"T1ce": "T1w", "DWI": "b0"}.get(name, name)
            solid, white = (
                tissue_signal(body, scanner, contrast, tissue, has_agent=name == "T1ce")
                for tissue in (f"{lesion.name}-solid", "wm")
            )
            noise = acquired.noise_percent / 100 * reference_signal(body, scanner, contrast)
            ratios[f"cnr_{name}"] = round((solid - white) / noise, 3)
    return cast(Visibility, ratios)  # image names are the keys of `Visibility`


@dataclass(frozen=True)
class AcquisitionVariance:
    """What the acquisition of a target adds that no source tells.

    Attributes:
        variance: per voxel, over the reference signal squared: shading, pose and bend.
        signal_range: 99.5th percentile of the target without noise in the mask, over the reference signal.
    """

    variance: Array
    signal_range: float


def acquisition_variance(
    body: Body, scanner: Scanner, contrast: str, settings: MrSettings, mask: Mask, *, spacing_mm: float, has_agent: bool
) -> AcquisitionVariance:
    """Returns what shading, pose and bend of the target are worth, to first order.

    Shading multiplies the signal S by b, drawn anew for each image: S² E[(b − 1)²]. A displacement d that is unknown
    moves the gradient of S: Σ (∂S/∂x)² E[dx²], with d of the pose (its turn acts at the distance from the centre) and
    of the bend. Of an image that lies where the truth lies, the last are 0.
    """
    reference = reference_signal(body, scanner, contrast)
    signal = mixed(
        body.tissue_map, lambda name: tissue_signal(body, scanner, contrast, name, has_agent=has_agent) / reference
    )
    variance = signal**2 * np.float32(_shading_variance(settings.shading))
    moved_mm2 = _displacement_mm2(settings, signal.shape, spacing_mm)
    for axis, gradient in enumerate(np.gradient(signal, spacing_mm)):
        variance += gradient**2 * moved_mm2[axis]
    inside = signal[mask]
    return AcquisitionVariance(variance, float(np.percentile(inside, 99.5)) if inside.size else 1.0)


@lru_cache(maxsize=64)
def _shading_variance(amplitude: float) -> float:
    """Returns the mean square of (shading / its median − 1) in a brain, over smooth fields drawn on a small grid.

    Over its median, as images are compared in units of their own median: a gain of the whole brain is no error.
    """
    rng = generator(0, 0, "oracle", "shading")
    fields = [shading(_SHADED.shape, amplitude, rng)[_SHADED] for _ in range(50)]
    return float(np.mean([np.square(field / np.median(field) - 1).mean() for field in fields]))


def _displacement_mm2(settings: MrSettings, shape: Sequence[int], spacing_mm: float) -> Array:
    """Returns (3, shape): the mean square of the displacement along each axis, mm²."""
    is_reference = settings.bend_mm == 0
    result = np.zeros((3, *shape), dtype=np.float32)
    if is_reference:
        return result
    points = [
        (np.arange(n, dtype=np.float32) - (n - 1) / 2).reshape([-1 if a == axis else 1 for a in range(3)]) * spacing_mm
        for axis, n in enumerate(shape)
    ]
    turn = np.float32(np.radians(POSE_TURN_DEG) ** 2)
    for axis in range(3):
        first, second = (points[other] for other in range(3) if other != axis)
        result[axis] = POSE_SHIFT_MM**2 + settings.bend_mm**2 + turn * (first**2 + second**2)
    return result


def oracle_error(
    body: Body,
    posteriors: Mapping[str, Posterior],
    texture: Array | None,
    mask: Mask,
    noise: float,
    acquisition: AcquisitionVariance | None = None,
) -> OracleError:
    """Returns the oracle's mean squared errors in the mask and in the uncertain tissues, ready for JSON.

    Args:
        body: scanned.
        posteriors: by the name of the tissue on the tissue_map.
        texture: variance per voxel from `texture_variance`, or none when the source shows it.
        mask: the brain, or the vertebral column.
        noise: deviation of the target's noise over the reference signal.
        acquisition: of the target's acquisition; nothing when not given.
    """
    expected = np.zeros(body.tissue_map.free.shape, dtype=np.float32) if texture is None else texture.copy()
    realised = expected.copy()
    uncertain = np.zeros(expected.shape, dtype=bool)
    for name, posterior in posteriors.items():
        share = body.tissue_map.total(name)
        expected += share**2 * np.float32(posterior.variance)
        realised += share**2 * np.float32((posterior.mean - posterior.actual) ** 2)
        uncertain |= share >= 0.5
    errors: OracleError = {"unit": "mean square of (signal / reference signal)", "noise_mse": noise**2}
    regions: dict[Literal["all", "uncertain"], Mask] = {"all": mask, "uncertain": uncertain & mask}
    for region, where in regions.items():
        if where.any():
            errors[region] = _region_error(
                expected[where], realised[where], noise, None if acquisition is None else acquisition.variance[where]
            )
            if acquisition is not None:
                root = np.sqrt(errors[region]["total_mse"])
                errors[region]["rmse_percent"] = float(100 * root / acquisition.signal_range)
    return errors


def _region_error(expected: Array, realised: Array, noise: float, acquisition: Array | None) -> RegionError:
    hidden = float(expected.mean(dtype=np.float64))
    added = 0.0 if acquisition is None else float(acquisition.mean(dtype=np.float64))
    return {
        "unpredictable_mse": hidden,
        "realised_mse": float(realised.mean(dtype=np.float64)),
        "acquisition_mse": added,
        "total_mse": hidden + added + noise**2,
    }


@lru_cache(maxsize=64)
def _prior_lesions(scanner: str, kind: str) -> tuple[Tissue, ...]:
    tissues = scanner_named(scanner).tissues()
    rng = generator(0, 0, "prior", kind)
    return tuple(draw_lesion(kind, "prior", 0.7, tissues, rng).solid for _ in range(_PRIOR_DRAWS))


def _relaxation(tissues: Sequence[Tissue]) -> Relaxation:
    def column(name: str) -> Floats:
        return np.array([getattr(tissue, name) for tissue in tissues], dtype=np.float64)

    return Relaxation(column("t1_ms"), column("t2_ms"), column("t2_star_ms"), column("proton_density"))
