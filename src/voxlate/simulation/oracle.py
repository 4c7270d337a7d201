"""The oracle: the smallest error that any model can have on a simulated subject.

The oracle is given the source images without noise and the anatomy, tissues, dose, delay and scanner. It is not given
what the source images do not show: the leakiness of a lesion beyond its T2 and ADC, the signal of a lesion before the
contrast agent where several signals lead to the same image after it, and, when the source is a CT, the variation of
relaxation times within a tissue. Its prediction is the posterior mean. Its expected squared error is the posterior
variance of each voxel plus what the acquisition of the target adds at random: noise, coil shading, pose and non-rigid
displacement. The error of the transmit field is left out, so that the sum is a lower bound. A model with a smaller
error than the oracle has had access to the target: look for a leak.

Errors are mean squares of signal / reference signal; the reference is white matter, in a spine muscle. `rmse_percent`
is the root of the total in the unit of `voxlate evaluate`, per cent of the target's 99.5th percentile.
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
from voxlate.simulation.physics.render import TEXTURE, Body, mixed, reference_signal, tissue_signal, tissue_slopes
from voxlate.simulation.physics.scan import contrast_of
from voxlate.simulation.physics.scanners import Scanner, contrast_signal, scanner_named, t1w_signal
from voxlate.simulation.rng import generator
from voxlate.volume import Array, Mask

_PRIOR_DRAWS = 300  # lesions of each kind that represent the prior; chosen by hand, not tuned
_NEIGHBOURS = 60  # of them that represent the posterior: a fifth; chosen by hand, not tuned

_COARSE_BRAIN: Mask = np.square((np.indices((24, 24, 24)) - 11.5) / (0.36 * 24)).sum(axis=0) <= 1
"""A brain on a coarse grid: an ellipsoid in the central 72 % of the field of view along each axis."""


@dataclass(frozen=True)
class Posterior:
    """Distribution of the signal of one tissue given the source images, over the reference signal.

    Attributes:
        mean: prediction of the oracle.
        variance: expected squared error of the prediction.
        actual: signal that was drawn.
    """

    mean: float
    variance: float
    actual: float


def virtual_contrast_posterior(body: Body, scanner: Scanner, lesion: Lesion, plasma_mm: float) -> Posterior:
    """Returns the posterior of a lesion's T1ce signal given T1w, T2w, FLAIR and ADC.

    The score of its leakiness is known from T2 and ADC, the hidden part is integrated by Gauss-Hermite quadrature, and
    the lesion enhances with the probability of its kind.

    Args:
        body: subject.
        scanner: scanner.
        lesion: lesion of the subject.
        plasma_mm: concentration in plasma in mM.
    """
    uptakes, weights = uptake_prior(lesion.median_uptake, lesion.leakiness.score, lesion.leakiness.correlation)
    probability = LESION_KINDS[lesion.kind].enhancing if lesion.solid.name not in ("haemorrhage", "lipoma") else 0.0
    non_enhancing = min(lesion.solid.uptake, NON_ENHANCING_UPTAKE)
    concentrations = np.append(uptakes, non_enhancing) * plasma_mm
    probabilities = np.append(weights * probability, 1 - probability)
    reference = reference_signal(body, scanner, "T1w")
    relaxation = enhanced(lesion.solid.relaxation, concentrations, body.agent, scanner.field_tesla)
    signals = t1w_signal(relaxation, scanner.t1w) / reference
    mean = float(probabilities @ signals)
    actual = tissue_signal(body, scanner, "T1w", f"{lesion.name}-solid", has_agent=True) / reference
    return Posterior(mean, float(probabilities @ (signals - mean) ** 2), actual)


def contrast_removal_posterior(body: Body, scanner: Scanner, lesion: Lesion, plasma_mm: float) -> Posterior:
    """Returns the posterior of a lesion's T1w signal given T1ce and the kind of the lesion.

    The prior is a sample of lesions of that kind; the posterior is the sample's lesions nearest in T1ce.

    Args:
        body: subject.
        scanner: scanner.
        lesion: lesion of the subject.
        plasma_mm: concentration in plasma in mM.
    """
    reference = reference_signal(body, scanner, "T1w")
    sample = _prior_lesions(scanner.name, lesion.kind)
    before = t1w_signal(_relaxation(sample), scanner.t1w) / reference
    uptakes = np.array([tissue.uptake for tissue in sample]) * plasma_mm
    after = t1w_signal(enhanced(_relaxation(sample), uptakes, body.agent, scanner.field_tesla), scanner.t1w) / reference
    observed = tissue_signal(body, scanner, "T1w", f"{lesion.name}-solid", has_agent=True) / reference
    nearest = np.argsort(np.abs(after - observed), kind="stable")[:_NEIGHBOURS]
    actual = tissue_signal(body, scanner, "T1w", f"{lesion.name}-solid") / reference
    return Posterior(float(before[nearest].mean()), float(before[nearest].var()), actual)


def disc_posterior(body: Body, scanner: Scanner, disc: DiscFactors, name: str) -> Posterior:
    """Returns the posterior of a nucleus's T2w signal given CT: a mixture over the grades that CT leaves possible.

    Args:
        body: subject.
        scanner: scanner.
        disc: disc of the nucleus.
        name: tissue of the nucleus in the body.
    """
    reference = reference_signal(body, scanner, "T2w")
    nucleus = body.substances[name].tissue
    times, weights = t2_prior(grade_posterior(disc))
    relaxation = Relaxation(nucleus.t1_ms, times, nucleus.t2_star_ms, nucleus.proton_density)
    signals = contrast_signal("T2w", relaxation, scanner) / reference
    mean = float(np.sum(weights * signals))
    actual = tissue_signal(body, scanner, "T2w", name) / reference
    return Posterior(mean, float(np.sum(weights * (signals - mean) ** 2)), actual)


def texture_variance(body: Body, scanner: Scanner, contrast: str) -> Array:
    """Returns the variance of an MR image given CT, float32 of the volume's shape, over the reference signal squared.

    It is the variance of the textures of T1 and T2, which CT does not show.

    Args:
        body: subject.
        scanner: scanner.
        contrast: `T1w`, `T2w`, `FLAIR` or `b0`.
    """
    reference = reference_signal(body, scanner, contrast)
    total = np.zeros(body.tissue_map.free.shape, dtype=np.float32)
    names = list(body.substances)
    for time in TEXTURE:
        slopes = tissue_slopes(body, scanner, contrast, names, time)
        total += mixed(body.tissue_map, dict(zip(names, slopes, strict=True)).__getitem__) ** 2
    return total / np.float32(reference**2)


def visibility(
    lesion: Lesion, body: Body, scanner: Scanner, settings: Mapping[str, MrSettings | CtSettings]
) -> Visibility:
    """Returns the contrast-to-noise ratio of a lesion's solid part against white matter in each MR image.

    Args:
        lesion: lesion of the subject.
        body: subject.
        scanner: scanner.
        settings: image to the settings of its acquisition; CT is left out.
    """
    ratios: dict[str, float] = {}
    for name, acquired in settings.items():
        if isinstance(acquired, MrSettings):
            contrast, factors = contrast_of(name, acquired.grades.improper), {"weighting": acquired.weighting}
            solid, white = (
                tissue_signal(body, scanner, contrast, tissue, has_agent=name == "T1ce", factors=factors)
                for tissue in (f"{lesion.name}-solid", "wm")
            )
            noise = acquired.noise_percent / 100 * reference_signal(body, scanner, contrast)
            ratios[f"cnr_{name}"] = round((solid - white) / noise, 3)
    return cast(Visibility, ratios)  # image names are the keys of `Visibility`


@dataclass(frozen=True)
class AcquisitionVariance:
    """What the acquisition of a target adds at random.

    Attributes:
        variance: (i, j, k), over the reference signal squared, from shading, pose and non-rigid displacement.
        signal_range: 99.5th percentile in the mask of the target without noise, over the reference signal.
    """

    variance: Array
    signal_range: float


def acquisition_variance(
    body: Body, scanner: Scanner, contrast: str, settings: MrSettings, mask: Mask, *, spacing_mm: float, has_agent: bool
) -> AcquisitionVariance:
    """Returns the variance from shading, pose and non-rigid displacement of the target, to first order.

    Shading multiplies the signal S by a random factor b: S² E[(b − 1)²]. An unknown displacement d acts on the gradient
    of S: Σ (∂S/∂x)² E[dx²], where d is the sum of the pose (its rotation acts in proportion to the distance from the
    centre) and the non-rigid displacement. Both are zero for the image that the truth is aligned with.

    Args:
        body: subject.
        scanner: scanner.
        contrast: `T1w`, `T2w`, `FLAIR` or `b0`.
        settings: settings of the target's acquisition.
        mask: (i, j, k), region of `signal_range`.
        spacing_mm: isotropic voxel size.
        has_agent: whether the target is taken after the injection.
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
    """Returns the mean square of (shading / its median − 1) in a brain, over 50 random fields on a coarse grid.

    The shading is divided by its median because images are compared in units of their own median: a gain common to the
    whole brain is not an error.
    """
    rng = generator(0, 0, "oracle", "shading")
    fields = [shading(_COARSE_BRAIN.shape, amplitude, rng)[_COARSE_BRAIN] for _ in range(50)]
    return float(np.mean([np.square(field / np.median(field) - 1).mean() for field in fields]))


def _displacement_mm2(settings: MrSettings, shape: Sequence[int], spacing_mm: float) -> Array:
    """Returns the mean square of the displacement along each axis in mm², float32 (3, i, j, k)."""
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
    """Returns the oracle's mean squared errors in the mask and in the uncertain tissues.

    Args:
        body: subject.
        posteriors: tissue in the partial-volume map to the posterior of its signal.
        texture: (i, j, k), variance from `texture_variance`, or None when the source shows the texture.
        mask: (i, j, k), the brain or the vertebral column.
        noise: standard deviation of the target's noise over the reference signal.
        acquisition: what the acquisition of the target adds; nothing when not given.
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
    """Returns the errors of one region from the variances of its voxels, (voxels,) each."""
    unpredictable = float(expected.mean(dtype=np.float64))
    from_acquisition = 0.0 if acquisition is None else float(acquisition.mean(dtype=np.float64))
    return {
        "unpredictable_mse": unpredictable,
        "realised_mse": float(realised.mean(dtype=np.float64)),
        "acquisition_mse": from_acquisition,
        "total_mse": unpredictable + from_acquisition + noise**2,
    }


@lru_cache(maxsize=64)
def _prior_lesions(scanner: str, kind: str) -> tuple[Tissue, ...]:
    """Returns the solid tissue of random lesions of a kind."""
    tissues = scanner_named(scanner).tissues()
    rng = generator(0, 0, "prior", kind)
    return tuple(draw_lesion(kind, "prior", 0.7, tissues, rng).solid for _ in range(_PRIOR_DRAWS))


def _relaxation(tissues: Sequence[Tissue]) -> Relaxation:
    """Returns the relaxation times of several tissues as arrays, (tissues,) each."""

    def column(name: str) -> Floats:
        return np.array([getattr(tissue, name) for tissue in tissues], dtype=np.float64)

    return Relaxation(column("t1_ms"), column("t2_ms"), column("t2_star_ms"), column("proton_density"))
